"""Are all functions of the Array API standard there, and accept what their signatures say?  And with which dtypes?

Every function is called with each of its optional arguments given as the standard states their defaults, by keyword
and, where the standard allows it, by position; known and traced.  Results have the dtypes of the standard's rules.
"""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import tree
from tests.array_api.signatures import SIGNATURES

SQUARE = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
VECTOR = np.array([0.25, 0.5, 0.75])
# what is given where there is no default; a function that is not named gets `x`, `x1` and `x2` from the first row
OPERANDS: dict[str, dict[str, Any]] = {
    "": {"x": SQUARE, "x1": SQUARE, "x2": SQUARE + 0.25},
    "arrays": {"arrays": [SQUARE, SQUARE]},
    "asarray": {"obj": SQUARE},
    "arange": {"start": 3},
    "astype": {"dtype": np.dtype(np.float32)},
    "broadcast_shapes": {"*": [(2, 1), (3,)]},
    "broadcast_to": {"shape": (2, 3, 3)},
    "can_cast": {"from_": np.dtype(np.int8), "to": np.dtype(np.int16)},
    "cumulative_prod": {"x": VECTOR},
    "cumulative_sum": {"x": VECTOR},
    "eye": {"n_rows": 3},
    "fft.fftfreq": {"n": 4},
    "fft.rfftfreq": {"n": 4},
    "finfo": {"type": np.dtype(np.float32)},
    "full": {"fill_value": 1.5},
    "full_like": {"fill_value": 1.5},
    "iinfo": {"type": np.dtype(np.int8)},
    "isdtype": {"dtype": np.dtype(np.int8), "kind": "integral"},
    "linalg.cross": {"x1": VECTOR, "x2": VECTOR[::-1]},
    "linalg.matrix_power": {"n": 2},
    "linalg.outer": {"x1": VECTOR, "x2": VECTOR},
    "linspace": {"start": 0.0, "stop": 1.0, "num": 3},
    "moveaxis": {"source": 0, "destination": 1},
    "permute_dims": {"axes": (1, 0)},
    "repeat": {"repeats": 2},
    "reshape": {"shape": (9,)},
    "roll": {"shift": 1},
    "searchsorted": {"x1": VECTOR, "x2": VECTOR},
    "shape": {"shape": (2, 3)},
    "squeeze": {"x": SQUARE[:1], "axis": 0},
    "take": {"indices": np.array([0, 2])},
    "take_along_axis": {"indices": np.array([[0], [2], [1]])},
    "tile": {"repetitions": (2, 1)},
    "where": {"condition": SQUARE > 1},
}
INTEGERS = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift bitwise_invert".split()
BOOLEANS = "logical_and logical_or logical_xor logical_not".split()
NO_TRACERS = set("nonzero unique_all unique_counts unique_inverse unique_values from_dlpack empty empty_like".split())
ARRAYS = {"x", "x1", "x2", "obj", "arrays", "condition", "arrays_and_dtypes"}


def function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = operator.attrgetter(name)(fnp)
    return found


def operand(name: str, parameter: str) -> Any:
    value = {**OPERANDS[""], **OPERANDS["arrays"], **OPERANDS["shape"], **OPERANDS.get(name, {})}[parameter]
    dtype = np.int64 if name in INTEGERS else np.bool_ if name in BOOLEANS else None
    value = value if dtype is None else value.astype(dtype)
    if name == "acosh":
        return value + 1
    shrinks = name in ("acos", "asin", "atanh") and parameter == "x"
    return value / 8 if shrinks else value


def calls(name: str) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Positional and keyword arguments that the signature allows: the fewest, and with each optional one."""
    kinds = inspect.Parameter
    signature = inspect.signature(eval(f"lambda {SIGNATURES[name][1:-1]}: None"))
    given: list[Any] = []
    optional: list[inspect.Parameter] = []
    named: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind is kinds.VAR_POSITIONAL:
            given += OPERANDS.get(name, {}).get("*", [SQUARE, SQUARE])
        elif parameter.default is kinds.empty and parameter.kind is kinds.POSITIONAL_ONLY:
            given.append(operand(name, parameter.name))
        elif parameter.default is kinds.empty:
            named[parameter.name] = operand(name, parameter.name)
        else:
            optional.append(parameter)
    yield given, named
    yield [*given, *named.values()], {}
    front = [p.default for p in optional if p.kind is not kinds.KEYWORD_ONLY]
    for k in range(1, len(front) + 1):
        yield [*given, *named.values(), *front[:k]], {}
    by_name = {p.name: p.default for p in optional if p.kind is not kinds.POSITIONAL_ONLY}
    for key, default in by_name.items():
        yield given, named | {key: default}
    yield given, named | by_name


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_argument_of_the_signature_is_accepted(name: str) -> None:
    results = []
    for positional, named in calls(name):
        known = function(name)(*positional, **named)
        results.append(known)
        if name in NO_TRACERS or not any(isinstance(x, (np.ndarray, list)) for x in positional):
            continue
        arrays = {k: x for k, x in enumerate(positional) if isinstance(x, (np.ndarray, list))}

        def traced(arrays: Any, positional: Any = positional, named: Any = named) -> Any:
            return function(name)(*(arrays.get(k, x) for k, x in enumerate(positional)), **named)

        if name != "result_type":
            same(fg.jit(traced)(arrays), known)
    for other in results[1:]:
        if not name.startswith("empty"):
            same(other, results[0])


def same(got: Any, want: Any) -> None:
    """Equal leaves, of equal shapes and dtypes."""
    if not isinstance(want, (np.ndarray, np.generic, list, tuple)):
        assert type(got) is type(want)
        return
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert (np.shape(g), np.asarray(g).dtype) == (np.shape(w), np.asarray(w).dtype)
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=1e-12, atol=1e-12)


# Dtypes ---------------------------------------------------------------------------------------------------------------

SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
REAL, COMPLEX = ("float32", "float64"), ("complex64", "complex128")
INTEGRAL, FLOATING = SIGNED + UNSIGNED, REAL + COMPLEX
NUMERIC = INTEGRAL + FLOATING
ALL = ("bool", *NUMERIC)
PART = {"complex64": "float32", "complex128": "float64"}


def itself(dtype: str) -> str:
    return dtype


def boolean(dtype: str) -> str:
    return "bool"


def part(dtype: str) -> str:
    return PART.get(dtype, dtype)


def summed(dtype: str) -> str:
    """What sums and products are accumulated in: integers in the default integer of their sign."""
    return {"i": "int64", "u": "uint64"}.get(np.dtype(dtype).kind, dtype)


def index(dtype: str) -> str:
    return "int64"


def as_complex(dtype: str) -> str:
    return {"float32": "complex64", "float64": "complex128"}.get(dtype, dtype)


Rule = Callable[[str], str]
RULES: list[tuple[str, tuple[str, ...], Rule]] = [
    ("abs", NUMERIC, part),
    ("acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 reciprocal", FLOATING, itself),
    ("sin sinh sqrt tan tanh", FLOATING, itself),
    ("bitwise_invert bitwise_and bitwise_or bitwise_xor", ("bool", *INTEGRAL), itself),
    ("bitwise_left_shift bitwise_right_shift", INTEGRAL, itself),
    ("ceil floor trunc", INTEGRAL + REAL, itself),
    ("conj negative positive round sign square add subtract multiply pow", NUMERIC, itself),
    ("real imag", COMPLEX, part),
    ("isfinite isinf isnan", NUMERIC, boolean),
    ("signbit", REAL, boolean),
    ("logical_not logical_and logical_or logical_xor", ("bool",), boolean),
    ("atan2 copysign hypot logaddexp nextafter", REAL, itself),
    ("divide", FLOATING, itself),
    ("floor_divide remainder maximum minimum", INTEGRAL + REAL, itself),
    ("equal not_equal", ALL, boolean),
    ("isin", INTEGRAL, boolean),
    ("less less_equal greater greater_equal", INTEGRAL + REAL, boolean),
    ("clip", INTEGRAL + REAL, itself),
    ("sum prod linalg.trace", NUMERIC, summed),
    ("cumulative_sum cumulative_prod", NUMERIC, summed),
    ("mean", FLOATING, itself),
    ("std var", REAL, itself),
    ("max min sort", INTEGRAL + REAL, itself),
    ("argmax argmin argsort", INTEGRAL + REAL, index),
    ("count_nonzero", ALL, index),
    ("all any", ALL, boolean),
    ("diff matmul vecdot tensordot linalg.outer linalg.matmul linalg.vecdot linalg.tensordot", NUMERIC, itself),
    ("tril triu flip zeros_like ones_like empty_like matrix_transpose linalg.diagonal", ALL, itself),
    ("fft.fft fft.ifft fft.fftn fft.ifftn", FLOATING, as_complex),
    ("fft.rfft fft.ihfft fft.rfftn", REAL, as_complex),
    ("fft.irfft fft.hfft fft.irfftn", COMPLEX, part),
    ("fft.fftshift fft.ifftshift", FLOATING, itself),
    ("linalg.cholesky linalg.det linalg.inv linalg.solve linalg.pinv linalg.qr", FLOATING, itself),
    ("linalg.eig linalg.eigvals", FLOATING, as_complex),
    ("linalg.eigvalsh linalg.svdvals linalg.matrix_norm linalg.vector_norm", FLOATING, part),
    ("linalg.matrix_rank", FLOATING, index),
]
TWO = set("linalg.outer linalg.solve linalg.matmul linalg.vecdot linalg.tensordot tensordot vecdot".split())
CASES = [(name, dtypes, rule) for names, dtypes, rule in RULES for name in names.split()]


@pytest.mark.parametrize(("name", "dtypes", "rule"), CASES, ids=[name for name, _, _ in CASES])
def test_results_have_the_dtypes_of_the_standard(name: str, dtypes: tuple[str, ...], rule: Rule) -> None:
    two = SIGNATURES[name].startswith("(x1")
    assert two or name not in TWO
    vector = name in ("cumulative_sum", "cumulative_prod", "linalg.outer")
    for dtype in dtypes:
        x = np.ceil(VECTOR * 4 if vector else SQUARE).astype(dtype)
        if name in ("acos", "asin", "atanh"):
            x = x / np.array(8, dtype)
        operands = (x, x)[: 1 + two]
        for run in (lambda f: f, fg.jit):
            result = tree.leaves(run(function(name))(*operands))
            assert {np.asarray(r).dtype.name for r in result} == {rule(dtype)}, dtype


def promoted() -> Iterator[tuple[str, str, str]]:
    """The standard's table: within a kind the wider one, of both signs the next wider signed one."""
    for group in (SIGNED, UNSIGNED, REAL, COMPLEX):
        for (i, a), (j, b) in itertools.product(enumerate(group), repeat=2):
            yield a, b, group[max(i, j)]
    for (i, a), (j, b) in itertools.product(enumerate(SIGNED), enumerate(UNSIGNED[:3])):
        yield a, b, SIGNED[max(i, j + 1)]
    for (i, a), (j, b) in itertools.product(enumerate(REAL), enumerate(COMPLEX)):
        yield a, b, COMPLEX[max(i, j)]


@pytest.mark.parametrize(("a", "b", "want"), list(promoted()))
def test_promotion(a: str, b: str, want: str) -> None:
    x, y = np.ones((2,), a), np.ones((2,), b)
    assert fnp.result_type(np.dtype(a), np.dtype(b)) == np.dtype(want)
    assert fnp.can_cast(np.dtype(a), np.dtype(want))
    for f in (fnp.add, operator.mul, lambda x, y: fnp.where(x == y, x, y), lambda x, y: fnp.concat([x, y])):
        for left, right in ((x, y), (y, x)):
            assert {np.asarray(run(f)(left, right)).dtype.name for run in (lambda f: f, fg.jit)} == {want}
    kind = np.dtype(a).kind
    for scalar in (1,) if kind in "iu" else (1, 1.0) if kind == "f" else (1, 1.0, 1j):
        for run in (lambda f: f, fg.jit):
            assert np.asarray(run(lambda x, scalar=scalar: x + scalar)(x)).dtype.name == a


KINDS = {
    "b": "bool",
    "i": "signed integer",
    "u": "unsigned integer",
    "f": "real floating",
    "c": "complex floating",
}


def test_data_type_functions() -> None:
    for name in ALL:
        dtype = np.dtype(name)
        assert [k for k in KINDS.values() if fnp.isdtype(dtype, k)] == [KINDS[dtype.kind]]
        assert fnp.isdtype(dtype, "integral") is (dtype.kind in "iu")
        assert fnp.isdtype(dtype, "numeric") is (dtype.kind != "b")
        assert fnp.isdtype(dtype, (dtype, "bool"))
        for copy in (True, False):
            for run in (lambda f: f, fg.jit):
                converted = run(lambda x, copy=copy, dtype=dtype: fnp.astype(x, dtype, copy=copy))(np.ones(2, np.int8))
                assert converted.dtype == dtype
        if dtype.kind in "fc":
            info = fnp.finfo(dtype)
            assert (info.bits, info.dtype) == (np.finfo(dtype).bits, np.finfo(dtype).dtype)
            assert all(type(getattr(info, k)) is float for k in ("eps", "max", "min", "smallest_normal"))
            assert fnp.finfo(np.ones(2, dtype)).max == np.finfo(dtype).max
        if dtype.kind in "iu":
            assert (fnp.iinfo(dtype).bits, fnp.iinfo(dtype).dtype) == (8 * dtype.itemsize, dtype)
            assert fnp.iinfo(dtype).min <= 0 < fnp.iinfo(np.ones(2, dtype)).max


@pytest.mark.parametrize("kind", ["bool", "signed integer", "unsigned integer", "integral", "real floating"])
def test_inspection_lists_what_isdtype_says(kind: str) -> None:
    info = fnp.__array_namespace_info__()
    assert set(info.dtypes(kind=kind)) == {name for name in ALL if fnp.isdtype(np.dtype(name), kind)}
    assert set(info.dtypes()) == set(ALL)
    assert set(info.default_dtypes()) == {"real floating", "complex floating", "integral", "indexing"}
