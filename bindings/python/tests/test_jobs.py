"""Jobs: the results of the methods that wait, every way a job ends, and what holds on to what."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import brenier
from conftest import Parts


@pytest.fixture
def idle(parts: Parts) -> Iterator[brenier.Model]:
    """A model whose jobs wait for run_jobs, so that each step is the test's own."""
    with brenier.load(parts.path, device="cpu", jobs=brenier.JobOptions(workers=0, limit=8)) as model:
        yield model


def test_jobs_give_what_the_methods_give(model: brenier.Model) -> None:
    z, x = model.codes(300, seed=2), model.noise(300, seed=3)
    jobs: list[Any] = []
    want: list[Any] = []
    for dtype in ("float32", "float16", "uint8"):
        for layout in ("NCHW", "NHWC"):
            settings: dict[str, Any] = {"dtype": dtype, "layout": layout}
            jobs.append(model.submit_sample(300, seed=5, first=9, mode="pair", blend=0.3, **settings))
            want.append(model.sample(300, seed=5, first=9, mode="pair", blend=0.3, **settings))
            jobs.append(model.submit_decode(z, priority=3, **settings))
            want.append(model.decode(z, **settings))
    for job, array in zip(jobs, want):
        np.testing.assert_array_equal(job.result(), array)
        assert job.done() and job.poll() == "done" and job.exception() is None and not job.cancelled()
    cells, scores = model.submit_locate(x, k=4, deadline=3600).result(timeout=3600)
    np.testing.assert_array_equal(cells, model.locate(x, k=4)[0])
    np.testing.assert_array_equal(scores, model.locate(x, k=4)[1])

    out = np.empty((2, 2, 3, 4), np.float32)
    assert model.submit_sample(2, out=out).result() is out
    np.testing.assert_array_equal(out, model.sample(2))


def test_many_threads_submit(model: brenier.Model) -> None:
    want = model.sample(64, seed=3)

    def work(thread: int) -> bool:
        jobs = [
            model.submit_sample(1 + i % 4, seed=3, first=(thread + i) % 60, priority=i % 3) for i in range(40)
        ]
        return all(
            np.array_equal(job.result(), want[(thread + i) % 60 :][: 1 + i % 4]) for i, job in enumerate(jobs)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_the_stages_of_a_job(idle: brenier.Model) -> None:
    job = idle.submit_sample(3)
    assert job.poll() == "queued" and not job.done() and not job.running() and "queued" in repr(job)
    assert not job.wait(0) and not job.wait(0.001)
    with pytest.raises(brenier.BusyError, match="has not ended"):
        job.result(timeout=0.001)
    with pytest.raises(TimeoutError):
        job.result(timeout=0)
    urgent = idle.submit_sample(1, seed=1, mode="cell", priority=1)
    assert idle.run_jobs(0) == 1  # one slice
    assert urgent.poll() == "done" and job.poll() == "queued"
    assert idle.run_jobs(60) == 0
    assert job.wait() and job.result().shape == (3, 2, 3, 4)
    with job:
        pass
    with pytest.raises(brenier.InvalidHandleError, match="the job is closed"):
        job.poll()
    assert "closed" in repr(job)
    job.close()  # once more does nothing


def test_every_end_has_its_error(idle: brenier.Model) -> None:
    job = idle.submit_sample(3)
    job.cancel()
    idle.run_jobs(60)
    assert job.cancelled() and job.wait()
    with pytest.raises(brenier.CancelledError, match="the job was cancelled"):
        job.result()

    z = idle.codes(5)
    z[3, 2] = np.nan
    failed = idle.submit_decode(z)
    idle.run_jobs(60)
    assert failed.poll() == "failed"
    with pytest.raises(brenier.InvalidArgumentError, match="codes: row 3, column 2 is NaN"):
        failed.result()
    assert isinstance(failed.exception(), brenier.InvalidArgumentError)

    late = idle.submit_sample(3, deadline=0)
    while not late.done():
        idle.run_jobs(0)
    if late.poll() != "done":  # unless all of it was begun within a microsecond
        with pytest.raises(brenier.ExpiredError, match="deadline"):
            late.result()


def test_a_full_queue_is_busy(idle: brenier.Model) -> None:
    jobs = [idle.submit_sample(1) for _ in range(8)]
    with pytest.raises(brenier.BusyError, match="as many jobs as it may"):
        idle.submit_sample(1)
    jobs.pop()  # and so closes it
    gc.collect()
    idle.submit_sample(1)


def test_wrong_arguments(model: brenier.Model) -> None:
    for call, sentence in (
        (lambda: model.submit_sample(0), "n: want 1 sample or more"),
        (lambda: model.submit_sample(1, deadline=float("nan")), "deadline: want seconds"),
        (lambda: model.submit_sample(1, deadline=-1), "deadline: want seconds"),
        (lambda: model.submit_sample(1, priority=2**31), "priority: want a number of 32 bits"),
        (
            lambda: model.submit_sample(1, mode="pair", blend=float("nan")),
            "extension: blend: want 0 .. 1, got NaN",
        ),
        (lambda: model.submit_decode(np.zeros((2, 5))), r"z: want \[n, 6\]"),
        (lambda: model.submit_locate(np.zeros((2, 6)), k=33), "k: want 1 .. 32"),
        (lambda: model.submit_sample(1).result(timeout=-1), "timeout: want seconds"),
        (lambda: model.run_jobs(-1), "budget: want seconds"),
        (lambda: brenier.load("x", jobs=brenier.JobOptions(workers=-1)), "workers: want 0 .. 1024, got -1"),
        (lambda: brenier.load("x", jobs=brenier.JobOptions(niceness=21)), "niceness: want 0 .. 20"),
        (lambda: brenier.load("x", jobs=brenier.JobOptions(limit=0)), "limit: want 1 .. 65536"),
        (lambda: brenier.load("x", jobs=brenier.JobOptions(slice=0.0)), "slice: want"),
        (lambda: brenier.load("x", jobs=brenier.JobOptions(processors=(64,))), "processors: want"),
    ):
        with pytest.raises(brenier.InvalidArgumentError, match=sentence):
            call()


def test_options_reach_the_engine(parts: Parts) -> None:
    options = brenier.JobOptions(workers=1, niceness=0, processors=(0, 1), slice=0.001, limit=3)
    with brenier.load(parts.path, device="cpu", jobs=options) as model:
        assert model.submit_sample(2).result().shape == (2, 2, 3, 4)
        jobs = [model.submit_sample(1) for _ in range(3)]
        with pytest.raises(brenier.BusyError):
            model.submit_sample(1)
        del jobs


def test_twins_have_one_signature() -> None:
    for name in ("sample", "decode", "locate"):
        blocking = inspect.signature(getattr(brenier.Model, name)).parameters
        job = dict(inspect.signature(getattr(brenier.Model, "submit_" + name)).parameters)
        assert job.pop("priority").default == 0 and job.pop("deadline").default is None
        assert list(job.values()) == list(blocking.values())


def test_a_job_keeps_its_model_and_arrays(parts: Parts) -> None:
    model = brenier.load(parts.path, device="cpu", jobs=brenier.JobOptions(workers=0))
    want = model.sample(4)
    job = model.submit_sample(4)
    seen = weakref.ref(model)
    runner, left = model._engine, [1]
    del model
    gc.collect()
    assert seen() is not None
    while left[0]:
        left[0] = seen().run_jobs(1)  # type: ignore[union-attr]
    np.testing.assert_array_equal(job.result(), want)
    del job
    gc.collect()
    assert seen() is None and runner is not None


def test_a_job_goes_with_its_model(parts: Parts) -> None:
    model = brenier.load(parts.path, device="cpu", jobs=brenier.JobOptions(workers=0))
    job = model.submit_sample(4)
    model.close()
    with pytest.raises(brenier.CancelledError):
        job.result()


def test_dropping_jobs_that_run(parts: Parts) -> None:
    with brenier.load(parts.path, device="cpu") as model:
        for i in range(200):
            model.submit_sample(50, seed=i)  # dropped at once: its arrays must not be written to afterwards
        stop = threading.Event()
        waiter = threading.Thread(target=lambda: (model.submit_sample(2000).wait(), stop.set()))
        waiter.start()
        assert stop.wait(60)
        waiter.join()
