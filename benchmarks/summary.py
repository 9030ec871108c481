"""How do all rows of a record stand at a glance?  ``python -m benchmarks.summary [RECORD]`` prints the page's table.

A ratio is funcgrad / peer. Geometric means are over the rows that have the ratio; a row's best peer is the one that
funcgrad is least ahead of.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks.records import Record, latest, load
from benchmarks.report import METRICS, aligned, quantity
from benchmarks.workload import BASELINE
from benchmarks.workloads import WORKLOADS

HIGHLIGHTS = {  # of README: what is measured, and the figure
    "training step, MLP 784-512-256-10, batch 128": ("mlp784", "steady"),
    "training step, MLP 64-32-10, batch 32": ("mlp_tiny", "steady"),
    "training step, CNN of two 3 × 3 convolutions, batch 64": ("cnn", "steady"),
    "value and gradient of a transformer block, 8 × 128 × 256": ("transformer", "steady"),
    "value and gradient, elementwise, 1e3 numbers": ("elementwise_1e3_f32", "steady"),
    "the same, 1e6": ("elementwise_1e6_f32", "steady"),
    "the same, 1e7": ("elementwise_1e7_f32", "steady"),
    "logistic regression 100,000 × 100, value and gradient": ("logistic", "steady"),
    "softmax cross-entropy 4096 × 1000, value and gradient": ("cross_entropy", "steady"),
    "gradient through 10,000 steps of five bodies, float64": ("loop_nbody", "steady"),
    "`while_loop` under `vmap`, 2,000 examples of unlike length": ("loop_ragged", "steady"),
    "Hamiltonian Monte Carlo, 10,000 leapfrog steps": ("loop_hmc", "steady"),
    "per-example gradients of the 64-32-10 network, batch 256": ("per_example", "steady"),
    "Hessian of a 20-dimensional Rosenbrock function": ("hessian", "steady"),
    "sort 1e6 numbers": ("sort_1e6", "steady"),
    "running sums of 1e7 numbers": ("cumsum_1e7_f32", "steady"),
    "1e7 normal random numbers": ("random_normal", "steady"),
    "`x.at[i].add`, 1e6 updates": ("at_add", "steady"),
    "50,000 systems of 3 equations under `vmap`, float64": ("solve_3x3", "steady"),
    "one call: a scalar": ("dispatch_scalar", "steady"),
    "one call: 20 small arrays in and out": ("dispatch_tree20", "steady"),
    "first call of the 784 step, nothing cached": ("mlp784", "cold"),
    "the same, from the disk cache, in a new process": ("mlp784", "warm"),
    "first call with a new batch size": ("new_batch_size", "cold"),
    "import": ("import", "cold"),
    "installed size": ("installed_size", "size"),
}
PEERS = {"jax": "JAX", "torch": "PyTorch", "autograd": "autograd", "numpy": "NumPy", "numba": "Numba"}
RIVALS = ("jax", "torch", "autograd", "numpy")  # libraries; loops by hand in Numba are what could be reached
COLUMNS = ("workload", BASELINE, *(f"× {name}" for name in PEERS.values()), "of the limit")
FIRST = ("first call × JAX", "disk cache filled × JAX", "memory × JAX", "goals")


def summary(record: Record) -> str:
    """A table of all workloads, and the means."""
    rows = [_row(name, each) for name, each in record["workloads"].items()]
    return "\n".join([*aligned([[*COLUMNS, *FIRST], *rows]), "", *means(record)])


def highlights(record: Record) -> str:
    """README's table: a few figures beside JAX's."""
    rows = []
    for text, (workload, metric) in HIGHLIGHTS.items():
        peers = record["workloads"][workload]["peers"]
        figures = [quantity(peers[name][metric]["median"], metric) for name in (BASELINE, "jax")]
        rows.append([text, *figures, _ratio(peers, "jax", metric)])
    return "\n".join(aligned([["", BASELINE, "JAX", f"{BASELINE} / JAX"], *rows]))


def _row(name: str, workload: dict[str, Any]) -> list[str]:
    peers = workload["peers"]
    own = peers.get(BASELINE, {})
    steady = own.get("steady")
    share = own.get("share_of_limit")
    return [
        f"`{name}`",
        quantity(steady["median"], "steady") if steady else "–",
        *(_ratio(peers, peer, "steady") for peer in PEERS),
        f"{100 * share:.0f} %" if share is not None else "–",
        *(_ratio(peers, "jax", metric) for metric in ("cold", "warm", "rss")),
        _goals(workload["goals"]),
    ]


def _found(peers: dict[str, Any], peer: str, metric: str) -> float | None:
    """funcgrad / peer, if it was measured."""
    ratio: float | None = peers.get(peer, {}).get("ratios", {}).get(metric)
    return ratio


def _ratio(peers: dict[str, Any], peer: str, metric: str) -> str:
    ratio = _found(peers, peer, metric)
    return "–" if ratio is None else f"{ratio:.3f}" if ratio < 0.095 else f"{ratio:.2f}"


def _goals(goals: list[str]) -> str:
    missed = [goal.removeprefix("MISSED: ") for goal in goals if goal.startswith("MISSED")]
    return "; ".join(f"missed: {goal}" for goal in missed) or ("reached" if goals else "–")


def means(record: Record) -> Iterator[str]:
    """A line for each mean, and one for each row in which some peer is ahead."""
    workloads = record["workloads"]
    best = {name: ratio for name, each in workloads.items() if (ratio := against_best(each["peers"])) is not None}
    if best:
        mean = _mean(ratio for ratio, _ in best.values())
        yield f"- steady, against the best of {', '.join(PEERS[p] for p in RIVALS)}: {mean}"
    for metric in METRICS:
        found = [r for each in workloads.values() if (r := _found(each["peers"], "jax", metric))]
        if found:
            yield f"- {METRICS[metric]}, against JAX: {_mean(found)}"
    behind = sorted((name for name in best if best[name][0] > 1), key=lambda name: best[name][0])
    yield f"- behind the best peer: in {len(behind) or 'no'} row{'s' * (len(behind) != 1)}"
    for name in behind:
        ratio, peer = best[name]
        why = getattr(WORKLOADS.get(name), "why", "")
        yield f"  - `{name}` {ratio:.2f} × {PEERS[peer]}{': ' * bool(why)}{why}"


def against_best(peers: dict[str, Any]) -> tuple[float, str] | None:
    """The largest ratio to a rival, and which it is."""
    found = [(ratio, peer) for peer in RIVALS if (ratio := _found(peers, peer, "steady")) is not None]
    return max(found, default=None)


def _mean(ratios: Iterable[float]) -> str:
    values = list(ratios)
    return f"{geometric_mean(values):.2f} (geometric mean of {len(values)} rows)"


def main(arguments: list[str]) -> int:
    """Prints the summary of a record, the newest one unless another is named; 2 if there is none."""
    try:
        if len(arguments) > 1:
            raise ValueError("usage: python -m benchmarks.summary [RECORD]")
        print(summary(load(Path(arguments[0]) if arguments else latest())))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
