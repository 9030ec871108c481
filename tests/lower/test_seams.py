"""Are padded and concatenated values read from their parts in the loops that read them, and are the elements right?"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lower import seams
from funcgrad.ops.shape import pad


def laplacian(x):
    """Of a periodic grid."""
    return fnp.roll(x, 1, 0) + fnp.roll(x, -1, 0) + fnp.roll(x, 1, 1) + fnp.roll(x, -1, 1) - 4 * x


def inside(x):
    """A step that loses the border."""
    return x[1:-1, 1:-1] + 0.1 * (x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2] - 4 * x[1:-1, 1:-1])


def framed(x):
    """A step with zeros around it."""
    return fnp.pad(inside(x), 1)


def lowered(f, *arguments):
    """The cost of a compiled function."""
    return fg.jit(f).lower(*arguments).cost_analysis()


def test_a_step_on_a_periodic_grid_is_one_kernel_that_reads_its_array_once():
    x = np.zeros((256, 256), np.float32)
    for n in (1, 4):

        def last(x, n=n):
            for _ in range(n):
                x = x + 0.1 * laplacian(x)
            return x

        assert lowered(last, x)["kernels"] == n
        assert lowered(last, x)["bytes accessed"] < 2.1 * n * x.nbytes
        gradient = fg.grad(lambda x, f=last: fnp.sum(f(x) ** 2))
        assert lowered(gradient, x)["kernels"] < 2 * n + 3


@pytest.mark.parametrize("step", [framed, inside])
def test_a_stencil_of_a_stencil_is_computed_once_for_each_place(step):
    x = np.zeros((256, 256), np.float32)

    def last(x, n):
        for _ in range(n):
            x = step(x)
        return x

    flops = [lowered(lambda x, n=n: last(x, n), x)["flops"] / n for n in (3, 6)]
    assert flops[1] < 1.5 * flops[0]


def test_a_root_that_several_places_read_is_stored_and_what_is_made_of_it_is_not():
    x = np.zeros((40, 40, 40), np.float32)

    def variation(x):
        inner = x[:-1, :-1, :-1]
        along = (x[1:, :-1, :-1] - inner, x[:-1, 1:, :-1] - inner, x[:-1, :-1, 1:] - inner)
        return fnp.sum(fnp.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2 + 1e-6))

    cost = lowered(fg.value_and_grad(variation), x)
    assert cost["bytes accessed"] < 5.5 * x.nbytes  # read, root written; both read, gradient written


@pytest.mark.parametrize("mode", ["edge", "wrap", "reflect", "symmetric"])
def test_a_border_that_repeats_what_is_inside_is_no_gather(mode):
    x = np.random.default_rng(0).standard_normal((6, 5))
    program = str(fg.make_jaxpr(lambda x: fnp.pad(x, ((1, 2), (2, 1)), mode))(x))
    assert "gather" not in program
    np.testing.assert_array_equal(fnp.pad(x, ((1, 2), (2, 1)), mode), np.pad(x, ((1, 2), (2, 1)), mode))
    np.testing.assert_array_equal(fnp.pad(x, ((13, 0), (0, 11)), mode), np.pad(x, ((13, 0), (0, 11)), mode))


SEAMED = {
    "roll": laplacian,
    "roll of rolls": lambda x: 2 * fnp.roll(fnp.roll(x * x, (1, 2), (0, 1)), 3, 1),
    "flat roll": lambda x: x + fnp.roll(x, 3),
    "in one dimension": lambda x: fnp.roll(x[0], 2) * x[1] - fnp.concatenate([x[2, :1], x[2, :-1]]),
    "steps": lambda x: framed(framed(x)),
    "edges": lambda x: inside(fnp.pad(x, 1, mode="edge")),
    "mirrors": lambda x: inside(inside(fnp.pad(x, 3, mode="reflect"))),
    "parts": lambda x: 2 * fnp.concatenate([x[:, :2] + 1, fnp.exp(x[:, 2:4]), x[:, ::-1]], 1),
    "rows": lambda x: 2 * fnp.concatenate([x[:2] + 1, fnp.exp(x[2:3]), x[::-1]]),
    "halves": lambda x: x[:, ::2] * fnp.concatenate([-x[:, 4:], x[:, :4]], 1)[:, ::2],
    "backwards": lambda x: 3 * fnp.concatenate([x, 2 * x], 1)[:, ::-1] + fnp.pad(x, ((0, 0), (0, 8)))[:, ::-1],
    "turned": lambda x: 1 + fnp.concatenate([x, x[:3]]).T,
    "softmax": lambda x: fg.nn.softmax(2 * fnp.pad(x, ((1, 0), (2, 1))), -1),
    "rows' sums": lambda x: fnp.sum(fnp.square(fnp.pad(x, 2, constant_values=1)), 1),
    "columns' sums": lambda x: fnp.sum(fnp.square(fnp.concatenate([x, x * 2], 1)), 0),
    "where": lambda x: fnp.argmax(fnp.square(fnp.concatenate([x, -x[:, ::-1]], 1)), 1),
    "where NaN": lambda x: fnp.argmin(2 * fnp.concatenate([x, x * np.nan, x], 1), 1),
    "extrema": lambda x: fnp.max(3 * fnp.pad(x, ((0, 0), (1, 3))), 1),
    "picked": lambda x: 2 * fnp.pad(x, 1)[np.array([0, 3, 9, 1]), 1:7],
    "written": lambda x: fnp.asarray(x).at[np.array([1, 5, 1])].add(2 * fnp.roll(x, 1, 1)[:3]),
    "complex": lambda x: fnp.abs(2 * fnp.roll(x + 1j * x, 1, 1)),
    "a value": lambda x: 2 * pad(x, fnp.sum(x), padding_config=((1, 1, 0), (0, 2, 0))),
    "three": lambda x: fnp.roll(x.reshape(2, 4, 8), 1, 1) + fnp.roll(x.reshape(2, 4, 8), 1, 2),
    "divided": lambda x: (
        1 / fnp.pad(x, ((1, 1), (0, 0)), constant_values=2) + 1 / fnp.pad(x, ((2, 0), (0, 0)), mode="edge")
    ),
    "loop": lambda x: lax.fori_loop(0, 3, lambda _, x: x + 0.1 * laplacian(x), x),
}


@pytest.fixture
def small(monkeypatch):
    """Small values are read from their parts, too."""
    monkeypatch.setattr(seams, "LARGE", 2)
    monkeypatch.setattr(seams, "LONG", 1)


@pytest.mark.parametrize("eager", [False, True], ids=["stored where dear", "never stored"])
@pytest.mark.parametrize("name", SEAMED)
def test_elements(name, eager, small, monkeypatch):
    """Each place is compared with the length of its buffer, besides."""
    if eager:
        monkeypatch.setattr(seams, "STORING", 200)
        monkeypatch.setattr(seams, "CHEAP", 200)
    x, f = np.random.default_rng(0).standard_normal((8, 8)), SEAMED[name]
    with fg.config.check_memory():
        np.testing.assert_allclose(fg.jit(f)(x), f(x), rtol=1e-12, atol=1e-12)
    if name not in ("where", "where NaN"):
        gradient = fg.grad(lambda x: fnp.sum(fnp.sin(f(x))))
        with fg.config.check_memory():
            np.testing.assert_allclose(fg.jit(gradient)(x), gradient(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["roll", "rows' sums", "softmax", "where", "parts"])
def test_results_do_not_depend_on_the_number_of_threads(name):
    x = np.random.default_rng(0).standard_normal((600, 500)).astype(np.float32)
    f = fg.jit(lambda x: (SEAMED[name](x), fnp.sum(fnp.square(fnp.roll(x, 1, 1)))))
    before, found = fg.get_num_threads(), []
    for n in (1, 2, 3):
        fg.set_num_threads(n)
        found.append([np.asarray(part).tobytes() for part in f(x)])
    fg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_loop_with_many_seams_is_not_cut_into_many(small):
    x = np.random.default_rng(0).standard_normal((4, 64))

    def f(x):
        return sum(fnp.roll(x, k, 1) * k for k in range(1, 15))

    np.testing.assert_allclose(fg.jit(f)(x), f(x), rtol=1e-12)
    kernels = fg.jit(f).lower(x).as_text("python").split("\ndef ")
    assert all(kernel.count("out1[") <= seams.MOST_SEAMS + 1 for kernel in kernels)
