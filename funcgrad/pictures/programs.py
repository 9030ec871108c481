"""How is a program a graph?  A node for each argument, equation and result; programs inside equations are graphs too.

A program of more operations than may be drawn is summarised: operations that stand in a row and come from one line of
the user's become one node, and then rows of these, until there are few enough. Programs inside equations are opened
from without to within as long as there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from funcgrad.ir.printer import inner_programs, param_text
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.structured import BODIES
from funcgrad.pictures.families import family_of, strongest
from funcgrad.pictures.graph import Edge, Graph, Inner, Node, port
from funcgrad.pictures.names import listed, literal, names_of, read, size
from funcgrad.runtime.profiling.explain import Line, everything, line_of_source, summary

LONGEST = 400  # letters of what is told of an equation or its parameters
LONGEST_HINT = 26  # letters of parameters and numbers behind the name of an operation
# parameters that no hint tells: they are long, or the result's type says as much
QUIET = frozenset(
    "weak_type name broadcast_dimensions shape new_sizes dimensions dimension_numbers dtype sizes limits".split()
)

Kernels = Callable[[Equation], str]


@dataclass(slots=True)
class Budget:
    """How many operations may still be drawn, and what was left out."""

    left: int
    messages: list[str] = field(default_factory=list)
    closed: int = 0


def graph_of(
    program: Program,
    limit: int,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    kernels: Kernels = lambda equation: "",
    names: dict[Var, str] | None = None,
) -> Graph:
    """The graph of a program.

    Parameters
    ----------
    program
        What is drawn.
    limit
        The most operations.
    inputs, outputs
        What its arguments and results are called.
    kernels
        Which kernel computes an equation.
    names
        The names of its variables, where these are not those of its listing.
    """
    budget = Budget(max(limit, 1))
    drawer = _Drawer(budget, kernels, program.names or {})
    graph = drawer.graph(program, inputs, outputs, names or names_of(program))
    if budget.closed:
        closed = "inner program is" if budget.closed == 1 else "inner programs are"
        budget.messages.append(f"{budget.closed:,} {closed} not shown")
    if budget.messages:
        budget.messages.append("a larger limit= shows more")
    return Graph(graph.nodes, graph.edges, tuple(budget.messages))


def total(program: Program) -> int:
    """How many operations there are, at any depth."""
    return sum(1 for _ in everything(program.equations))


class _Drawer:
    def __init__(self, budget: Budget, kernels: Kernels, given: Mapping[Var, str]) -> None:
        self.budget = budget
        self.kernels = kernels
        self.given = given  # the names of values in programs at any depth

    def graph(self, program: Program, inputs: Sequence[str], outputs: Sequence[str], names: dict[Var, str]) -> Graph:
        """The graph; inner programs are opened, from the first to the last, once there is room for all of this one."""
        blocks = self._blocks(program.equations)
        self.budget.left -= len(blocks)
        opened = [self._inner(block[0]) if len(block) == 1 else () for block in blocks]
        nodes: list[Node] = []
        edges: list[Edge] = []
        made: dict[Var, tuple[int, float]] = {}
        summaries: set[int] = set()

        def draw(node: Node, reads: Sequence[Atom], defines: Sequence[Var]) -> None:
            number = len(nodes)
            nodes.append(node)
            found = [a for a in reads if isinstance(a, Var) and a in made]
            for k, v in enumerate(found):
                source, leaves = made[v]
                label = f"{names[v]}: {v.type}"
                edges.append(Edge(source, number, label, leaves, port(k, len(found))))
            for k, v in enumerate(defines):
                made[v] = (number, port(k, len(defines)))

        for v, known in program.constants.items():
            told = [("Constant", f"{names[v]}: {v.type}"), ("Bytes", size(v.type))]
            told += [("Value", str(known.ravel()[:6])[:80])] if known.size else []
            draw(Node("constant", f"{names[v]}: {v.type}", "value", "", told), (), (v,))
        for k, v in enumerate(program.inputs):
            draw(value_node("Argument", inputs[k] if k < len(inputs) else "argument", names[v], v.type), (), (v,))
        for block, inner in zip(blocks, opened, strict=True):
            if len(block) == 1:
                draw(self.equation(block[0], names, inner), block[0].inputs, block[0].outputs)
            else:
                node = _block(block)
                summaries.add(id(node))
                draw(node, *_boundary(block))
        for k, a in enumerate(program.outputs):
            title, name = outputs[k] if k < len(outputs) else "result", read(a, names)
            draw(value_node("Result", title, name, a.type), (a,), ())
        return Graph(nodes, _joined(edges, {k for k, node in enumerate(nodes) if id(node) in summaries}))

    def equation(self, equation: Equation, names: dict[Var, str], inner: tuple[Inner, ...] = ()) -> Node:
        """The node of one equation."""
        name = equation.primitive.name
        outputs = equation.outputs
        note = f"{names[outputs[0]]}: {outputs[0].type}" if outputs else ""
        if len(outputs) > 1:
            note = f"{note} … {len(outputs)} values"
        title, hint = name, _hint(equation)
        if name == "jit":
            title, hint = str(equation.params.get("name", name)), "jit"
        elif name == "scan":
            hint = f"×{equation.params['length']}" + (" reversed" if equation.params.get("reverse") else "")
        kernel = self.kernels(equation)
        details = equation_details(equation, names) + ([("Kernel", kernel)] if kernel else [])
        return Node(title, note, family_of(equation), hint, details, lines_of([equation]), inner)

    def _inner(self, equation: Equation) -> tuple[Inner, ...]:
        found = inner_programs(equation.params)
        need = sum(len(program.equations) for _, _, program in found)
        if not found or need > self.budget.left:
            self.budget.closed += bool(found)
            return ()
        titles = inner_titles(equation, [title for _, title, _ in found])
        inner = []
        for title, (key, _, program) in zip(titles, found, strict=True):
            inputs, outputs = roles(equation, key, len(program.inputs), len(program.outputs))
            inner.append(Inner(title, self.graph(program, inputs, outputs, names_of(program, self.given))))
        return tuple(inner)

    def _blocks(self, equations: Sequence[Equation]) -> list[list[Equation]]:
        """Equations that are drawn as one node: one each, if there is room for all."""
        most = max(self.budget.left, 1)
        blocks = [[e] for e in equations]
        if len(blocks) <= most:
            return blocks
        blocks = []
        for equation in equations:
            if blocks and blocks[-1][-1].source == equation.source:
                blocks[-1].append(equation)
            else:
                blocks.append([equation])
        if len(blocks) > most:
            step = -(-len(blocks) // most)
            blocks = [[e for b in blocks[k : k + step] for e in b] for k in range(0, len(blocks), step)]
        self.budget.messages.append(f"{len(equations):,} operations, summarised as {len(blocks):,}")
        return blocks


def value_node(what: str, title: str, name: str, kind: ArrayType) -> Node:
    """An argument or a result, by the name that the user knows and that of the listing; in one line if both are one."""
    text = f"{name}: {kind}" if name else str(kind)
    details = [(what, text), ("Bytes", size(kind))]
    if title == name:
        return Node(title, "", "value", str(kind), details)
    return Node(title, text, "value", "", details)


def _joined(edges: Sequence[Edge], blocks: Collection[int]) -> list[Edge]:
    """The edges, those between the same two nodes as one where either stands for many operations."""
    between: dict[tuple[int, int], list[Edge]] = {}
    found = []
    for edge in edges:
        if edge.source in blocks or edge.target in blocks:
            between.setdefault((edge.source, edge.target), []).append(edge)
        else:
            found.append(edge)
    for (source, target), many in between.items():
        label = many[0].label if len(many) == 1 else f"{len(many):,} values"
        leaves = 0.5 if source in blocks else many[0].leaves
        enters = 0.5 if target in blocks else many[0].enters
        found.append(Edge(source, target, label, leaves, enters))
    return found


def _boundary(block: Sequence[Equation]) -> tuple[list[Var], list[Var]]:
    """What some equations read from elsewhere, and what they define."""
    own = dict.fromkeys(v for e in block for v in e.outputs)
    reads = dict.fromkeys(a for e in block for a in e.inputs if isinstance(a, Var) and a not in own)
    return list(reads), list(own)


def _block(block: Sequence[Equation]) -> Node:
    """The node of many equations."""
    lines = lines_of(block)
    place = lines[0].short if lines else ""
    details = [("Operations", f"{len(block):,}: {summary(block)}")]
    family = strongest(map(family_of, block))
    return Node(f"{len(block):,} operations", summary(block), family, place, details, lines)


def lines_of(equations: Iterable[Equation]) -> tuple[Line, ...]:
    """The user's lines of some equations, each once, in order."""
    found = dict.fromkeys(e.source for e in equations if e.source is not None)
    return tuple(map(line_of_source, found))


def equation_details(equation: Equation, names: dict[Var, str]) -> list[tuple[str, str]]:
    """What is told of an equation."""
    outputs = equation.outputs
    left = listed(f"{names[v]}: {v.type}" for v in outputs)
    right = " ".join(read(a, names) for a in equation.inputs)
    rows = [("Equation", f"{left} = {equation.primitive.name} {right}".strip()[:LONGEST])]
    reads = [f"{names[a]}: {a.type}" for a in dict.fromkeys(equation.inputs) if isinstance(a, Var)]
    rows += [("Reads", listed(reads))] if reads else []
    inner = {key for key, _, _ in inner_programs(equation.params)}
    told = {k: v for k, v in sorted(equation.params.items()) if v is not None and k not in inner}
    rows += [("Parameters", ", ".join(f"{k}={param_text(v)}" for k, v in told.items())[:LONGEST])] if told else []
    rows += [("Bytes", listed(size(v.type) for v in outputs))] if outputs else []
    return rows


def _hint(equation: Equation) -> str:
    """Numbers among the operands, and short parameters."""
    if any(isinstance(a, Literal) for a in equation.inputs) and len(equation.inputs) > 1:
        return " ".join(literal(a) if isinstance(a, Literal) else "·" for a in equation.inputs)
    inner = {key for key, _, _ in inner_programs(equation.params)}
    if equation.primitive.name in BODIES or inner:
        return ""
    told = [
        f"{k}={param_text(v)}"
        for k, v in sorted(equation.params.items())
        if v is not None and v is not False and k not in QUIET
    ]
    text = " ".join(told)
    return text if len(text) <= LONGEST_HINT else ""


def inner_titles(equation: Equation, keys: Sequence[str]) -> list[str]:
    """What the programs inside an equation are."""
    name = equation.primitive.name
    if name == "scan":
        return [f"in each of {equation.params['length']} iterations"]
    if name == "cond":
        return ["if false", "if true"] if len(keys) == 2 else [f"branch {k}" for k in range(len(keys))]
    if name in ("while", "while_pull"):
        return [{"cond": "while this holds", "body": "in each iteration"}.get(key, key) for key in keys]
    return ["" if key == "program" else key for key in keys]


def roles(equation: Equation, key: str, count: int, results: int) -> tuple[list[str], list[str]]:
    """What so many arguments and results of an inner program are to the equation."""
    params: Any = equation.params
    if equation.primitive.name == "scan":
        n, m = params["consts"], params["carry"]
        inputs = ["constant"] * n + ["carry"] * m + ["slice"] * (count - n - m)
        return inputs, ["carry"] * m + ["stacked"] * (results - m)
    if equation.primitive.name == "while" and key in ("cond", "body"):
        n = params["cond_consts"] if key == "cond" else params["body_consts"]
        inputs = ["constant"] * n + ["carry"] * (count - n)
        return inputs, ["goes on"] if key == "cond" else ["carry"] * results
    return ["operand"] * count, ["result"] * results
