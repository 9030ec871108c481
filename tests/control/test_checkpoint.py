"""Does `checkpoint` keep results and save memory, under every policy?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.primitive import registry
from tests.ops.numerics import assert_near

X = np.array([0.5, 1.0, 2.0])
W = np.random.default_rng(0).normal(size=(3, 3))
P = fg.checkpoint_policies
POLICIES = {
    "none": None,
    "dots": P.dots_saveable,
    "dots without batches": P.dots_with_no_batch_dims_saveable,
    "everything": P.everything_saveable,
    "nothing": P.nothing_saveable,
    "names": P.save_only_these_names("sine"),
    "other names": P.save_any_names_but_these("sine"),
    "but names": P.save_anything_except_these_names("sine"),
    "both": P.save_from_both_policies(P.dots_saveable, P.save_only_these_names("sine")),
}


def block(x: Any) -> Any:
    """A layer with a product, and a value that has a name."""
    return fg.ad_checkpoint.checkpoint_name(np.sin(np.tanh(W @ x)), "sine") * x


def loss(layer: Any) -> Any:
    """Three layers."""
    return lambda x: np.sum(layer(layer(layer(x))) ** 2)


GRADIENT = fg.grad(loss(block))(X)
HESSIAN = fg.hessian(loss(block))(X)


@pytest.mark.parametrize("name", POLICIES)
def test_results_stay(name: str) -> None:
    layer = fg.checkpoint(block, policy=POLICIES[name])
    assert_near(layer(X), block(X), 0)
    slopes_stay(loss(layer))
    assert_near(fg.jacrev(fg.jacrev(loss(layer)))(X), HESSIAN, 1e-11)


@pytest.mark.parametrize("name", [pytest.param("none", marks=pytest.mark.slow), "both"])
def test_results_stay_in_compiled_programs(name: str) -> None:
    f = loss(fg.checkpoint(block, policy=POLICIES[name]))
    slopes_stay(fg.jit(f))
    assert_near(fg.jit(fg.hessian(f))(X), HESSIAN, 1e-11)


def slopes_stay(f: Any) -> None:
    assert_near(fg.grad(f)(X), GRADIENT, 1e-13)
    assert_near(fg.jit(fg.grad(f))(X), GRADIENT, 1e-13)
    assert_near(fg.jvp(f, (X,), (X,))[1], GRADIENT @ X, 1e-13)
    assert_near(fg.linearize(f, X)[1](X), GRADIENT @ X, 1e-13)
    assert_near(fg.vmap(fg.grad(f))(np.stack([X, X]))[1], GRADIENT, 1e-13)


def test_what_is_saved() -> None:
    def kept(policy: Any) -> list[str]:
        found = fg.debug.saved_residuals(fg.checkpoint(block, policy=policy))(X)
        return sorted(str(r.type) for r in found if r.origin != "a constant")

    assert kept(None) == ["f64[3]"]
    assert kept(P.dots_saveable) == ["f64[3]", "f64[3]"]
    assert kept(P.save_only_these_names("sine")) == ["f64[3]", "f64[3]"]
    assert len(kept(P.everything_saveable)) > 2
    found = fg.debug.saved_residuals(lambda w, x: np.sum(np.tanh(w @ x)))(W, X)
    assert found.bytes == 8 * (9 + 3 + 3)
    text = str(found)
    assert "argument 0" in text
    assert "test_checkpoint.py" in text
    assert "120 bytes in 3 values" in text


def test_memory_of_compiled_programs() -> None:
    """Sixteen blocks of eight layers: what is kept shrinks from 128 matrices to about 16 + 8."""

    def layers(x: Any) -> Any:
        for _ in range(8):
            x = np.tanh(x @ x * 1e-3)
        return x

    def deep(blocks: Any) -> Any:
        def f(x: Any) -> Any:
            for _ in range(16):
                x = blocks(x)
            return np.sum(x)

        return f

    x = np.ones((40, 40))

    def memory(blocks: Any) -> float:
        lowered = fg.jit(fg.grad(deep(blocks))).lower(x)
        return lowered.memory_analysis()["temp_size_in_bytes"] / x.nbytes

    assert memory(layers) > 120
    assert memory(fg.checkpoint(layers)) < 30
    assert memory(fg.checkpoint(layers, prevent_cse=False)) > 120


def test_python_control_flow() -> None:
    def branchy(x: Any) -> Any:
        return x * float(fg.lax.stop_gradient(x)) if x > 1 else x

    assert fg.grad(fg.checkpoint(branchy))(3.0) == 3
    assert fg.grad(fg.checkpoint(branchy))(0.5) == 1
    cubic = fg.checkpoint(lambda x: x**3 if x > 1 else x)
    assert fg.grad(fg.grad(cubic))(3.0) == 18

    def outer(x: Any) -> Any:
        return fg.checkpoint(lambda y: y * x if y > 1 else y)(2 * x)

    assert fg.grad(outer)(3.0) == 12
    assert fg.hessian(outer)(3.0) == 4
    with pytest.raises(fg.errors.TracerBoolConversionError):
        fg.jit(fg.grad(outer))(3.0)


def test_static_arguments_trees_and_decorators() -> None:
    @fg.remat(static_argnums=(1,), static_argnames="mode")
    def f(p: Any, n: int, mode: str = "a") -> Any:
        return {"y": p["x"] ** n * (2 if mode == "b" else 1)}

    assert fg.grad(lambda x: f({"x": x}, 3, mode="b")["y"])(2.0) == 24
    assert fg.jit(fg.grad(lambda x: f({"x": x}, 3)["y"]))(2.0) == 12
    assert fg.remat is fg.checkpoint


def test_listing() -> None:
    program = check(fg.make_jaxpr(fg.grad(loss(fg.checkpoint(block))))(X))
    names = [e.primitive.name for e in program.equations]
    assert names.count("checkpoint") == 6
    assert "optimization_barrier" in names


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: fg.checkpoint(3), TypeError, "checkpoint takes a function"),
        (lambda: fg.checkpoint(block, policy="dots"), TypeError, "policy must be a function .* 'dots'"),
        (lambda: fg.grad(lambda x: fg.checkpoint(lambda x, k: x)(x, "k"))(1.0), TypeError, "argument 1: 'k'"),
        (lambda: fg.grad(fg.checkpoint(lambda x: "text"))(1.0), TypeError, "must return arrays"),
        (lambda: P.save_and_offload_only_these_names(), NotImplementedError, "one device"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_known_values_are_computed_once_and_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    reference = registry["sin"].reference

    def counted(x: Any) -> Any:
        calls.append(x)
        return reference(x)

    monkeypatch.setattr(registry["sin"], "reference", counted)

    def f(x: Any) -> Any:
        return np.exp(np.sin(x)) if x[0] > 0 else x

    gradient = fg.grad(lambda x: np.sum(fg.checkpoint(f)(x)))(np.ones(3))
    np.testing.assert_allclose(gradient, np.exp(np.sin(np.ones(3))) * np.cos(1), rtol=1e-14)
    assert len(calls) == 2


def test_a_closed_over_array_is_not_handed_out() -> None:
    kept = np.ones(3)
    value, _ = fg.vjp(fg.checkpoint(lambda x: (x * 2, kept)), np.zeros(3))
    assert not np.shares_memory(value[1], kept)
