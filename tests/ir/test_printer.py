"""Is the listing of a program canonical, and readable in JAX's notation?"""

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad.ir.printer import _names, param_text, print_program


def test_operands_parameters_and_literals() -> None:
    def f(x: object, n: object) -> object:
        return np.sum(x * 2.0, axis=0), n + 1  # type: ignore[call-overload, operator]

    program = fg.make_jaxpr(f)(np.ones((2, 3), np.float32), np.int32(4))
    assert str(program) == (
        "{ lambda ; a:f32[2,3] b:i32[]. let\n"
        "    c:f32[2,3] = mul a 2.0:f32[]\n"
        "    d:f32[3] = reduce_sum[axes=(0,)] c\n"
        "    e:i32[] = add b 1:i32[]\n"
        "  in (d, e) }"
    )


def test_constants_come_first() -> None:
    table = np.arange(3.0)
    assert str(fg.make_jaxpr(lambda x: x + table)(np.ones(3))) == (
        "{ lambda a:f64[3] ; b:f64[3]. let\n    c:f64[3] = add b a\n  in (c,) }"
    )


def test_inner_programs_are_indented() -> None:
    text = str(fg.make_jaxpr(lambda x: fg.jit(np.sin)(x) * 2.0)(np.ones(3)))
    assert text == (
        "{ lambda ; a:f64[3]. let\n"
        "    b:f64[3] = jit[name=sin] a\n"
        "      program={ lambda ; a:f64[3]. let\n"
        "          b:f64[3] = sin a\n"
        "        in (b,) }\n"
        "    c:f64[3] = mul b 2.0:f64[]\n"
        "  in (c,) }"
    )


def test_equal_programs_have_equal_listings() -> None:
    def f(x: np.ndarray) -> np.ndarray:
        return np.exp(x) - x  # type: ignore[no-any-return]

    assert str(fg.make_jaxpr(f)(np.ones(3))) == str(fg.make_jaxpr(f)(np.zeros(3)))
    assert str(fg.make_jaxpr(f)(np.ones(3))) != str(fg.make_jaxpr(f)(np.ones(4)))


def test_nothing_and_outputs_that_are_inputs() -> None:
    assert str(fg.make_jaxpr(lambda: ())()) == "{ lambda ; . let\n  in () }"
    assert str(fg.make_jaxpr(lambda x: (x, x, 1.0))(2)) == "{ lambda ; a:i64[]*. let\n  in (a, a, 1.0:f64[]*) }"


def test_sources() -> None:
    program = fg.make_jaxpr(lambda x: x * x)(1.0)
    line = print_program(program, source=True).splitlines()[1]
    assert "mul a a  # " in line
    assert "test_printer.py:" in line


def test_names_go_on_after_z_and_skip_keywords() -> None:
    names = _names()
    found = [next(names) for _ in range(26 + 26 * 26 + 2)]
    assert found[:2] + found[25:28] == ["a", "b", "z", "aa", "ab"]
    assert len(set(found)) == len(found)
    assert not {"in", "let", "lambda"} & set(found)
    assert found[-1] == "aac"  # two are skipped: in, and nothing else of two letters; let has three


def test_parameters() -> None:
    assert param_text((1,)) == "(1,)"
    assert param_text(((1, 2), ())) == "((1,2),())"
    assert param_text(np.dtype("f4")) == "float32"
    assert param_text("abc") == "abc"
    assert param_text(None) == "None"


def test_special_literals_print() -> None:
    text = str(fg.make_jaxpr(lambda x: (x + np.inf, x * np.float32(np.nan), np.where(x > 0, x, -0.0)))(np.float32(1)))
    assert "inf:f32[]" in text
    assert "nan:f32[]" in text
    assert "-0.0:f32[]" in text


def test_malformed_programs_can_be_looked_at() -> None:
    program = fg.make_jaxpr(lambda x: x * 2.0)(1.0)
    assert "mul ?:f64[]* 2.0" in repr(program.replace(inputs=()))
