"""What is a workload?  Its data, a builder per peer, the values to compare, the machine's limit and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

BASELINE = "funcgrad"

Data = Mapping[str, Any]
Call = Callable[[], Any]
Builder = Callable[[SimpleNamespace, Data], Call]


@dataclass(frozen=True)
class Limit:
    """What this machine can do at best on the same amount of work; it is measured in the same rounds as the peers.

    Attributes
    ----------
    kind
        ``"triad"`` (two arrays read, one written), ``"read"`` (arrays read) or ``"gemm"`` (SciPy's matrix products).
    dtype
        Of the arrays.
    bytes
        Memory traffic of the workload; the limit moves as much (``triad`` and ``read``).
    products
        ``(m, n, k, transpose_a, transpose_b)`` of every matrix product of the workload (``gemm``).
    """

    kind: str
    dtype: str = "float32"
    bytes: int = 0
    products: tuple[tuple[int, int, int, bool, bool], ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products."""
        return sum(2 * m * n * k for m, n, k, _, _ in self.products)


@dataclass(frozen=True)
class Goal:
    """funcgrad's ``metric`` ≤ ``bound`` × the best of ``peers``; without peers, its share of the limit ≥ ``bound``."""

    metric: str
    bound: float
    peers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workload:
    """Calls to time, peer by peer, each in fresh processes.

    Attributes
    ----------
    data
        Makes the same inputs in every process.
    builders
        Peer's name to a function of (library, data) that returns the call to time.  It builds and does not call,
        so that the first call can be timed.
    outcome
        (data, result as NumPy arrays) to the named arrays that must agree with the float64 reference.
    tolerance
        Largest allowed ``max|value - reference| / max|reference|`` of each of those arrays.
    repeated
        Whether the call is timed again after the first one.
    x64
        Whether JAX must be told to keep float64.
    quick
        Whether it belongs to a ``--quick`` run.
    checks
        Peers that only show what the values are: what is timed (a program made, say) they do not do.
    series
        What ``-k`` must name for it to run: one of many sizes of the same.
    why
        Why some peer may well be ahead.
    """

    name: str
    summary: str
    data: Callable[[], Data]
    builders: Mapping[str, Builder]
    tolerance: float
    outcome: Callable[[Data, Any], dict[str, np.ndarray]] = field(default=lambda data, result: named_leaves(result))
    limit: Limit | None = None
    goals: tuple[Goal, ...] = ()
    repeated: bool = True
    x64: bool = False
    quick: bool = True
    checks: tuple[str, ...] = ()
    series: str = ""
    why: str = ""

    @property
    def peers(self) -> frozenset[str]:
        """The peers that this workload knows."""
        return frozenset(self.builders)


@dataclass(frozen=True)
class Startup:
    """Source text per peer, timed once in a fresh interpreter.

    Attributes
    ----------
    reference
        Source text in float64, whose ``result`` the others must agree with to ``tolerance``; empty without a result.
    cached
        Whether a second process is timed that finds the disk cache filled.
    """

    name: str
    summary: str
    sources: Mapping[str, str]
    reference: str = ""
    tolerance: float = 0.0
    cached: bool = False
    goals: tuple[Goal, ...] = ()
    quick: bool = True

    @property
    def peers(self) -> frozenset[str]:
        """The peers that this workload knows."""
        return frozenset(self.sources)


@dataclass(frozen=True)
class InstalledSize:
    """Bytes on disk of each peer's distribution together with everything it requires."""

    name: str
    summary: str
    distributions: Mapping[str, str]
    goals: tuple[Goal, ...] = ()
    quick: bool = True

    @property
    def peers(self) -> frozenset[str]:
        """The peers that this workload knows."""
        return frozenset(self.distributions)


AnyWorkload = Workload | Startup | InstalledSize


def named_leaves(tree: Any, name: str = "result") -> dict[str, np.ndarray]:
    """The arrays of nested dicts, lists and tuples, named by their path.

    Examples
    --------
    >>> sorted(named_leaves({"a": (1.0, [2.0])}))
    ['result.a.0', 'result.a.1.0']
    """
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, Mapping):
        return {name: np.asarray(tree)}
    return {path: leaf for key, child in tree.items() for path, leaf in named_leaves(child, f"{name}.{key}").items()}


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting of dicts, lists and tuples with ``function`` applied to every leaf."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, child) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, child) for child in tree)
    return function(tree)


def in_float64(tree: Any) -> Any:
    """The same data with every floating array in float64: the arbiter's input."""
    return map_leaves(lambda leaf: leaf.astype(np.float64) if np.asarray(leaf).dtype.kind == "f" else leaf, tree)
