"""Do `grad`, `value_and_grad`, `vjp`, `jvp`, `vmap`, `make_jaxpr` and `eval_shape` keep JAX's promises?"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.program import Program

X = np.linspace(0.5, 1.5, 3)
HERE = __file__.rsplit("/", 1)[-1]
Point = collections.namedtuple("Point", "x y")


def square(x: Any) -> Any:
    """A scalar of a vector."""
    return np.sum(x * x)


# argnums --------------------------------------------------------------------------------------------------------------


def three(x: Any, y: Any, z: Any) -> Any:
    """x y² z³."""
    return x * y**2 * z**3


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 4 * 27),
        (1, 2 * 2 * 27),
        (-1, 4 * 27),
        ((0,), (4 * 27,)),
        ((2, 0), (4 * 27, 4 * 27)),
        ([1], (4 * 27,)),
        ((), ()),
        (np.int64(1), 4 * 27),
    ],
    ids=str,
)
def test_argnums(argnums: Any, expected: Any) -> None:
    assert fg.grad(three, argnums)(1.0, 2.0, 3.0) == expected
    value, gradient = fg.value_and_grad(three, argnums)(1.0, 2.0, 3.0)
    assert (value, gradient) == (4 * 27, expected)
    assert fg.jit(fg.grad(three, argnums))(1.0, 2.0, 3.0) == expected


@pytest.mark.parametrize(
    ("argnums", "error", "message"),
    [
        (3, TypeError, "requires at least 4 positional arguments"),
        (-4, TypeError, "requires at least 4 positional arguments"),
        ((0, 0), ValueError, "twice"),
        ((0, -3), ValueError, "twice"),
        ("x", TypeError, "an int or a sequence of ints"),
        (1.0, TypeError, "an int or a sequence of ints"),
        (None, TypeError, "an int or a sequence of ints"),
    ],
)
def test_bad_argnums(argnums: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        fg.grad(three, argnums)(1.0, 2.0, 3.0)
    assert HERE in str(raised.value)


def test_arguments_by_keyword_are_not_differentiated() -> None:
    assert fg.grad(three)(2.0, y=2.0, z=1.0) == 4
    with pytest.raises(TypeError, match="got only 0 positional"):
        fg.grad(three)(x=2.0, y=2.0, z=1.0)


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def test_pytrees() -> None:
    params = {"layers": [(X, 2.0), (X + 1, np.float32(3))], "point": Point(1.0, None)}

    def f(p: Any) -> Any:
        return sum(np.sum(w * w) * b for w, b in p["layers"]) * p["point"].x

    value, gradient = fg.value_and_grad(f)(params)
    assert type(gradient["point"]) is Point
    assert gradient["point"].y is None
    assert gradient["layers"][1][1].dtype == np.float32
    np.testing.assert_allclose(gradient["layers"][0][0], 4 * X)
    np.testing.assert_allclose(gradient["layers"][1][1], np.sum((X + 1) ** 2), rtol=1e-6)
    assert value == gradient["point"].x


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8"])
def test_gradients_have_the_dtype_and_shape_of_inputs(dtype: str) -> None:
    native = np.dtype(dtype).newbyteorder("=")
    for x in (X.astype(dtype), X.astype(dtype)[::-1], np.zeros((2, 0), dtype), np.array(2, dtype), X.astype(dtype)[0]):
        for gradient in (fg.grad(square)(x), fg.jit(fg.grad(square))(x)):
            assert (gradient.dtype, gradient.shape) == (native, np.shape(x))
            np.testing.assert_allclose(gradient, 2 * np.asarray(x, native))


def test_gradients_of_mixed_dtypes() -> None:
    for a, b in itertools.product(["f2", "f4", "f8"], repeat=2):
        gradients = fg.grad(lambda x, y: np.sum(x * y), (0, 1))(X.astype(a), X.astype(b))
        assert [g.dtype for g in gradients] == [np.dtype(a), np.dtype(b)]


def test_python_numbers() -> None:
    gradient = fg.grad(lambda x: x * x)(3.0)
    assert (gradient, gradient.dtype, gradient.shape) == (6, np.float64, ())
    assert fg.grad(lambda x, y: np.sum(x * y))(X.astype("f4"), 2.0).dtype == np.float32


def test_has_aux() -> None:
    def f(x: Any) -> Any:
        return np.sum(x), {"twice": 2 * x, "count": 3, "hit": np.argmax(x)}

    gradient, aux = fg.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, np.ones(3))
    np.testing.assert_array_equal(aux["twice"], 2 * X)
    assert (aux["count"], aux["hit"]) == (3, 2)
    (value, aux), gradient = fg.value_and_grad(f, has_aux=True)(X)
    assert value == np.sum(X)
    (value, aux), gradient = fg.jit(fg.value_and_grad(f, has_aux=True))(X)
    assert (value, aux["count"]) == (np.sum(X), 3)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x, x, x), lambda x: {"a": x, "b": x}])
def test_aux_is_a_pair(result: Any) -> None:
    with pytest.raises(TypeError, match=r"must return a pair \(value, aux\)"):
        fg.grad(result, has_aux=True)(1.0)


BAD_OUTPUTS = [
    (lambda x: x, r"had shape: \(3,\)"),
    (lambda x: (np.sum(x),), "was a pytree"),
    (lambda x: {"a": np.sum(x)}, "was a pytree"),
    (lambda x: None, "was a pytree"),
    (lambda x: np.argmax(x), "real-valued outputs .* int64"),
    (lambda x: np.sum(x) > 0, "real-valued outputs .* bool"),
    (lambda x: "loss", "Output was: 'loss'"),
]


@pytest.mark.parametrize(("function", "message"), BAD_OUTPUTS)
@pytest.mark.parametrize("compiled", [False, True])
def test_outputs_must_be_real_scalars(function: Any, message: str, compiled: bool) -> None:
    gradient = fg.grad(function)
    with pytest.raises(TypeError, match=message):
        (fg.jit(gradient) if compiled else gradient)(X)


@pytest.mark.parametrize("value", [1, np.arange(3), True, np.uint8(2), [1.0, 2]], ids=repr)
def test_integers_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"(?s)requires real-valued inputs.*Convert it to a float.*" + HERE):
        fg.grad(lambda x: np.sum(x) if not isinstance(x, list) else x[0] * x[1])(value)


def test_complex_outputs_are_refused() -> None:
    with pytest.raises(TypeError, match="holomorphic=True"):
        fg.grad(lambda x: x * x)(1j)


@pytest.mark.parametrize("value", ["a", object(), {"a": {1, 2}}, np.array("a"), lambda: 1])
def test_what_is_no_array_is_refused_by_name(value: Any) -> None:
    for transform in (fg.grad, fg.jit, lambda f: lambda x: fg.vjp(f, x), fg.make_jaxpr):
        with pytest.raises(TypeError, match=r"argument 0"):
            transform(lambda x: 1.0)(value)


def test_allow_int() -> None:
    gradient = fg.grad(lambda p: np.sum(p["x"] * p["n"]), allow_int=True)({"x": X, "n": np.arange(3)})
    np.testing.assert_array_equal(gradient["x"], np.arange(3))
    np.testing.assert_array_equal(gradient["n"], np.zeros(3))
    assert gradient["n"].dtype == np.int64


@pytest.mark.parametrize(
    "transform",
    [
        fg.grad,
        fg.value_and_grad,
        fg.jit,
        fg.vmap,
        fg.make_jaxpr,
        lambda f: fg.vjp(f, 1.0),
        lambda f: fg.jvp(f, (1.0,), (1.0,)),
        lambda f: fg.eval_shape(f, 1.0),
    ],
)
def test_functions_are_callable(transform: Any) -> None:
    with pytest.raises(TypeError, match="takes a function, not 3"):
        transform(3)


def test_names_and_docstrings_are_kept() -> None:
    for transform in (fg.grad, fg.value_and_grad, fg.vmap, fg.jit, fg.make_jaxpr):
        assert transform(square).__name__ == "square"
        assert transform(square).__doc__ == "A scalar of a vector."


# Ownership ------------------------------------------------------------------------------------------------------------


def everything(results: Any, *inputs: Any) -> None:
    """Check that results are arrays of the caller's own: writable, sharing no memory with inputs or each other."""
    leaves = fg.tree.leaves(results)
    assert leaves
    for leaf in leaves:
        assert type(leaf) is fg.Array
        assert leaf.flags.writeable
        assert leaf.dtype.isnative
    for one, other in itertools.combinations(
        [*leaves, *(x for x in fg.tree.leaves(inputs) if isinstance(x, np.ndarray))], 2
    ):
        if one.size and (type(one) is fg.Array or type(other) is fg.Array) and not (one is other and one in inputs):
            assert not np.shares_memory(one, other)


OWNERS = [
    lambda x: x,
    lambda x: (x, x),
    lambda x: (x.T, x[1:], x.reshape(-1)),
    lambda x: (x, np.ones(3), TABLE, TABLE),
    lambda x: np.broadcast_to(x[0], (4, 3)),
    lambda x: (2.0, 1),
]
TABLE = np.arange(3.0)


@pytest.mark.parametrize("function", OWNERS)
@pytest.mark.parametrize("transform", ["jit", "vjp", "jvp", "vmap"])
def test_results_belong_to_the_caller(function: Any, transform: str) -> None:
    x = np.arange(9.0).reshape(3, 3)
    if transform == "jit":
        f = fg.jit(function)
        everything(f(x), x, TABLE)
        first, second = f(x), f(x)
        everything((first, second), x, TABLE)
    elif transform == "vjp":
        out, pull = fg.vjp(function, x)
        everything(out, x, TABLE)
        ct = fg.tree.map(np.ones_like, out)
        everything(pull(ct), x, ct)
    elif transform == "jvp":
        t = np.ones_like(x)
        everything(fg.jvp(function, (x,), (t,)), x, t, TABLE)
    else:
        everything(fg.vmap(function)(x), x, TABLE) if function is not OWNERS[2] and function is not OWNERS[4] else None


def test_gradients_belong_to_the_caller() -> None:
    x, y = np.arange(3.0), np.arange(3.0) + 1
    for transform in (lambda f: f, fg.jit):
        everything(transform(fg.value_and_grad(lambda x, y: np.sum(x) + np.sum(y), (0, 1)))(x, y), x, y)
        everything(transform(fg.grad(lambda x, y: np.sum(x * y), (0, 1)))(x, y), x, y)
        everything(transform(fg.grad(lambda x, y: 1.0, (0, 1)))(x, y), x, y)


def test_inputs_are_never_written() -> None:
    x = np.arange(9.0).reshape(3, 3)
    x.flags.writeable = False
    for f in (lambda x: np.sum(x * 2 + x), lambda x: np.sum(np.exp(x) @ x), lambda x: np.sum(x[np.array([0, 0, 2])])):
        fg.grad(f)(x)
        fg.jit(fg.grad(f))(x)


# vjp and jvp ----------------------------------------------------------------------------------------------------------


def test_vjp_may_be_pulled_many_times() -> None:
    out, pull = fg.vjp(lambda p, y: {"a": p["x"] * y, "b": (np.sum(p["x"]),)}, {"x": X}, 2.0)
    np.testing.assert_array_equal(out["a"], 2 * X)
    for scale in (1.0, 2.0):
        (first, second) = pull({"a": np.full(3, scale), "b": (0.0,)})
        np.testing.assert_allclose(first["x"], 2 * scale)
        np.testing.assert_allclose(second, scale * np.sum(X))
    np.testing.assert_array_equal(pull({"a": np.zeros(3), "b": (1.0,)})[0]["x"], np.ones(3))


def test_vjp_with_aux() -> None:
    out, pull, aux = fg.vjp(lambda x: (x * x, {"n": 1}), 3.0, has_aux=True)
    assert (out, aux, pull(1.0)) == (9, {"n": 1}, (6,))


def test_vjp_under_jit_and_vmap() -> None:
    def jacobian(x: Any) -> Any:
        _, pull = fg.vjp(np.sin, x)
        return fg.vmap(pull)(np.eye(3))[0]

    np.testing.assert_allclose(jacobian(X), np.diag(np.cos(X)))
    np.testing.assert_allclose(fg.jit(jacobian)(X), np.diag(np.cos(X)), rtol=1e-14)


@pytest.mark.parametrize("ct", [np.ones(4), np.ones(3, np.float32), np.ones((3, 1)), (np.ones(3),), 1.0], ids=repr)
def test_cotangents_must_fit(ct: Any) -> None:
    _, pull = fg.vjp(np.sin, X)
    with pytest.raises((ValueError, TypeError), match="vjp: "):
        pull(ct)


def test_integer_outputs_of_vjp() -> None:
    out, pull = fg.vjp(lambda x: (np.sum(x), np.argmax(x)), X)
    for nothing in (0, np.zeros((), [("float0", np.void)])):
        np.testing.assert_array_equal(pull((1.0, nothing))[0], np.ones(3))
    assert out[1] == 2


def test_integer_inputs_of_vjp_and_linearize() -> None:
    n = np.array([1, 2, 3])
    _, pull = fg.vjp(lambda d: d["x"] * d["n"], {"x": X, "n": n})
    (found,) = pull(np.ones(3))
    np.testing.assert_array_equal(found["x"], n)
    np.testing.assert_array_equal(found["n"], np.zeros(3, n.dtype))
    assert found["n"].dtype == n.dtype
    _, f_jvp = fg.linearize(lambda x, n: x * n, X, n)
    for nothing in (np.zeros(3, int), np.zeros(3, [("float0", np.void)])):
        np.testing.assert_array_equal(f_jvp(X, nothing), X * n)


def test_jvp() -> None:
    out, moved = fg.jvp(lambda p: {"s": np.sin(p["x"]), "n": np.argmax(p["x"])}, ({"x": X},), ({"x": np.ones(3)},))
    np.testing.assert_allclose(moved["s"], np.cos(X))
    assert moved["n"].shape == ()
    out, moved, aux = fg.jvp(lambda x: (x * x, "text"[:0] or 5), (3.0,), (2.0,), has_aux=True)
    assert (out, moved, aux) == (9, 12, 5)
    assert fg.jvp(lambda x, n: x * n, (3.0, 2), (1.0, 0)) == (6, 2)


@pytest.mark.parametrize(
    "tangents", [(np.ones(4),), (np.ones(3, np.float32),), (np.ones(3), 1.0), ((np.ones(3),),), (1.0,)], ids=repr
)
def test_tangents_must_fit(tangents: Any) -> None:
    shapes = len(tangents) == 1 and np.shape(tangents[0]) in ((4,), ())
    with pytest.raises(ValueError if shapes else TypeError, match="jvp: "):
        fg.jvp(np.sin, (X,), tangents)


# vmap -----------------------------------------------------------------------------------------------------------------


def test_vmap_axes() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for axis in (0, 1, 2, -1):
        np.testing.assert_array_equal(
            fg.vmap(np.sum, in_axes=axis)(x), x.sum(tuple(k for k in range(3) if k != axis % 3))
        )
        np.testing.assert_array_equal(fg.vmap(lambda v: v, in_axes=axis, out_axes=axis)(x), x)
    assert fg.vmap(lambda v: v, in_axes=1, out_axes=-1)(x).shape == (2, 4, 3)


def test_vmap_prefixes_keywords_and_sizes() -> None:
    params, x = {"w": np.ones((3, 2)), "b": 2.0}, np.arange(8.0).reshape(4, 2)
    f = lambda p, x: p["w"] @ x + p["b"]  # noqa: E731
    np.testing.assert_array_equal(fg.vmap(f, in_axes=(None, 0))(params, x), x @ params["w"].T + 2)
    stacked = {"w": np.ones((4, 3, 2)), "b": 2.0}
    np.testing.assert_array_equal(fg.vmap(f, in_axes=({"w": 0, "b": None}, 0))(stacked, x), x @ params["w"].T + 2)
    np.testing.assert_array_equal(fg.vmap(lambda x, *, y: x * y)(X, y=X), X * X)
    np.testing.assert_array_equal(fg.vmap(lambda: 1.0, axis_size=3)(), np.ones(3))
    assert fg.vmap(lambda x: {"a": x, "b": (x, x)}, out_axes={"a": 0, "b": 0})(X)["b"][1].shape == (3,)


@pytest.mark.parametrize(
    ("in_axes", "args", "message"),
    [
        (0, (np.ones(3), np.ones(4)), "agree on one number of examples; found 3, 4"),
        (None, (1.0,), "every in_axes is None"),
        (1, (np.ones(3),), "axis 1 is out of bounds"),
        (0, (1.0,), "axis 0 is out of bounds"),
        ((0, 0, 0), (np.ones(3),), "neither an int nor a prefix"),
        (("a",), (np.ones(3),), "ints and None"),
    ],
)
def test_bad_in_axes(in_axes: Any, args: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        fg.vmap(lambda *xs: xs[0], in_axes=in_axes)(*args)


# make_jaxpr, eval_shape -----------------------------------------------------------------------------------------------


def test_make_jaxpr_with_static_arguments() -> None:
    def power(x: Any, n: int, y: Any) -> Any:
        return sum(x**k for k in range(n)) + y

    program = fg.make_jaxpr(power, static_argnums=1)(2.0, 3, 1.0)
    assert isinstance(program, Program)
    assert len(program.inputs) == 2
    assert len(fg.make_jaxpr(power, static_argnums=(-2,))(2.0, 3, 1.0).inputs) == 2


def test_eval_shape_computes_nothing() -> None:
    def f(x: Any, *, y: Any) -> Any:
        return {"product": x @ y, "index": np.argmax(y)}

    shapes = fg.eval_shape(
        f, fg.ShapeDtypeStruct((10**6, 10**6), np.float32), y=fg.ShapeDtypeStruct((10**6, 2), np.float32)
    )
    assert shapes == {
        "product": fg.ShapeDtypeStruct((10**6, 2), np.float32),
        "index": fg.ShapeDtypeStruct((), np.int64),
    }


def test_outputs_must_be_arrays() -> None:
    for transform in (fg.jit, fg.make_jaxpr, lambda f: lambda x: fg.eval_shape(f, x)):
        with pytest.raises(TypeError, match=r"must return arrays and numbers .* but at \['a'\]\[1\]: 'text'"):
            transform(lambda x: {"a": (x, "text")})(1.0)


# Python control flow --------------------------------------------------------------------------------------------------


def test_python_control_flow_outside_jit(capsys: pytest.CaptureFixture[str]) -> None:
    def newton(x: Any) -> Any:
        """The square root by Newton's iteration, until it stands."""
        guess, steps = x, 0
        while abs(guess * guess - x) > 1e-12:
            guess = (guess + x / guess) / 2
            steps += 1
        print(f"{guess:.3f} after {steps}")
        return guess if x > 1 else -guess

    assert fg.grad(newton)(4.0) == pytest.approx(0.25)
    assert "2.000 after" in capsys.readouterr().out
    assert fg.jvp(newton, (4.0,), (1.0,))[1] == pytest.approx(0.25)
    assert fg.grad(fg.grad(newton))(4.0) == pytest.approx(-1 / 32)
    with pytest.raises(fg.errors.TracerBoolConversionError):
        fg.jit(fg.grad(newton))(4.0)


def test_registered_classes() -> None:
    @fg.tree_util.register_dataclass
    @dataclasses.dataclass
    class Layer:
        w: Any
        name: str = dataclasses.field(metadata={"static": True})

    gradient = fg.grad(lambda layer: np.sum(layer.w**2))(Layer(X, "dense"))
    assert type(gradient) is Layer
    assert gradient.name == "dense"
    np.testing.assert_allclose(gradient.w, 2 * X)
    assert fg.jit(lambda layer: layer)(Layer(X, "a")).name == "a"
