"""Is one program right for all sizes?  What is told from the shapes, what is decided by them, what is refused."""

from __future__ import annotations

import decimal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad.export import ExportError, SymbolicScope, deserialize, export, symbolic_args_specs, symbolic_shape
from funcgrad.export.constraints import constraint, parsed
from funcgrad.export.solving import Extent, solved, unsolvable
from funcgrad.trace.frame import type_of
from tests.effort import drawn
from tests.export import files

S = fg.ShapeDtypeStruct
RNG = np.random.default_rng(5)


def loaded(fun, *args):
    return deserialize(export(fg.jit(fun))(*args).serialize())


def agree(fun, specs, *examples, tolerance=1e-12):
    """The exported function gives, for each tuple of arguments, what the function does."""
    read, compiled = loaded(fun, *specs), fg.jit(fun)
    for args in examples:
        own, theirs = compiled(*args), read.call(*args)
        assert fg.tree.structure(own) == fg.tree.structure(theirs)
        for x, y in zip(fg.tree.leaves(own), fg.tree.leaves(theirs), strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
    return read


def batch(*sizes):
    return [(RNG.normal(size=(n, 3)),) for n in sizes]


# Sizes by themselves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sizes", "number"),
    [
        ("b", {"b": 3}, 3),
        ("2*b+1", {"b": 3}, 7),
        ("h*w - 1", {"h": 3, "w": 4}, 11),
        ("(a+1)^2", {"a": 2}, 9),
        ("-2+b*4", {"b": 1}, 2),
    ],
)
def test_sizes_are_polynomials(text, sizes, number):
    assert parsed(text).evaluate(sizes) == number
    assert parsed(repr(parsed(text))) == parsed(text)


def test_sizes_have_arithmetic():
    b, c = symbolic_shape("b, c")
    assert repr((b + 1) * (b - 1) - 2 * c) == "b^2 - 2*c - 1"
    assert repr(3 - b) == "-b + 3"
    assert b + c == c + b
    assert (b + c) - c == b
    assert hash(b - b) == hash(0)
    assert (b - b) == 0
    assert len({b, b * 1, c}) == 2
    with pytest.raises(TypeError, match="the symbolic size b has no value"):
        range(b)
    with pytest.raises(TypeError):
        b / 2
    (other,) = symbolic_shape("b")
    with pytest.raises(ValueError, match="of different scopes"):
        b + other


@pytest.mark.parametrize("text", ["b b", "b+", "2**", "b/2", "b//2", "(b", "b)", "b^0", "b^99", "%", "", "b.c", "f(b)"])
def test_texts_that_say_no_size_are_refused(text):
    with pytest.raises(ValueError, match="is no symbolic size"):
        parsed(text)


def test_parentheses_around_a_shape_and_in_it():
    assert symbolic_shape("(a + b)*(a - b)") == (parsed("a^2 - b^2"),)
    assert symbolic_shape("(a + 1)^2, (2)") == (parsed("a^2 + 2*a + 1"), 2)
    assert symbolic_shape("((a + 1)*2, 3,)") == (parsed("2*a + 2"), 3)


@pytest.mark.parametrize(
    ("text", "message"), [("((a+b+c+d)^8)^8", "64 terms"), ("(" * 500 + "a" + ")" * 500, "64 parentheses")]
)
def test_texts_that_would_take_for_ever_are_refused(text, message):
    with pytest.raises(ValueError, match=f"has more than {message}"):
        symbolic_shape(text)


def test_shapes_take_extents_from_others():
    assert repr(symbolic_shape("b, ...", like=(7, 3, 4))) == "(b, 3, 4)"
    assert repr(symbolic_shape("(b, _, 2*b)", like=(7, 3, 4))) == "(b, 3, 2*b)"
    assert symbolic_shape(None, like=(7, 3)) == (7, 3)
    assert symbolic_shape("") == ()
    for text, like in (
        ("b, _", None),
        ("...", None),
        ("b, ..., ...", (1, 2)),
        ("b, c, ...", (1,)),
        ("b, _", (1, 2, 3)),
    ):
        with pytest.raises(ValueError, match="symbolic_shape"):
            symbolic_shape(text, like=like)
    with pytest.raises(ValueError, match="give the constraints to the scope"):
        symbolic_shape("b", scope=SymbolicScope(), constraints=["b > 1"])
    with pytest.raises(TypeError, match="a sequence of texts"):
        symbolic_shape("b", constraints="b > 1")


def test_types_of_arguments_with_one_scope():
    args = ({"x": np.zeros((8, 3), np.float32), "y": np.zeros(8)}, 1.0)
    specs = symbolic_args_specs(args, ({"x": "b, ...", "y": "b"}, None), constraints=["b > 1"])
    assert repr(specs[0]["x"]) == "ShapeDtypeStruct(shape=(b, 3), dtype=float32)"
    assert specs[0]["x"].shape[0].scope is specs[0]["y"].shape[0].scope
    made = export(fg.jit(lambda p, s: p["x"].T @ p["y"] * s))(*specs)
    assert made.call({"x": np.ones((4, 3), np.float32), "y": np.ones(4)}, np.float64(2)).tolist() == [8, 8, 8]


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 50), min_size=3), st.integers(1, 9), st.integers(-3, 9))
@drawn(30)
def test_sizes_are_found_again(sizes, factor, shift):
    texts = [f"{factor}*a", f"b*a+{shift}" if shift >= 0 else f"b*a-{-shift}", "c+a*b"]
    extents = [Extent(parsed(text), text) for text in texts]
    assert not unsolvable(extents, sizes)
    assert solved(extents, [e.size.evaluate(sizes) for e in extents], []) == sizes
    assert unsolvable([Extent(parsed("a*b"), ""), Extent(parsed("c^2"), "")], "abc") == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("b >= 2", 2, 1),
        ("b < 9", 8, 9),
        ("b % 8 == 0", 16, 12),
        ("mod(b, 3) == 1", 4, 3),
        ("2*(b) % 8 == 0", 4, 3),
        ("(b+1)*(b+2) % 8 == 4", 2, 1),
        ("-b % 8 == 1", 7, 1),
        ("b != 4", 3, 4),
        ("2*b == b+3", 3, 4),
    ],
)
def test_constraints(text, good, bad):
    one = constraint(text)
    assert one.holds({"b": good})
    assert not one.holds({"b": bad})
    assert constraint(str(one)) == one


def test_a_remainder_of_a_sum_needs_parentheses():
    with pytest.raises(ValueError, match=r"needs parentheses: \(a \+ b\) % 2"):
        constraint("a + b % 3 == 1")


# One program for all sizes --------------------------------------------------------------------------------------------


def test_a_network_takes_any_batch():
    def loss(params, x):
        out = files.network(params, x)
        return np.mean(out["h"] ** 2) + np.sum(np.var(x, 0)), out["h"].reshape(-1), np.concatenate([x, x[:1]])

    spec = files.sizes("b, 3")
    read = agree(lambda x: loss(files.PARAMS, x), [spec], *batch(1, 2, 7, 64, 1000))
    assert repr(read.out_avals[1:]) == (
        "(ShapeDtypeStruct(shape=(4*b,), dtype=float64), ShapeDtypeStruct(shape=(b + 1, 3), dtype=float64))"
    )
    agree(lambda x: fg.grad(lambda p: loss(p, x)[0])(files.PARAMS), [spec], *batch(1, 2, 33))


def test_loops_and_indices_take_any_length():
    def f(x, i):
        carry, ys = fg.lax.scan(lambda c, row: (c * 0.5 + row, c[0]), np.zeros(3), x)
        total = fg.lax.fori_loop(0, x.shape[0], lambda k, c: c + x[k, 0], 0.0)
        return carry, ys, total, x[i], x[-1], x[1:], fg.lax.cumsum(x, 0), np.sort(x, 0), np.argmax(x, 0)

    read = agree(f, [files.sizes("b, 3"), 0], *((*args, -1) for args in batch(1, 2, 5, 40)))
    for n in (1, 9):
        with pytest.raises(IndexError, match=f"out of bounds for axis with size {n}"):
            read.call(np.zeros((n, 3)), n)


def test_several_sizes_and_expressions():
    m, n, k = symbolic_shape("m, n, 2*m+1")

    def f(x, y, z):
        return x @ y / (x.shape[0] * y.shape[1]), z.sum() / z.shape[0], fg.numpy.outer(x[0], z)

    args = [
        (RNG.normal(size=(a, b)), RNG.normal(size=(b, a)), RNG.normal(size=2 * a + 1))
        for a, b in ((1, 1), (3, 5), (20, 2))
    ]
    read = agree(f, [S((m, n), np.float64), S((n, m), np.float64), S((k,), np.float64)], *args)
    assert read.symbols == ("m", "n")
    with pytest.raises(
        ValueError, match=r"argument 2.shape\[0\] is 6, where 7 = 2\*m \+ 1 with m = 3, n = 5 is needed"
    ):
        read.call(args[1][0], args[1][1], np.zeros(6))


def test_what_is_made_of_sizes():
    def f(x):
        n = x.shape[0]
        zeros, counts = fg.numpy.zeros((n, 2)), fg.numpy.arange(2, 2 * n + 2, 2)
        return (
            zeros + x[:, :1],
            counts * 1.5,
            fg.numpy.full((n,), 3.0) / n,
            x.sum() / n**0.5,
            n * x,
            x - 1.0 / n,
            np.sum(x) * (n - 1),
        )

    agree(f, [files.sizes("b, 3")], *batch(1, 2, 30, 101))


def test_images_and_attention_of_any_size():
    kernel = RNG.normal(size=(3, 3, 2, 4))

    def convolved(x):
        y = fg.nn.relu(
            fg.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        )
        return fg.nn.max_pool(y, (2, 2), strides=(2, 2)), y.mean((1, 2))

    spec = files.sizes("b, h, w, 2", "h % 2 == 0", "w % 2 == 0")
    images = [(RNG.normal(size=(n, h, w, 2)),) for n, h, w in ((1, 2, 2), (2, 6, 4))]
    agree(convolved, [spec], *images)
    sequences = [(RNG.normal(size=(n, t, 2, 4)),) for n, t in ((1, 1), (2, 9))]
    agree(lambda x: fg.nn.dot_product_attention(x, x, x, is_causal=True), [files.sizes("b, t, 2, 4")], *sequences)


def test_random_numbers_of_any_size_are_the_same():
    key = fg.random.PRNGKey(0)
    agree(
        lambda key, x: x + fg.random.normal(key, x.shape),
        [key, files.sizes("b, 3")],
        *((key, *a) for a in batch(1, 2, 31)),
    )


def test_halves_need_a_constraint():
    def f(x):
        return x[::2] * 2, x[: x.shape[0] // 2 * 2]

    def g(x):
        return x[::2] + x[1::2], fg.numpy.reshape(x, (-1, 2))

    with pytest.raises(ValueError, match="could not be broadcast together") as info:
        export(fg.jit(g))(files.sizes("b"))
    assert "a constraint can exclude sizes" in info.value.__notes__[-1]
    with pytest.raises(
        ExportError, match=r"no polynomial in the sizes describes.*'b % 2 == 0'.*\n  at .*test_symbolic"
    ):
        export(fg.jit(f))(files.sizes("b"))
    read = agree(g, [files.sizes("b", "b % 2 == 0")], *((RNG.normal(size=n),) for n in (2, 4, 64)))
    assert repr(read.out_avals[0]) == "ShapeDtypeStruct(shape=(b/2,), dtype=float64)"
    with pytest.raises(ValueError, match="the sizes b = 5 break the constraint b % 2 == 0"):
        read.call(np.zeros(5))


# Decisions ------------------------------------------------------------------------------------------------------------


def threshold(x):
    return x * 2 if x.shape[0] > 300 else x


def least(x):
    return x / min(x.shape[0], 300)


def by_numpy(x):
    return x * (2 if np.shape(x)[0] * 2 > 600 else 1)


def by_size(x):
    return x * (1 if np.size(x) <= 300 else 2)


def by_bytes(x):
    return x * (1 if x.nbytes <= 2400 else 2)


def by_formula(x):
    return x * (1 if (x.shape[0] + 3) // 4 < 76 and x.shape[0] / 3 <= 100 else 2)


def by_root(x):
    return x * (2 if np.sqrt(x.shape[0] + 100) > 20 else 1)


def by_known_array(x):
    return x * (2 if fg.numpy.zeros(x.shape).shape[0] > 300 else 1)


def by_eval_shape(x):
    return x * (2 if fg.eval_shape(lambda v: v + 1, x).shape[0] > 300 else 1)


def inside_jit(x):
    return fg.jit(threshold)(x)


def inside_vmap(x):
    return fg.vmap(lambda v: threshold(v[None] * x)[0])(x)


def inside_grad(x):
    return fg.grad(lambda v: np.sum(threshold(v) ** 2))(x)


def by_axis_size(x):
    return fg.vmap(lambda v: v * (2 if fg.lax.axis_size("i") > 300 else 1), axis_name="i")(x)


def by_minimum(x):
    return x / np.minimum(x.shape[0], 300)


def by_distance(x):
    return x * (301 - x.shape[0] + abs(x.shape[0] - 301))


def by_tree(x):
    return x * (2 if fg.tree.map(np.shape, [x])[0][0] > 300 else 1)


def by_type(x):
    return x * (2 if isinstance(x.shape[0], int) and x.shape[0] * True > 300.0 else 1)


DECISIONS = [
    threshold, least, by_numpy, by_size, by_bytes, by_formula, by_root, by_known_array, by_eval_shape, inside_jit,
    inside_vmap, inside_grad, by_axis_size, by_minimum, by_distance, by_tree, by_type,
]  # fmt: skip


@pytest.mark.parametrize("fun", DECISIONS, ids=lambda fun: fun.__name__)
def test_decisions_by_sizes_hold_or_the_call_is_refused(fun):
    read = loaded(fun, files.sizes("b"))
    x = np.linspace(1, 2, 300)
    np.testing.assert_array_equal(read.call(x), fg.jit(fun)(x))
    with pytest.raises(
        ValueError, match=r"was exported for sizes where .* for b = 301 it is .*\n  at .*test_symbolic.py"
    ):
        read.call(np.zeros(301))


def test_a_constraint_says_which_side_is_meant():
    read = agree(threshold, [files.sizes("b", "b > 300")], (np.ones(301),), (np.ones(4000),))
    with pytest.raises(ValueError, match="break the constraint b > 300"):
        read.call(np.ones(300))


def test_a_decision_among_the_samples_asks_for_a_constraint():
    with pytest.raises(ExportError, match=r"say by a constraint which sizes are meant|differs from size to size"):
        export(fg.jit(lambda x: x * 2 if x.shape[0] > 30 else x * 3))(files.sizes("b"))
    agree(lambda x: x * 2 if x.shape[0] > 30 else x * 3, [files.sizes("b", "b <= 30")], (np.ones(3),), (np.ones(30),))


def test_decisions_that_are_the_same_for_all_sizes_leave_no_guard():
    def f(x, y):
        assert x.shape[0] == y.shape[0]
        assert x.shape[0] > 0
        assert x.shape != ()
        assert x.shape[0] + 1 > x.shape[0]
        assert x.shape[0] >= 1
        assert x.ndim == 1
        assert not x.shape[0] < 1
        return x + y

    (b,) = symbolic_shape("b")
    made = export(fg.jit(f))(S((b,), np.float64), S((b,), np.float64))
    assert not made._content.guards


LOST = {
    "range": lambda x: sum(k * x[0] for k in range(x.shape[0] // 1000)),
    "len": lambda x: x / len(x),
    "float": lambda x: x / float(x.shape[0]),
    "int": lambda x: x * int(x.shape[0] / 2),
    "numpy": lambda x: x + np.zeros(x.shape[0]),
    "a list": lambda x: x * len([0] * x.shape[0]),
    "a key": lambda x: x * {3: 1}.get(x.shape[0], 2),
    "a text": lambda x: x * int(f"{x.shape[0]:d}"),
    "an array": lambda x: x * (np.arange(3) * x.shape[0])[1],
    "round": lambda x: x * round(x.shape[0] / 3),
    "a decimal": lambda x: x * (2 if x.shape[0] == decimal.Decimal(301) else 1),
    "a scalar": lambda x: x * (2 if x.shape[0] > np.float32(300) else 1),
    "exp": lambda x: x * np.exp(x.shape[0]),
}


@pytest.mark.parametrize("how", LOST)
def test_sizes_that_get_lost_are_refused(how):
    with pytest.raises(
        ExportError, match=r"(?s)needs a known number|differs from size to size.*\n  at .*test_symbolic"
    ):
        export(fg.jit(LOST[how]))(files.sizes("b"))


def test_shapes_of_what_is_no_part_of_the_program_are_refused():
    def f(x):
        return x * (2 if fg.eval_shape(lambda v: v[1:], x).shape[0] > 299 else 1)

    with pytest.raises(ExportError, match=r"is no part of the program: an extent is \d+ for b = \d+.*\n  at"):
        export(fg.jit(f))(files.sizes("b"))


def test_numbers_of_arrays_that_are_made_of_sizes_are_not_known():
    for f in (
        lambda x: x * (2 if fg.numpy.arange(x.shape[0])[-1] > 299 else 1),
        lambda x: x * float(fg.numpy.full(2, x.shape[0])[1]),
        lambda x: x * (2 if fg.lax.iota(np.int64, x.shape[0])[-1] > 299 else 1),
        lambda x: x * (2 if fg.grad(lambda v: v * v)(x.shape[0] * 1.0) > 600 else 1),
    ):
        with pytest.raises(fg.errors.ConcretizationTypeError):
            export(fg.jit(f))(files.sizes("b"))


@pytest.mark.parametrize(
    ("fun", "message"),
    [
        (lambda x: tuple(x for _ in range(np.zeros(3).size)) if x.shape[0] < 40 else x, "structure|constraint"),
        (lambda x: fg.numpy.linspace(0, 1, x.shape[0]) ** 2 * x, "known array|no polynomial"),
        (lambda x: x * (x.shape[0] // 3), "no polynomial"),
        (lambda x: sum(x[k] for k in range(x.ndim * 2)) / 2 ** (x.size % 5), "no polynomial"),
    ],
)
def test_programs_that_no_polynomial_describes_are_refused(fun, message):
    with pytest.raises(ExportError, match=message):
        export(fg.jit(fun))(files.sizes("b"))


def test_what_is_not_watched_is_compared_at_small_sizes():
    """A library that reads types as funcgrad's own code does, past what is watched."""

    def other(x):
        return np.exp(x) if type_of(x).shape[0] != 4 else np.sin(x)

    def failing(x):
        if type_of(x).shape[0] == 4:
            raise RuntimeError("not four")
        return x * 2

    def equal(x):
        return x * 3 if type_of(x).shape[0] != 4 else x + x + x

    with pytest.raises(ExportError, match="for b = 4 the function computes something else"):
        export(fg.jit(other))(files.sizes("b"))
    with pytest.raises(ExportError, match=r"the function raises RuntimeError for b = 4.*not four"):
        export(fg.jit(failing))(files.sizes("b"))
    agree(equal, [files.sizes("b")], (np.ones(4),), (np.ones(5),))
    agree(other, [files.sizes("b", "b > 4")], (np.ones(5),))


def test_what_is_not_watched_is_compared_at_large_and_equal_sizes():
    shuffled = fg.jit(fg.random.permutation)
    key, example = fg.random.key(0), np.arange(1625.0)
    with pytest.raises(ExportError, match=r"for b = 4000 the function computes something else.*such as b = \d\d\."):
        export(shuffled)(key, files.sizes("b"))
    agree(shuffled, [key, files.sizes("b", "b <= 1625")], (key, example), (key, example[:7]))

    def other(x, y):
        return np.sum(x) + np.sum(y) * (2 if type_of(x).shape == type_of(y).shape else 1)

    specs = symbolic_args_specs((np.ones(3), np.ones(3)), ("b", "c"))
    with pytest.raises(ExportError, match="for b = 1, c = 1 the function computes something else"):
        export(fg.jit(other))(*specs)


# Calls ----------------------------------------------------------------------------------------------------------------


def test_symbols_must_be_told_by_the_arguments():
    for text in ("b*c", "b^2", "b + c"):
        with pytest.raises(ValueError, match="do not tell"):
            export(fg.jit(np.sin))(files.sizes(text))
    with pytest.raises(ValueError, match="of several scopes"):
        export(fg.jit(np.add))(files.sizes("b"), files.sizes("b"))
    with pytest.raises(ValueError, match="the constraint c >= 2 is of sizes that no argument has; there are b"):
        export(fg.jit(np.sin))(files.sizes("b", "c >= 2"))
    with pytest.raises(ExportError, match="7 symbolic sizes; 6 is the most"):
        export(fg.jit(np.sin))(files.sizes("a, b, c, d, e, f, g"))
    with pytest.raises(ExportError, match=r"leave too few sizes.*for each size"):
        export(fg.jit(np.sin))(files.sizes("b", "b <= 2"))
    specs = symbolic_args_specs((np.ones(4), np.ones(2)), ("n", "m"), constraints=["n == 2*m"])
    with pytest.raises(ExportError, match=r"write the extents that n == 2\*m tells as such polynomials"):
        export(fg.jit(lambda x, y: (x, y)))(*specs)


def test_arguments_must_fit_the_symbols():
    read = loaded(lambda x: x * 1.0, files.sizes("2*b + 1"))
    assert read.call(np.zeros(5)).shape == (5,)
    for n in (0, 1, 4):
        with pytest.raises(ValueError, match=rf"argument 0.shape\[0\] is {n}, which no b >= 1 makes of 2\*b \+ 1"):
            read.call(np.zeros(n))


def test_transformations_with_symbolic_sizes():
    read, x = deserialize(files.data()["sizes"]), RNG.normal(size=(5, 3))

    def loss(f, params, x):
        return np.sum(f(params, x)["mean"] ** 2)

    for make in (
        lambda f: fg.jit(fg.grad(lambda p: loss(f, p, x)))(files.PARAMS)["w"],
        lambda f: fg.vmap(lambda v: f(files.PARAMS, v)["h"])(np.stack([x, 2 * x])),
        lambda f: fg.jvp(lambda v: loss(f, files.PARAMS, v), (x,), (x,))[1],
    ):
        np.testing.assert_allclose(make(read.call), make(files.network), rtol=1e-12)
    pulled = read.vjp()
    assert pulled.symbols == ("b",)
    ct = {"mean": RNG.normal(size=4), "h": RNG.normal(size=(5, 4))}
    own = fg.vjp(files.network, files.PARAMS, x)[1](ct)
    for a, b in zip(
        pulled.call(*fg.tree.leaves((files.PARAMS, x)), *fg.tree.leaves(ct)), fg.tree.leaves(own), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_listing_for_given_sizes():
    made = files.exported()["sizes"]
    assert "f64[7,4]" in made.as_text(b=7)
    for wrong in ({}, {"c": 7}):
        with pytest.raises(ValueError, match="as_text: the sizes are b, not"):
            made.as_text(**wrong)


def test_threads_may_call_with_different_sizes():
    read, found = loaded(lambda x: np.sum(x, 0) / x.shape[0], files.sizes("b, 3")), {}

    def work(n):
        found[n] = read.call(np.full((n, 3), float(n)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for n, out in found.items():
        np.testing.assert_array_equal(out, n)


def test_threads_may_export_at_the_same_time():
    own, failed = fg.trace.tracer.Tracer.__dict__["shape"], []

    def work():
        try:
            made = export(fg.jit(threshold))(files.sizes("b"))
            assert [guard.condition for guard in made._content.guards] == ["b > 300"]
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed
    assert fg.trace.tracer.Tracer.__dict__["shape"] is own


def test_nothing_is_watched_afterwards():
    with pytest.raises(ExportError):
        export(fg.jit(LOST["len"]))(files.sizes("b"))
    seen = []
    fg.jit(lambda x: seen.append((x.shape, x.size, len(x), x.nbytes)) or x)(np.zeros((2, 3)))
    assert seen == [((2, 3), 6, 2, 48)]
    assert all(type(n) is int for n in seen[0][0])
    assert fg.numpy.zeros(3).shape == (3,)
