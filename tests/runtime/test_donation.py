"""Are results written over arguments that were given away, and only where nothing else reads them?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import DonatedBufferError
from funcgrad.lower.donation import over_arguments
from funcgrad.lower.plan import make_plan
from funcgrad.simplify import simplify

N = 1 << 19  # elements of a block of ours, in float32


def owned(seed: int = 0, shape: tuple[int, ...] = (N,)) -> Any:
    """An array whose memory is ours."""
    return fg.jit(lambda x: x + 0)(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def address(x: Any) -> int:
    return np.ndarray.__array_interface__.__get__(x)["data"][0]  # type: ignore[no-any-return]


def adam(state: Any, g: Any) -> Any:
    """One step on parameters and two moments."""
    p, m, v = state
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - 0.01 * m / (fnp.sqrt(v) + 1e-8), m, v


def test_an_update_takes_over_all_of_its_state():
    state, g = tuple(abs(owned(k)) for k in range(3)), owned(3)
    state = tuple(map(fg.jit(lambda x: x + 0), state))
    expected = [np.array(x) for x in fg.jit(adam)(state, g)]
    before = [address(x) for x in state]
    after = fg.jit(adam, donate_argnums=0)(state, g)
    assert [address(x) for x in after] == before
    for a, b in zip(after, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(DonatedBufferError):
        state[0] + 1


def test_memory_stays_flat_over_many_steps():
    step = fg.jit(adam, donate_argnums=0)
    state, g = tuple(fg.jit(lambda x: x + 1)(abs(owned(k))) for k in range(3)), owned(3)
    places = set()
    for _ in range(20):
        state = step(state, g)
        places.add(tuple(map(address, state)))
    assert len(places) == 1


def test_weights_are_updated_in_place():
    """A product adds itself to the weights: no copy of them is left."""

    def step(w, x, ct):
        return w - 0.1 * (x.T @ ct)

    arguments = np.ones((64, 32)), np.ones((8, 64)), np.ones((8, 32))
    plan = over_arguments(make_plan(simplify(fg.make_jaxpr(step)(*arguments))), [0])
    assert len(plan.steps) == 1
    assert plan.outputs == plan.program.inputs[:1]
    w, x, ct = owned(0, (1024, 512)), owned(1, (8, 1024)), owned(2, (8, 512))
    expected = np.array(fg.jit(step)(w, x, ct))
    place = address(w)
    after = fg.jit(step, donate_argnums=0)(w, x, ct)
    assert address(after) == place
    np.testing.assert_allclose(after, expected, rtol=1e-6)


CASES: dict[str, Callable[..., Any]] = {
    "in another order": lambda x: x[::-1] * 2,
    "shifted": lambda x: fnp.concatenate([x[1:], x[:1]]),
    "transposed": lambda x: x.reshape(512, -1).T.reshape(-1) + 1,
    "read again later": lambda x: (x * 2, fnp.cumsum(x)),
    "after a fold": lambda x: x - fnp.mean(x),
    "softmax of rows": lambda x: fg.nn.softmax(x.reshape(-1, 64), axis=1).reshape(-1),
    "exchanged": lambda x: fnp.where(x > 0, x[::-1], x),
    "sorted": lambda x: fnp.sort(x),
    "a loop": lambda x: fg.lax.fori_loop(0, 5, lambda i, c: c.at[i].set(c[i + 1] * 2), x),
    "itself": lambda x: x,
    "twice": lambda x: (x + 1, x + 2),
    "both": lambda x: (x + 1, x),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_right_where_places_differ(name):
    function = CASES[name]
    expected = fg.tree.map(np.array, fg.jit(function)(owned(5)))
    x = owned(5)
    view = np.asarray(x).copy()
    found = fg.jit(function, donate_argnums=0)(x)
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    function(view)


def test_an_argument_that_is_given_twice_is_not_written_over():
    x = owned(6)
    expected = np.array(fg.jit(lambda a, b: a * 2 + b[::-1])(x, x))
    kept = np.array(x)
    after = fg.jit(lambda a, b: (a * 2 + b[0], b + 0), donate_argnums=0)(x, x)
    np.testing.assert_allclose(after[0], kept * 2 + kept[0], rtol=1e-6)
    np.testing.assert_array_equal(after[1], kept)
    x = owned(6)
    np.testing.assert_allclose(fg.jit(lambda a, b: a * 2 + b[::-1], donate_argnums=0)(x, x), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["numpy", "view", "small", "read-only", "strided"])
def test_what_is_not_ours_stays(kind):
    arrays = {
        "numpy": lambda: np.arange(N, dtype=np.float32),
        "view": lambda: owned(7)[: N // 2],
        "small": lambda: owned(7, (10,)),
        "read-only": lambda: np.broadcast_to(np.float32(3), (N,)),
        "strided": lambda: np.arange(2 * N, dtype=np.float32)[::2],
    }
    function, x = fg.jit(lambda x: x * 2, donate_argnums=0), arrays[kind]()
    kept = np.array(x)
    for _ in range(2):
        given = arrays[kind]()
        np.testing.assert_array_equal(function(given), kept * 2)
        if type(given) is np.ndarray:
            np.testing.assert_array_equal(given, kept)


def test_static_arguments_and_pytrees_are_counted():
    function = fg.jit(
        lambda n, kept, state, x: ({"a": state["a"] * n, "b": state["b"] + kept["a"] * x}, kept["a"]),
        static_argnums=0,
        donate_argnums=2,
    )
    kept = {"a": owned(8)}
    before = np.array(kept["a"])
    state = {"a": owned(9), "b": owned(10)}
    places = {name: address(x) for name, x in state.items()}
    values = {name: np.array(x) for name, x in state.items()}
    after, _ = function(3, kept, state, np.float32(2))
    assert {name: address(x) for name, x in after.items()} == places
    np.testing.assert_allclose(after["a"], values["a"] * 3)
    np.testing.assert_allclose(after["b"], values["b"] + before * 2, rtol=1e-6)
    np.testing.assert_array_equal(kept["a"], before)


def test_after_a_failure_donated_arrays_are_refused():
    function = fg.jit(lambda x, i: (x * 2, x.at[i].get()), donate_argnums=0)
    x = owned(11)
    with pytest.raises(IndexError):
        function(x, N + 5)
    with pytest.raises(DonatedBufferError):
        x + 1


def test_a_trace_that_fails_takes_nothing():
    x = owned(12)
    with pytest.raises(ValueError, match="broadcast"):
        fg.jit(lambda x: x + np.ones(3), donate_argnums=0)(x)
    assert x[0] == owned(12)[0]
