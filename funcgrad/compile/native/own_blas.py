"""What multiplies matrices where there is no BLAS?  Routines of our own, or calls of C's interface to one.

They have the names and parameters (addresses, column-major) that the kernels of `gemm` call. Real matrices are
multiplied in `tiles`; complex products are plain sums.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcgrad.compile.native.gemm import DTYPES
from funcgrad.compile.native.text import Function, Module, Value, Variable
from funcgrad.compile.native.vectors import REALS

_GEMM = "transa transb m n k alpha a lda b ldb beta c ldc".split()
_GEMV = "trans m n alpha a lda x incx beta y incy".split()
_COLUMN_MAJOR, _AS_IS, _TRANSPOSED = 102, 111, 112  # of cblas.h


def define(module: Module, dtypes: Iterable[str], cblas: bool) -> None:
    """Define ``fg_sgemm``, ``fg_sgemv`` and their like; with `cblas` they call ``cblas_sgemm`` and its like."""
    for dtype in dtypes:
        letter, real, _ = DTYPES[dtype]
        routines = {"gemv": _GEMV} if dtype in REALS and not cblas else {"gemm": _GEMM, "gemv": _GEMV}
        for routine, names in routines.items():
            with module.function(f"fg_{letter}{routine}", "void", **dict.fromkeys(names, "ptr")) as f:
                if cblas:
                    _call_cblas(f, letter, routine, names, real)
                elif dtype[0] == "c":
                    _complex(f, dtype, routine)
                else:
                    _real(f, dtype)
                f.ret()
        if not cblas and dtype[0] == "c":
            _define_complex_product(module, dtype)
        elif not cblas:
            _define_columns(module, dtype)
            _define_dots(module, dtype)


def _call_cblas(f: Function, letter: str, routine: str, names: list[str], real: str) -> None:
    values = [f.constant("i32", _COLUMN_MAJOR)]
    for name in names:
        place = getattr(f, name)
        if name.startswith("trans"):
            values.append(f.select(_as_is(f, place), f.constant("i32", _AS_IS), f.constant("i32", _TRANSPOSED)))
        elif name in ("alpha", "beta") and letter in "sd":
            values.append(f.load(place, 0, real))
        elif name in ("a", "b", "c", "x", "y", "alpha", "beta"):
            values.append(place)
        else:
            values.append(f.load(place, 0, "i32"))  # the low half
    f.call(f"cblas_{letter}{routine}", *values, returns="void")


def _as_is(f: Function, flag: Value) -> Value:
    return f.load(flag).is_(ord("N"))


def _operand(f: Function, place: Value, leading: Value, flag: Value) -> tuple[Value, Value, Value]:
    """``op(A)`` of a column-major A."""
    one, far, as_is = f.constant("i64", 1), f.load(leading), _as_is(f, flag)
    return place, f.select(as_is, one, far), f.select(as_is, far, one)


def _real(f: Function, dtype: str) -> None:
    """A matrix and a vector."""
    _, real, _ = DTYPES[dtype]
    parts = f.load(f.m), f.load(f.n), f.load(f.alpha, 0, real), f.a, f.load(f.lda), f.x, f.load(f.incx)
    result = f.load(f.beta, 0, real), f.y, f.load(f.incy)
    f.choose(
        _as_is(f, f.trans),
        lambda: f.call(f"fg_own_columns_{dtype}", *parts, *result, returns="void"),
        lambda: f.call(f"fg_own_dots_{dtype}", *parts, *result, returns="void"),
    )


def _complex(f: Function, dtype: str, routine: str) -> None:
    _, real, _ = DTYPES[dtype]
    scalars = f.load(f.alpha, 0, real), f.load(f.beta, 0, real)
    one = f.constant("i64", 1)
    if routine == "gemm":
        sizes = f.load(f.m), f.load(f.n), f.load(f.k)
        a, b = _operand(f, f.a, f.lda, f.transa), _operand(f, f.b, f.ldb, f.transb)
        c = f.c, one, f.load(f.ldc)
    else:
        as_is, rows, columns = _as_is(f, f.trans), f.load(f.m), f.load(f.n)
        sizes = f.select(as_is, rows, columns), one, f.select(as_is, columns, rows)
        a, b, c = _operand(f, f.a, f.lda, f.trans), (f.x, f.load(f.incx), one), (f.y, f.load(f.incy), one)
    f.call(f"fg_own_product_{dtype}", *sizes, *a, *b, *scalars, *c, returns="void")


_SIZES = dict.fromkeys("mnk", "i64")
_OPERANDS = {"a": "ptr", "a_row": "i64", "a_k": "i64", "b": "ptr", "b_k": "i64", "b_column": "i64"}


def _define_complex_product(module: Module, dtype: str) -> None:
    """``C = alpha A B + beta C`` with real alpha and beta, element by element."""
    _, real, size = DTYPES[dtype]
    kinds = {**_SIZES, **_OPERANDS, "alpha": real, "beta": real, "c": "ptr", "c_row": "i64", "c_column": "i64"}
    with module.function(f"fg_own_product_{dtype}", "void", **kinds) as f:
        zero = f.constant(real, "0.0")
        half = size // 2
        with f.range(f.n) as column, f.range(f.m) as row:
            re, im = f.variable(real, zero), f.variable(real, zero)
            with f.range(f.k) as k:
                a = f.a + (row * f.a_row + k * f.a_k) * size
                b = f.b + (k * f.b_k + column * f.b_column) * size
                x, y, u, v = (f.load(place, at, real) for place in (a, b) for at in (0, half))
                _add(f, real, re, _times(f, real, x, u))
                _add(f, real, re, _times(f, real, _times(f, real, y, v), f.constant(real, "-1.0")))
                _add(f, real, im, _times(f, real, x, v))
                _add(f, real, im, _times(f, real, y, u))
            place = f.c + (row * f.c_row + column * f.c_column) * size
            for at, total in ((0, re), (half, im)):
                _put(f, real, place + at, _times(f, real, total.get(), f.alpha))
        f.ret()


def _times(f: Function, real: str, x: Value, y: Value) -> Value:
    return f.emit(real, f"fmul {x}, {y.name}")


def _add(f: Function, real: str, total: Variable, x: Value) -> None:
    total.set(f.emit(real, f"fadd {total.get()}, {x.name}"))


def _put(f: Function, real: str, place: Value, x: Value) -> None:
    """``*place = x + beta * *place``, where a beta of zero forgets what lies there."""
    none = f.emit("i1", f"fcmp oeq {f.beta}, 0.0")
    kept = f.select(none, f.constant(real, "0.0"), _times(f, real, f.load(place, 0, real), f.beta))
    f.store(f.emit(real, f"fadd {x}, {kept.name}"), place)


def _scaled(f: Function, real: str, count: Value, place: Value, apart: Value, size: int) -> None:
    """Multiply `count` numbers by beta."""
    none = f.emit("i1", f"fcmp oeq {f.beta}, 0.0")
    with f.if_(f.emit("i1", f"fcmp une {f.beta}, 1.0")), f.range(count) as k:
        x = place + k * apart * size
        f.store(f.select(none, f.constant(real, "0.0"), _times(f, real, f.load(x, 0, real), f.beta)), x)


def _vector_parameters(real: str) -> dict[str, str]:
    matrix = {"m": "i64", "n": "i64", "alpha": real, "a": "ptr", "lda": "i64"}
    return {**matrix, "x": "ptr", "incx": "i64", "beta": real, "y": "ptr", "incy": "i64"}


def _define_columns(module: Module, dtype: str) -> None:
    """``y = alpha A x + beta y``, column after column."""
    _, real, size = DTYPES[dtype]
    with module.function(f"fg_own_columns_{dtype}", "void", **_vector_parameters(real)) as f:
        _scaled(f, real, f.m, f.y, f.incy, size)
        with f.range(f.n) as j:
            factor = _times(f, real, f.load(f.x + j * f.incx * size, 0, real), f.alpha)
            column = f.a + j * f.lda * size

            def add(apart: Value | int, factor: Value = factor, column: Value = column) -> None:
                with f.range(f.m) as i:
                    place = f.y + i * apart * size
                    product = _times(f, real, f.load(column + i * size, 0, real), factor)
                    f.store(f.emit(real, f"fadd {f.load(place, 0, real)}, {product.name}"), place)

            f.choose(f.incy.is_(1), lambda add=add: add(1), lambda add=add: add(f.incy))  # type: ignore[misc]
        f.ret()


def _define_dots(module: Module, dtype: str) -> None:
    """``y = alpha A.T x + beta y``, a sum over each column."""
    _, real, size = DTYPES[dtype]
    with module.function(f"fg_own_dots_{dtype}", "void", **_vector_parameters(real)) as f:
        _scaled(f, real, f.n, f.y, f.incy, size)
        with f.range(f.n) as j:
            column, total = f.a + j * f.lda * size, f.variable(real)
            total.set(f.constant(real, "0.0"))

            def add(apart: Value | int, column: Value = column, total: Variable = total) -> None:
                with f.range(f.m) as i:
                    x, y = f.load(column + i * size, 0, real), f.load(f.x + i * apart * size, 0, real)
                    total.set(f.emit(real, f"fadd reassoc {_times(f, real, x, y)}, {total.get().name}"))

            f.choose(f.incx.is_(1), lambda add=add: add(1), lambda add=add: add(f.incx))  # type: ignore[misc]
            place = f.y + j * f.incy * size
            product = _times(f, real, total.get(), f.alpha)
            f.store(f.emit(real, f"fadd {f.load(place, 0, real)}, {product.name}"), place)
        f.ret()
