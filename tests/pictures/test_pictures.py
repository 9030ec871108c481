"""Does a picture show what there is?  Programs, gradients, kernels and memory; as SVG, PNG and a page."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.primitive import registry
from funcgrad.lower.plan import buffers_of
from funcgrad.pictures.families import family_of_primitive
from funcgrad.pictures.kernels import access, graph_of_plan
from funcgrad.pictures.memory import charts
from funcgrad.pictures.programs import graph_of
from funcgrad.pictures.themes import FAMILIES
from funcgrad.runtime.profiling.explain import everything, explain
from tests.pictures.cases import CASES, array, by_title, kept, loss, lowered

# Programs -------------------------------------------------------------------------------------------------------------


def test_every_operation_is_there_under_its_name() -> None:
    program = lowered("mlp").program
    graph = graph_of(program, 1000, kept("mlp")._subjects[0].inputs)
    operations = [node for node in graph.nodes if node.family != "value"]
    assert Counter(node.title for node in operations) == Counter(e.primitive.name for e in program.equations)
    listing = program.as_text()
    for node in operations:
        (equation,) = [text for heading, text in node.details if heading == "Equation"]
        name, rest = equation.split(" = ")
        assert re.search(rf"^ +{re.escape(name.replace(': ', ':'))} += {rest.split()[0]}\b", listing, re.MULTILINE)
        assert node.note == name
    reads = sum(1 for e in program.equations for a in e.inputs if not hasattr(a, "value"))
    assert len(graph.edges) == reads + len(program.outputs)
    assert [node.title for node in graph.nodes[:6]] == [
        "params[0][0]",
        "params[0][1]",
        "params[1][0]",
        "params[1][1]",
        "x",
        "y",
    ]


def test_lines_bytes_and_kernels_are_told() -> None:
    _, notes, _ = kept("mlp")._view("program")
    (tanh,) = [told for told in notes.told if told.title == "tanh"]
    rows = dict(tanh.rows)
    assert rows["Bytes"] == "524 kB"
    assert rows["Kernel"] == "kernel_0"
    assert tanh.lines[0].text == "x = np.tanh(x @ w + b)"
    (product, *_) = [told for told in notes.told if told.title == "dot_general"]
    assert dict(product.rows)["Kernel"] == "product"


def test_programs_inside() -> None:
    graph = graph_of(lowered("branches").program, 1000)
    (cond,), (loop,) = by_title(graph, "cond"), by_title(graph, "while")
    assert [inner.title for inner in cond.inner] == ["if false", "if true"]
    assert [inner.title for inner in loop.inner] == ["in each iteration", "while this holds"]
    assert by_title(cond.inner[0].graph, "cos")
    assert by_title(cond.inner[1].graph, "sin")
    (scan,) = by_title(graph_of(lowered("rnn").program, 1000), "scan")
    assert scan.hint == "×20"
    (body,) = [inner.graph for inner in scan.inner]
    roles = [node.title for node in body.nodes if node.family == "value"]
    assert roles == ["constant", "constant", "constant", "carry", "slice", "carry", "stacked"]


def test_calls_have_their_functions_names() -> None:
    @fg.jit
    def inner(x: Any) -> Any:
        return np.sin(x)

    drawn = fg.visualize(lambda x: inner(x) + 1)(1.0)
    (node,) = by_title(graph_of(drawn._subjects[0].lowered.program, 100), "inner")
    assert node.family == "loop"
    assert by_title(node.inner[0].graph, "sin")


def test_the_limit_is_checked() -> None:
    for limit, error in ((0, ValueError), (-3, ValueError), ("many", TypeError), (2.5, TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"visualize: limit must be .*\n  at .*test_pictures"):
            fg.visualize(np.sin, limit=limit)  # type: ignore[arg-type]


def test_a_large_program_is_summarised() -> None:
    def long(x: Any) -> Any:
        for _ in range(300):
            x = np.sin(x)
            x = x * 2
        return x

    drawn = fg.visualize(long, limit=50)(np.ones(3))
    graph = graph_of(drawn._subjects[0].lowered.program, 50)
    counts = [int(node.title.split()[0]) for node in graph.nodes if node.title.endswith("operations")]
    assert sum(counts) == 600
    assert 25 <= len(counts) <= 50
    assert graph.messages == ("600 operations, summarised as 50", "a larger limit= shows more")
    svg = drawn.svg()
    assert "600 operations, summarised as 50" in svg
    assert "600 operations, summarised as 50" in drawn.html()
    whole = graph_of(drawn._subjects[0].lowered.program, 600)
    assert len(whole.nodes) == 602
    assert not whole.messages


def test_kernels_show_their_operations_up_to_the_limit() -> None:
    plan = lowered("mlp").plan
    kernels = [node for node in graph_of_plan(plan, (), ()).nodes if node.inner]
    assert len(kernels) > 1
    fewer = graph_of_plan(plan, (), (), limit=8)
    some = [node for node in fewer.nodes if node.inner]
    assert 0 < len(some) < len(kernels)
    which = "a kernel" if len(kernels) - len(some) == 1 else f"{len(kernels) - len(some)} kernels"
    assert fewer.messages == (f"the operations of {which} are not shown; a larger limit= shows more",)


def test_operations_of_one_line_are_one() -> None:
    def lines(x: Any) -> Any:
        x = np.sin(np.cos(np.tanh(x)))
        return np.exp(np.sqrt(np.abs(x)))

    drawn = fg.visualize(lines)(np.ones(3))
    graph = graph_of(drawn._subjects[0].lowered.program, 5)
    assert [node.title for node in graph.nodes if node.family != "value"] == ["3 operations", "3 operations"]
    assert graph.nodes[1].note == "tanh cos sin"
    assert [(edge.source, edge.target) for edge in graph.edges] == [(0, 1), (1, 2), (2, 3)]

    def across(x: Any) -> Any:
        a, b, c = np.sin(x), np.cos(x), np.tanh(x)
        return a * b + c

    graph = graph_of(fg.visualize(across)(np.ones(3))._subjects[0].lowered.program, 4)
    assert [edge.label for edge in graph.edges if (edge.source, edge.target) == (1, 2)] == ["3 values"]


def test_inner_programs_without_room_stay_closed() -> None:
    program = lowered("rnn").program
    graph = graph_of(program, 5)
    (scan,) = by_title(graph, "scan")
    assert not scan.inner
    assert "1 inner program is not shown" in graph.messages


def test_every_primitive_has_a_colour() -> None:
    assert {family_of_primitive(primitive) for primitive in registry.values()} <= set(FAMILIES)


def test_colours_of_families() -> None:
    families = {
        "elementwise": "add tanh lt select convert_element_type real logistic stop_gradient",
        "reduction": "reduce_sum reduce_max argmax cumsum cumprod reduce_and",
        "product": "dot_general conv_general_dilated",
        "movement": "reshape transpose gather scatter_add broadcast_in_dim concatenate iota dynamic_slice",
        "other": "sort solve qr fft argsort pure_callback",
    }
    for family, names in families.items():
        for name in names.split():
            assert family_of_primitive(registry[name]) == family, name


# Gradients ------------------------------------------------------------------------------------------------------------


def test_a_gradient_beside_its_function() -> None:
    first, second = kept("mlp_gradient")._subjects
    assert second.title == "gradient of loss"
    assert second.inputs == first.inputs
    assert second.outputs == [f"gradient of {name}" for name in first.inputs]
    expected = fg.jit(fg.grad(loss, argnums=(0, 1, 2))).lower(*CASES["mlp_gradient"][1])
    assert str(second.lowered.program) == str(expected.program)
    svg = kept("mlp_gradient").svg()
    assert svg.index(">loss<") < svg.index(">gradient of loss<")


def test_a_pullback() -> None:
    _, second = kept("attention")._subjects
    assert second.title == "pullback of attention"
    assert second.inputs == ["q", "k", "v", "cotangent of result"]


def test_by_what_gradients_are_taken() -> None:
    def f(x: Any, n: Any, name: str, scale: Any = 2.0) -> Any:
        assert name == "fixed"
        return np.sum(x * n) * scale

    jitted = fg.jit(f, static_argnums=2)
    first, second = fg.visualize(jitted, gradient=True)(np.ones(3), 2, "fixed", scale=3.0)._subjects
    assert first.inputs == ["x", "n", "scale"]
    assert second.outputs == ["gradient of x"]
    with pytest.raises(TypeError, match=r"visualize: <lambda> has no gradient: .*i64\[\]"):
        fg.visualize(lambda n: n + 1, gradient=True)(1)


# Kernels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "rnn", "branches", "attention"])
def test_kernels_hold_their_operations(name: str) -> None:
    plan = lowered(name).plan
    graph = graph_of_plan(plan, (), ())
    steps = [node for node in graph.nodes if node.family != "value"]
    assert len(steps) == len(plan.steps)
    explained = explain(plan)
    for node, planned in zip(steps, plan.steps, strict=True):
        if not node.inner or node.title in ("scan", "while", "cond"):
            continue
        held = Counter(e.primitive.name for e in everything(explained[id(planned)].equations))
        names = Counter(n.title for n in node.inner[0].graph.everything() if n.family != "value")
        assert names == held


@pytest.mark.parametrize("name", ["mlp", "rnn", "branches", "attention"])
def test_kernels_are_joined_by_what_they_read(name: str) -> None:
    plan = lowered(name).plan
    graph = graph_of_plan(plan, (), ())
    numbers = [k for k, node in enumerate(graph.nodes) if node.family != "value"]
    writer: dict[Any, int] = {}
    for number, planned in zip(numbers, plan.steps, strict=True):
        reads, writes = access(planned)
        assert set(reads) | set(writes) <= set(buffers_of(planned))
        for v in reads:
            if v in writer:
                assert any(e.source == writer[v] and e.target == number for e in graph.edges)
        writer |= dict.fromkeys(writes, number)


# Memory ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "rnn", "branches", "attention", "one", "same", "nothing"])
def test_temporaries_do_not_overlap(name: str) -> None:
    for chart in charts(lowered(name).plan, (), (), ""):
        lives = [life for life in chart.lives if life.kind == "temporary"]
        assert max((life.offset + life.type.nbytes for life in lives), default=0) <= chart.arena
        for k, a in enumerate(lives):
            for b in lives[:k]:
                at_once = a.first <= b.last and b.first <= a.last
                assert not at_once or a.offset + a.type.nbytes <= b.offset or b.offset + b.type.nbytes <= a.offset
        alive = chart.alive()
        assert len(alive) == len(chart.steps)
        for number, total in enumerate(alive):
            used = [v for v in chart.lives if v.kind != "temporary" or v.first <= number <= v.last]
            assert total == sum(life.type.nbytes for life in used)


def test_many_loops_have_a_message() -> None:
    def loops(x: Any) -> Any:
        for _ in range(13):  # each with a product, so that none is a kernel
            x = fg.lax.scan(lambda c, _: (c @ c, None), x, None, length=2)[0]
        return x

    drawn = fg.visualize(loops)(array(60, 60))
    assert "2 more charts of loops and branches not drawn" in drawn.svg("memory")


def test_reuse_is_told() -> None:
    (_, notes, _) = kept("mlp")._view("memory")
    told = [dict(entry.rows) for entry in notes.told]
    assert any("Before it, there" in rows for rows in told)
    (first, *_) = charts(lowered("mlp").plan, kept("mlp")._subjects[0].inputs, ("a", "b", "c", "d", "e"), "")
    together = sum(life.type.nbytes for life in first.lives if life.kind == "temporary")
    assert first.arena < together
    assert [life.name for life in first.lives if life.kind == "result"] == ["a", "b", "c", "d", "e"]
