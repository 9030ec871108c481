"""Rows of linear algebra: factorizations, spectra, solutions, functions of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.rows import Draw, Row, arrays, fixed

SOLVED = "f4 f8"
CHECKS = ("check_nonzero", "check_positive")
TRIANGLE = {"left_side": True, "lower": False, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}


def _regular(*shape: int) -> Callable[[Draw], np.ndarray]:
    """Matrices far from singular, whose eigenvalues and singular values are far from each other."""

    def draw(d: Draw) -> np.ndarray:
        m, n = shape[-2:]
        spread = np.diag(np.arange(1, max(m, n) + 1) * 2.0)[:m, :n]
        return (d.between(shape, -0.4, 0.4) + spread).astype(d.dtype)

    return draw


def _drawn(*samplers: Callable[[Draw], Any]) -> Callable[[Draw], tuple[Any, ...]]:
    return lambda draw: tuple(s(draw) for s in samplers)


def _normal(*shape: int) -> Callable[[Draw], Any]:
    return lambda draw: draw.normal(*shape)


def _exchanges(draw: Draw) -> np.ndarray:
    return np.minimum(np.arange(4) + draw.rng.integers(0, 4, (3, 4)), 5).astype(np.int32)


def _symmetric(x: Any) -> tuple[Any, ...]:
    return ((x + np.swapaxes(x, -1, -2)) * x.dtype.type(0.5),)


def _complex(re: Any, im: Any) -> tuple[Any, ...]:
    return (re + 1j * im,)


def _hermitian(re: Any, im: Any) -> tuple[Any, ...]:
    (z,) = _complex(re, im)
    return ((z + np.conj(np.swapaxes(z, -1, -2))) * re.dtype.type(0.5),)


def _two(re: Any, im: Any, x: Any, y: Any) -> tuple[Any, ...]:
    return (*_complex(re, im), *_complex(x, y))


def _parts(z: Any) -> Any:
    return np.real(z) - 2 * np.imag(z) if np.iscomplexobj(z) else z


def _phaseless(z: Any) -> Any:
    """What does not depend on the phase of each vector."""
    return np.real(z) * np.real(z) + np.imag(z) * np.imag(z)


def _row(name: str, operands: Callable[[Draw], tuple[Any, ...]], variant: str = "", **options: Any) -> Row:
    settings = {"ulps": 64, "slope_ulps": 256, "analytic": False, "normwise": True, "variant": variant, **options}
    return Row(name, operands, SOLVED if variant in ("", "0", "values", "left", "stack") else "f8", **settings)


def _triangular(variant: str, b: tuple[int, ...], **flags: bool) -> Row:
    operands = _drawn(_regular(2, 4, 4), _normal(*b))
    return _row("triangular_solve", operands, variant, params=fixed(**{**TRIANGLE, **flags}))


def _outputs(name: str, operands: Any, count: int, variant: str = "", **options: Any) -> tuple[Row, ...]:
    return tuple(_row(name, operands, f"{variant} {k}".strip(), output=k, **options) for k in range(count))


def _complex_rows(name: str, operands: Any, count: int = 1, **options: Any) -> tuple[Row, ...]:
    settings = {"onward": _parts, "through": _complex, "slope_ulps": 1024, **options}
    if count == 1:
        return (_row(name, operands, "complex", **settings),)
    return _outputs(name, operands, count, "complex", **settings)


SQUARE = _drawn(_regular(2, 4, 4))
COMPLEX = _drawn(_regular(2, 4, 4), lambda draw: draw.between((2, 4, 4), -0.4, 0.4))
RIGHT_SIDES = _drawn(_regular(1, 4, 4), _normal(1, 4, 4), _normal(1, 4, 3), _normal(1, 4, 3))
ROTATIONS = np.kron(np.diag([1.0, 3.0]), [[1.0, 2.0], [-2.0, 1.0]])
TURNING = _drawn(lambda draw: (draw.between((2, 4, 4), -0.3, 0.3) + ROTATIONS).astype(draw.dtype))
ROWS: tuple[Row, ...] = (
    # factorizations
    _row("cholesky", SQUARE, through=_symmetric),
    _row("cholesky", _drawn(_regular(1, 12, 12)), "large", through=_symmetric),
    _row("cholesky", arrays((3, 0, 0)), "empty"),
    _row("lu", SQUARE),
    _row("lu", _drawn(_regular(1, 5, 3)), "tall"),
    _row("lu", _drawn(_regular(1, 3, 5)), "wide"),
    *(_row("lu", SQUARE, f"output {k}", output=k, smooth=False, normwise=False, ulps=0) for k in (1, 2)),
    Row("lu_pivots_to_permutation", lambda draw: (_exchanges(draw),), "f8", fixed(size=6)),
    *_outputs("qr", SQUARE, 2, "square", params=fixed(full_matrices=False)),
    *_outputs("qr", _drawn(_regular(1, 5, 3)), 2, "tall", params=fixed(full_matrices=False)),
    *_outputs("qr", _drawn(_regular(1, 3, 5)), 2, "wide", params=fixed(full_matrices=False)),
    *_outputs("qr", _drawn(_regular(1, 5, 3)), 2, "complete", params=fixed(full_matrices=True), smooth=False),
    *_outputs("geqrf", _drawn(_regular(1, 5, 3)), 2, smooth=False),
    _row("householder_product", _drawn(_normal(2, 5, 3), _normal(2, 3)), smooth=False),
    *_outputs("hessenberg", SQUARE, 2, smooth=False),
    *_outputs("tridiagonal", SQUARE, 4, params=fixed(lower=True), smooth=False),
    # spectra
    *_outputs("eigh", SQUARE, 2, through=_symmetric, params=fixed(compute_vectors=True)),
    _row("eigh", SQUARE, "values", through=_symmetric, params=fixed(compute_vectors=False)),
    *_outputs("svd", SQUARE, 3, "square", params=fixed(full_matrices=False, compute_uv=True)),
    *_outputs("svd", _drawn(_regular(1, 5, 3)), 3, "tall", params=fixed(full_matrices=False, compute_uv=True)),
    *_outputs("svd", _drawn(_regular(1, 3, 5)), 3, "wide", params=fixed(full_matrices=False, compute_uv=True)),
    _row("svd", SQUARE, "values", params=fixed(full_matrices=False, compute_uv=False)),
    *_outputs("schur", SQUARE, 2, smooth=False),
    # solutions
    _triangular("left", (2, 4, 3)),
    _triangular("lower", (2, 4, 3), lower=True),
    _triangular("transposed", (2, 4, 3), transpose_a=True),
    _triangular("lower transposed unit", (2, 4, 3), lower=True, transpose_a=True, unit_diagonal=True),
    _triangular("right", (2, 3, 4), left_side=False),
    _triangular("right lower unit", (2, 3, 4), left_side=False, lower=True, unit_diagonal=True),
    _triangular("right transposed", (2, 3, 4), left_side=False, transpose_a=True),
    _row("solve", _drawn(_regular(2, 4, 4), _normal(2, 4, 3))),
    _row("solve", _drawn(_regular(1, 10, 10), _normal(1, 10, 2)), "large"),
    _row("solve", _drawn(_regular(1, 3, 3), _normal(1, 3, 0)), "nothing"),
    _row("solve", _drawn(_regular(33, 5, 5), _normal(33, 5, 1)), "stack"),
    _row("inv", SQUARE),
    _row("tridiagonal_solve", _drawn(_normal(2, 5), lambda d: d.off((2, 5), 6, 9), _normal(2, 5), _normal(2, 5, 2))),
    *(Row(name, lambda draw: (draw.between((3, 18), 1, 2),), SOLVED, fixed(message="zero")) for name in CHECKS),
    # functions
    _row("det", SQUARE),
    _row("det", _drawn(_regular(33, 5, 5)), "stack"),
    _row("cofactors", SQUARE),
    *_outputs("slogdet", SQUARE, 2),
    _row("expm", lambda draw: (draw.between((2, 4, 4), -1, 1),), slope_ulps=512),
    _row("pinv", _drawn(_regular(1, 5, 3), lambda d: np.full((1,), 1e-6, d.dtype)), params=fixed(hermitian=False)),
    # equations
    _row("sylvester", _drawn(_regular(1, 4, 4), _regular(1, 3, 3), _normal(1, 4, 3))),
    *_complex_rows("sqrtm", COMPLEX),
    *_outputs("rsf2csf", _drawn(lambda draw: np.triu(draw.normal(2, 4, 4)), _regular(2, 4, 4)), 2, smooth=False),
    # complex numbers
    *_complex_rows("cholesky", COMPLEX, through=_hermitian),
    *_complex_rows("lu", COMPLEX),
    *_complex_rows("qr", COMPLEX, 2, params=fixed(full_matrices=False)),
    *_complex_rows("qr", _drawn(_regular(1, 3, 5), _normal(1, 3, 5)), params=fixed(full_matrices=False), output=1),
    *_complex_rows("eigh", COMPLEX, 2, params=fixed(compute_vectors=True), through=_hermitian, onward=_phaseless),
    *_complex_rows("svd", COMPLEX, 3, params=fixed(full_matrices=False, compute_uv=True), onward=_phaseless),
    *_complex_rows("eig", COMPLEX, 2, params=fixed(compute_vectors=True)),
    *_outputs("eig", SQUARE, 2, "real", params=fixed(compute_vectors=True), onward=_parts),
    *_outputs("eig", TURNING, 2, "conjugate pairs", params=fixed(compute_vectors=True), onward=_phaseless),
    _row("eig", TURNING, "values", params=fixed(compute_vectors=False), onward=_parts),
    *_complex_rows("triangular_solve", RIGHT_SIDES, through=_two, params=fixed(**{**TRIANGLE, "lower": True})),
    *(
        _row(
            "triangular_solve",
            RIGHT_SIDES,
            f"complex conjugate {'transposed' * flip}",
            through=_two,
            onward=_parts,
            params=fixed(**{**TRIANGLE, "transpose_a": flip, "conjugate_a": True}),
            slope_ulps=1024,
        )
        for flip in (False, True)
    ),
    *_complex_rows("solve", RIGHT_SIDES, through=_two),
    *_complex_rows("inv", COMPLEX),
    *_complex_rows("det", COMPLEX),
    *_complex_rows("cofactors", COMPLEX),
    *_complex_rows("slogdet", COMPLEX, 2),
    *_complex_rows("expm", lambda draw: tuple(draw.between((1, 3, 3), -1, 1) for _ in range(2))),
    _row(
        "pinv",
        lambda draw: (_regular(1, 5, 3)(draw), draw.normal(1, 5, 3), np.full((1,), 1e-6, draw.dtype)),
        "complex",
        params=fixed(hermitian=False),
        through=lambda re, im, limit: (*_complex(re, im), limit),
        onward=_parts,
        slope_ulps=1024,
    ),
)
