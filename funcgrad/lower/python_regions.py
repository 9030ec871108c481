"""How do loops and branches read as Python?  Their bodies as functions, which a Python loop calls."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.dtypes import is_inexact
from funcgrad.ir.program import Var
from funcgrad.lower.structured import Structured

Name = Callable[..., str]


def body_functions(region: Structured, number: int, print_plan: Callable[[Any], str]) -> list[str]:
    """The sources of the bodies: each is a function that makes the body's ``run``."""
    return [
        f"def make_body_{number}_{k}():\n{textwrap.indent(print_plan(plan).strip(), '    ')}\n\n    return run\n"
        for k, plan in enumerate(region.printed or region.plans)
    ]


def region_lines(region: Structured, number: int, array: Name) -> list[str]:
    """The lines that run a loop or a branch; `array` spells a buffer as an array of its shape, or as another type:
    an operand may lie in the buffer of a value of another shape.
    """
    name = region.equation.primitive.name
    makers = [f"body_{number}_{k}" for k in range(len(region.printed or region.plans))]
    lines = [f"{maker} = make_{maker}()" for maker in makers]
    types = [a.type for a in region.equation.inputs]
    given = [array(v, types[k] if k < len(types) else v.type) for k, v in enumerate(region.operands)]
    written = {"scan": _scan, "cond": _cond, "while": _while, "while_pull": _pull}[name](region, makers, given, array)
    return [f"    {line}" for line in (*lines, *written)]


def _call(function: str, *groups: Sequence[str]) -> str:
    return f"{function}({', '.join(x for group in groups for x in group)})"


def _stores(outputs: Sequence[Var], values: str, array: Name) -> list[str]:
    return [f"{array(v)}[...] = {values}[{k}]" for k, v in enumerate(outputs)]


def _scan(region: Structured, bodies: list[str], given: list[str], array: Name) -> list[str]:
    params, outputs = region.equation.params, region.equation.outputs
    n, count = params["consts"], params["carry"]
    order = f"reversed(range({params['length']}))" if params["reverse"] else f"range({params['length']})"
    slices = [f"{x}[k]" for x in given[n + count :]]
    stacks = [f"    {array(v)}[k] = results[{count + k}]" for k, v in enumerate(outputs[count:])]
    return [
        f"carry = ({''.join(x + '.copy(), ' for x in given[n : n + count])})",
        f"for k in {order}:",
        f"    results = {_call(bodies[0], given[:n], ['*carry'], slices)}",
        f"    carry = results[:{count}]",
        *stacks,
        *_stores(outputs[:count], "carry", array),
    ]


def _cond(region: Structured, bodies: list[str], given: list[str], array: Name) -> list[str]:
    choice = f"({', '.join(bodies)},)[int({given[0]})]"
    return [f"results = {_call(choice, given[1:])}", *_stores(region.equation.outputs, "results", array)]


def _loop(region: Structured, bodies: list[str], given: list[str], before: Sequence[str] = ()) -> list[str]:
    params = region.equation.params
    n, m = params["cond_consts"], params["cond_consts"] + params["body_consts"]
    carry = given[m : m + len(params["body"].outputs)]
    return [
        f"carry = ({''.join(x + '.copy(), ' for x in carry)})",
        f"while {_call(bodies[0], given[:n], ['*carry'])}[0]:",
        *(f"    {line}" for line in before),
        f"    carry = {_call(bodies[1], given[n:m], ['*carry'])}",
    ]


def _while(region: Structured, bodies: list[str], given: list[str], array: Name) -> list[str]:
    return [*_loop(region, bodies, given), *_stores(region.equation.outputs, "carry", array)]


def _pull(region: Structured, bodies: list[str], given: list[str], array: Name) -> list[str]:
    params = region.equation.params
    n, m = params["cond_consts"], params["cond_consts"] + params["body_consts"]
    cts = m + len(params["body"].outputs)
    split = cts + sum(is_inexact(t.dtype) for t in params["body"].output_types)
    return [
        "tape = []",
        *_loop(region, bodies, given, ["tape.append(carry)"]),
        f"cotangents = ({''.join(x + '.copy(), ' for x in (*given[split:], *given[cts:split]))})",
        "for before in reversed(tape):",
        f"    cotangents = {_call(bodies[2], given[n:m], ['*before'], ['*cotangents'])}",
        *_stores(region.equation.outputs, "cotangents", array),
    ]
