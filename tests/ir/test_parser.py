"""Does the text of a program hold the program?  What is printed is read again, for every primitive, and any program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.parser import parse_program
from funcgrad.ir.primitive import registry
from funcgrad.ir.printer import inner_programs, print_program, python_objects
from funcgrad.ir.program import Program
from tests.effort import drawn
from tests.ir.same import same
from tests.ops.cases import ROWS
from tests.test_laws import arguments, run, scalar, seeds, shapes, steps

lax = fg.lax
X = np.linspace(0.1, 0.9, 3)
like = fg.ShapeDtypeStruct((3,), np.float64)


def survives(program: Program) -> Program:
    """The program that is read from a program's text, which is the same."""
    text, objects = print_program(program, values=True), python_objects(program)
    read = parse_program(text, objects=objects)
    assert same(program, read)
    assert print_program(read, values=True) == text
    plain, arrays = str(program), [*constants(program)]
    assert str(parse_program(plain, arrays, objects)) == plain
    assert str(parse_program(program.as_text(source=True), arrays, objects)) == plain
    return read


def constants(program: Program) -> Any:
    """The constants in the order of the text."""
    yield from program.constants.values()
    for equation in program.equations:
        for _, _, inner in inner_programs(equation.params):
            yield from constants(inner)


@pytest.mark.parametrize("part", range(8))
def test_every_primitive(part: int) -> None:
    for row in ROWS[part::8]:
        dtype = np.dtype(row.dtypes.split()[-1])
        try:
            survives(fg.make_jaxpr(row.call(dtype))(*row.draw(dtype)))
        except BaseException as error:
            error.add_note(f"in the row {row}")
            raise


@given(steps(), shapes, seeds)
@drawn(6)
def test_random_programs(steps: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)
    program = fg.make_jaxpr(lambda x, y: run(steps, x, y))(x, y)
    read = check(survives(program))
    np.testing.assert_array_equal(interpret(read, [x, y])[0], interpret(program, [x, y])[0])


@given(steps(), shapes, seeds)
@drawn(4)
def test_gradients_of_random_programs(steps: Any, shape: Any, seed: int) -> None:
    survives(fg.make_jaxpr(fg.vmap(fg.grad(scalar(steps), (0, 1))))(*np.stack([arguments(seed, shape)] * 2, 1)))


@fg.custom_vjp
def with_vjp(x: Any) -> Any:
    return np.sin(x)


with_vjp.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * np.cos(x),))


@fg.custom_batching.custom_vmap
def with_vmap(x: Any) -> Any:
    return np.sin(x)


with_vmap.def_vmap(lambda size, batched, x: (np.sin(x), True))


def solve(matvec: Any, b: Any) -> Any:
    return b / 2.0


def attention(q: Any) -> Any:
    """Large enough to go in blocks of queries."""
    return fg.nn.dot_product_attention(q, q, q, is_causal=True)


STRUCTURED = {
    "callbacks": lambda x: (
        fg.pure_callback(np.sin, like, x),
        fg.pure_callback(lambda v: v, like, x),
        fg.pure_callback(lambda v: v + 1, like, x, vmap_method="sequential"),
        fg.io_callback(np.sin, like, x, ordered=True),
        fg.debug.print("{x} is, [so], 'quoted' # not a comment", x=x),
    ),
    "rules": lambda x: with_vjp(x) + with_vmap(x),
    "policy": lambda x: fg.grad(
        lambda x: np.sum(fg.checkpoint(np.sin, policy=fg.checkpoint_policies.dots_saveable)(x))
    )(x),
    "linear solve": lambda x: lax.custom_linear_solve(lambda v: x * 2.0 * v, x, solve, solve),
    "collectives": lambda x: fg.vmap(
        lambda v: fg.jit(lambda w: lax.psum(w, "rows") + lax.axis_index("rows"))(v), axis_name="rows"
    )(x),
    "while": lambda x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x)),
    "tape": fg.grad(lambda x: np.sum(lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x))[1])),
    "switch": lambda x: lax.switch(x.astype(int)[0], [np.sin, np.cos, np.tan], x),
    "scan": fg.grad(lambda x: lax.scan(lambda c, v: (np.sin(c * v), None), 1.0, x)[0]),
    "arrays": lambda x: lax.map(lambda v: v + X, np.stack([x, x])) + np.array([np.nan, -np.inf, -0.0]),
    "names": lambda x: fg.jit(fg.named_call(np.sin, name="two words"))(x) + checkpoint_named(x),
}


def checkpoint_named(x: Any) -> Any:
    """Names that read like something else."""
    for name in ("float32", "None", "3", "f64[3]", "in", "a'b\"c\\", "ünï", ""):
        x = fg.ad_checkpoint.checkpoint_name(x, name)
    return x


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_programs(name: str) -> None:
    survives(fg.make_jaxpr(STRUCTURED[name])(X))


def test_functions_of_numba() -> None:
    numba = pytest.importorskip("numba")
    survives(fg.make_jaxpr(lambda x: fg.numba_call(numba.njit(abs_of), fg.ShapeDtypeStruct((), float), x[0]))(X))


def abs_of(x: float) -> float:
    return abs(x)


def test_attention_in_blocks() -> None:
    q = fg.ShapeDtypeStruct((1, 2048, 4, 8), np.float32)
    program = fg.make_jaxpr(attention)(q)
    assert "attention[how=How(" in str(survives(program))
    survives(fg.make_jaxpr(fg.grad(lambda q: np.sum(attention(q))))(q))


def test_collectives_that_wait_for_their_axis() -> None:
    program = fg.make_jaxpr(
        lambda x: (lax.psum(x, "i"), lax.all_gather(x, "i"), lax.ppermute(x, "i", [(0, 1)]), lax.axis_index("i")),
        axis_env=[("i", 4)],
    )(X)
    survives(program)


def test_every_primitive_has_been_printed() -> None:
    elsewhere = {
        "all_gather",
        "axis_index",
        "ppermute",
        "psum",
        "attention",
        "attention_backward",
        "attend",
        "attend_backward",
        "check",
        "numba_call",
    }
    elsewhere |= {"custom_linear_solve", "custom_vjp_call", "custom_vmap_call"}
    elsewhere |= {"check", "debug_callback", "io_callback", "pure_callback"}
    assert set(registry) - {row.name for row in ROWS} <= elsewhere


@pytest.mark.parametrize("code", ["b1", "i1", "u8", "i8", "f2", "f4", "f8", "c8", "c16"])
def test_numbers_of_every_dtype_keep_their_bits(code: str) -> None:
    dtype = np.dtype(code)
    if dtype.kind in "iu":
        values = [0, np.iinfo(dtype).max, np.iinfo(dtype).min]
    elif dtype.kind == "b":
        values = [True, False]
    else:
        limits = np.finfo(dtype)
        values = [0.0, -0.0, 1 / 3, limits.max, limits.smallest_subnormal, np.inf, -np.inf, np.nan]
    parts = [np.array(v, dtype)[()] for v in values]
    if dtype.kind == "c":
        parts += [dtype.type(complex(a, b)) for a in values for b in values]
    table = np.array(parts)
    read = survives(fg.make_jaxpr(lambda x: (*parts, table, x))(X))
    for got, want in zip(interpret(read, [X]), [*parts, table, X], strict=True):
        assert np.asarray(got).dtype == want.dtype
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


def test_bfloat16() -> None:
    bfloat16 = fg.numpy.bfloat16
    x = np.ones(3, bfloat16)
    survives(fg.make_jaxpr(lambda x: x * bfloat16(0.1) + np.array([1, 2, 3], bfloat16))(x))


def test_a_parsed_program_compiles() -> None:
    program = parse_program("{lambda;x:f64[3]. let y:f64[3]=sin x z:f64[3]=mul y 2.0:f64[] in(z,)}  # and no more")
    (got,) = fg.runtime.executable.executable_for(program)([X])[0]
    np.testing.assert_allclose(got, 2 * np.sin(X), rtol=1e-15)


def test_constants_by_a_function() -> None:
    program = parse_program("{ lambda a:f64[2] ; . let in (a,) }", lambda kind: np.ones(kind.shape, kind.dtype))
    np.testing.assert_array_equal(interpret(program, [])[0], [1, 1])


HEAD = "{ lambda ; a:f64[3]. let\n    "
BROKEN = [
    ("", 1, 1, "expected '{', not the end"),
    ("{ lambda ; a:f64[3]. let in (a,)", 1, 33, "expected '}', not the end"),
    ("{ lambda ; a:f64[3]. let in (a,) } b", 1, 36, "expected the end of the text, not 'b'"),
    ("{ lambda ; a:f65[3]. let in (a,) }", 1, 14, "'f65[3]' is no type"),
    ("{ lambda ; a:f64[,]. let in (a,) }", 1, 14, "'f64[,]' is no type"),
    ("{ lambda ; a. let in (a,) }", 1, 13, "expected ':', not '.'"),
    ("{ lambda ; a:f64[] a:f64[]. let in (a,) }", 1, 20, "'a' is defined twice"),
    ("{ lambda ; a:f64[3]. let in (b,) }", 1, 30, "'b' is not defined"),
    ("{ lambda a:f64[2]=[1.0] ; . let in (a,) }", 1, 18, "1 values for a constant of type f64[2]"),
    ("{ lambda a:i8[1]=[300] ; . let in (a,) }", 1, 19, "out of range for i8[]|out of range for i8[1]"),
    ("{ lambda a:i8[1]=[1.5] ; . let in (a,) }", 1, 19, "'1.5' is no number of type i8[1]"),
    (HEAD + "b:f64[3] = sine a\n  in (b,) }", 2, 16, "there is no operation 'sine'; did you mean 'sin'?"),
    (HEAD + "b:f64[3] = sin c\n  in (b,) }", 2, 20, "'c' is not defined"),
    (HEAD + "b:f64[3] = sin b\n  in (b,) }", 2, 20, "'b' is not defined"),
    (HEAD + "a:f64[3] = sin a\n  in (a,) }", 2, 5, "'a' is defined twice"),
    (HEAD + "b:f64[3] = sin a a\n  in (b,) }", 2, 5, "sin takes 1 operands, not 2"),
    (HEAD + "b:f32[3] = sin a\n  in (b,) }", 2, 5, "sin gives f64[3], not f32[3]"),
    (HEAD + "_ = sin a\n  in (a,) }", 2, 5, "sin gives f64[3], not nothing"),
    (HEAD + "b:f64[] = reduce_sum a\n  in (b,) }", 2, 5, "reduce_sum does not take these operands and parameters"),
    (HEAD + "b:f64[] = reduce_sum[axes=(7,)] a\n  in (b,) }", 2, 5, "reduce_sum does not take"),
    (HEAD + "b:f64[] = reduce_sum[axes=(0,) axes=(0,)] a\n  in (b,) }", 2, 36, "'axes' is given twice"),
    (HEAD + "b:f64[] = reduce_sum[axes=;] a\n  in (b,) }", 2, 31, "expected the value of a parameter, not ';'"),
    (HEAD + "b:f64[] = reduce_sum[axes=How(scale=1.0)] a\n  in (b,) }", 2, 31, "How"),
    (HEAD + "b:f64[] = reduce_sum[axes=What(scale=1.0)] a\n  in (b,) }", 2, 31, "no parameter of the kind 'What'"),
    (HEAD + "b:f64[] = reduce_sum[axes=%0] a\n  in (b,) }", 2, 5, "the program %0 is missing"),
    (
        HEAD + "b:f64[3] = jit[name=f] a\n program[1]={ lambda ; . let in () }\n in (b,) }",
        3,
        2,
        "program[0] is missing",
    ),
    (HEAD + "b:f64[3] = mul a 2:f64[]\n  in (b,) }", 2, 22, "'2' is no number of type f64[]"),
    (HEAD + "b:f64[3] = mul a 2.0\n  in (b,) }", 2, 22, "a number with its type, not '2.0'"),
    (HEAD + "b:f64[3] = mul a 2.0:f64[3]\n  in (b,) }", 2, 26, "numbers in a program have no axes"),
    (HEAD + "b:f64[3] = mul a $\n  in (b,) }", 2, 22, "'$'"),
]


@pytest.mark.parametrize(("text", "line", "column", "says"), BROKEN)
def test_mistakes_are_told_with_their_place(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        parse_program(text)
    assert any(part in str(caught.value) for part in says.split("|"))
    assert (caught.value.lineno, caught.value.offset) == (line, column)
    assert f"(line {line}, column {column})" in str(caught.value)


def test_what_no_text_holds_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"constant a:f64\[3\] \(line 1\): pass constants="):
        parse_program("{ lambda a:f64[3] ; . let in (a,) }")
    with pytest.raises(SyntaxError, match=r"a:f64\[3\] was given an array \(2,\) of float64"):
        parse_program("{ lambda a:f64[3] ; . let in (a,) }", [np.ones(2)])
    text = str(fg.make_jaxpr(lambda x: fg.pure_callback(np.sin, like, x))(X))
    assert "callback=@sin" in text
    with pytest.raises(ValueError, match=r"@sin \(line 2\) is a Python object .* pass objects=\{'sin': \.\.\.\}"):
        parse_program(text)
