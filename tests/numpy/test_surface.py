"""Is there every name of JAX and NumPy, or a reason why not?  The table of what is left out in docs/differences.md.

Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the table anew.
"""

from __future__ import annotations

import fnmatch
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.numpy import names
from tests.pages import assert_shows

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"

SPACES: dict[str, tuple[Any, list[str]]] = {
    "jax.numpy": (fnp, names.JAX_NUMPY),
    "jax.numpy.linalg": (fnp.linalg, names.JAX_LINALG),
    "jax.numpy.fft": (fnp.fft, names.JAX_FFT),
    "jax.lax": (fg.lax, names.JAX_LAX),
    "numpy": (fnp, names.NUMPY),
    "numpy.linalg": (fnp.linalg, names.NUMPY_LINALG),
    "numpy.fft": (fnp.fft, names.NUMPY_FFT),
}

DATES = "dates and times have no arithmetic that a program could hold"
STRINGS = "arrays of strings, records and objects are no numbers"
WRITES = "writes into its argument; functions here are pure"
DEVICES = "communication between devices: there is one CPU"
SMALL = "formats of accelerators: bfloat16 and float16 are the narrow floats here"
SETUP = "NumPy's own installation, not arrays"

# namespace: names (with wildcards): why they are left out
REASONS: dict[str, dict[str, str]] = {
    "jax.numpy": {
        "float4_* float6_* float8_*": SMALL,
        "int1 int2 int4 uint1 uint2 uint4": SMALL,
        "complex_ float_": "aliases that NumPy 2 has removed: `complex128`, `float64`",
    },
    "jax.lax": {
        "*_p": "primitives: funcgrad's stand in `funcgrad.ops` under other names",
        "pbroadcast pcast precv psend ragged_all_to_all with_sharding_constraint": DEVICES,
        "after_all create_token dce_sink stage": "they order side effects, which programs here do not have",
        "AccuracyMode Tolerance DotAlgorithm DotAlgorithmPreset": "results are as accurate as their dtype",
        "PrecisionLike DotDimensionNumbers": "names of types in annotations",
        "RaggedDotDimensionNumbers ragged_dot ragged_dot_general scaled_dot": "kernels of accelerators, for groups",
        "RandomAlgorithm rng_bit_generator rng_uniform": "streams that depend on the machine: use `funcgrad.random`",
        "platform_dependent": "there is one platform",
        "composite": "names a subprogram for other compilers",
        "conv_general_permutations conv_general_shape_tuple conv_shape_tuple conv_transpose_shape_tuple "
        "ConvGeneralDilatedDimensionNumbers": "shapes of convolutions: `eval_shape` tells them",
    },
    "numpy": {
        "busday_* busdaycalendar datetime64 datetime_* is_busday isnat timedelta64": DATES,
        "bytes_ char rec recarray record str_ strings void": STRINGS,
        "copyto putmask": WRITES,
        "clongdouble complex256 float128 longdouble": "float64 is the widest",
        "core ctypeslib dtypes exceptions f2py get_include info lib show_* test testing typing": SETUP,
        "getbufsize setbufsize geterrcall seterrcall": SETUP,
        "broadcast flatiter nditer nested_iters": "iteration over memory, element by element",
        "asmatrix bmat matrix": "NumPy advises against matrices: 2-d arrays and `@`",
        "poly1d polynomial": "polynomials as objects: `polyval`, `polymul`, ... take coefficients",
        "ma": "masked arrays: reductions take `where=`",
        "memmap": "memory of a file: NumPy's own can be an argument",
        "random": "state that changes: `funcgrad.random` has keys",
        "ScalarType sctypeDict typecodes": "tables of types with those that are left out",
        "asarray_chkfinite real_if_close": "the result depends on values, which a program does not know",
        "emath": "the dtype of results depends on values",
        "row_stack": "deprecated: `vstack`",
    },
    "numpy.linalg": {"test": SETUP},
    "numpy.fft": {"test": SETUP},
}


def missing(space: str) -> list[str]:
    module, listed = SPACES[space]
    return [name for name in listed if not hasattr(module, name)]


def reason(space: str, name: str) -> str | None:
    for patterns, why in REASONS.get(space, {}).items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split()):
            return why
    return None


@pytest.mark.parametrize("space", SPACES)
def test_every_name_is_there_or_has_a_reason(space: str) -> None:
    without = [name for name in missing(space) if reason(space, name) is None]
    assert not without, f"of {space}, neither in funcgrad nor left out for a reason: {', '.join(without)}"


@pytest.mark.parametrize("space", REASONS)
def test_every_reason_is_needed(space: str) -> None:
    absent = missing(space)
    for patterns in REASONS[space]:
        for pattern in patterns.split():
            assert fnmatch.filter(absent, pattern), f"{space}: {pattern} is there, or is no name"


def table() -> str:
    """What is left out, as Markdown."""
    lines = ["| namespace | left out | why |", "|---|---|---|"]
    for space, reasons in REASONS.items():
        absent = missing(space)
        for patterns, why in reasons.items():
            shown = [p for p in patterns.split() if fnmatch.filter(absent, p)]
            lines.append(f"| `{space}` | {', '.join(f'`{p}`' for p in shown)} | {why} |")
    return "\n".join(lines)


def test_the_page_shows_the_table() -> None:
    assert_shows(PAGE, "left out", table())


def functions_of_numpy() -> list[str]:
    found = {n: getattr(fnp, n) for n in fnp.__all__}
    return [n for n, f in found.items() if inspect.isfunction(f) and f.__module__ == "funcgrad.numpy"]


@pytest.mark.parametrize("name", functions_of_numpy())
def test_functions_have_docstrings(name: str) -> None:
    assert getattr(fnp, name).__doc__


PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def parameters(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function, as far as it tells."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return []


@pytest.mark.parametrize("space", ["numpy", "numpy.linalg", "numpy.fft"])
def test_signatures_are_numpys(space: str) -> None:
    module, listed = SPACES[space]
    home: Any = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}[space]
    checked = 0
    for name in listed:
        theirs, ours = getattr(home, name, None), getattr(module, name, None)
        if ours is None or not inspect.isfunction(ours) or isinstance(theirs, type | np.ufunc):
            continue
        want, have = parameters(theirs), parameters(ours)
        if not want or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in have):
            continue
        checked += 1
        missing = {p.name for p in want if p.kind not in REST} - {p.name for p in have}
        assert not missing, f"{space}.{name} takes {missing}"
        order, own = ([p.name for p in side if p.kind in PLACED] for side in (want, have))
        assert own[: len(order)] == order, f"{space}.{name}: {own}, NumPy's: {order}"
    assert checked > (10 if space != "numpy" else 150)


# What the parity test cannot call -------------------------------------------------------------------------------------


def test_einsum_path() -> None:
    x = np.ones((2, 3))
    want = np.einsum_path("ij,kj->ik", x, x)
    found: list[Any] = []
    fg.eval_shape(lambda x: found.append(np.einsum_path("ij,kj->ik", x, x)) or x, x)
    assert found == [want]
    assert fnp.einsum_path("ij,kj->ik", x, x) == want


def test_einsum_with_lists_of_labels() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    for call in (
        lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        lambda x, y: np.einsum(x, [0, 1], y, [1, 2]),
        lambda x, y: np.einsum(x, [Ellipsis, 1], y, [1, 2], [2, Ellipsis]),
        lambda x, y: np.einsum("ij,jk", x, y, optimize=True, dtype=np.float32, casting="same_kind"),
        lambda x, y: np.matmul(x.T, y, axes=[(1, 0), (0, 1), (1, 0)]),
    ):
        want = call(x, y)
        got = fg.jit(call)(x, y)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want)
    with pytest.raises(TypeError, match="unexpected keywords: colour"):
        fg.jit(lambda x: np.einsum("ij->j", x, colour=1))(x)


def test_common_type() -> None:
    found: list[Any] = []
    fg.eval_shape(lambda x: found.append(np.common_type(x, x)) or x, np.ones(2, np.float32))
    assert found == [np.float32]
    assert fnp.common_type(np.ones(2, int)) is np.float64


def test_roots() -> None:
    p = np.array([2.0, -6.0, 1.0, 3.0])
    np.testing.assert_allclose(np.sort(fg.jit(np.roots)(p).real), np.sort(np.roots(p)))
    assert fg.vjp(np.roots, np.array([0.0, 1.0, 2.0, 0.0]))[0].shape == (2,)  # known zeros at the ends are taken off
    np.testing.assert_allclose(
        fg.jit(fg.grad(lambda p: np.max(np.roots(p).real)))(np.array([1.0, -3.0, 2.0])), [-4.0, -2.0, -1.0]
    )


def test_polydiv() -> None:
    u, v = np.array([3.0, 5.0, 2.0, 1.0]), np.array([2.0, 1.0])
    for got, want in zip(fg.jit(np.polydiv)(u, v), np.polydiv(u, v), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-15)
    q, r = fg.jit(np.polydiv)(v, u)
    np.testing.assert_array_equal(q, [0.0])
    np.testing.assert_array_equal(r, v)


def test_polyfit() -> None:
    x = np.linspace(-1, 1, 9)
    y = 3 * x**2 - x + 0.5
    fit = fg.jit(lambda x, y: np.polyfit(x, y, 2))
    np.testing.assert_allclose(fit(x, y), [3, -1, 0.5], atol=1e-12)
    weights = np.arange(1.0, 10.0)
    np.testing.assert_allclose(fg.jit(lambda y: np.polyfit(x, y, 1, w=weights))(y), np.polyfit(x, y, 1, w=weights))
    with_cov = lambda y: np.polyfit(x, y, 1, cov=True)  # noqa: E731
    for got, want in zip(fg.jit(with_cov)(y), with_cov(y), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-15)
    slope = fg.grad(lambda y: np.polyfit(x, y, 2)[0])(y)
    step = np.eye(9)[3] * 1e-6
    np.testing.assert_allclose(slope[3], (fit(x, y + step)[0] - fit(x, y - step)[0]) / 2e-6, rtol=1e-6)


KEYS = [
    lambda r, x: r[0.0, x, 1:3],
    lambda r, x: r[x, x],
    lambda r, x: r["0,2", x, x],
    lambda r, x: r["0,2,0", x, x],
    lambda r, x: r["1,2,0", x, x],
    lambda r, x: r[0:1:3j, x],
    lambda r, x: r[x, np.int8(2)],
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["r_", "c_"])
def test_concatenators(name: str, key: Any) -> None:
    x = np.array([1.5, 2.5], np.float32)
    if name == "c_" and key in (KEYS[0], KEYS[5], KEYS[6]):
        with pytest.raises(ValueError, match="must match"):
            key(np.c_, x)
        with pytest.raises(ValueError, match="do not fit"):
            fg.jit(lambda x: key(fnp.c_, x))(x)
        return
    want = key(getattr(np, name), x)
    got = fg.jit(lambda x: key(getattr(fnp, name), x))(x)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(key(getattr(fnp, name), x), want)


def test_grids() -> None:
    np.testing.assert_array_equal(fnp.mgrid[:2, :3], np.mgrid[:2, :3])
    assert type(fnp.mgrid[:2]) is fg.Array
    for got, want in zip(fnp.ogrid[:2, :3], np.ogrid[:2, :3], strict=True):
        np.testing.assert_array_equal(got, want)
    assert fnp.s_[1:2, ...] == np.s_[1:2, ...]


def test_vectorize() -> None:
    @fnp.vectorize
    def step(x: Any, y: Any) -> Any:
        return x * 2 if x > y else y

    x = np.array([[1.0], [3.0]])
    np.testing.assert_array_equal(step(x, np.array([0.0, 2.0])), [[2, 2], [6, 6]])  # known: element by element, with if
    smooth = fnp.vectorize(lambda x, y: (x * y, x + y))
    for got, want in zip(fg.jit(smooth)(x, np.arange(3.0)), (x * np.arange(3.0), x + np.arange(3.0)), strict=True):
        np.testing.assert_array_equal(got, want)
    gram = fnp.vectorize(lambda a, b: np.outer(a, b), signature="(n),(m)->(n,m)")
    a, b = np.arange(6.0).reshape(2, 3), np.arange(2.0)
    np.testing.assert_array_equal(fg.jit(gram)(a, b), np.einsum("bn,m->bnm", a, b))
    scaled = fnp.vectorize(lambda x, n: x**n, excluded={1})
    np.testing.assert_array_equal(fg.jit(lambda x: scaled(x, 3))(a), a**3)
    with pytest.raises(ValueError, match="inconsistent size for core dimension 'n'"):
        fg.jit(fnp.vectorize(lambda a, b: a @ b, signature="(n),(n)->()"))(a, b)
    gradient = fg.grad(lambda x: np.sum(fnp.vectorize(np.sin)(x)))(a)
    np.testing.assert_allclose(gradient, np.cos(a))


def test_frompyfunc() -> None:
    add = fnp.frompyfunc(lambda x, y: x + y, 2, 1)
    np.testing.assert_array_equal(fg.jit(add)(np.arange(3.0), 1.0), [1, 2, 3])
    assert (add.nin, add.nout) == (2, 1)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        add(1.0)


def test_apply_along_axis_differentiates() -> None:
    x = np.arange(6.0).reshape(2, 3)
    gradient = fg.jit(fg.grad(lambda x: np.sum(np.apply_along_axis(lambda v: np.outer(v, v), 0, x))))(x)
    np.testing.assert_allclose(gradient, 2 * np.broadcast_to(x.sum(0), x.shape))


def test_windows_differentiate_by_beta() -> None:
    got = fg.grad(lambda beta: np.sum(np.square(fnp.kaiser(9, beta))))(3.0)
    h = 1e-6
    want = (np.sum(np.kaiser(9, 3 + h) ** 2) - np.sum(np.kaiser(9, 3 - h) ** 2)) / (2 * h)
    np.testing.assert_allclose(got, want, rtol=1e-7)


def test_floats_taken_apart_differentiate() -> None:
    x = np.array([0.3, -5.0, 1e-310])
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(np.frexp(x)[0]))(x)[:2], [2.0, 0.125])
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(np.ldexp(x, 3)))(x), [8, 8, 8])
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(np.modf(x)[0]))(x), [1, 1, 1])
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(np.nextafter(x, 1.0)))(x), [0, 0, 0])
