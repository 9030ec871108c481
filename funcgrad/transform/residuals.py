"""What should pass from a forward to a backward part?  The cheapest choice between keeping values and computing them
again: a minimum cut.

A value is kept (which costs its bytes), or computed again from values that are kept or computed again (which costs
its instructions), or not there. Values and operations are a network: the least cut between what is known at the start
and what the backward part reads is the cheapest choice.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from funcgrad.ir.program import Equation, Literal, Program, Var
from funcgrad.transform.partial import Split

NEVER = 1 << 60
KEEP = 8  # the price of a byte that is kept: written once and read once, beyond the nearest caches
VIEWS = frozenset({"broadcast_in_dim", "reshape", "transpose", "slice", "rev", "iota", "optimization_barrier", "name"})
PRICES = {
    **dict.fromkeys(("div", "sqrt", "rsqrt", "rem", "integer_pow"), 6),
    **dict.fromkeys(("exp", "exp2", "log", "log2", "logistic", "tanh", "sin", "cos", "expm1", "log1p"), 24),
    **dict.fromkeys(("gather", "dynamic_slice", "pad", "concatenate"), 3),
}  # of a byte of the result; an addition costs 1
FOLDS = frozenset({"reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or"})
CHEAP = frozenset(
    "neg add sub mul max min abs sign floor ceil round trunc square select is_finite eq ne lt le gt ge and or xor not "
    "shift_left shift_right stop_gradient convert_element_type check_index check_label".split()
)
MOST_EQUATIONS = 2000  # of a program that is looked at: the search takes more than linear time


def economical(cut: Split, given: Sequence[bool]) -> Split:
    """The same split with other residuals; inputs flagged in `given` are at hand later at no cost.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.transform.partial import split
    >>> program = fg.make_jaxpr(lambda x, t: fg.numpy.cos(x * 2.0 + 1.0) * t)(*fg.numpy.ones((2, 3)))
    >>> print(economical(split(program, [False, True]), [True]).known)
    { lambda ; a:f64[3]. let
        b:f64[3] = mul a 2.0:f64[]
        c:f64[3] = add b 1.0:f64[]
        d:f64[3] = cos c
      in (d,) }
    """
    known = cut.known
    first = len(known.outputs) - cut.residuals
    needed = [a for a in known.outputs[first:] if isinstance(a, Var)]
    if not needed or len(known.equations) > MOST_EQUATIONS:
        return cut
    free = {v for v, flag in zip(known.inputs, given, strict=True) if flag} | set(known.constants)
    kept = cheapest(known, needed, free, price)
    again, read = recomputed(known, needed, kept)
    if not again:
        return cut
    residuals = tuple(v for v in read if v not in known.constants)
    moving = cut.unknown.inputs[cut.residuals :]
    return Split(
        known=known.replace(outputs=(*known.outputs[:first], *residuals)),
        unknown=cut.unknown.replace(inputs=(*residuals, *moving), equations=(*again, *cut.unknown.equations)),
        residuals=len(residuals),
        unknown_outputs=cut.unknown_outputs,
    )


def recomputed(known: Program, needed: Sequence[Var], kept: set[Var]) -> tuple[list[Equation], list[Var]]:
    """The equations that are run again, in order, and the values that they and others read, in order."""
    again: list[Equation] = []
    wanted = set(needed)
    for equation in reversed(known.equations):
        if any(v in wanted and v not in kept for v in equation.outputs):
            again.append(equation)
            wanted.update(a for a in equation.inputs if isinstance(a, Var))
    again.reverse()
    made = {v for equation in again for v in equation.outputs}
    defined = [*known.inputs, *known.constants, *(v for e in known.equations for v in e.outputs)]
    return again, [v for v in defined if v in wanted and v not in made]


def price(equation: Equation) -> int:
    """What it costs to compute an equation again; `NEVER` for what is too much work, or has effects."""
    if len(equation.outputs) != 1 or equation.primitive.impure:
        return NEVER
    name, (out,) = equation.primitive.name, equation.outputs
    if name in VIEWS:
        return 0
    if name in FOLDS:
        return int(equation.inputs[0].type.nbytes)
    if name in CHEAP:
        return int(out.type.nbytes)
    if name == "dot_general":
        return _price_of_product(equation)
    factor = _price_of_power(equation) if name == "pow" else PRICES.get(name)
    return NEVER if factor is None else factor * int(out.type.nbytes)


def _price_of_power(equation: Equation) -> int:
    """Half-integer powers are made of roots."""
    exponent = equation.inputs[1]
    rooted = isinstance(exponent, Literal) and abs(float(exponent.value.real)) in (0.5, 1.5, 2.5)
    return PRICES["sqrt"] if rooted else 2 * PRICES["exp"]


def _price_of_product(equation: Equation) -> int:
    """Small products are loops of multiplications and additions."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    inner: int = math.prod(equation.inputs[0].type.shape[k] for k in contracted)
    return int(equation.outputs[0].type.nbytes) * inner


def cheapest(known: Program, needed: Sequence[Var], free: set[Var], price_of: Callable[[Equation], int]) -> set[Var]:
    """The values that are kept in the cheapest choice; those in `free` cost nothing to keep."""
    network = _Network()
    source, sink = network.node(), network.node()
    before: dict[Var, int] = {}
    after: dict[Var, int] = {}

    def add(v: Var, cost: int) -> None:
        before[v], after[v] = network.node(), network.node()
        network.edge(source, before[v], cost)
        network.edge(before[v], after[v], 1 if v in free else 1 + KEEP * int(v.type.nbytes))

    for v in (*known.inputs, *known.constants):
        add(v, NEVER)
    for equation in known.equations:
        cost = price_of(equation)
        for v in equation.outputs:
            add(v, cost)
            for a in dict.fromkeys(equation.inputs):
                if isinstance(a, Var) and cost < NEVER:
                    network.edge(after[a], before[v], NEVER)
    for v in dict.fromkeys(needed):
        network.edge(after[v], sink, NEVER)
    early = network.cut(source, sink)
    return {v for v in before if before[v] in early and after[v] not in early}


class _Network:
    """Nodes, edges with capacities, and the minimum cut between two nodes (Dinitz's algorithm)."""

    def __init__(self) -> None:
        self.edges: list[list[int]] = []  # of each node, numbers of edges
        self.to: list[int] = []
        self.room: list[int] = []  # edge k's opposite is k ^ 1

    def node(self) -> int:
        self.edges.append([])
        return len(self.edges) - 1

    def edge(self, a: int, b: int, capacity: int) -> None:
        self.edges[a].append(len(self.to))
        self.edges[b].append(len(self.to) + 1)
        self.to += [b, a]
        self.room += [capacity, 0]

    def cut(self, source: int, sink: int) -> set[int]:
        """The nodes on the source's side."""
        while True:
            level = self._levels(source)
            if sink not in level:
                return set(level)
            following = [0] * len(self.edges)
            while self._augment(source, sink, level, following):
                pass

    def _levels(self, source: int) -> dict[int, int]:
        level, pending = {source: 0}, deque([source])
        while pending:
            a = pending.popleft()
            for e in self.edges[a]:
                if self.room[e] and self.to[e] not in level:
                    level[self.to[e]] = level[a] + 1
                    pending.append(self.to[e])
        return level

    def _augment(self, source: int, sink: int, level: dict[int, int], following: list[int]) -> bool:
        """Send what one path of the levels can take; whether there was one."""
        path: list[int] = []
        a = source
        while a != sink:
            for k in range(following[a], len(self.edges[a])):
                e = self.edges[a][k]
                if self.room[e] and level.get(self.to[e]) == level[a] + 1:
                    following[a] = k
                    path.append(e)
                    a = self.to[e]
                    break
            else:
                if not path:
                    return False
                following[a] = len(self.edges[a])
                a = self.to[path.pop() ^ 1]
                following[a] += 1
        amount = min(self.room[e] for e in path)
        for e in path:
            self.room[e] -= amount
            self.room[e ^ 1] += amount
        return True
