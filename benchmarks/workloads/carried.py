"""What does an array in the carry cost?  Writes of one element, over the number of iterations and the array's size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Workload
from benchmarks.workloads.loops import workload

# One element per iteration ------------------------------------------------------------------------------------------


def writes_data(size: int) -> Data:
    """An array to write into, and one to read from."""
    random = np.random.default_rng(0)
    return {"a": np.zeros(size), "x": random.uniform(-1, 1, size)}


def _written(library: SimpleNamespace) -> Callable:
    """The array after one write per iteration, each from the element before it."""
    fg, np = library.api, library.np

    def written(a, x):
        def step(i, a):
            return a.at[i].set(np.sin(x[i]) + 0.5 * a[i - 1])

        return fg.lax.fori_loop(1, x.shape[0], step, a)

    return written


def writes(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    return partial(library.api.jit(_written(library)), library.own(data["a"]), library.own(data["x"]))


def writes_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """Python's loop."""
    return lambda: _recurrence(data["a"][0], np.sin(data["x"]))


def _recurrence(first: float, drive: np.ndarray) -> np.ndarray:
    """``y[i] = drive[i] + y[i-1] / 2`` after `first`."""
    found = [first]
    for each in drive[1:].tolist():
        found.append(each + 0.5 * found[-1])
    return np.array(found)


def writes_grad(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the gradient of the sum of squares by what is read."""
    written, np = _written(library), library.np
    function = library.api.jit(library.api.grad(lambda x, a: np.sum(written(a, x) ** 2)))
    return partial(function, library.own(data["x"]), library.own(data["a"]))


def writes_grad_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """The same recurrence backwards."""

    def gradient():
        y = _recurrence(data["a"][0], np.sin(data["x"]))
        ct = _recurrence(2 * y[-1], 2 * y[::-1])[::-1] * np.cos(data["x"])
        ct[0] = 0
        return ct

    return gradient


# Cost per iteration, over the number of iterations and the size of an array that is carried along --------------------


def carried_data(length: int, size: int) -> Data:
    """An array of `size` that is carried along, and a number for each of `length` iterations."""
    random = np.random.default_rng(0)
    return {"a": random.uniform(-1, 1, size), "x": random.uniform(-1, 1, length)}


def carried(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: each iteration adds to one element of the array and reads another; value and gradient."""
    fg, np = library.api, library.np

    def loss(x, a):
        size = a.shape[0]

        def step(state, each):
            a, total, i = state
            total = np.tanh(total + each * a[(7 * i) % size])
            return (a.at[i % size].add(total), total, i + 1), None

        (a, total, _), _ = fg.lax.scan(step, (a, 0.0, 0), x)
        return total + a[0]

    return partial(fg.jit(fg.value_and_grad(loss)), library.own(data["x"]), library.own(data["a"]))


def carried_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """Python's loop, forward and back."""

    def value_and_grad():
        a, size, total, tape = data["a"].copy(), len(data["a"]), 0.0, []
        for i, each in enumerate(data["x"].tolist()):
            read = float(a[(7 * i) % size])
            total = float(np.tanh(total + each * read))
            tape.append((each, read, total))
            a[i % size] += total
        ct_a, ct_total, found = np.zeros(size), 1.0, np.zeros(len(tape))
        ct_a[0] = 1
        for i in reversed(range(len(tape))):
            each, read, t = tape[i]
            slope = (ct_total + ct_a[i % size]) * (1 - t * t)
            found[i] = slope * read
            ct_a[(7 * i) % size] += slope * each
            ct_total = slope
        return total + a[0], found

    return value_and_grad


def _linear(name: str, length: int, size: int) -> Workload:
    return workload(
        name,
        f"{length:,} iterations that touch two of {size:,} carried elements, loss and gradient, float64",
        partial(carried_data, length, size),
        (carried, carried_by_hand),
        ((1.0, "jax"),),
        quick=length <= 10**5 and length * size <= 10**8,
    )


WORKLOADS = (
    workload(
        "writes",
        "fori_loop that writes one element per iteration, 100,000, float64",
        partial(writes_data, 10**5),
        (writes, writes_by_hand),
        ((1.0, "jax"),),
    ),
    workload(
        "writes_grad",
        "its gradient",
        partial(writes_data, 10**5),
        (writes_grad, writes_grad_by_hand),
        ((1.0, "jax"),),
        quick=False,
    ),
    *(_linear(f"iters_1e{k}", 10**k, 10**3) for k in (3, 4, 5, 6)),
    *(_linear(f"carry_1e{k}", 10**4, 10**k) for k in (4, 5, 6)),
)
