"""Are complex programs real ones underneath: fused kernels on the same memory, accurate at the edges too?"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.dtypes import BFLOAT16
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.lower.complex import split
from funcgrad.lower.complex_math import FORMULAS
from funcgrad.ops.arithmetic import pow_
from funcgrad.simplify import simplify
from tests.ops.numerics import assert_close

RNG = np.random.default_rng(7)


def draw(*shape: int, dtype: str = "c16") -> np.ndarray:
    return np.asarray(RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def costs(function: Callable[..., Any], *operands: Any) -> tuple[int, int, int]:
    """Kernels, products, and calls of NumPy."""
    found = fg.jit(function).lower(*operands).cost_analysis()
    return found["kernels"], found["products"], found["calls"]


# Programs -------------------------------------------------------------------------------------------------------------


def test_listing() -> None:
    program = split(simplify(fg.make_jaxpr(lambda z: np.conj(z) * 2 + 1j)(draw(3))))
    assert str(program) == (
        "{ lambda ; a:f64[3,2]. let\n"
        "    b:f64[3,1] = slice[limit_indices=(3,1) start_indices=(0,0) strides=(1,1)] a\n"
        "    c:f64[3] = reshape[shape=(3,)] b\n"
        "    d:f64[3,1] = slice[limit_indices=(3,2) start_indices=(0,1) strides=(1,1)] a\n"
        "    e:f64[3] = reshape[shape=(3,)] d\n"
        "    f:f64[3] = neg e\n"
        "    g:f64[3] = mul c 2.0:f64[]\n"
        "    h:f64[3] = mul f 0.0:f64[]\n"
        "    i:f64[3] = sub g h\n"
        "    j:f64[3] = mul c 0.0:f64[]\n"
        "    k:f64[3] = mul f 2.0:f64[]\n"
        "    l:f64[3] = add j k\n"
        "    m:f64[3] = add i 0.0:f64[]\n"
        "    n:f64[3] = add l 1.0:f64[]\n"
        "    o:f64[3,1] = reshape[shape=(3,1)] m\n"
        "    p:f64[3,1] = reshape[shape=(3,1)] n\n"
        "    q:f64[3,2] = concatenate[dimension=1] o p\n"
        "  in (q,) }"
    )


def test_real_programs_stay_as_they_are() -> None:
    program = fg.make_jaxpr(lambda x: np.sin(x) + 1)(np.ones(3))
    assert split(program) is program


def test_a_split_program_computes_the_same_on_the_same_memory() -> None:
    z, w = draw(4, 3), draw(3, 5)
    program = simplify(fg.make_jaxpr(lambda z, w: (np.exp(z) @ w, np.sum(z), abs(z), z.T, z == 1))(z, w))
    real = check(split(program))
    assert all(v.type.dtype.kind != "c" for v in (*real.inputs, *real.outputs))
    seen = [x.view("f8").reshape(*x.shape, 2) for x in (z, w)]
    for got, want in zip(interpret(real, seen), interpret(program, [z, w]), strict=True):
        if want.dtype.kind == "c":
            got = np.ascontiguousarray(got).view("c16")[..., 0]
        np.testing.assert_allclose(got, want, rtol=1e-14)


FUSED: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda z, w: (z * w - 1j) / (w + 2) + np.conj(z),
    "mathematics": lambda z, w: np.exp(z) * np.sin(w) + np.log(z) * np.sqrt(w) - np.tanh(z) ** w,
    "shapes": lambda z, w: np.where(z.real > 0, z, w[::-1])[:, ::2] * np.flip(w, 1)[:, 1::2],
    "to real and back": lambda z, w: abs(z) ** 2 + 1j * np.angle(w),
    "comparisons": lambda z, w: np.maximum(z, w) + (z > w) * (z == z),
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_one_kernel(name: str, dtype: str) -> None:
    z, w = draw(40, 60, dtype=dtype), draw(40, 60, dtype=dtype)
    assert costs(FUSED[name], z, w) == (1, 0, 0)
    want = FUSED[name](z, w)
    assert_close(fg.jit(FUSED[name])(z, w), want, 40, np.full(want.shape, np.max(np.abs(want))))


def test_a_gradient_is_one_pass_too() -> None:
    z = draw(2000)
    gradient = fg.grad(lambda z: np.sum(abs(np.exp(z) - 1j) ** 2))
    kernels, *others = costs(gradient, z)
    assert (kernels, others) == (1, [0, 0])
    np.testing.assert_allclose(fg.jit(gradient)(z), 2 * np.conj(np.exp(z) - 1j) * np.exp(z), rtol=1e-12)


def test_a_sum_reads_the_memory_once() -> None:
    z = draw(300, 300)
    assert costs(lambda z: np.sum(z * z), z)[1:] == (0, 0)
    np.testing.assert_allclose(fg.jit(lambda z: np.sum(z * z, axis=0))(z), np.sum(z * z, axis=0), rtol=1e-12)


PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[int, int, int]]] = {
    "plain": (lambda a, b: a @ b, (0, 1, 0)),
    "transposed": (lambda a, b: a.T @ b.T, (0, 1, 0)),
    "adjoint": (lambda a, b: np.conj(a).T @ b, (1, 1, 0)),
    "fused before and after": (lambda a, b: np.exp(a) @ b + 1, (2, 1, 0)),
    "vector": (lambda a, b: a @ b[0], (1, 0, 0)),
    "axes elsewhere": (lambda a, b: np.einsum("ij,kj->ki", a, b), (0, 1, 0)),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_products(name: str, dtype: str) -> None:
    function, expected = PRODUCTS[name]
    a, b = draw(20, 20, dtype=dtype), draw(20, 20, dtype=dtype)
    assert costs(function, a, b) == expected
    want = function(a, b)
    assert_close(fg.jit(function)(a, b), want, 20, np.full(want.shape, np.max(np.abs(want))))


@pytest.mark.parametrize("equation", ["bijk,bkjl->bil", "bijk,bkml->bijml", "ijkb,kjlb->bil"])
def test_products_of_axes_in_any_order(equation: str) -> None:
    shapes = {"b": 12, "i": 4, "j": 9, "k": 9, "l": 10, "m": 3}
    x, y = (draw(*(shapes[k] for k in part)) for part in equation.partition("->")[0].split(","))
    want = np.einsum(equation, x, y)
    np.testing.assert_allclose(fg.jit(lambda x, y: np.einsum(equation, x, y))(x, y), want, rtol=1e-11, atol=1e-12)


def test_empty_products_and_arrays() -> None:
    assert_close(fg.jit(lambda a, b: a @ b)(draw(3, 0), draw(0, 4)), np.zeros((3, 4), complex), 0)
    assert_close(fg.jit(lambda z: np.exp(z) * 2)(draw(0, 3)), np.zeros((0, 3), complex), 0)
    assert_close(fg.jit(lambda z: z * 2)(np.complex64(1j)), np.complex64(2j), 0)


def test_constants_scalars_and_outputs_that_are_inputs() -> None:
    c = draw(3)
    function = fg.jit(lambda z, s: (z * c + s, z, c, 1j * s))
    z = draw(3)
    for s in (2.5 - 1j, np.complex128(1j), np.float32(2)):
        for got, want in zip(function(z, s), (z * c + s, z, c, 1j * s), strict=True):
            assert_close(got, np.asarray(want), 2)


def test_what_has_no_formula_is_a_call_between_kernels() -> None:
    z = draw(50)

    def function(z: Any) -> Any:
        return np.arcsin(z * 2) + np.cosh(z)

    assert costs(function, z) == (2, 0, 1)
    np.testing.assert_allclose(fg.jit(function)(z), function(z), rtol=1e-14)


def test_loops_and_branches() -> None:
    z = draw(6) / 2

    def function(z: Any) -> Any:
        last, all_ = fg.lax.scan(lambda c, a: (c * a + 1j, c), z[0], z)
        return fg.lax.cond(np.real(last) > 0, lambda c: c * 2, np.conj, last), all_

    for got, want in zip(fg.jit(function)(z), function(z), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    gradient = fg.grad(lambda z: np.sum(abs(function(z)[1])))
    np.testing.assert_allclose(fg.jit(gradient)(z), gradient(z), rtol=1e-13)


def test_views_of_arguments_in_any_layout() -> None:
    wide = draw(6, 8)
    for z in (wide[::2, 1::3], wide.T, wide[:, ::-1], wide.astype(">c16")):
        assert_close(fg.jit(lambda z: z * 1j)(z), np.ascontiguousarray(z).astype("c16") * 1j, 0)


def test_python_source_runs() -> None:
    a, b = draw(4, 5), draw(5, 3)
    function = fg.jit(lambda a, b: (np.exp(a) @ b, np.arcsin(a)))
    namespace: dict[str, Any] = {}
    exec(function.lower(a, b).as_text("python"), namespace)
    for got, want in zip(namespace["run"](a, b), function(a, b), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


# Accuracy -------------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "abs": (abs, 2), "sqrt": (mpmath.sqrt, 3), "exp": (mpmath.exp, 4), "log": (mpmath.log, 4),
    "sin": (mpmath.sin, 6), "cos": (mpmath.cos, 6), "tan": (mpmath.tan, 8),
    "sinh": (mpmath.sinh, 6), "cosh": (mpmath.cosh, 6), "tanh": (mpmath.tanh, 8),
    "expm1": (mpmath.expm1, 8), "log1p": (lambda z: mpmath.log(1 + z), 6), "rsqrt": (lambda z: 1 / mpmath.sqrt(z), 5),
}  # fmt: skip


def everywhere(count: int, spread: float) -> np.ndarray:
    """Numbers of all magnitudes and angles, some of them next to an axis or to 1."""
    rng = np.random.default_rng(3)
    size = 10.0 ** rng.uniform(-spread, spread, count)
    z = size * np.exp(1j * rng.uniform(-np.pi, np.pi, count))
    return np.concatenate([z, z.real + 1e-12j, 1 + z * 1e-3, 1e-12 + 1j * z.imag])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name: str) -> None:
    truth, ulps = FUNCTIONS[name]
    oscillating = name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1")
    z = everywhere(60, 2 if oscillating else 100)
    primitive: Any = registry[name]
    with mpmath.workdps(250):
        want = np.array([complex(truth(mpmath.mpc(x))) for x in z])
    assert_close(fg.jit(primitive)(z), want if name != "abs" else want.real, ulps)


EXTREMES: list[tuple[str, complex, complex]] = [
    ("abs", 3e200 + 4e200j, 5e200), ("abs", 3e-200 + 4e-200j, 5e-200), ("abs", complex(5e-324, 0), 5e-324),
    ("abs", complex(np.nan, np.inf), np.inf),
    ("sqrt", 1e308 + 1e308j, cmath.sqrt(1e308 + 1e308j)), ("sqrt", 4e-320j, cmath.sqrt(4e-320j)),
    ("sqrt", complex(-4, -0.0), -2j), ("sqrt", complex(-4, 0.0), 2j),
    ("sqrt", complex(np.nan, np.inf), complex(np.inf, np.inf)),
    ("log", 1e308 + 1e308j, cmath.log(1e308 + 1e308j)), ("log", 1e-310j, cmath.log(1e-310j)),
    ("log", complex(-1, -0.0), -1j * np.pi), ("log", 0j, complex(-np.inf, 0)),
    ("exp", complex(710, 1.57), cmath.exp(complex(709, 1.57)) * np.e), ("exp", complex(np.inf, 0), complex(np.inf, 0)),
    ("exp", complex(-np.inf, np.nan), 0j),
    ("sinh", complex(710.2, 1.0), cmath.rect(np.exp(709) / 2 * np.exp(1.2), 1)),
    ("tanh", complex(400, 1), 1), ("tanh", complex(np.inf, np.inf), 1), ("tan", complex(1, 800), 1j),
]  # fmt: skip


@pytest.mark.parametrize(("name", "z", "want"), EXTREMES, ids=str)
def test_extremes(name: str, z: complex, want: complex) -> None:
    got = complex(fg.jit(registry[name])(np.array([z]))[0])  # type: ignore[arg-type]
    for x, y in ((got.real, complex(want).real), (got.imag, complex(want).imag)):
        assert x == pytest.approx(y, rel=1e-13, abs=0 if abs(y) > 1e-300 else 1e-300, nan_ok=True)


def test_quotients_do_not_overflow() -> None:
    z, w = np.array([1e300 + 1e300j, 1e-300j, 1, 1j, np.inf]), np.array([1e300 - 1e300j, 1e-300, 0, 0, 0])
    with np.errstate(all="ignore"):
        assert_close(fg.jit(lambda z, w: z / w)(z, w.astype(complex)), z / w, 1)


def test_powers_at_zero_and_one() -> None:
    z = np.array([0, 0, 0, 0, 1j, 2.5, complex(np.inf, 1)], complex)
    w = np.array([0, 2, 1 + 5j, -1, 0, 1, 1], complex)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(fg.jit(pow_)(z, w), np.power(z, w))


def test_bits_of_bfloat16() -> None:
    bits, bfloat16 = np.array([0x3F80, 0xC000, 0x0000], np.uint16), BFLOAT16
    reinterpreted = fg.lax.bitcast_convert_type
    odd = fg.jit(lambda x: reinterpreted(x | np.uint16(1), bfloat16) + bfloat16.type(0))(bits)
    assert odd.dtype == bfloat16
    assert np.array_equal(odd.view(np.uint16), bits | 1)
    doubled = fg.jit(lambda x: reinterpreted(x + x, np.int16))(bits.view(bfloat16))
    assert np.array_equal(doubled, (bits.view(bfloat16) * 2).view(np.int16))


def test_every_formula_belongs_to_a_primitive() -> None:
    assert set(FORMULAS) <= set(registry)
