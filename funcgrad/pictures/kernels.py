"""What runs, and which operations does each kernel hold?  A graph of kernels, products, calls, loops and branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from funcgrad.ir.program import Equation, Program, Var
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import Chain
from funcgrad.lower.plan import Plan, Step
from funcgrad.lower.products import Product
from funcgrad.lower.python import kernel_names
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import BODIES, Structured
from funcgrad.pictures.families import family_of, strongest
from funcgrad.pictures.graph import Edge, Graph, Inner, Node, port
from funcgrad.pictures.names import listed, names_of
from funcgrad.pictures.programs import Budget, graph_of, inner_titles, roles, value_node
from funcgrad.runtime.costs import cost_of
from funcgrad.runtime.profiling.explain import SILENT, Explanation, everything, explain
from funcgrad.runtime.profiling.text import count

MOST = 300  # steps that are drawn one by one
WITHIN = 60  # nodes for the operations of a kernel; and values that it may read and write, if they are drawn


class Access(NamedTuple):
    """The buffers that a step reads, and those that it writes."""

    reads: tuple[Var, ...]
    writes: tuple[Var, ...]


def access(step: Step) -> Access:
    """See `Access`; places that only the step itself knows are none of them."""
    if isinstance(step, Product):
        return Access((step.x.var, step.y.var), (step.out,))
    if isinstance(step, Chain):
        first, second = access(step.product), access(step.tail)
        inner = [v for v in second.reads if v is not step.product.out]
        return Access((*first.reads, *inner), (*first.writes, *second.writes))
    if isinstance(step, KernelStep):
        sides = list(zip(step.buffers, step.kernel.buffers, strict=True))
        reads, writes = ([v for v, b in sides if b.written is flag] for flag in (False, True))
        return Access(tuple(reads), tuple(writes))
    if isinstance(step, Structured):
        given = tuple(dict.fromkeys(v for v in step.operands if v not in step.constants))
        return Access(given, step.equation.outputs)
    return Access(tuple(v for v in step.inputs if isinstance(v, Var)), step.equation.outputs)


@dataclass(slots=True)
class Names:
    """What buffers and steps of a plan are called.

    Attributes
    ----------
    values
        The variables of its program, as in a listing; what kernels added has none.
    steps
        For the id of each step.
    """

    values: dict[Var, str]
    steps: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def of(plan: Plan) -> Names:
        """All names of a plan."""
        names = Names(names_of(plan.program))
        kernels = kernel_names(plan)[0]
        for step in plan.steps:
            if isinstance(step, KernelStep):
                names.steps[id(step)] = kernels[id(step)]
            elif isinstance(step, Chain):
                names.steps[id(step)] = f"product, {kernels[id(step.tail)]}"
            else:
                names.steps[id(step)] = "product" if isinstance(step, Product) else step.equation.primitive.name
        return names

    def short(self, v: Var) -> str:
        """A buffer's name."""
        return self.values.get(v, "partial")

    def value(self, v: Var) -> str:
        """A buffer's name, and its type."""
        return f"{self.short(v)}: {v.type}"


class Reading(NamedTuple):
    """A plan, the names in it, and what its steps compute."""

    plan: Plan
    names: Names
    explained: dict[int, Explanation]


class Plans:
    """What is found out about plans, once for each."""

    def __init__(self) -> None:
        self._found: dict[int, Reading] = {}

    def read(self, plan: Plan) -> Reading:
        """See `Reading`."""
        found = self._found.get(id(plan))
        if found is None:
            found = self._found[id(plan)] = Reading(plan, Names.of(plan), explain(plan))
        return found


def graph_of_plan(
    plan: Plan,
    inputs: Sequence[str],
    outputs: Sequence[str],
    limit: int = 1000,
    plans: Plans | None = None,
) -> Graph:
    """The graph of a plan, whose arguments and results have names; kernels show their operations, up to a limit."""
    budget = Budget(limit)
    graph = _Drawer(plans or Plans(), budget).graph(plan, inputs, outputs)
    if not budget.closed:
        return graph
    which = "a kernel" if budget.closed == 1 else f"{budget.closed:,} kernels"
    closed = f"the operations of {which} are not shown; a larger limit= shows more"
    return Graph(graph.nodes, graph.edges, (*graph.messages, closed))


class _Drawer:
    def __init__(self, plans: Plans, budget: Budget) -> None:
        self.plans = plans
        self.budget = budget

    def graph(self, plan: Plan, inputs: Sequence[str], outputs: Sequence[str], unused: bool = True) -> Graph:
        """The graph of a plan; arguments that no step uses are left out if told so."""
        _, names, explained = self.plans.read(plan)
        readers = Readers.in_program(plan.program)
        nodes: list[Node] = []
        edges: list[Edge] = []
        holders: dict[Var, tuple[int, float]] = {}

        def draw(node: Node, reads: Sequence[Var], writes: Sequence[Var]) -> None:
            number = len(nodes)
            nodes.append(node)
            found = [v for v in dict.fromkeys(reads) if v in holders]
            found += [v for v in writes if v in holders and v not in found]  # what is added to
            for k, v in enumerate(found):
                source, leaves = holders[v]
                edges.append(Edge(source, number, names.value(v), leaves, port(k, len(found))))
            for k, v in enumerate(writes):
                holders[v] = (number, port(k, len(writes)))

        program = plan.program
        used = {v for step in plan.steps for v in access(step).reads}
        for v in program.constants:
            if v in used:
                draw(value_node("Constant", "constant", names.short(v), v.type), (), (v,))
        used |= set(plan.outputs)
        for k, v in enumerate(program.inputs):
            if unused or v in used:
                title = inputs[k] if k < len(inputs) else "argument"
                draw(value_node("Argument", title, names.values.get(v, ""), v.type), (), (v,))
        steps = list(plan.steps)
        for step in steps[:MOST]:
            reads, writes = access(step)
            draw(self.step(step, readers, names, explained[id(step)]), reads, writes)
        messages: tuple[str, ...] = ()
        if len(steps) > MOST:
            draw(*_rest(steps[MOST:], explained))
            messages = (f"{len(steps):,} steps, of which the first {MOST:,} are drawn one by one",)
        for k, v in enumerate(plan.outputs):
            title = outputs[k] if k < len(outputs) else "result"
            draw(value_node("Result", title, names.values.get(v, ""), v.type), (v,), ())
        return Graph(nodes, edges, messages)

    def step(self, step: Step, readers: Readers, names: Names, explained: Explanation) -> Node:
        """The node of a step, with the operations that it holds."""
        reads, writes = access(step)
        cost = cost_of(step)
        details = [("Computes", explained.computes)]
        details += [("Reads", listed(map(names.value, reads)))] if reads else []
        details += [("Writes", listed(map(names.value, writes)))] if writes else []
        details.append(
            ("Bytes", f"{count(cost.bytes)}B" + ("" if isinstance(step, Structured) else f", {count(cost.flops)}FLOPs"))
        )
        if isinstance(step, KernelStep) and step.chunk:
            details.append(("Threads", f"shared in {-(-step.total // step.chunk)} pieces"))
        note = f"{names.value(writes[0])}" + (f" +{len(writes) - 1}" if len(writes) > 1 else "") if writes else ""
        title, family = names.steps[id(step)], step_family(step, explained.equations)
        inner: tuple[Inner, ...] = ()
        hint = explained.computes
        if isinstance(step, Structured):
            inner = tuple(Inner(b.title, self.graph(b.plan, b.inputs, b.outputs, False)) for b in bodies(step))
            hint = explained.computes.removeprefix(title).strip()
        elif isinstance(step, KernelStep | Chain):
            inner = self.held(explained.equations, readers, names)
        return Node(title, note, family, hint, details, explained.lines, inner)

    def held(self, equations: Sequence[Equation], readers: Readers, names: Names) -> tuple[Inner, ...]:
        """The operations of a kernel as a graph, if there is more to see than one, and room for them."""
        part = _part(equations, readers)
        if part is None:
            return ()
        need = min(len(equations), WITHIN)
        if need > self.budget.left:
            self.budget.closed += 1
            return ()
        self.budget.left -= need
        given = [names.short(v) for v in part.inputs]
        made = [names.short(v) for v in part.outputs if isinstance(v, Var)]
        return (Inner("", graph_of(part, WITHIN, given, made, names=names.values)),)


def _rest(steps: Sequence[Step], explained: dict[int, Explanation]) -> tuple[Node, Sequence[Var], Sequence[Var]]:
    """The node of all steps that are not drawn one by one, what it reads, and what it writes."""
    rest = [access(step) for step in steps]
    reads = tuple(dict.fromkeys(v for a in rest for v in a.reads))
    writes = tuple(dict.fromkeys(v for a in rest for v in a.writes))
    family = strongest(family_of(e) for step in steps for e in explained[id(step)].equations)
    return Node(f"{len(rest):,} more steps", "", family, "", [("Steps", f"{len(rest):,}")]), reads, writes


class Body(NamedTuple):
    """A plan inside a loop or branch, what it is, and what its arguments and results are to it."""

    title: str
    plan: Plan
    inputs: list[str]
    outputs: list[str]


def bodies(step: Structured) -> list[Body]:
    """The plans inside of a loop or branch."""
    name, plans = step.equation.primitive.name, step.printed or step.plans
    keys = {"while": ["cond", "body"], "while_pull": ["cond", "body", "on the way back"]}.get(name, [""] * len(plans))
    titles = inner_titles(step.equation, keys)
    return [
        Body(title, plan, *roles(step.equation, key, len(plan.program.inputs), len(plan.outputs)))
        for title, key, plan in zip(titles, keys, plans, strict=True)
    ]


def step_family(step: Step, equations: Sequence[Equation]) -> str:
    """The family of a step that holds some equations."""
    if isinstance(step, Product):
        return "product"
    if isinstance(step, Structured):
        return "loop"
    if isinstance(step, Call):
        return family_of(step.equation)
    return strongest(map(family_of, equations)) if equations else "movement"


class Readers(NamedTuple):
    """The equations that read each value of a program, and which values are results."""

    of: dict[Var, list[Equation]]
    results: frozenset[Any]

    @staticmethod
    def in_program(program: Program) -> Readers:
        """Those of a program."""
        found: dict[Var, list[Equation]] = {}
        for equation in program.equations:
            for a in equation.inputs:
                if isinstance(a, Var):
                    found.setdefault(a, []).append(equation)
        return Readers(found, frozenset(program.outputs))


def _part(equations: Sequence[Equation], readers: Readers) -> Program | None:
    """The operations of a kernel as a program; None if there is not more to see than one, or too much."""
    if not [e for e in equations if e.primitive.name not in SILENT][1:] and not any(
        e.primitive.name in BODIES for e in equations
    ):
        return None
    own = set(equations)
    made = {v for e in equations for v in e.outputs}
    given = tuple(dict.fromkeys(a for e in equations for a in e.inputs if isinstance(a, Var) and a not in made))
    results = tuple(
        v
        for e in equations
        for v in e.outputs
        if v in readers.results or not own.issuperset(readers.of.get(v, ())) or v not in readers.of
    )
    return Program(given, tuple(equations), results, {}) if len(given) + len(results) <= WITHIN else None


def kernels_by_equation(plan: Plan, plans: Plans) -> dict[tuple[object, ...], list[str]]:
    """The kernels that hold an equation like one (see `like`): programs change on the way to kernels, lines do not."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name, equations in _named_steps(plan, plans, ""):
        for equation in everything(equations):
            known = found.setdefault(like(equation), [])
            if name not in known:
                known.append(name)
    return found


def like(equation: Equation) -> tuple[object, ...]:
    """What an equation keeps on its way through simplification: operation, line, and types of results."""
    return equation.primitive.name, equation.source, tuple(v.type[:2] for v in equation.outputs)


def _named_steps(plan: Plan, plans: Plans, where: str) -> Iterator[tuple[str, Sequence[Equation]]]:
    _, names, explained = plans.read(plan)
    for step in plan.steps:
        if isinstance(step, Structured):
            for inner in step.printed or step.plans:
                yield from _named_steps(inner, plans, f" in {step.equation.primitive.name}{where}")
        else:
            yield names.steps[id(step)] + where, explained[id(step)].equations
