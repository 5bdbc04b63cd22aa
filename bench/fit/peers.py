"""Solvers of semi-discrete optimal transport on the same points, side by side.

    python -m venv venv
    venv/bin/pip install numpy scipy matplotlib pot ott-jax
    PYTHONPATH=bindings/python BRENIER_LIBRARY=build/lib/libbrenier.so \
        venv/bin/python bench/fit/peers.py docs/fit.md docs/fit.png

With --draw it runs nothing and draws the figure of the table that is there.

The points are 2,000 of the codes in examples/models/mnist.safetensors (d = 64), the source is N(0,I),
the masses are equal. Every program runs on one thread and is charged the processor's time, which
other users of the machine change less than the clock; compilation is left out. What it returns is
judged by one estimator that none of them has a part in: chi-squared without bias from fresh NumPy
draws,

    sum_i c_i (c_i - 1) N / (B (B - 1)) - 1,    standard error sqrt(2N)/B for exact masses.

Programs that want a step set by hand run with several of them, and the best is shown.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import argparse
import math
import pathlib
import time

import numpy as np

import brenier

ROOT = pathlib.Path(__file__).resolve().parents[2]
CELLS = 2000
JUDGES = 1 << 18  # draws
BATCH = 1024
STEPS = (0.3, 1.0, 3.0, 10.0)  # set by hand, in units of each method's own scale


def points() -> np.ndarray:
    with brenier.load(ROOT / "examples" / "models" / "mnist.safetensors", device="cpu") as model:
        y = np.asarray(model.points, np.float32)
    return np.ascontiguousarray(y[:: len(y) // CELLS][:CELLS])


def hits(x: np.ndarray, y: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Samples by cell [N]."""
    counts = np.zeros(len(y), np.int64)
    for first in range(0, len(x), BATCH):
        best = (x[first : first + BATCH] @ y.T + h).argmax(1)
        counts += np.bincount(best, minlength=len(y))
    return counts


def judge(y: np.ndarray, h: np.ndarray) -> tuple[float, int]:
    """Chi-squared of heights and the cells that no draw fell into."""
    random = np.random.default_rng(20240229)
    h = np.asarray(h, np.float64)
    h = (h - h.mean()).astype(np.float32)
    counts = np.zeros(len(y), np.int64)
    for _ in range(JUDGES // BATCH):
        counts += hits(random.standard_normal((BATCH, y.shape[1]), np.float32), y, h)
    chi = (counts * (counts - 1.0)).sum() * len(y) / (JUDGES * (JUDGES - 1.0)) - 1
    return float(chi), int((counts == 0).sum())


# Each solver yields (seconds of the processor, samples, heights) as it goes, or for several lengths.


def by_brenier(y, budget):
    for tolerance in (3e-2, 1e-2, 3e-3, 1e-3):
        start = time.process_time()
        fit = brenier.fit(y, tol=tolerance, seed=1, progress=False, device="cpu", threads=1)
        seconds = time.process_time() - start
        yield seconds, fit.report["samples"] + fit.report["test_samples"], np.array(fit.heights)


def by_adam(y, budget):
    """Adam on a fixed Sobol set, which is doubled when the gradient ceases to shrink."""
    from scipy.stats import norm, qmc

    start = time.process_time()
    sobol = qmc.Sobol(y.shape[1], seed=1)

    def draw(n):
        u = np.clip(sobol.random(n), 1e-7, 1 - 1e-7)
        return norm.ppf(u).astype(np.float32)

    x = draw(1 << 14)
    h = -(y.astype(np.float64) ** 2).sum(1) / 2
    first, second = np.zeros(len(y)), np.zeros(len(y))
    least, since, samples, step, told = math.inf, 0, 0, 0, 1.0
    while (spent := time.process_time() - start) < budget:
        g = hits(x, y, h.astype(np.float32)) / len(x) - 1 / len(y)
        samples, step = samples + len(x), step + 1
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g * g
        h -= 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        h -= h.mean()
        size = np.linalg.norm(g)
        least, since = (size, 0) if size < 0.98 * least else (least, since + 1)
        if since == 15:
            x, least, since = np.concatenate([x, draw(len(x))]), math.inf, 0
        if spent > told:
            told *= 2
            yield spent, samples, h.copy()
    yield time.process_time() - start, samples, h


def by_sgd(scale):
    def solve(y, budget):
        """Averaged SGD: step scale sqrt(N batch) t^(-2/3), average weighted by log^2 t."""
        start = time.process_time()
        random = np.random.default_rng(1)
        h = -(y.astype(np.float64) ** 2).sum(1) / 2
        mean, total, t, told = h.copy(), 0.0, 0, 1.0
        while (spent := time.process_time() - start) < budget:
            t += 1
            x = random.standard_normal((BATCH, y.shape[1]), np.float32)
            g = hits(x, y, h.astype(np.float32)) / BATCH - 1 / len(y)
            h -= scale * math.sqrt(len(y) * BATCH) * t ** (-2 / 3) * g
            weight = math.log(t + 1) ** 2
            total += weight
            mean += weight / total * (h - mean)
            if spent > told:
                told *= 2
                yield spent, t * BATCH, mean.copy()
        yield time.process_time() - start, t * BATCH, mean

    return solve


def by_pot(scale):
    def solve(y, budget):
        """POT: its own schedule of steps and regularisation; lr0 is `scale` times its default."""
        import ot.semidiscrete

        batch = 256
        random = np.random.default_rng(1)
        wide = y.astype(np.float64)

        def run(steps):
            start = time.process_time()
            g = ot.semidiscrete.solve_semidiscrete(
                wide,
                lambda n: random.standard_normal((n, y.shape[1])),
                max_iter=steps,
                batch_size=batch,
                lr0=scale * math.sqrt(len(y) * batch),
            )
            return time.process_time() - start, g

        steps = 50
        while True:
            seconds, g = run(steps)
            if seconds >= budget / 16:
                yield seconds, steps * batch, (g - (wide**2).sum(1)) / 2  # its cost is |x-y|^2
            if seconds >= budget / 2:
                return
            steps = int(steps * max(1.5, min(4, 0.9 * budget / seconds)))

    return solve


def by_ott(scale):
    def solve(y, budget):
        """OTT-JAX, not regularised, SGD with a cosine decay from `scale` sqrt(N batch)/10."""
        import jax
        import jax.numpy as jnp
        import optax
        from ott.geometry import semidiscrete_pointcloud
        from ott.problems.linear import semidiscrete_linear_problem
        from ott.solvers.linear import semidiscrete

        batch = 256
        geometry = semidiscrete_pointcloud.SemidiscretePointCloud(
            lambda key, shape, dtype=None: jax.random.normal(key, shape, dtype), jnp.asarray(y), epsilon=0.0
        )
        problem = semidiscrete_linear_problem.SemidiscreteLinearProblem(geometry)

        def run(steps):
            schedule = optax.cosine_decay_schedule(scale / 10 * math.sqrt(len(y) * batch), steps)
            solver = semidiscrete.SemidiscreteSolver(
                num_iterations=steps,
                batch_size=batch,
                optimizer=optax.sgd(schedule),
                error_eval_every=steps,
                threshold=0.0,
            )
            compiled = jax.jit(lambda key: solver(key, problem).g).lower(jax.random.key(0)).compile()
            start = time.process_time()
            g = np.asarray(compiled(jax.random.key(1)), np.float64)
            return time.process_time() - start, g

        steps = 100
        while True:
            seconds, g = run(steps)
            if seconds >= budget / 16:
                yield seconds, steps * batch, (g - (y.astype(np.float64) ** 2).sum(1)) / 2
            if seconds >= budget / 2:
                return
            steps = int(steps * max(1.5, min(4, 0.9 * budget / seconds)))

    return solve


PEERS = {
    "brenier": {"no knobs": by_brenier},
    "Adam on a Sobol set, doubled": {"step 0.05": by_adam},
    "averaged SGD": {f"step {c}": by_sgd(c) for c in STEPS},
    "POT": {f"step {c}": by_pot(c) for c in STEPS},
    "OTT-JAX": {f"step {c}": by_ott(c) for c in STEPS},
}


def read(table: str) -> dict[str, list[tuple[float, int, float, int]]]:
    """The rows of each solver in a table that this program wrote."""
    solvers: dict[str, list[tuple[float, int, float, int]]] = {}
    for line in table.splitlines():
        if line.startswith("| ") and not line.startswith("| solver"):
            name, seconds, samples, chi, empty = (cell.strip() for cell in line.strip("|").split("|"))
            row = float(seconds), int(samples.replace(",", "")), float(chi), int(empty)
            solvers.setdefault(name, []).append(row)
    return solvers


def draw(path: str, solvers: dict[str, list[tuple[float, int, float, int]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]  # Okabe and Ito's
    markers = ["o", "s", "^", "D", "v"]
    figure, axes = plt.subplots(figsize=(7, 4.8))
    for (name, rows), colour, marker in zip(solvers.items(), colours, markers):
        axes.plot(
            [r[0] for r in rows], [max(r[2], 1e-5) for r in rows], color=colour, marker=marker, label=name
        )
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="seconds of one processor core", ylabel="chi-squared of the masses")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table")
    parser.add_argument("figure")
    parser.add_argument("--seconds", type=float, default=20, help="of the processor, for each run of a peer")
    parser.add_argument("--draw", action="store_true", help="run nothing: draw the figure of the table that is there")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(arguments.figure, read(pathlib.Path(arguments.table).read_text()))
        return
    y = points()
    best, notes = {}, []
    for name, variants in PEERS.items():
        for variant, solve in variants.items():
            try:
                found = list(solve(y, arguments.seconds))  # judged afterwards, as its clock runs
                rows = [(s, n, *judge(y, h)) for s, n, h in found]
            except (ImportError, AttributeError, TypeError) as e:
                notes.append(f"{name} could not run: {e}")
                break
            for seconds, samples, chi, empty in rows:
                judged = f"{seconds:.1f} s, {samples} samples, chi2 {chi:.5f}, {empty} empty"
                print(f"{name}, {variant}: {judged}", flush=True)
            if name not in best or rows[-1][2] < best[name][1][-1][2]:
                best[name] = (variant, rows)

    draw(arguments.figure, {f"{name}, {variant}": rows for name, (variant, rows) in best.items()})
    lines = [
        "# The fit beside other solvers",
        "",
        f"{len(y)} codes of `examples/models/mnist.safetensors` (d = {y.shape[1]}), source N(0,I), one thread,",
        f"seconds of the processor. Heights judged on {JUDGES:,} fresh independent draws (standard error",
        f"{math.sqrt(2 * len(y)) / JUDGES:.1e}; the cells that these missed are `empty`). brenier's time and",
        "samples include its certificate, mass centres and angles. Of steps set by hand the best of four. Made by the command at the head of",
        f"`bench/fit/peers.py`, `--seconds {arguments.seconds:g}`.",
        "",
        "![chi-squared against time](fit.png)",
        "",
        "| solver | seconds | samples | chi-squared | empty |",
        "|---|---|---|---|---|",
    ]
    for name, (variant, rows) in best.items():
        for seconds, samples, chi, empty in rows:
            lines.append(f"| {name}, {variant} | {seconds:.1f} | {samples:,} | {chi:.5f} | {empty} |")
    lines += ["", *notes] if notes else []
    page = pathlib.Path(arguments.table)
    _, section, rest = page.read_text().partition("\n## ") if page.exists() else ("", "", "")
    page.write_text("\n".join(lines) + "\n" + section + rest)  # sections below are not of this program


if __name__ == "__main__":
    main()
