"""Which numbers does JAX give?  ``python -m tests.random.record`` writes them to recorded.json, with JAX at hand.

The calls are those of `CALLS`, with 64-bit dtypes switched on; the tests need the file only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tests.random.odd import ODD

PATH = Path(__file__).parent / "recorded.json"
SEED = 20261122
NAMES: dict[str, Any] = {
    "np": np,
    "f2": np.float16,
    "f4": np.float32,
    "f8": np.float64,
    "bf": ml_dtypes.bfloat16,
    "a": np.linspace(0.1, 9, 5),
    "grid": np.arange(12.0).reshape(3, 4) / 5,
    "p": np.array([0.1, 0.2, 0.3, 0.2, 0.2]),
    "cov": np.eye(3) + 1,
    "nan": np.nan,
    "inf": np.inf,
}

# the numbers are the same to the last bit
EXACT = (
    "split(key, 3)", "split(key, (2, 2))", "fold_in(key, 77)", "PRNGKey(-1)", "PRNGKey(2**40 + 3)",
    "PRNGKey(np.int32(-1))", "PRNGKey(np.uint64(2**63 + 1))", "PRNGKey(np.int8(-3))", "bits(key)", "uniform(key)",
    *(f"bits(key, (2, 3), np.uint{n})" for n in (8, 16, 32, 64)),
    *(f"uniform(key, (5,), {dtype})" for dtype in ("bf", "f2", "f4", "f8")),
    *(f"bernoulli(key, {dtype}(0.3), (9,))" for dtype in ("bf", "f2", "f4", "f8")),
    *(f"bernoulli(key, {dtype}(0.3), (9,), mode='high')" for dtype in ("bf", "f2", "f4", "f8")),
    *(f"randint(key, (5,), 3, 100, np.{sign}int{n})" for sign in ("", "u") for n in (8, 16, 32, 64)),
    *(f"randint(key, (5,), 5, 2, np.{sign}int{n})" for sign in ("", "u") for n in (8, 64)),
    *(f"randint(key, (3, 2), np.array([0, 4]), np.array([5, 100000]), np.int{n})" for n in (8, 16, 32, 64)),
    "randint(key, (5,), -100000, 100000)", "randint(key, (5,), -2**63, 2**63 - 1)", "randint(key, (5,), 0, 2**40)",
    "randint(key, (5,), 0.5, 3.7)", "randint(key, (5,), 0, 256, np.uint8)", "randint(key, (5,), -128, 128, np.int8)",
    "randint(key, (5,), 0, 2**32, np.uint32)", "randint(key, (5,), 0, 2**31, np.int32)",
    "randint(key, (5,), 1, 70000, np.uint32)", "randint(key, (5,), 0, 3 * 2**61)",
    "rademacher(key, (9,))", "rademacher(key, (3,), f4)",
    "permutation(key, 9)", "permutation(key, 2000)[:9]", "permutation(key, grid)", "permutation(key, grid, 1)",
    "permutation(key, grid, 1, independent=True)", "permutation(key, grid, 0, independent=True)",
    "choice(key, 20, (7,))", "choice(key, 20, (7,), replace=False)", "choice(key, grid, (2, 2), axis=1)",
    "choice(key, 5, ())", "choice(key, a, (7,), p=p)", "choice(key, a, (3,), replace=False, p=p)",
    "categorical(key, grid)", "categorical(key, grid, axis=0)", "categorical(key, grid, axis=0, shape=(2, 4))",
    "categorical(key, np.log(p).astype(f4), shape=(7,))", "categorical(key, grid, mode='high')",
    "geometric(key, a / 10)", "geometric(key, f4(0.2), (5,), np.int32)",
    "poisson(key, np.linspace(0, 30, 9))", "poisson(key, np.linspace(0, 9, 9), dtype=np.int32)",
    "poisson(key, 50.0, (5,))", "poisson(key, np.array([-1.0, np.nan, 0.0, 3.0]))",
    "binomial(key, np.floor(a * 10), 0.3)", "binomial(key, np.floor(a * 100), 0.7)",
    "binomial(key, f4(50), f4(0.4), (5,), f4)",
    "binomial(key, np.array([np.nan, -1.0, np.inf, 5, 5, 5]), np.array([0.5, 0.5, 0.5, np.nan, -0.1, 1.0]))",
    "multinomial(key, 70, p, shape=(2, 5))",
)  # fmt: skip
# ... and here within rounding
ROUNDED = (
    *(
        f"{name}(key, (5,), {dtype})"
        for name in ("normal", "exponential", "gumbel", "laplace", "logistic", "cauchy", "maxwell")
        for dtype in ("f2", "f4", "f8")
    ),
    *(f"normal(key, (5,), {dtype})" for dtype in ("bf", "np.complex64", "np.complex128")),
    *(f"gumbel(key, (5,), {dtype}, mode='{mode}')" for dtype in ("f4", "f8") for mode in ("high", "highest")),
    *(f"uniform(key, (5,), {dtype}, -2.5, 7.3)" for dtype in ("f2", "f4", "f8")),
    *(f"truncated_normal(key, {dtype}(-1), {dtype}(2), (5,), {dtype})" for dtype in ("bf", "f2", "f4", "f8")),
    *(f"gamma(key, a, dtype={dtype})" for dtype in ("f4", "f8")),
    *(f"loggamma(key, a, dtype={dtype})" for dtype in ("f4", "f8")),
    "normal(key)", "gamma(key, 2.0)", "gamma(key, 2.0, (3, 2))", "beta(key, a, 1.5)", "dirichlet(key, a, (2,))",
    "t(key, a)", "chisquare(key, a)", "f(key, a, 3.0)", "generalized_normal(key, 1.5, (5,))", "ball(key, 3, 1.5, (2,))",
    "pareto(key, a)", "weibull_min(key, 2.0, a, (5,))", "rayleigh(key, a)", "wald(key, a)",
    "triangular(key, 0.0, 0.05, a)", "lognormal(key, a / 9)", "lognormal(key, 1.0, (3,), np.complex128)",
    "double_sided_maxwell(key, a, 2.0, (2,))", "multivariate_normal(key, np.zeros(3), cov, (2,))",
    "multivariate_normal(key, np.ones(3), cov + np.diag(a[:3]), (2,), method='eigh')",
    "orthogonal(key, 3, (2,))", "orthogonal(key, 3, m=2)", "orthogonal(key, 2, m=3)",
    "orthogonal(key, 3, (), np.complex128)",
)  # fmt: skip


def call(text: str, random: Any) -> np.ndarray:
    """The value of a call, `random` being the module to take the function from, and transformations from its parent."""
    package = sys.modules[random.__name__.split(".")[0]]
    functions = {name: getattr(random, name) for name in dir(random) if not name.startswith("_")}
    functions |= {name: getattr(package, name) for name in ("jit", "grad", "vmap")} | {"scan": package.lax.scan}
    return np.asarray(eval(text, {**functions, **NAMES, "key": random.PRNGKey(SEED)}))


def portable(x: np.ndarray) -> dict[str, Any]:
    """Dtype, shape and numbers; complex ones as pairs."""
    parts = x.view(f"f{x.dtype.itemsize // 2}") if x.dtype.kind == "c" else x
    kept = parts.astype(np.float64) if parts.dtype == NAMES["bf"] else parts
    return {"dtype": x.dtype.name, "shape": list(x.shape), "values": kept.ravel().tolist()}


def main() -> None:
    """Write the file."""
    import jax

    jax.config.update("jax_enable_x64", True)
    found = {text: portable(call(text, jax.random)) for text in (*EXACT, *ROUNDED, *ODD)}
    rows = ",\n".join(f"{json.dumps(text)}: {json.dumps(row)}" for text, row in found.items())
    PATH.write_text("{\n" + rows + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
