"""Are many numbers added at places of a large array as one loop would add them, wherever they come from and go to?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.compile.cpus import permutes_two
from funcgrad.lower.calls import Call
from funcgrad.lower.plan import make_plan
from funcgrad.ops.scatter import FEW, MANY
from funcgrad.simplify import simplify
from tests.interop.test_native_function import called
from tests.interop.test_objects import Exported

RNG = np.random.default_rng(0)
COUNT, SIZE = MANY + 77, 200_000
X, U = RNG.normal(size=SIZE).astype(np.float32), RNG.normal(size=COUNT).astype(np.float32)
INDEX = RNG.integers(-SIZE, SIZE, COUNT).astype(np.int32)
OUTSIDE = INDEX.copy()
OUTSIDE[[5, 77, -1]] = SIZE, -SIZE - 1, 2**31 - 1
only_here = pytest.mark.skipif(not permutes_two(), reason="this CPU has no such instructions")


def added(x: Any, index: Any, updates: Any) -> np.ndarray:
    """What NumPy adds, one after the other."""
    out = np.array(x)
    np.add.at(out, index, updates)
    return out


def same(a: Any, b: np.ndarray) -> None:
    """To the last bit."""
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.asarray(a).view(f"u{b.itemsize}"), b.view(f"u{b.itemsize}"))


def calls(function: Any, *args: Any) -> list[str]:
    steps = make_plan(simplify(fg.make_jaxpr(function)(*args))).steps
    return [step.equation.primitive.name for step in steps if isinstance(step, Call)]


def add(x: Any, i: Any, u: Any) -> Any:
    return x.at[i].add(u)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = fg.get_num_threads()
    yield fg.set_num_threads
    fg.set_num_threads(before)


@only_here
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("indices", ["i4", "i8", "u4", "u8"])
def test_bits_are_those_of_one_loop(dtype: str, indices: str) -> None:
    x, u = ((a * 99).astype(dtype) for a in (X, U))
    i = (INDEX if indices[0] == "i" else INDEX % SIZE).astype(indices)
    assert calls(add, x, i, u) == ["scatter_add"]
    same(fg.jit(add)(x, i, u), added(x, i, u))


@only_here
def test_bits_do_not_depend_on_threads(threads: Any) -> None:
    want = added(X, INDEX, U)
    before = fg.jit(add)
    for count in (1, 2, 3, 8):
        threads(count)
        same(before(X, INDEX, U), want)
        same(fg.jit(lambda x, i, u: x.at[i].add(u))(X, INDEX, U), want)  # cut for that many


@only_here
def test_few_places_or_few_updates_are_added_otherwise() -> None:
    assert calls(add, X[: COUNT // FEW], INDEX, U) == []
    assert calls(add, X, INDEX[: MANY - 1], U[: MANY - 1]) == []
    assert calls(add, X.astype(np.float16), INDEX, U.astype(np.float16)) == []
    assert calls(add, X.reshape(-1, 2), INDEX, np.stack([U, U], 1)) == []


@pytest.mark.parametrize("mode", ["drop", "clip", "fill", "wrap", "promise_in_bounds"])
def test_modes(mode: str) -> None:
    def f(x: Any, i: Any, u: Any) -> Any:
        return fnp.asarray(x).at[i].add(u, mode=mode)

    np.testing.assert_allclose(fg.jit(f)(X, OUTSIDE, U), f(X, OUTSIDE, U), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [add, lambda x, i, u: x.at[i + 0].add(u), lambda x, i, u: x.at[i].add(1.0), lambda x, i, u: x.at[i].add(u * 2) * 2],
)
def test_a_wrong_index_is_told_with_its_number(function: Any) -> None:
    with pytest.raises(
        IndexError, match=rf"index {SIZE} is out of bounds for axis with size {SIZE}; .*argument i\[5\]"
    ):
        fg.jit(function)(X, OUTSIDE, U)
    fg.jit(function)(X, INDEX, U)  # and nothing of it stays


def counted(x: Any, i: Any, u: Any) -> Any:
    return fnp.bincount(abs(i), length=SIZE)


def along(u: Any) -> Any:
    """The numbers twice, from a matrix whose rows are folded: it is stored."""
    rows = u.reshape(4, -1) * 2
    return (rows + 0 * fnp.max(rows, 1, keepdims=True)).reshape(-1)


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "one number": (lambda x, i, u: x.at[i].add(1.5), lambda: added(X, INDEX, np.float32(1.5))),
    "an argument": (lambda x, i, u: x.at[i].add(u[3]), lambda: added(X, INDEX, U[3])),
    "to zeros": (lambda x, i, u: fnp.zeros_like(x).at[i].add(u), lambda: added(X * 0 + 0, INDEX, U)),
    "updates that are computed": (lambda x, i, u: x.at[i].add(u * 2), lambda: added(X, INDEX, U * 2)),
    "twice": (
        lambda x, i, u: (x * 2).at[i].add(u).at[-i - 1].add(u),
        lambda: added(added(X * 2, INDEX, U), -INDEX - 1, U),
    ),
    "read later": (lambda x, i, u: (x * 2).at[i].add(u) - x * 2, lambda: added(X * 2, INDEX, U) - X * 2),
    "its own elements": (
        lambda x, i, u: (x * 2).at[i].add((x * 2)[:COUNT]),
        lambda: added(X * 2, INDEX, X[:COUNT] * 2),
    ),
    "reshaped": (
        lambda x, i, u: (x.reshape(2, -1) * 2).reshape(-1).at[i[1:].reshape(4, -1).reshape(-1)].add(along(u[1:])),
        lambda: added(X * 2, INDEX[1:], U[1:] * 2),
    ),
    "a matrix of places": (
        lambda x, i, u: x.at[i[1:].reshape(4, -1)].add(u[1:].reshape(4, -1)),
        lambda: added(X, INDEX[1:], U[1:]),
    ),
    "parts of complex numbers": (
        lambda x, i, u: lax.complex(x, u[0] * x).real.at[i].add(lax.complex(u, u).imag),
        lambda: added(X, INDEX, U),
    ),
    "counts": (counted, lambda: np.bincount(abs(INDEX), minlength=SIZE)[:SIZE]),
    "integers of any size": (
        lambda x, i, u: x.at[i.astype("i8") * 2**40 // 2**40].add(u),
        lambda: added(X, INDEX, U),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_is_added_to_whatever(name: str) -> None:
    function, want = FUNCTIONS[name]
    got = fg.jit(function)(X, INDEX, U)
    np.testing.assert_allclose(got, want(), rtol=0, atol=2e-6)
    if permutes_two() and name != "read later":
        same(got, want())


@only_here  # others add in pieces, whose printed loops take long
@pytest.mark.parametrize("name", ["one number", "counts", "twice", "a matrix of places"])
def test_printed_python_computes_the_same(name: str) -> None:
    namespace: dict[str, Any] = {}
    compiled = fg.jit(FUNCTIONS[name][0])
    text = compiled.lower(X, INDEX, U).as_text("python")
    exec(text, namespace)
    same(namespace["run"](X, INDEX, U)[0], np.asarray(compiled(X, INDEX, U)))


def test_an_array_that_says_where_its_own_elements_are_added() -> None:
    def f(x: Any) -> Any:
        y = x | 1
        return y.at[y].add(y), y.at[y[:MANY]].add(1)

    x = RNG.integers(0, SIZE, SIZE).astype(np.int32)
    y = x | 1
    first, second = fg.jit(f)(x)
    same(first, added(y, y, y))
    same(second, added(y, y[:MANY], 1))
    same(fg.jit(lambda x: (x | 1).at[x | 1].add(x | 1))(x), added(y, y, y))


def test_a_donated_array_is_changed_where_it_lies() -> None:
    x = fg.jit(lambda x: x + 0)(X)
    place = x.ctypes.data
    out = fg.jit(add, donate_argnums=0)(x, INDEX, U)
    np.testing.assert_allclose(out, added(X, INDEX, U), rtol=0, atol=2e-6)
    if permutes_two():
        assert out.ctypes.data == place
    x = fg.jit(lambda x: x + 0)(X)
    own = fg.jit(lambda x, i: x.at[i].add(x[:COUNT]), donate_argnums=0)(x, INDEX)
    np.testing.assert_allclose(own, added(X, INDEX, X[:COUNT]), rtol=0, atol=2e-6)


def test_a_loop_carries_the_array() -> None:
    def f(x: Any, many: Any) -> Any:
        return lax.scan(lambda c, u: (c.at[INDEX].add(u), c[0]), x, many)

    many, want = np.stack([U, U * 2, U * 3]), [X]
    for u in many:
        want.append(added(want[-1], INDEX, u))
    got, firsts = fg.jit(f)(X, many)
    np.testing.assert_allclose(got, want[-1], rtol=0, atol=2e-6)
    np.testing.assert_allclose(firsts, [x[0] for x in want[:-1]], rtol=0, atol=2e-6)


def test_derivatives() -> None:
    def f(x: Any, u: Any) -> Any:
        return fnp.sum(fnp.sin(x.at[INDEX].add(u)))

    slope = np.cos(added(X, INDEX, U))
    to_x, to_u = fg.jit(fg.grad(f, (0, 1)))(X, U)
    np.testing.assert_allclose(to_x, slope, rtol=0, atol=2e-6)
    np.testing.assert_allclose(to_u, slope[INDEX], rtol=0, atol=2e-6)
    gathered = fg.jit(fg.grad(lambda x, u: fnp.sum(x[INDEX] * u)))(X, U)
    np.testing.assert_allclose(gathered, added(X * 0, INDEX, U), rtol=0, atol=2e-6)


def test_under_check_memory() -> None:
    with fg.config.check_memory():
        np.testing.assert_allclose(fg.jit(add)(X, INDEX, U), added(X, INDEX, U), rtol=0, atol=2e-6)
        with pytest.raises(IndexError, match="out of bounds"):
            fg.jit(add)(X, OUTSIDE, U)


@only_here
def test_a_profile_tells_of_the_step() -> None:
    lines = str(fg.profile(lambda x, i, u: (x * 2).at[i].add(u) * 3)(X, INDEX, U)).splitlines()
    (step,) = (line for line in lines if f"scatter_add of {SIZE}, {COUNT}, {COUNT}" in line)
    assert "test_scattering.py" in step


@pytest.mark.parametrize("cpu", ["generic", "host"])
def test_an_object_file(cpu: str, tmp_path: Any) -> None:
    exported = Exported(add, (X, INDEX, U), tmp_path, cpu=cpu)
    status, (out,) = exported(X, INDEX, U)
    assert status == 0
    np.testing.assert_allclose(out, added(X, INDEX, U), rtol=0, atol=2e-6)
    assert exported(X, OUTSIDE, U)[0] != 0


def test_a_native_function() -> None:
    (out,) = called(fg.cfunc(add, (X, INDEX, U)), X, INDEX, U, dtypes=[np.float32])
    same(out, np.asarray(fg.jit(add)(X, INDEX, U)))
