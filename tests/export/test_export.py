"""Is an exported function the function?  Calls, transformations, derivatives, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.export import ExportError, deserialize, export
from tests.export import files

S = fg.ShapeDtypeStruct
RNG = np.random.default_rng(3)


def loaded(fun, *args, vjp_order=0, **kwargs):
    return deserialize(export(fg.jit(fun))(*args, **kwargs).serialize(vjp_order=vjp_order))


def same(x, y, tolerance=0):
    assert fg.tree.structure(x) == fg.tree.structure(y)
    for a, b in zip(fg.tree.leaves(x), fg.tree.leaves(y), strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# Calls ----------------------------------------------------------------------------------------------------------------


def test_a_network_computes_what_it_did():
    read, x = deserialize(files.data()["network"]), RNG.normal(size=(2, 3))
    same(read.call(files.PARAMS, x), fg.jit(files.network)(files.PARAMS, x))


def test_loops_branches_and_indices_compute_what_they_did():
    read, x = deserialize(files.data()["loops"]), RNG.normal(size=(4, 3))
    same(read.call(x, -2), fg.jit(files.loops)(x, -2))
    with pytest.raises(IndexError, match=r"out of bounds.*\n  at .*files.py:\d+ \(in loops\)"):
        read.call(x, 4)


def test_linear_algebra_computes_what_it_did():
    read, a, b = deserialize(files.data()["solves"]), RNG.normal(size=(3, 3)) + 3 * np.eye(3), RNG.normal(size=3)
    same(read.call(a, b), fg.jit(files.solves)(a, b))
    own, theirs = (fg.jit(fg.grad(lambda a, f=f: np.sum(f(a, b)[0] ** 2)))(a) for f in (files.solves, read.call))
    np.testing.assert_allclose(own, theirs, rtol=1e-12)


def test_transformations_of_an_exported_function_are_those_of_the_function():
    read, x = deserialize(files.data()["network"]), RNG.normal(size=(2, 3))

    def loss(f, params, x):
        return np.sum(f(params, x)["mean"] ** 2)

    for make in (
        lambda f: fg.grad(lambda p: loss(f, p, x))(files.PARAMS),
        lambda f: fg.jit(fg.grad(lambda p: loss(f, p, x)))(files.PARAMS),
        lambda f: fg.jvp(lambda v: loss(f, files.PARAMS, v), (x,), (x,)),
        lambda f: fg.hessian(lambda v: loss(f, files.PARAMS, v))(x),
        lambda f: fg.vmap(lambda v: f(files.PARAMS, v))(np.stack([x, 2 * x, 3 * x])),
        lambda f: fg.lax.scan(lambda c, v: (c + loss(f, files.PARAMS, v), c), 0.0, np.stack([x, 2 * x]))[0],
    ):
        same(make(read.call), make(files.network), 1e-12)


def test_a_gradient_and_a_step_of_an_optimiser_can_be_exported():
    optimiser = fg.optim.adam(1e-2)

    def step(params, state, x):
        gradient = fg.grad(lambda p: np.sum(files.network(p, x)["mean"] ** 2))(params)
        updates, state = optimiser.update(gradient, state, params)
        return fg.optim.apply_updates(params, updates), state

    state, x = optimiser.init(files.PARAMS), RNG.normal(size=(2, 3))
    read = loaded(step, files.PARAMS, state, x)
    same(read.call(*read.call(files.PARAMS, state, x), x), fg.jit(step)(*fg.jit(step)(files.PARAMS, state, x), x))


def test_static_arguments_become_part_of_the_program():
    made = export(fg.jit(lambda x, n: x**n, static_argnums=1))(S((2,), np.float64), 3)
    np.testing.assert_array_equal(deserialize(made.serialize()).call(np.array([2.0, 3.0])), [8, 27])


def test_what_an_exported_function_tells():
    made = deserialize(files.data()["network"])
    assert made.fun_name == "network"
    assert made.in_avals == (S((4,), np.float64), S((3, 4), np.float64), S((2, 3), np.float64))
    assert made.out_avals == (S((2, 4), np.float64), S((4,), np.float64))
    assert made.platforms == ("cpu",)
    assert made.calling_convention_version == 1
    assert made.symbols == ()
    assert made.has_vjp()
    assert "tanh" in made.as_text()
    assert repr(made).startswith("<Exported network: (ShapeDtypeStruct(shape=(4,)")


def test_python_numbers_become_what_is_needed():
    read = loaded(lambda x, n: x * n, S((), np.float32), np.int64(2))
    assert read.call(1.5, 2).dtype == np.float64
    assert loaded(lambda x: x, S((), np.float32)).call(1).dtype == np.float32


def test_an_exported_function_can_be_exported():
    read = deserialize(files.data()["network"])
    again = loaded(lambda x: read.call(files.PARAMS, x)["mean"] * 2, S((2, 3), np.float64))
    x = RNG.normal(size=(2, 3))
    same(again.call(x), files.network(files.PARAMS, x)["mean"] * 2, 1e-12)


# Derivatives ----------------------------------------------------------------------------------------------------------


def test_the_pullback_can_be_exported():
    made = export(fg.jit(lambda x, n: (np.sin(x) * 2, n)))(S((3,), np.float64), 2)
    for one in (made, deserialize(made.serialize())):
        pulled = one.vjp()
        assert pulled.in_avals == (*one.in_avals, *one.out_avals)
        by_x, by_n = deserialize(pulled.serialize()).call(np.zeros(3), 2, np.ones(3), 0)
        np.testing.assert_array_equal(by_x, 2)
        assert (by_n.dtype, int(by_n)) == (np.int64, 0)
        np.testing.assert_array_equal(pulled.vjp().call(np.zeros(3), 2, np.ones(3), 0, np.ones(3), 0)[0], 0)


def test_rules_are_kept_for_as_many_derivatives_as_were_asked_for():
    made, x = files.exported()["rules"], np.array([1.0, 2.0])
    value, first = np.sum(x**2) / 2, 2 * x
    second = np.array([2.0, 2.0])  # the derivative of 2 x / n by x, and the rule once more: twice 2 / n
    whole = deserialize(made.serialize(vjp_order=2))
    for one in (made, whole):
        assert one.call(x) == value
        np.testing.assert_array_equal(fg.grad(one.call)(x), first)
        np.testing.assert_array_equal(fg.jit(fg.vmap(fg.grad(one.call)))(np.stack([x, 2 * x])), [first, 2 * first])
        again = fg.grad(lambda v, one=one: np.sum(fg.grad(one.call)(v)))(x)
        np.testing.assert_array_equal(again, fg.grad(lambda v: np.sum(fg.grad(files.ruled)(v)))(x))
    assert (again != second / 2).all()  # what the rule's absence would give
    once = deserialize(made.serialize(vjp_order=1))
    np.testing.assert_array_equal(fg.grad(once.call)(x), first)
    with pytest.raises(ValueError, match=r"rule of its own \(doubled\).*larger vjp_order"):
        fg.grad(lambda v: np.sum(fg.grad(once.call)(v)))(x)


def test_a_function_with_rules_but_no_order_has_no_derivative_rather_than_another_one():
    read = deserialize(files.exported()["rules"].serialize())
    assert not read.has_vjp()
    assert read.call(np.array([2.0])) == 4
    with pytest.raises(ValueError, match=r"serialized without derivatives of this order.*\(doubled\)"):
        fg.grad(read.call)(np.array([2.0]))
    with pytest.raises(TypeError, match="forward-mode"):
        fg.jvp(read.call, (np.array([2.0]),), (np.array([1.0]),))


def test_a_function_without_rules_needs_no_order():
    made = export(fg.jit(lambda x: x**4))(2.0)
    assert made.serialize(vjp_order=3) == made.serialize()
    assert fg.grad(fg.grad(fg.grad(deserialize(made.serialize()).call)))(2.0) == 48
    for order in (-1, 1.5, 9):
        with pytest.raises(ValueError, match="vjp_order must be an integer"):
            made.serialize(vjp_order=order)


def test_checkpoint_is_kept():
    @fg.checkpoint
    def twice(x):
        return np.sin(np.sin(x))

    read = loaded(lambda x: np.sum(twice(x)), S((3,), np.float64))
    assert "checkpoint[" in read.as_text()
    x = np.array([0.1, 0.2, 0.3])
    same(fg.jit(fg.grad(read.call))(x), fg.jit(fg.grad(lambda x: np.sum(twice(x))))(x))


# Refusals -------------------------------------------------------------------------------------------------------------


def callback(x):
    return fg.pure_callback(lambda v: v, S((), np.float64), x) * 2


def printing(x):
    fg.debug.print("{}", x)
    return x


@pytest.mark.parametrize("fun", [callback, printing])
def test_python_code_cannot_leave(fun):
    with pytest.raises(
        ExportError, match=rf"cannot leave this process.*\n  at .*test_export.py:\d+ \(in {fun.__name__}\)"
    ):
        export(fg.jit(fun))(1.0)


def test_what_is_exported_is_checked():
    with pytest.raises(ValueError, match=r"must be the result of funcgrad.jit"):
        export(np.sin)
    with pytest.raises(TypeError):
        export(3)
    with pytest.raises(ValueError, match="platforms must be"):
        export(fg.jit(np.sin), platforms=["cuda"])
    with pytest.raises(ValueError, match="no checks to disable"):
        export(fg.jit(np.sin), disabled_checks=["x"])
    with pytest.raises(ExportError, match="pass them as arguments"):
        fg.jit(lambda y: export(fg.jit(lambda x: x + y))(1.0).call(1.0))(2.0)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((np.zeros(3),), TypeError, "was exported for arguments of the structure"),
        ((files.PARAMS, np.zeros((2, 3), np.float32)), TypeError, "argument 1 has dtype float32"),
        ((files.PARAMS, np.zeros((2, 4))), ValueError, r"argument 1.shape\[1\] is 4, where 3 is needed"),
        ((files.PARAMS | {"w": np.zeros(3)}, np.zeros((2, 3))), ValueError, r"argument 0\['w'\] has shape \(3,\)"),
        ((files.PARAMS, "x"), TypeError, "argument 1"),
    ],
)
def test_arguments_are_checked(args, error, message):
    with pytest.raises(error, match=message):
        deserialize(files.data()["network"]).call(*args)
