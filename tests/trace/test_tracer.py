"""Does a tracer behave as the array it stands for?  Operators, promotion, methods, protocols, and errors that teach."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import (
    ConcretizationTypeError,
    LostDerivativeWarning,
    NonConcreteBooleanIndexError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    UnexpectedTracerError,
)
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from tests.ops.numerics import assert_close

DTYPES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split()
BINARY = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le eq ne gt ge".split()
UNARY = "neg pos abs invert".split()
HERE = __file__.rsplit("/", 1)[-1]


def traced(function: Callable[..., Any], *args: Any) -> Any:
    """The value of the program of `function`."""
    program = check(fg.make_jaxpr(function)(*args))
    return interpret(program, [np.asarray(a, t.dtype) for a, t in zip(args, program.input_types, strict=True)])[0]


def numpys(function: Callable[..., Any], *args: Any) -> Any:
    """NumPy's value, or None for its refusal."""
    with np.errstate(all="ignore"):
        try:
            return np.asarray(function(*args))
        except (TypeError, ValueError, OverflowError):
            return None


def hold(function: Callable[..., Any], *args: Any) -> None:
    """Hold the traced value against NumPy's: dtype, shape, elements; or both refuse."""
    want = numpys(function, *args)
    if want is None:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            traced(function, *args)
    else:
        assert_close(traced(function, *args), want, 2)


# Operators ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BINARY if name not in ("matmul", "pow")])
@pytest.mark.parametrize("left", DTYPES)
def test_result_dtypes_of_all_pairs(name: str, left: str) -> None:
    x = np.array([1, 2, 3], left)
    for right in DTYPES:
        hold(getattr(operator, name), x, np.array([2, 1, 3], right))


@pytest.mark.parametrize("name", [name for name in BINARY if name != "matmul"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scalar", [True, 2, 1.5], ids=repr)
def test_python_numbers_are_weak(name: str, dtype: str, scalar: Any) -> None:
    function, x = getattr(operator, name), np.array([1, 2, 3], dtype)
    if name == "pow" and dtype[0] in "iub" and scalar != 1.5 and (dtype == "b1" or scalar is True):
        return  # the power of two integer arrays is refused
    hold(lambda x: function(x, scalar), x)  # written into the function
    if name != "pow":
        hold(lambda x: function(scalar, x), x)  # reflected
        hold(function, x, scalar)  # a traced Python number


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary(name: str, dtype: str) -> None:
    hold(getattr(operator, name), np.array([1, 2, 3], dtype))


@pytest.mark.parametrize(
    "name", [*(n for n in BINARY if n not in ("matmul", "and_", "or_", "xor", "lshift", "rshift")), "divmod"]
)
def test_numpy_arrays_on_the_left(name: str) -> None:
    function = divmod if name == "divmod" else getattr(operator, name)
    x, y = np.array([1.0, 2.0, 3.5]), np.array([0.5, 2.0, -1.0])
    for left in (y, np.float32(2), np.float64(2), 2, 2.5):
        with np.errstate(all="ignore"):
            want = function(left, x)
        got = fg.jit(lambda x, left=left: function(left, x))(x)
        for g, w in zip(got, want, strict=True) if name == "divmod" else [(got, want)]:
            assert_close(g, np.asarray(w), 2)


def test_matmul_both_ways() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    hold(operator.matmul, x, y)
    hold(lambda y: x @ y, y)
    hold(lambda x: x @ y, x)


@pytest.mark.parametrize("scalar", [2, 2.5], ids=repr)
def test_weak_arithmetic_stays_weak(scalar: Any) -> None:
    x = np.ones(3, np.float32)
    for function in (
        lambda s, x: (s * 2 + 1.5) * x,
        lambda s, x: -s / 2 * x,
        lambda s, x: abs(s) ** 2 * x,
        lambda s, x: s // 2 * x,
    ):
        hold(function, scalar, x)


@pytest.mark.parametrize(
    "function", [np.sin, np.float64(2).__mul__, lambda s: np.add(s, 1), lambda s: np.where(s > 0, s, 1.0)]
)
def test_numpy_functions_end_weakness(function: Any) -> None:
    x = np.ones(3, np.float32)
    program = fg.make_jaxpr(lambda s, x: function(s) * x)(1.5, x)
    assert program.output_types[0].dtype == np.float64


def test_eager_weakness_is_that_of_programs() -> None:
    x = np.ones(3, np.float32)
    for f in (lambda s: s * 2 * x, lambda s: np.sin(s) * x, lambda s: (s + 1) / 2 * x):
        want = fg.make_jaxpr(f)(1.5).output_types[0].dtype
        assert fg.vjp(f, 1.5)[0].dtype == want
        assert fg.jvp(f, (1.5,), (1.0,))[0].dtype == want
        assert np.asarray(f(1.5)).dtype == want


def test_integers_out_of_range() -> None:
    x = np.array([1, 200], np.uint8)
    hold(lambda x, n: x < n, x, -3)  # a traced number too
    hold(lambda x, n: x / n, x, -3)
    hold(lambda x: np.clip(x, -5, 300), x)
    hold(lambda x: x < 300, x)
    hold(lambda x: x == -1, x)
    hold(lambda x: x > -1, x)
    with pytest.raises(OverflowError):
        fg.make_jaxpr(lambda x: x + 300)(x)


def test_unknown_operands_are_left_to_python() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        fg.make_jaxpr(lambda x: x + "a")(1.0)
    assert fg.eval_shape(lambda x: 1.0 if x == "a" else 2.0, 1.0).shape == ()  # as any other object

    class Other:
        def __radd__(self, other: Any) -> str:
            return "theirs"

    found = []
    fg.make_jaxpr(lambda x: found.append(x + Other()) or x)(1.0)
    assert found == ["theirs"]


# Attributes and methods -----------------------------------------------------------------------------------------------


def test_attributes() -> None:
    def look(x: Any) -> Any:
        assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes, x.itemsize, len(x)) == (
            (2, 3),
            np.dtype("f4"),
            2,
            6,
            24,
            4,
            2,
        )
        assert [row.shape for row in x] == [(3,), (3,)]
        assert "f32[2,3]" in repr(x)
        return x.T, x.mT, x.real, x.imag

    a, b, c, d = fg.eval_shape(look, np.zeros((2, 3), np.float32))
    assert (a.shape, b.shape, c.shape, d.shape) == ((3, 2), (3, 2), (2, 3), (2, 3))


@pytest.mark.parametrize(
    "method",
    [
        lambda x: x.sum(axis=0),
        lambda x: x.mean(),
        lambda x: x.max(1),
        lambda x: x.min(),
        lambda x: x.prod(0),
        lambda x: x.var(),
        lambda x: x.std(0),
        lambda x: x.argmax(),
        lambda x: x.argmin(1),
        lambda x: x.reshape(3, 2),
        lambda x: x.reshape((-1,)),
        lambda x: x.transpose(),
        lambda x: x.transpose(1, 0),
        lambda x: x.astype(np.int32),
        lambda x: x.astype("f4"),
        lambda x: x.ravel(),
        lambda x: x.flatten(),
        lambda x: x.clip(2, 4),
        lambda x: x.dot(np.ones(3)),
        lambda x: x.round(),
        lambda x: x.repeat(2, axis=1),
        lambda x: x.squeeze(),
        lambda x: x.swapaxes(0, 1),
        lambda x: x.take([0, 1], axis=1),
        lambda x: x.trace(),
        lambda x: x.copy(),
        lambda x: x.conj(),
        lambda x: (x > 2).all(),
        lambda x: (x > 2).any(axis=0),
    ],
)
def test_methods(method: Any) -> None:
    hold(method, np.arange(6.0).reshape(2, 3))


INDICES: list[Any] = [
    0,
    -1,
    np.int32(1),
    slice(None),
    slice(1, None),
    slice(None, None, -1),
    slice(5, 1, -2),
    slice(3, 3),
    ...,
    None,
    (None, 0),
    (..., 0),
    (0, ..., 1),
    (slice(None), 1),
    (1, slice(0, 2), None),
    [0, 2],
    np.array([[0, 1], [2, -1]]),
    (slice(None), [0, 1]),
    ([0, 1], [1, 2]),
    ([0, 1], slice(None), [1, 2]),
    (slice(None), [0, 1], [1, 3]),
    (None, [0, 1]),
    ([0, 1], None),
    (slice(None), None, [0, 1]),
    (0, [0, 1]),
    ([[0], [1]], [0, 1, 2]),
    np.array([True, False, True]),
    (slice(None), np.array([True, False, True, False])),
    np.zeros(0, int),
    (),
    [],
    (..., [0, 1]),
    (slice(None), [0, 1], None, slice(None)),
    (None, slice(None), [1], None),
    ([0, 1], None, [1, 2]),
    (0, slice(None), [0, 1]),
    (np.array(1), np.array([0, 1])),
    (np.uint8(2),),
    ([True, False, True], 1),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing(index: Any) -> None:
    x = np.arange(60.0).reshape(3, 4, 5)
    want = x[tuple(index) if isinstance(index, tuple) else index]
    assert_close(traced(lambda x: x[index], x), want, 0)
    gradient = fg.grad(lambda x: np.sum(x[index] ** 2))(x)
    expected = np.zeros_like(x)
    np.add.at(expected, index, 2 * x[index])
    assert_close(gradient, expected, 0)


@pytest.mark.parametrize(
    "index",
    [3, -4, (0, 4), (0, 0, 0, 0), ([0, 1], [0, 1, 2]), [0, 3], np.array([-4]), (..., ...), 1.0, "a", np.array([0.5])],
    ids=repr,
)
def test_bad_indices(index: Any) -> None:
    x = np.arange(60.0).reshape(3, 4, 5)
    with pytest.raises((IndexError, TypeError)) as numpys_error:
        x[index]
    with pytest.raises((IndexError, TypeError)):
        fg.make_jaxpr(lambda x: x[index])(x)
    if not isinstance(index, (str, float)):
        assert numpys_error.type is IndexError
        with pytest.raises(IndexError):
            fg.make_jaxpr(lambda x: x[index])(x)


@pytest.mark.parametrize("part", [np.real, np.imag, lambda z: z.conj(), lambda z: z.real])
def test_complex_numbers_are_taken_apart(part: Any) -> None:
    z = np.array([1 + 2j, 3 - 4j])
    assert_close(fg.jit(part)(z), part(z), 0)
    assert_close(fg.vmap(part)(z), part(z), 0)


def test_traced_indices() -> None:
    x, i = np.arange(12.0).reshape(3, 4), np.array([[0, -1], [2, 1]])
    assert_close(fg.jit(lambda x, i: x[i])(x, i), x[i], 0)
    assert_close(fg.jit(lambda x, i: x[:, i])(x, i), x[:, i], 0)
    assert_close(fg.jit(lambda x, i: x[i, 1])(x, i), x[i, 1], 0)
    assert_close(fg.jit(lambda x, i: x[i, :2])(x, 1), x[1, :2], 0)
    assert_close(fg.jit(lambda x, i: x[1:][i])(x, np.int8(-2)), x[1:][-2], 0)
    for bad in (3, -4):
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds|out of bounds"):
            fg.jit(lambda x, i: x[i])(x, bad)


# NumPy's protocols ----------------------------------------------------------------------------------------------------


def test_plain_numpy_traces() -> None:
    x = np.linspace(0.1, 1, 6).reshape(2, 3)
    hold(lambda x: np.sin(x) + np.exp(-x), x)
    hold(lambda x: np.where(x > 0.5, x, 0), x)
    hold(lambda x: np.concatenate([x, x, np.ones((1, 3))]), x)
    hold(lambda x: np.stack([x, 2 * x], axis=1), x)
    hold(lambda x: np.einsum("ij,kj->ik", x, x), x)
    hold(lambda x: np.sum(x, axis=1, keepdims=True), x)
    hold(lambda x: np.tensordot(x, x.T, 1), x)


def test_out_and_writing_ufunc_methods_are_refused() -> None:
    x = np.ones(3)
    with pytest.raises(TypeError, match=r"np\.add\.at would write into an array.*x\.at\[indices\]\.add"):
        fg.make_jaxpr(lambda x: np.add.at(x, 0, 1.0))(x)
    with pytest.raises(TypeError, match="would write a traced value into an array"):
        fg.make_jaxpr(lambda x: np.add(x, 1, out=np.zeros(3)))(x)

    def in_place(x: Any) -> Any:
        total = np.zeros(3)
        total += x
        return total

    with pytest.raises(TypeError, match=r"write x = x \+ y instead of x \+= y"):
        fg.make_jaxpr(in_place)(x)


def test_augmented_assignment_of_tracers_rebinds() -> None:
    def f(x: Any) -> Any:
        y = x
        y += 1
        y *= 2
        return x, y

    np.testing.assert_array_equal(fg.jit(f)(np.ones(2)), ([1, 1], [4, 4]))


def test_functions_without_counterpart_are_named() -> None:
    with pytest.raises(TypeError, match=rf"numpy\.save has no counterpart[^\n]*\n  at .*{HERE}"):
        fg.make_jaxpr(lambda x: np.save("x.npy", x))(np.ones(4))
    with pytest.raises(TypeError, match=r"np\.isnat has no counterpart"):
        fg.make_jaxpr(lambda x: np.isnat(x))(4)


# Errors that teach ----------------------------------------------------------------------------------------------------

MISUSES: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: 1.0 if x > 0 else 2.0, TracerBoolConversionError, "numpy.where"),
    (lambda x: x and 1.0, TracerBoolConversionError, "condition"),
    (lambda x: float(x), ConcretizationTypeError, r"float\(\)"),
    (lambda x: int(x), ConcretizationTypeError, r"int\(\)"),
    (lambda x: complex(x), ConcretizationTypeError, r"complex\(\)"),
    (lambda x: x.item(), ConcretizationTypeError, r"\.item\(\)"),
    (lambda x: x.tolist(), ConcretizationTypeError, r"\.tolist\(\)"),
    (lambda x: f"{x:.2f}", ConcretizationTypeError, "format"),
    (lambda x: math.sin(x), ConcretizationTypeError, "known value"),
    (lambda x: [1, 2][x], TracerIntegerConversionError, "Python index or a size"),
    (lambda x: list(range(x)), TracerIntegerConversionError, "static_argnums"),
    (lambda x: fg.numpy.zeros(x), TracerIntegerConversionError, "Python index or a size"),
    (lambda x: np.array([x, x]), (TracerArrayConversionError, ConcretizationTypeError), "np.stack|known value"),  # type: ignore[list-item]
    (lambda x: np.asarray(x), TracerArrayConversionError, "np.stack"),
    (lambda x: x.__setitem__(0, 1.0), TypeError, "np.where"),
    (lambda x: {x: 1}, TypeError, "unhashable"),
    (lambda x: x.flat, TypeError, "ravel"),
]


@pytest.mark.parametrize(("misuse", "error", "remedy"), MISUSES)
def test_misuse_under_jit(misuse: Any, error: Any, remedy: str) -> None:
    with pytest.raises(error, match=remedy) as raised:
        fg.jit(misuse)(2)
    assert HERE in str(raised.value)


def test_masks_whose_number_of_hits_is_unknown() -> None:
    with pytest.raises(NonConcreteBooleanIndexError, match=r"np\.where"):
        fg.jit(lambda x: x[x > 0])(np.ones(3))
    assert_close(fg.grad(lambda x: np.sum(x[x > 0]))(np.array([1.0, -1.0])), np.array([1.0, 0.0]), 0)


def test_known_values_under_grad() -> None:
    printed = []

    def f(x: Any) -> Any:
        printed.append(f"{x:.1f}")
        total = 0.0
        while total < 3:
            total = total + x
        for _ in range(int(x)):
            total = total * x
        assert "with value" in repr(x)
        return total if x > 1 else -total

    assert fg.grad(f)(2.0) == 24  # of 2x * x**2
    assert printed == ["2.0"]


NUMBERS = {
    "float()": lambda x: float(x[0]) * np.sum(x),
    "float() in math": lambda x: math.sin(x[0]) * np.sum(x),
    "complex()": lambda x: np.real(complex(x[0]) * np.sum(x)),
    ".item()": lambda x: x[0].item() * np.sum(x),
    ".tolist()": lambda x: np.sum(x * np.array(x.tolist())),
}
DERIVATIVES = {
    "grad": lambda f, x: fg.grad(f)(x),
    "vjp": lambda f, x: fg.vjp(f, x),
    "jvp": lambda f, x: fg.jvp(f, (x,), (x,)),
    "linearize": lambda f, x: fg.linearize(f, x),
    "grad of grad": lambda f, x: fg.grad(lambda x: np.sum(fg.grad(f)(x)))(x),
    "grad of checkpoint": lambda f, x: fg.grad(fg.checkpoint(f))(x),
}


@pytest.mark.parametrize("use", NUMBERS)
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_numbers_that_lose_their_derivative_are_reported_at_their_line(use: str, derivative: str) -> None:
    with pytest.warns(LostDerivativeWarning, match=re.escape(use.split(maxsplit=1)[0])) as caught:
        DERIVATIVES[derivative](NUMBERS[use], np.array([1.0, 2.0]))
    line = NUMBERS[use].__code__.co_firstlineno
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}
    assert f"{HERE}:{line} " in str(caught[0].message)


def test_a_line_is_reported_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            fg.grad(lambda x: float(x) * x)(2.0)
    assert len(caught) == 1


def test_numbers_that_lose_nothing_are_not_reported() -> None:
    def f(x: Any) -> Any:
        kept = fg.lax.stop_gradient(x)
        scale = float(kept) + kept.item() + float(np.round(x).astype(np.int64))
        count = int(x)  # its derivative is 0
        return x * (scale if x > 0 else count)

    assert fg.grad(f)(2.0) == 6.0
    assert fg.grad(fg.checkpoint(f))(2.0) == 6.0


def test_vmap_explains_itself() -> None:
    with pytest.raises(TracerBoolConversionError, match="in_axes=None"):
        fg.vmap(lambda x: x if x > 0 else -x)(np.ones(3))


def test_leaked_tracers() -> None:
    kept: list[Any] = []
    for transform in (fg.jit, fg.vmap, fg.grad):
        kept.clear()
        transform(lambda x: kept.append(x * 1) or np.sum(x))(np.ones(3) if transform is not fg.grad else 1.0)
        for use in (
            lambda t: t + 1,
            np.sin,
            bool,
            float,
            lambda t: fg.jit(lambda x: x + t)(1.0),
            lambda t: t[0] if t.ndim else t * 2,
        ):
            with pytest.raises(UnexpectedTracerError, match=rf"trace has ended[\s\S]*{HERE}"):
                use(kept[0])
        assert repr(kept[0]).startswith("Tracer<")


def test_shape_errors_name_the_line() -> None:
    for f in (
        lambda x: x + np.ones(4),
        lambda x: np.matmul(x, np.ones((4, 2))),
        lambda x: np.reshape(x, (7,)),
        lambda x: np.concatenate([x, np.ones((1, 1))]),
    ):
        with pytest.raises(ValueError, match=HERE):
            fg.jit(f)(np.ones(3))


def test_a_value_written_into_an_array_would_lose_its_derivative():
    def f(x):
        out = np.zeros(2)
        out[0] = x * 2
        return np.sum(out)

    with pytest.raises(ValueError, match="setting an array element") as caught:  # NumPy's word for it
        fg.grad(f)(3.0)
    assert "written into a NumPy array, which keeps its number" in str(caught.value.__cause__)
    seen = np.zeros(2)

    def g(x):
        seen[0] = float(fg.lax.stop_gradient(x))
        return x * x

    assert fg.grad(g)(3.0) == 6
    assert seen[0] == 3
