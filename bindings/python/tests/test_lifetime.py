"""Files, closing, threads."""

from __future__ import annotations

import gc
import pathlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import brenier
from brenier import engine
from conftest import Parts


def test_load_from_memory(parts: Parts, model: brenier.Model) -> None:
    data = parts.path.read_bytes()
    for buffer in (data, bytearray(data), memoryview(data)):
        with brenier.load_bytes(buffer) as same:
            np.testing.assert_array_equal(same.sample(2), model.sample(2))


def test_save_and_load(parts: Parts, model: brenier.Model, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "copy of é.safetensors"
    model.save(path)
    with brenier.load(str(path)) as same:
        np.testing.assert_array_equal(same.sample(3, seed=1), model.sample(3, seed=1))
        assert same.info.metadata["extension"] == model.info.metadata["extension"]
    with pytest.raises(brenier.FileError) as error:
        model.save(tmp_path / "none" / "x.safetensors")
    assert isinstance(error.value, OSError) and error.value.status is brenier.Status.IO


def test_files_that_are_not_models(parts: Parts, tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.FileError, match="nothing.safetensors"):
        brenier.load(tmp_path / "nothing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(parts.path.read_bytes()[:-1])
    with pytest.raises(brenier.BadModelError, match="broken.safetensors"):
        brenier.load(broken)
    for data in (b"", b"x", parts.path.read_bytes()[:100]):
        with pytest.raises(brenier.BadModelError):
            brenier.load_bytes(data)


def test_a_device_that_is_not_there(parts: Parts) -> None:
    with pytest.raises(brenier.InvalidArgumentError, match="tpu"):
        brenier.load(parts.path, device="tpu")
    with pytest.raises(TypeError, match="device: want a string"):
        brenier.load(parts.path, device=0)  # type: ignore[arg-type]
    with pytest.raises(brenier.InvalidArgumentError, match="threads"):
        brenier.load(parts.path, device="cpu", threads=-1)
    with pytest.raises(
        brenier.InvalidArgumentError, match="precision: want one of float16, bfloat16, float32, got 'f16'"
    ):
        brenier.load(parts.path, device="cpu", precision="f16")  # type: ignore[arg-type]
    with brenier.load(parts.path, device="cpu", threads=3) as model:
        assert model.info.engine.threads == 3


def test_a_closed_model(parts: Parts) -> None:
    with brenier.load(parts.path) as model:
        model.sample(1)
    model.close()  # once more does nothing
    for call in (lambda: model.sample(1), lambda: model.locate(np.zeros((1, 6))), lambda: model.save("x")):
        with pytest.raises(brenier.InvalidHandleError, match="the model is closed"):
            call()
    assert model.info.points == 100


def test_models_of_one_device_share_an_engine(parts: Parts) -> None:
    first, second = (
        brenier.load(parts.path, device="cpu", threads=2),
        brenier.load(parts.path, device="cpu", threads=2),
    )
    key = ("cpu", 2, None, None, None)
    assert engine._engines[key] is first._engine is second._engine
    first.close()
    assert second.sample(1).shape == (1, 2, 3, 4)
    del first, second
    gc.collect()
    assert key not in engine._engines


def test_sixteen_threads_and_one_model(model: brenier.Model) -> None:
    want = model.sample(64, seed=3)
    barrier = threading.Barrier(16)

    def work(thread: int) -> bool:
        barrier.wait()
        return all(
            np.array_equal(model.sample(4, seed=3, first=(thread + i) % 60), want[(thread + i) % 60 :][:4])
            for i in range(50)
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_closing_waits_for_calls_in_flight(parts: Parts) -> None:
    for _ in range(20):
        model = brenier.load(parts.path)
        started = threading.Event()

        def work() -> str:
            started.set()
            try:
                while True:
                    model.codes(2000)
            except brenier.InvalidHandleError:
                return "closed"

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(work) for _ in range(2)]
            started.wait()
            model.close()
            assert [r.result(timeout=60) for r in results] == ["closed", "closed"]
