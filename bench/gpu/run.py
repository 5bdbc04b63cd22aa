"""All that needs a GPU, in one go, from the folder that the build made:

    python3 run.py [--out FOLDER] [--seconds 560] [--only STEP,...] [--short] [--codes NAME=FILE:TENSOR,...]

Correctness of every kernel, compute-sanitizer, the benchmarks, the latency of calls, whole fits, and the peers;
then a table of predicted, measured and floor, and FOLDER/<gpu>.json with all of it. Nothing that
fails stops the rest. Steps that find no time left are named. --short leaves out the largest of the tests;
--codes names points of one's own that are fitted in place of clouds.

With --double LIBRARY it runs through the double of the driver at small sizes: a rehearsal that shows
that every step works, and times nothing.
"""

import argparse
import array
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
# The tests of each sanitizer, with -short: every kernel at a few shapes; fewer where a launch takes seconds.
SANITIZED = {
    "memcheck": "Noise|Extend|Locate|Decode|Rotated|Sums|Descent",
    "racecheck": "(Noise|Extend|Locate|Rotated|Sums|Descent)_same",
    "synccheck": "Noise|Extend|Locate|Decode|Rotated|Sums|Descent",
}
BENCHMARK = re.compile(r"^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$")


@dataclass
class Run:
    """What the steps share: where things are, how much time is left, and what was found."""

    out: Path
    end: float
    double: str
    short: bool = False
    codes: dict[str, str] = field(default_factory=dict)  # points to fit, by name
    results: dict = field(default_factory=dict)

    def left(self) -> float:
        return self.end - time.monotonic()

    def command(self, *words: object, limit: float, log: str, cwd: Path = HERE) -> str:
        """Runs a program of the folder, its output kept in a log; an exit status is a RuntimeError."""
        environment = dict(os.environ, BRENIER_DEVICE="cuda")
        library = str(HERE / "lib")
        environment["LD_LIBRARY_PATH"] = library + os.pathsep + environment.get("LD_LIBRARY_PATH", "")
        if self.double:
            environment["BRENIER_CUDA_DRIVER"] = self.double
        path = self.out / f"{log}.log"
        with path.open("w") as to:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdout=to,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
            try:
                status = process.wait(max(1.0, min(limit, self.left())))
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"no end after {limit:.0f} s, or when all time was gone") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # what a sanitizer leaves would run beside what is next
                process.wait()
        text = path.read_text(errors="replace")
        if status:
            end = "\n".join(text.splitlines()[-15:])
            raise RuntimeError(f"exit status {status}; {path.name} ends:\n{end}")
        return text


def device(run: Run) -> dict:
    found = json.loads(run.command(HERE / "bin/brenier", "info", "--json", limit=60, log="device"))
    if not run.double:
        query = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"
        smi = run.command("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", limit=30, log="nvidia-smi")
        found["nvidia-smi"] = smi.strip()
    return found


KERNELS = HERE / "bin/engine-internal-cuda.test"


def folder_of(program: Path) -> Path:
    """Where a program of tests expects to run: beside what it reads."""
    return HERE / "tree" / program.stem.replace("-", "/")


def tests(run: Run) -> dict:
    counts = {"pass": 0, "fail": 0, "skip": 0}
    failed = []
    for program in sorted((HERE / "bin").glob("*.test")):
        words = [program, "-test.v"]
        if run.short:
            words += ["-test.short"]
        if run.double:
            words += ["-test.short", "-test.run", "Noise|Extend"]
        try:
            text = run.command(*words, limit=240, log=program.name, cwd=folder_of(program))
        except RuntimeError as error:
            failed.append(f"{program.name}: {error}")
            text = (run.out / f"{program.name}.log").read_text(errors="replace")
        for outcome in counts:
            counts[outcome] += len(re.findall(rf"^\s*--- {outcome.upper()}:", text, re.MULTILINE))
    if failed:
        raise RuntimeError(f"{counts}: " + "\n".join(failed))
    return counts


def sanitizers(run: Run) -> dict | str:
    """All of them at once, for most of their time is the host's. That tests ask for what does not exist, and are
    refused, is no finding."""
    if run.double:
        return "not through the double"

    def outcome(tool: str) -> tuple[str, bool]:
        options = ["--tool", tool, "--error-exitcode", "9", "--kernel-name", "kns=brenier", "--report-api-errors", "no"]
        words = ["compute-sanitizer", *options, KERNELS, "-test.short", "-test.run", SANITIZED[tool], "-test.skip", "FullSize"]
        try:
            text = run.command(*words, limit=200, log=tool, cwd=folder_of(KERNELS))
        except (RuntimeError, TimeoutError) as error:
            return str(error), False
        return next((line for line in reversed(text.splitlines()) if "SUMMARY" in line), "no summary"), True

    with ThreadPoolExecutor() as pool:
        outcomes = dict(zip(SANITIZED, pool.map(outcome, SANITIZED)))
    found = {tool: text for tool, (text, _) in outcomes.items()}
    if not all(passed for _, passed in outcomes.values()):
        raise RuntimeError(json.dumps(found))
    return found


def kernels(run: Run) -> dict:
    words = [KERNELS, "-test.run", "^$", "-test.bench", "."]
    words += ["-test.short", "-test.benchtime", "1x"] if run.double else ["-test.benchtime", "20x"]
    text = run.command(*words, limit=200, log="kernels", cwd=folder_of(KERNELS))
    found = {}
    for line in text.splitlines():
        match = BENCHMARK.match(line)
        if match:
            values = match[2].split()
            found[match[1]] = {unit: float(value) for value, unit in zip(values[::2], values[1::2])}
    if not found:
        raise RuntimeError("no benchmark printed a line")
    return found


def latency(run: Run) -> dict:
    calls = 1 if run.double else 20000
    return {
        model.stem: json.loads(run.command(HERE / "bin/latency", model, calls, limit=60, log=f"latency-{model.stem}"))
        for model in sorted((HERE / "models").glob("*.safetensors"))
    }


def cloud(path: Path, n: int, d: int) -> str:
    """Writes n points of ten clusters in d dimensions, float32, as an .npy file: a stand-in for codes."""
    draw = random.Random(1)
    centres = [[2 * draw.gauss(0.0, 1.0) for _ in range(d)] for _ in range(10)]
    header = repr({"descr": "<f4", "fortran_order": False, "shape": (n, d)}).ljust(117) + "\n"
    with path.open("wb") as to:
        to.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        for _ in range(n):
            array.array("f", (c + draw.gauss(0.0, 1.0) for c in draw.choice(centres))).tofile(to)
    return str(path)


def fits(run: Run) -> dict:
    """Whole fits, certificates included: of the example models' points and of as many as large sets have."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        if run.double:
            cases = {"small": (cloud(here / "small.npy", 12, 3), 0.5)}
        else:
            cases = {model.stem: (f"{model}:ot.points", 1e-3) for model in sorted((HERE / "models").glob("*.safetensors"))}
            cases.update((name, (points, 1e-3)) for name, points in run.codes.items())
            for n, d in () if run.codes else ((60000, 64), (46800, 128)):
                cases[f"{n}x{d}"] = cloud(here / f"{n}x{d}.npy", n, d), 1e-3
        for name, (points, tolerance) in cases.items():
            words = [HERE / "bin/brenier", "fit", points, "--tol", tolerance, "--out", here / "fit.safetensors", "--json"]
            text = run.command(*words, limit=60, log=f"fit-{name}")
            report = json.loads(text[text.index("{") :])["fit"]  # lines of progress come before it
            found[name] = {key: report[key] for key in ("seconds", "samples", "test_samples", "chi2", "empty", "met")}
    return found


def peers(run: Run) -> dict | str:
    if run.double:
        return "not through the double"
    found = run.out / "peers.json"
    try:
        run.command(sys.executable, HERE / "peers.py", found, limit=200, log="peers")
    except TimeoutError:
        if not found.exists():
            raise
    return json.loads(found.read_text())  # as far as it came


STEPS: dict[str, Callable[[Run], object]] = {
    "device": device,
    "tests": tests,
    "kernels": kernels,
    "latency": latency,
    "fits": fits,
    "sanitizers": sanitizers,
    "peers": peers,
}


def table(results: dict) -> str:
    """Predicted beside measured, for every benchmark."""
    predicted = json.loads((HERE / "predicted.json").read_text())
    measured = results["steps"].get("kernels", {}).get("found")
    if not isinstance(measured, dict):
        return "no benchmark was measured"
    missing = sorted(set(predicted) - set(measured))
    lines = [f"{'benchmark':48} {'floor':>10} {'predicted':>10} {'measured':>10}  of floor"]
    for name, values in measured.items():
        time_us = values.get("us")
        if time_us is None:
            continue
        floor, guess = values.get("floor-us"), predicted.get(name)
        cells = [f"{v:10.1f}" if v else f"{'-':>10}" for v in (floor, guess, time_us)]
        share = f"{floor / time_us:8.0%}" if floor else ""
        lines.append(f"{name:48} {' '.join(cells)}  {share}")
    if missing:
        lines.append("not measured: " + ", ".join(missing))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seconds", type=float, default=560)
    parser.add_argument("--only", default="")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--codes", default="")
    parser.add_argument("--double", default="")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name] or list(STEPS)
    if unknown := [name for name in wanted if name not in STEPS]:
        parser.error(f"no step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    double = str(Path(options.double).resolve()) if options.double else ""
    codes = dict(item.split("=", 1) for item in options.codes.split(",") if item)
    run = Run(options.out.resolve(), time.monotonic() + options.seconds, double, options.short, codes)

    results: dict = {
        "sources": (HERE / "sources.txt").read_text().strip(),
        "date": time.strftime("%Y-%m-%d"),
        "double": bool(double),
        "steps": {},
    }
    failed = []
    for name in wanted:
        start = time.monotonic()
        entry: dict = {}
        try:
            if run.left() < 2:
                raise RuntimeError("no time was left")
            entry["found"] = STEPS[name](run)
        except Exception as error:  # a step's failure must not stop the rest
            entry["error"] = str(error)
            failed.append(name)
        entry["seconds"] = round(time.monotonic() - start, 1)
        results["steps"][name] = entry
        outcome = entry.get("error") or "ok"
        print(f"{name:10} {entry['seconds']:6.1f} s  {outcome}", flush=True)

    found = results["steps"].get("device", {}).get("found") or {}
    results["gpu"] = found.get("device", {}).get("device", "unknown")
    name = "double" if double else re.sub(r"[^A-Za-z0-9]+", "-", results["gpu"]).strip("-").lower()
    path = run.out / f"{name}.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(results, indent=1))
    temporary.rename(path)
    print(table(results))
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    print(f"results are in {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
