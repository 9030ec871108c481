"""Are cheap values stored where many kernels would compute them anew, and not where few would?"""

from __future__ import annotations

import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.lower import seams
from funcgrad.ops.shape import pad


def diffusion(steps):
    """Explicit steps on a periodic grid."""

    def step(x):
        return x + 0.2 * (fnp.roll(x, 1, 0) + fnp.roll(x, -1, 0) + fnp.roll(x, 1, 1) + fnp.roll(x, -1, 1) - 4 * x)

    def last(x):
        for _ in range(steps):
            x = step(x)
        return x

    return last


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fg.grad(lambda x: fnp.sum(f(x) ** 2))])
def test_work_is_linear_in_the_number_of_steps(transform):
    x = np.zeros((256, 256), np.float32)
    flops = [fg.jit(transform(diffusion(n))).lower(x).cost_analysis()["flops"] for n in (5, 10, 20)]
    assert flops[2] - flops[1] < 2.2 * (flops[1] - flops[0])


def folds(steps):
    """Each step takes from a row what it folds to."""

    def last(x):
        for _ in range(steps):
            x = x - 0.1 * fnp.log(fnp.sum(fnp.exp(x), axis=1, keepdims=True))
        return fnp.sum(x)

    return last


def test_passes_over_a_row_do_not_begin_a_long_chain_anew():
    x = np.random.default_rng(0).random((64, 100))
    gradients = {n: fg.jit(fg.grad(folds(n))) for n in (4, 8, 16)}
    flops = [gradient.lower(x).cost_analysis()["flops"] for gradient in gradients.values()]
    assert flops[2] - flops[1] < 2.2 * (flops[1] - flops[0])
    np.testing.assert_allclose(gradients[16](x), fg.grad(folds(16))(x), rtol=1e-10, atol=1e-12)


def test_values():
    x = np.random.default_rng(0).standard_normal((256, 200))
    loss = lambda x: fnp.sum(diffusion(4)(x) ** 3)  # noqa: E731
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(x), fg.grad(loss)(x), rtol=1e-10, atol=1e-12)


def test_few_cheap_operations_are_computed_twice():
    x = np.zeros((512, 512), np.float32)

    def f(x):
        y = 2 * x + 1
        return fnp.sum(y, axis=0), y.T @ x

    analysis = fg.jit(lambda x: (fnp.sum(2 * x + 1, axis=0), fnp.sum(2 * x + 1, axis=1))).lower(x).cost_analysis()
    assert analysis["bytes accessed"] < 3 * x.nbytes
    assert fg.jit(f).lower(x).cost_analysis()["kernels"] <= 3


def test_what_is_searched_through_is_stored_if_it_takes_mathematics():
    """A search goes from element to element: what it waits for is better computed in lanes, by a loop of its own."""
    x = np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32)
    dear, cheap = (fg.jit(f) for f in (lambda x: fnp.argmax(fnp.exp(-x), -1), lambda x: fnp.argmax(2 - x, -1)))
    assert dear.lower(x).cost_analysis()["kernels"] == 2
    assert cheap.lower(x).cost_analysis()["kernels"] == 1
    np.testing.assert_array_equal(dear(x), x.argmin(-1))
    np.testing.assert_array_equal(cheap(x), x.argmin(-1))
    both = fg.jit(lambda x: (fnp.exp(x), fnp.argmax(fnp.exp(x), -1), fnp.argmin(fnp.exp(x))))(x)
    np.testing.assert_array_equal(both[1], x.argmax(-1))
    assert both[2] == x.argmin()
    few = fg.jit(lambda x: fnp.argmax(fnp.exp(x)))
    assert few.lower(x[0, :10]).cost_analysis()["kernels"] == 1


def read_and_written(listing: str) -> tuple[set[str], set[str]]:
    """The buffers that the kernels of a program printed as Python read, and those that they write."""
    found: dict[str, set[str]] = {"x": set(), "o": set()}
    parameters = dict(re.findall(r"^def (kernel_\d+)\((.*)\):", listing, re.M))
    for kernel, arguments in re.findall(r"^ +(kernel_\d+)\((.*)\)", listing, re.M):
        for parameter, argument in zip(parameters[kernel].split(", "), arguments.split(", "), strict=False):
            found.get(parameter[0], set()).add(argument)
    return found["x"], found["o"]


def test_a_value_that_turned_out_not_to_be_needed_is_not_stored():
    """A first walk finds that kernels compute a root again and again, a second one that they read products of it."""
    x = np.random.default_rng(0).standard_normal((40, 40, 40)).astype(np.float32)

    def variation(x):
        inner = x[:-1, :-1, :-1]
        along = (x[1:, :-1, :-1] - inner, x[:-1, 1:, :-1] - inner, x[:-1, :-1, 1:] - inner)
        return fnp.sum(fnp.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2 + 1e-6))

    listing = fg.jit(fg.grad(variation)).lower(x).as_text("python")
    read, written = read_and_written(listing)
    assert written - read == set(re.findall(r"b\d+", listing.rsplit("return", 1)[1]))
    np.testing.assert_allclose(fg.jit(fg.grad(variation))(x), fg.grad(variation)(x), rtol=1e-4, atol=1e-4)


def test_padded_values_are_read_where_they_come_from():
    """The gradient of a slice is added to another one without either being stored, with zeros around it or without."""
    x = np.zeros((300, 200), np.float32)
    difference = fg.grad(lambda x: fnp.sum((x[1:] - x[:-1]) ** 2))
    assert fg.jit(difference).lower(x).cost_analysis()["bytes accessed"] < 2.1 * x.nbytes
    assert fg.jit(difference).lower(x).cost_analysis()["kernels"] == 1


def frame(x, number, *config):
    """`x` with a number around it: how many before and behind, for each axis."""
    return pad(x, np.dtype(x.dtype).type(number), padding_config=tuple((*two, 0) for two in config))


PADDED = {
    "two": lambda x: frame(x * 2, 9, (1, 2), (0, 3)) + frame(x, 8, (3, 0), (2, 1)),
    "in rows": lambda x: fg.nn.softmax(frame(fnp.cos(x), 1, (1, 0), (0, 2)) * fnp.sin(frame(x, 2, (0, 1), (1, 1)))),
    "views": lambda x: fnp.sum(fnp.square(frame(-x[::-1, 2:], 3, (1, 1), (1, 0))), 0),
    "turned": lambda x: 3 * frame((x + 1).T, 3, (2, 0), (0, 1)),
    "spread": lambda x: 2 * frame(fnp.broadcast_to(x[0], (5, 7)), 1, (1, 1), (1, 0)),
    "a number": lambda x: x + frame(fnp.ones((6, 5), x.dtype), 2, (1, 1), (2, 0)),
    "a value": lambda x: x - pad(x[1:], fnp.sum(x, dtype=x.dtype), padding_config=((1, 0, 0), (0, 0, 0))),
    "differences": fg.grad(lambda x: fnp.sum(fnp.diff(x, axis=0) ** 3) + fnp.sum(fnp.sin(fnp.diff(x)))),
    "roll": fg.grad(lambda x: fnp.sum(diffusion(3)(x) ** 2)),
}


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "c8"])
def test_values_of_padded_values(name, dtype, monkeypatch):
    """Small ones are read from their operands here too; each place is compared with the length of its buffer."""
    monkeypatch.setattr(seams, "LARGE", 1)
    monkeypatch.setattr(seams, "LONG", 1)
    if name in ("differences", "roll", "in rows") and np.dtype(dtype).kind != "f":
        pytest.skip("of real numbers")
    x = (8 * np.random.default_rng(0).standard_normal((8, 7))).astype(dtype)
    with fg.config.check_memory():
        np.testing.assert_allclose(fg.jit(PADDED[name])(x), PADDED[name](x), rtol=1e-5, atol=1e-5)


def test_a_failure_is_told_though_nothing_reads_the_value():
    x = np.ones((64, 512), np.float32)

    def loss(x, i):
        y = fnp.sqrt(x * x + 1) * x[i]
        return fnp.sum(fnp.diff(y, axis=0) ** 2) + fnp.sum(fnp.diff(y, axis=1) ** 2) + fnp.sum(1 / y)

    with pytest.raises(IndexError):
        fg.jit(fg.grad(loss))(x, np.int64(64))
