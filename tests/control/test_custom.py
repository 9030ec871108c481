"""Do functions with rules of their own keep them under every transformation, and are wrong rules told apart?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import errors
from funcgrad.ir.check import check
from tests.ops.numerics import assert_near

X = np.array([0.5, 1.0, 2.0])
HERE = __file__.rsplit("/", 1)[-1]


def plain(x: Any, y: Any) -> Any:
    """What the functions below compute; their rules give ten times the derivative."""
    return np.sin(x) * y


with_jvp = fg.custom_jvp(plain)
with_jvp.defjvp(lambda p, t: (with_jvp(*p), 10 * (np.cos(p[0]) * p[1] * t[0] + np.sin(p[0]) * t[1])))
with_jvps = fg.custom_jvp(plain)
with_jvps.defjvps(lambda t, out, x, y: 10 * np.cos(x) * y * t, lambda t, out, x, y: 10 * np.sin(x) * t)
with_vjp = fg.custom_vjp(plain)
with_vjp.defvjp(
    lambda x, y: (with_vjp(x, y), (x, y)),
    lambda r, ct: (10 * ct * np.cos(r[0]) * r[1], 10 * ct * np.sin(r[0])),
)
with_gradient = fg.custom_gradient(
    lambda x, y: (plain(x, y), lambda ct: (10 * ct * np.cos(x) * y, 10 * ct * np.sin(x)))
)
REVERSE = {"jvp": with_jvp, "jvps": with_jvps, "vjp": with_vjp, "gradient": with_gradient}
COMPOSED: dict[str, Any] = {
    "grad": lambda g: fg.grad(lambda x: np.sum(g(x, X)))(X),
    "grad of both": lambda g: fg.grad(lambda x: np.sum(g(x, x)))(X),
    "vmap of grad": lambda g: fg.vmap(fg.grad(g), in_axes=(0, None))(X, 2.0),
    "vmap of vmap of grad": lambda g: fg.vmap(fg.vmap(fg.grad(g), (0, None)), (None, 0))(X, X),
    "grad of vmap": lambda g: fg.grad(lambda x: np.sum(fg.vmap(g, (0, None))(x, 2.0)))(X),
    "grad of vmap by what is shared": lambda g: fg.grad(lambda y: np.sum(fg.vmap(g, (0, None))(X, y)))(2.0),
    "jacrev": lambda g: fg.jacrev(lambda x: g(x, x))(X),
    "second": lambda g: fg.grad(fg.grad(g))(0.5, 2.0),
    "reverse twice": lambda g: fg.jacrev(fg.jacrev(lambda x: np.sum(g(x, x))))(X),
    "checkpoint": lambda g: fg.grad(fg.checkpoint(lambda x: np.sum(g(x, X))))(X),
    "scan": lambda g: fg.grad(lambda x: np.sum(fg.lax.scan(lambda c, y: (c, g(y, c)), 1.5, x)[1]))(X),
}
FORWARD: dict[str, Any] = {
    "jvp": lambda g: fg.jvp(lambda x: g(x, x), (X,), (X,))[1],
    "jacfwd": lambda g: fg.jacfwd(lambda x: g(x, x))(X),
    "hessian": lambda g: fg.hessian(lambda x: np.sum(g(x, x)))(X),
    "linearize": lambda g: fg.linearize(lambda x: g(x, x), X)[1](X),
    "vmap of jvp": lambda g: fg.vmap(lambda x: fg.jvp(lambda x: g(x, x), (x,), (x,))[1])(X),
}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("kind", REVERSE)
def test_rules_are_used_backwards(kind: str, name: str) -> None:
    g, call = REVERSE[kind], COMPOSED[name]
    want = 10 * np.asarray(call(plain))
    for inner in (g, fg.jit(g)):
        assert_near(call(inner), want, 1e-13)
        assert_near(fg.jit(lambda f=inner: call(f))(), want, 1e-13)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("kind", ["jvp", "jvps"])
def test_rules_are_used_forwards(kind: str, name: str) -> None:
    g, call = REVERSE[kind], FORWARD[name]
    want = 10 * np.asarray(call(plain))
    for inner in (g, fg.jit(g)):
        assert_near(call(inner), want, 1e-13)
        assert_near(fg.jit(lambda f=inner: call(f))(), want, 1e-13)


def test_values_are_those_of_the_function() -> None:
    for g in REVERSE.values():
        assert_near(g(X, X), plain(X, X), 0)
        assert_near(fg.jit(g)(X, X), plain(X, X), 1e-15)
        assert_near(fg.vmap(g)(X, X), plain(X, X), 1e-15)
        assert type(g(X, X)) is fg.Array


def test_listing() -> None:
    program = check(fg.make_jaxpr(with_vjp)(X, X))
    assert [e.primitive.name for e in program.equations] == ["custom_vjp_call"]
    assert "rule=@plain" in str(program)
    assert "custom" not in fg.jit(with_vjp).lower(X, X).as_text("simplified")


def test_python_control_flow_in_functions_and_rules() -> None:
    @fg.custom_jvp
    def branch(x: Any) -> Any:
        return x * x if x > 0 else -x

    branch.defjvps(lambda t, out, x: 14 * t * x if x > 0 else -t)

    @fg.custom_vjp
    def loop(x: Any) -> Any:
        n = 0
        while x < 10:
            x, n = 2 * x, n + 1
        return x

    loop.defvjp(lambda x: (loop(x), x), lambda x, ct: (ct * (7 if x > 1 else 8),))
    assert (fg.grad(branch)(3.0), fg.grad(branch)(-3.0)) == (42, -1)
    assert fg.jacfwd(branch)(3.0) == 42
    assert fg.linearize(branch, 3.0)[1](1.0) == 42
    assert (fg.grad(loop)(3.0), fg.grad(loop)(0.5)) == (7, 8)
    with pytest.raises(errors.TracerBoolConversionError):
        fg.jit(branch)(3.0)


def test_nondiff_arguments_keywords_and_trees() -> None:
    @fg.custom_jvp
    def ignored(x: Any) -> Any:
        return x

    def apply(fun: Any, x: Any, n: int = 2, *, unused: Any = None) -> Any:
        return {"y": fun(x["a"]) * n}

    del ignored
    f = fg.custom_jvp(lambda fun, x, n=2: {"y": fun(x["a"]) * n}, nondiff_argnums=(0, 2))
    f.defjvp(lambda fun, n, primals, tangents: (f(fun, *primals, n), {"y": tangents[0]["a"] * n * 100.0}))
    assert fg.grad(lambda x: f(np.sin, {"a": x, "b": None}, n=3)["y"])(0.5) == 300
    assert fg.grad(lambda x: f(np.sin, {"a": x})["y"])(0.5) == 200
    assert fg.jit(fg.grad(lambda x: f(np.sin, {"a": x})["y"]))(0.5) == 200

    def g(scale: float, x: Any, name: str) -> Any:
        return x * scale

    h = fg.custom_vjp(g, nondiff_argnums=(0,), nondiff_argnames=("name",))
    h.defvjp(lambda s, x, name: (g(s, x, name), name == "b"), lambda s, name, r, ct: (ct * s * (100 if r else 1),))
    assert fg.grad(lambda x: h(2.0, x, name="b"))(1.0) == 200
    assert fg.vmap(fg.grad(lambda x: h(2.0, x, "a")))(X)[0] == 2
    keyword_only = fg.custom_jvp(apply, nondiff_argnums=(0,))
    with pytest.raises(TypeError, match="could not be resolved to positions: unused"):
        keyword_only(np.sin, {"a": 1.0}, unused=3)


def test_symbolic_zeros() -> None:
    seen: list[Any] = []

    def rule(primals: Any, tangents: Any) -> Any:
        seen.append([type(t) is fg.custom_derivatives.SymbolicZero for t in tangents])
        moving = [t for t in tangents if type(t) is not fg.custom_derivatives.SymbolicZero]
        return primals[0] * primals[1], sum(moving)

    f = fg.custom_jvp(lambda x, y: x * y)
    f.defjvp(rule, symbolic_zeros=True)
    assert fg.grad(f, argnums=1)(2.0, 3.0) == 1
    assert fg.jvp(lambda x: f(x, 3.0), (2.0,), (5.0,)) == (6, 5)
    assert seen == [[True, False], [False, True]]

    def fwd(x: Any, y: Any) -> Any:
        seen.append((x.perturbed, y.perturbed))
        return (x.value, y.value), None

    def bwd(residuals: Any, ct: Any) -> Any:
        seen.append(tuple(type(c) is fg.custom_derivatives.SymbolicZero for c in ct))
        return 2.0, None

    g = fg.custom_vjp(lambda x, y: (x, y))
    g.defvjp(fwd, bwd, symbolic_zeros=True)
    seen.clear()
    assert fg.grad(lambda x: g(x, 3.0)[0])(1.0) == 2
    assert seen[0] == (True, False)


def test_cotangents_that_are_none() -> None:
    f = fg.custom_vjp(lambda p, k: np.sum(p["a"]) * p["b"] + k)
    f.defvjp(lambda p, k: (f(p, k), None), lambda r, ct: ({"a": None, "b": ct * 5}, None))
    found = fg.grad(f)({"a": X, "b": 2.0}, 3)
    assert_near(found["a"], np.zeros(3), 0)
    assert found["b"] == 5
    f.defvjp(lambda p, k: (f(p, k), None), lambda r, ct: (None, None))
    assert fg.grad(f)({"a": X, "b": 2.0}, 3)["b"] == 0


def test_dtypes() -> None:
    f = fg.custom_jvp(lambda x: 2 * x)
    f.defjvps(lambda t, out, x: 3 * t)
    x = X.astype(np.float32)
    assert fg.grad(lambda x: np.sum(f(x)))(x).dtype == np.float32
    assert fg.grad(lambda s: np.sum(f(s) * x))(2.0).dtype == np.float64
    scaled = lambda s: f(s) * x  # noqa: E731 - a function's result is not weak
    assert fg.jit(scaled)(2.0).dtype == fg.vjp(scaled, 2.0)[0].dtype == scaled(2.0).dtype == np.float64
    integers = fg.custom_jvp(lambda x: (x, np.argmax(x)))
    integers.defjvp(lambda p, t: (integers(*p), (5 * t[0], np.int64(0))))
    assert_near(fg.grad(lambda x: np.sum(integers(x)[0]))(X), np.full(3, 5.0), 0)


def test_closures() -> None:
    """A rule may close over what is batched or known, but is not asked for derivatives by it."""

    def outer(x: Any, scale: Any) -> Any:
        f = fg.custom_jvp(lambda y: y * scale)
        f.defjvp(lambda p, t: (f(*p), 100 * t[0] * scale))
        return f(x)

    assert fg.vmap(fg.grad(outer))(X, X)[1] == 100
    assert fg.jit(fg.grad(outer))(2.0, 3.0) == 300
    with pytest.raises(errors.UnexpectedTracerError, match="closed-over value"):
        fg.grad(outer, argnums=1)(2.0, 3.0)
    with pytest.raises(errors.UnexpectedTracerError, match="closed-over value"):
        fg.grad(outer, argnums=(0, 1))(2.0, 3.0)
    f = fg.custom_vjp(lambda n, x: x, nondiff_argnums=0)
    f.defvjp(lambda n, x: (x, None), lambda n, r, ct: (ct,))
    with pytest.raises(errors.UnexpectedTracerError, match="nondiff_argnums"):
        fg.grad(lambda n: f(n, 1.0))(2.0)


def failing(kind: str, *rules: Any, nondiff: Any = ()) -> Any:
    f = getattr(fg, kind)(lambda x: 2 * x, nondiff_argnums=nondiff)
    if rules:
        getattr(f, "defjvp" if kind == "custom_jvp" else "defvjp")(*rules)
    return f


two = lambda x: (2 * x, None)  # noqa: E731
MISTAKES: dict[str, tuple[Any, type[Exception], tuple[str, ...]]] = {
    "no jvp": (lambda: fg.grad(failing("custom_jvp"))(1.0), AttributeError, ("No JVP defined", "defjvp")),
    "no vjp": (lambda: fg.grad(failing("custom_vjp"))(1.0), AttributeError, ("No VJP defined", "defvjp")),
    "no pair": (lambda: fg.grad(failing("custom_jvp", lambda p, t: 1.0))(1.0), TypeError, ("must produce a pair",)),
    "two structures": (
        lambda: fg.grad(failing("custom_jvp", lambda p, t: (p[0], (t[0],))))(1.0),
        TypeError,
        ("one structure",),
    ),
    "tangent of another shape": (
        lambda: fg.grad(failing("custom_jvp", lambda p, t: (p[0], np.ones(3))))(1.0),
        TypeError,
        ("output tangent", "f64[3]", "f64[]"),
    ),
    "tangent of another dtype": (
        lambda: fg.grad(failing("custom_jvp", lambda p, t: (p[0], np.float32(1))))(np.float64(1)),
        TypeError,
        ("f32[]", "f64[]"),
    ),
    "tangent None": (
        lambda: fg.grad(failing("custom_jvp", lambda p, t: (p[0], None)))(1.0),
        TypeError,
        ("one structure",),
    ),
    "fwd without residuals": (
        lambda: fg.grad(failing("custom_vjp", lambda x: 2 * x, lambda r, ct: (ct,)))(1.0),
        TypeError,
        ("fwd rule", "pair"),
    ),
    "residuals of text": (
        lambda: fg.grad(failing("custom_vjp", lambda x: (2 * x, "r"), lambda r, ct: (ct,)))(1.0),
        TypeError,
        ("residuals must be arrays", "'r'"),
    ),
    "bwd without tuple": (
        lambda: fg.grad(failing("custom_vjp", two, lambda r, ct: ct))(1.0),
        TypeError,
        ("a tuple of length equal to the number of arguments, 1",),
    ),
    "bwd of another length": (
        lambda: fg.grad(failing("custom_vjp", two, lambda r, ct: (ct, ct)))(1.0),
        TypeError,
        ("got a tuple of 2",),
    ),
    "bwd of another shape": (
        lambda: fg.grad(failing("custom_vjp", two, lambda r, ct: (np.ones(2),)))(1.0),
        ValueError,
        ("cotangent at [0]", "f64[2]", "f64[]"),
    ),
    "bwd of another structure": (
        lambda: fg.grad(failing("custom_vjp", two, lambda r, ct: ((ct, ct),)))(1.0),
        TypeError,
        ("argument 0", "structure"),
    ),
    "bwd of text": (
        lambda: fg.grad(failing("custom_vjp", two, lambda r, ct: ("ct",)))(1.0),
        ValueError,
        ("cotangent at [0]", "'ct'"),
    ),
    "another output": (
        lambda: fg.jit(lambda x: fg.grad(lambda x: fg.jit(failing("custom_vjp", lambda x: ((x, x), None), two))(x))(x))(
            1.0
        ),
        TypeError,
        ("own output structure",),
    ),
    "forward mode": (
        lambda: fg.jvp(failing("custom_vjp", two, lambda r, ct: (ct,)), (1.0,), (1.0,)),
        TypeError,
        ("forward-mode", "custom_jvp"),
    ),
    "no function": (lambda: fg.custom_jvp(3), TypeError, ("custom_jvp takes a function",)),
    "rules that are none": (lambda: failing("custom_vjp", None, None), TypeError, ("fwd is None",)),
    "an argument that is no array": (
        lambda: failing("custom_jvp")("text"),
        TypeError,
        ("argument 0", "nondiff_argnums"),
    ),
    "too few arguments": (lambda: failing("custom_jvp")(), TypeError, ("missing a required argument",)),
    "nondiff_argnums": (lambda: failing("custom_jvp", nondiff=3)(1.0), ValueError, ("nondiff_argnums=(3,)",)),
    "nondiff_argnames": (
        lambda: fg.custom_jvp(lambda x: x, nondiff_argnames="k"),
        ValueError,
        ("'k'", "['x']"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, error, says = MISTAKES[name]
    with pytest.raises(error) as caught:
        call()
    for part in (*says, HERE):
        assert part in str(caught.value)
    assert fg.grad(np.sin)(0.0) == 1  # nothing is left behind


def test_backward_rules_are_told_which_cotangents_are_zero() -> None:
    seen: list[tuple[bool, ...]] = []
    f = fg.custom_vjp(lambda x, y: (x * y, y, 3))

    def forward(x: Any, y: Any) -> Any:
        return (x.value * y.value, y.value, 3), (x.value, y.value)

    def backward(residuals: Any, cotangents: Any) -> Any:
        x, y = residuals
        seen.append(tuple(isinstance(ct, fg.custom_derivatives.SymbolicZero) for ct in cotangents))
        return cotangents[0] * y, cotangents[0] * x

    f.defvjp(forward, backward, symbolic_zeros=True)
    for outer in (lambda g: g, fg.jit):
        slopes = outer(fg.grad(lambda x, y: f(x, y)[0], (0, 1)))(2.0, 3.0)
        assert slopes == (3, 2)
    assert seen == [(False, True, True)] * 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x[:1], r"type f64\[3\] as the output at \['a'\].*f64\[1\]"),
        (lambda x: x.astype("f4"), r"f64\[3\].*f32\[3\]"),
    ],
    ids=["shape", "dtype"],
)
@pytest.mark.parametrize("batched", [False, True], ids=["", "vmap"])
def test_rules_must_give_the_functions_value(change: Any, says: str, batched: bool) -> None:
    forward, backward = fg.custom_jvp(lambda x: {"a": x * 2}), fg.custom_vjp(lambda x: {"a": x * 2})
    forward.defjvp(lambda p, t: ({"a": change(p[0])}, {"a": change(t[0])}))
    backward.defvjp(lambda x: ({"a": change(x)}, None), lambda residuals, ct: (ct["a"],))
    wrap = fg.vmap if batched else lambda f: f
    x = np.stack([X, X]) if batched else X
    for f in (forward, backward):
        with pytest.raises(TypeError, match=says) as caught:
            wrap(lambda x, f=f: fg.vjp(fg.jit(f), x)[0])(x)
        assert HERE in str(caught.value)


def test_python_numbers_in_the_place_of_the_functions_value() -> None:
    f = fg.custom_jvp(lambda x: x * 2)
    f.defjvp(lambda p, t: (3, 5 * t[0]))
    assert fg.jvp(fg.jit(f), (1.0,), (1.0,)) == (3.0, 5.0)


# custom_vmap ----------------------------------------------------------------------------------------------------------


@fg.custom_batching.custom_vmap
def batched_by_rule(x: Any, y: Any) -> Any:
    """Its batching rule gives ten times the value."""
    return plain(x, y), 3


@batched_by_rule.def_vmap
def _batched(size: int, in_batched: Any, x: Any, y: Any) -> Any:
    assert size == 3
    x, y = (v if b else np.broadcast_to(v, (3,)) for v, b in zip((x, y), in_batched, strict=True))
    return (10 * plain(x, y), 3), (True, False)


def test_custom_vmap() -> None:
    for g in (batched_by_rule, fg.jit(batched_by_rule)):
        for outer in (lambda f: f, fg.jit):
            assert_near(g(0.5, 2.0)[0], plain(0.5, 2.0), 1e-15)
            assert_near(outer(fg.vmap(g))(X, X)[0], 10 * plain(X, X), 1e-15)
            assert_near(outer(fg.vmap(g, in_axes=(0, None)))(X, 2.0)[0], 10 * plain(X, 2.0), 1e-15)
            pushed = fg.vmap(lambda x, g=g: fg.jvp(lambda x: g(x, x)[0], (x,), (1.0,))[1])
            assert_near(outer(pushed)(X), 10 * (np.cos(X) * X + np.sin(X)), 1e-14)
            slope = fg.grad(lambda x, g=g: np.sum(fg.vmap(lambda x, y: g(x, y)[0])(x, X)))
            assert_near(outer(slope)(X), 10 * np.cos(X) * X, 1e-14)
            assert_near(fg.vmap(fg.grad(lambda x, y, g=g: g(x, y)[0]))(X, X), np.cos(X) * X, 1e-14)


def test_sequential_vmap() -> None:
    calls: list[int] = []

    @fg.custom_batching.sequential_vmap
    def f(x: Any, y: Any) -> Any:
        calls.append(len(np.shape(x)))
        return {"z": x * y}

    assert_near(fg.vmap(f, in_axes=(0, None))(X, 2.0)["z"], 2 * X, 0)
    assert set(calls) == {0}


@pytest.mark.parametrize(
    ("rule", "error", "says"),
    [
        (None, AttributeError, "No batching rule defined"),
        (lambda n, b, x: x, TypeError, "must produce a pair"),
        (lambda n, b, x: (x, (True,)), ValueError, "out_batched must be bools"),
        (lambda n, b, x: (x, 1), ValueError, "out_batched must be bools"),
        (lambda n, b, x: (x[:2], True), ValueError, "no batch axis of size 3"),
    ],
)
def test_mistakes_of_custom_vmap(rule: Any, error: type[Exception], says: str) -> None:
    f = fg.custom_batching.custom_vmap(lambda x: x)
    if rule:
        f.def_vmap(rule)
    with pytest.raises(error, match=says) as caught:
        fg.vmap(f)(X)
    assert HERE in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "error", "says"),
    [
        (lambda n, b, x, y: ((x, 1), (True, False)), ValueError, "own output structure"),
        (lambda n, b, x, y: ({"a": x, "b": 3, "c": x}, {"a": True, "b": False, "c": True}), ValueError, "own output"),
        (lambda n, b, x, y: ({"a": x, "b": 3}, {"a": False, "b": False}), ValueError, r"not batched at \['a'\]"),
        (lambda n, b, x, y: ({"a": x, "b": 3}, {"a": True, "b": True}), ValueError, r"\['b'\] of shape \(\)"),
        (lambda n, b, x, y: ({"a": x[:, None], "b": 3}, {"a": True, "b": False}), ValueError, r"f64\[3\].*f64\[3,1\]"),
        (lambda n, b, x, y: ({"a": x.astype("f4"), "b": 3}, {"a": True, "b": False}), ValueError, r"\['a'\].*f32"),
        (lambda n, b, x, y: ({"a": x, "b": 3.5}, {"a": True, "b": False}), ValueError, r"\['b'\]"),
    ],
)
@pytest.mark.parametrize("jitted", [False, True], ids=["", "jit"])
def test_custom_vmap_rule_that_is_not_the_functions(rule: Any, error: type[Exception], says: str, jitted: bool) -> None:
    f = fg.custom_batching.custom_vmap(lambda x, y: {"a": x * y, "b": np.int64(3)})
    f.def_vmap(rule)
    call = fg.jit(f) if jitted else f
    with pytest.raises(error, match=says) as caught:
        fg.vmap(call, in_axes=(0, None))(X, 2.0)
    assert HERE in str(caught.value)


def test_custom_vmap_of_what_needs_values_is_not_held_against_the_function() -> None:
    @fg.custom_batching.custom_vmap
    def f(x: Any, k: int) -> Any:
        return x**k if float(x) > 0 else x

    @f.def_vmap
    def rule(size: int, batched: Any, x: Any, k: int) -> Any:
        return np.where(x > 0, x**k, x), True

    assert_near(fg.vmap(f, in_axes=(0, None))(X, 3), X**3, 1e-15)
    assert_near(
        fg.vmap(fg.vmap(f, in_axes=(0, None)), in_axes=(None, 0))(X, np.arange(2)), X ** np.arange(2)[:, None], 1e-15
    )
