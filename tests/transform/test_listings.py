"""What does each transform make of a program?  Listings before and after: the shortest explanation of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.program import Program
from funcgrad.transform.jvp import jvp_program
from funcgrad.transform.partial import split
from funcgrad.transform.vjp import vjp_program
from funcgrad.transform.vmap import vmap_program

X = np.linspace(0.5, 1.5, 3)


def listing(program: Program) -> str:
    """The listing of a program that is well formed."""
    return str(check(program))


def program_of(function: Any, *args: Any) -> Program:
    """The program of `function`."""
    return check(fg.make_jaxpr(function)(*args))


def product(x: Any, y: Any) -> Any:
    """sin(x) y, the example of this file."""
    return np.sin(x) * y


def test_vjp() -> None:
    program = program_of(product, X, X)
    assert (
        listing(program)
        == "{ lambda ; a:f64[3] b:f64[3]. let\n    c:f64[3] = sin a\n    d:f64[3] = mul c b\n  in (d,) }"
    )
    assert listing(vjp_program(program, [True, True])) == (
        "{ lambda ; a:f64[3] b:f64[3] c:f64[3]. let\n"
        "    d:f64[3] = sin a\n"
        "    e:f64[3] = mul d b\n"
        "    f:f64[3] = mul c b\n"
        "    g:f64[3] = mul c d\n"
        "    h:f64[3] = cos a\n"
        "    i:f64[3] = mul f h\n"
        "  in (e, i, g) }"
    )


def test_vjp_of_what_is_not_wanted_is_not_computed() -> None:
    assert listing(vjp_program(program_of(product, X, X), [False, True])) == (
        "{ lambda ; a:f64[3] b:f64[3] c:f64[3]. let\n"
        "    d:f64[3] = sin a\n"
        "    e:f64[3] = mul d b\n"
        "    f:f64[3] = mul c d\n"
        "  in (e, f) }"
    )


def test_vjp_sums_where_a_scalar_was_spread() -> None:
    program = program_of(lambda x, s: x * s, X, np.float64(2))
    assert listing(vjp_program(program, [False, True])) == (
        "{ lambda ; a:f64[3] b:f64[] c:f64[3]. let\n"
        "    d:f64[3] = mul a b\n"
        "    e:f64[3] = mul c a\n"
        "    f:f64[] = reduce_sum[axes=(0,)] e\n"
        "  in (d, f) }"
    )


def test_zero_cotangents_are_absent() -> None:
    program = program_of(lambda x, y: (np.floor(x), y), X, X)
    assert listing(vjp_program(program, [True, True])) == (
        "{ lambda ; a:f64[3] b:f64[3] c:f64[3] d:f64[3]. let\n"
        "    e:f64[3] = floor a\n"
        "    f:f64[3] = broadcast_in_dim[broadcast_dimensions=() shape=(3,)] 0.0:f64[]\n"
        "  in (e, b, f, d) }"
    )


def test_integer_outputs_take_no_cotangent() -> None:
    program = program_of(lambda x: (np.argmax(x), x), X)
    back = vjp_program(program, [True])
    assert [str(t) for t in back.input_types] == ["f64[3]", "f64[3]"]
    assert [str(t) for t in back.output_types] == ["i64[]", "f64[3]", "f64[3]"]


def test_jvp() -> None:
    program = program_of(product, X, X)
    assert listing(jvp_program(program, [True, False])) == (
        "{ lambda ; a:f64[3] b:f64[3] c:f64[3]. let\n"
        "    d:f64[3] = sin a\n"
        "    e:f64[3] = cos a\n"
        "    f:f64[3] = mul c e\n"
        "    g:f64[3] = mul d b\n"
        "    h:f64[3] = mul f b\n"
        "  in (g, h) }"
    )


def test_vmap() -> None:
    program = program_of(lambda x, s: np.sum(x * s), X, np.float64(2))
    assert listing(vmap_program(program, 8, [True, True])) == (
        "{ lambda ; a:f64[8,3] b:f64[8]. let\n"
        "    c:f64[8,3] = broadcast_in_dim[broadcast_dimensions=(0,) shape=(8,3)] b\n"
        "    d:f64[8,3] = mul a c\n"
        "    e:f64[8] = reduce_sum[axes=(1,)] d\n"
        "  in (e,) }"
    )
    assert listing(vmap_program(program, 8, [True, False])) == (
        "{ lambda ; a:f64[8,3] b:f64[]. let\n"
        "    c:f64[8,3] = mul a b\n"
        "    d:f64[8] = reduce_sum[axes=(1,)] c\n"
        "  in (d,) }"
    )


def test_vmap_of_a_product_with_one_matrix_is_one_product() -> None:
    program = program_of(lambda x, w: x @ w, X, np.ones((3, 2)))
    assert listing(vmap_program(program, 8, [True, False])) == (
        "{ lambda ; a:f64[8,3] b:f64[3,2]. let\n"
        "    c:f64[8,2] = dot_general[dimension_numbers=(((1,),(0,)),((),()))] a b\n"
        "  in (c,) }"
    )


def test_vmap_repeats_what_does_not_depend_on_the_example() -> None:
    program = program_of(lambda x, s: (x, s), X, np.float64(2))
    assert [t.shape for t in vmap_program(program, 4, [True, False]).output_types] == [(4, 3), (4,)]


def test_split() -> None:
    program = program_of(lambda x, t: (np.sin(x) * 2.0, np.cos(x) * t), X, X)
    parts = split(program, [False, True])
    assert listing(parts.known) == (
        "{ lambda ; a:f64[3]. let\n"
        "    b:f64[3] = sin a\n"
        "    c:f64[3] = mul b 2.0:f64[]\n"
        "    d:f64[3] = cos a\n"
        "  in (c, d) }"
    )
    assert listing(parts.unknown) == "{ lambda ; a:f64[3] b:f64[3]. let\n    c:f64[3] = mul a b\n  in (c,) }"
    assert (parts.residuals, parts.unknown_outputs) == (1, (False, True))


@pytest.mark.parametrize("unknown", [(False, False), (True, False), (False, True), (True, True)])
def test_the_parts_make_the_whole(unknown: tuple[bool, ...]) -> None:
    table = np.arange(3.0)
    program = program_of(lambda x, y: (np.sin(x) * y, x + table, y, 1.0, np.exp(x)), X, X)
    parts = split(program, unknown)
    check(parts.known)
    check(parts.unknown)
    args = [X, X + 1]
    early = interpret(parts.known, [a for a, u in zip(args, unknown, strict=True) if not u])
    kept, residuals = early[: len(early) - parts.residuals], early[len(early) - parts.residuals :]
    late = iter(interpret(parts.unknown, [*residuals, *(a for a, u in zip(args, unknown, strict=True) if u)]))
    first = iter(kept)
    whole = [next(late) if u else next(first) for u in parts.unknown_outputs]
    for got, want in zip(whole, interpret(program, args), strict=True):
        np.testing.assert_array_equal(got, want)


def test_programs_of_transforms_are_those_of_functions() -> None:
    program = program_of(product, X, X)
    ct = np.array([1.0, 2.0, 3.0])
    value, *pulled = interpret(vjp_program(program, [True, True]), [X, X + 1, ct])
    out, pull = fg.vjp(product, X, X + 1)
    np.testing.assert_array_equal(value, out)
    for got, want in zip(pulled, pull(ct), strict=True):
        np.testing.assert_array_equal(got, want)
