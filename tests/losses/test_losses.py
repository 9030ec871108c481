"""Are losses and their gradients right?  Held against formulas in NumPy, against optax, and at their edges."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import losses, nn
from tests.losses.cases import BITS, CASES, CODES, IMAGES, LABELS, REGIONS, SIGNS, Case, P, T, X
from tests.ops.numerics import richardson

NAMES = sorted(CASES)


def called(name: str, library: Any = losses) -> Any:
    """The loss of a case as a function of its floats."""
    case = CASES[name]
    function = getattr(library, name.split(",", maxsplit=1)[0])
    return lambda *floats: function(*floats, *case.args[case.floats :], **case.options)


def floats(case: Case) -> list[Any]:
    return list(case.args[: case.floats])


@pytest.mark.parametrize("mode", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", NAMES)
def test_values(name: str, mode: Any) -> None:
    case = CASES[name]
    got = mode(called(name))(*floats(case))
    assert type(got) is fg.Array
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, case.formula(*case.args), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name: str) -> None:
    case = CASES[name]
    weight = np.random.default_rng(1).standard_normal(np.shape(case.formula(*case.args)))
    gradients = fg.jit(fg.grad(lambda *x: np.sum(called(name)(*x) * weight), tuple(range(case.floats))))(*floats(case))
    for n, gradient in enumerate(gradients):
        t = np.random.default_rng(2).standard_normal(gradient.shape)
        tangents = [t if m == n else None for m in range(len(case.args))]
        want = np.sum(weight * richardson(case.formula, case.args, tangents, 1e-4))
        np.testing.assert_allclose(np.sum(gradient * t), want, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_narrow_floats_are_rounded_once_and_float32_stays(name: str) -> None:
    case = CASES[name]
    f = called(name)
    for dtype, ulp in ((np.float16, 2.0**-10), (ml_dtypes.bfloat16, 2.0**-7)):
        narrow = [x.astype(dtype) for x in floats(case)]
        wide = f(*(x.astype(np.float32) for x in narrow))
        assert wide.dtype == np.float32
        got = f(*narrow)
        assert got.dtype == dtype
        np.testing.assert_allclose(got.astype(float), wide, rtol=ulp, atol=2.0**-24 if dtype == np.float16 else 0)


@functools.cache
def by_optax() -> dict[str, Any]:
    """Values and gradients of every loss that optax has, from one compilation."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    names = [name for name in NAMES if CASES[name].optax]

    def everything(arguments: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for name in names:
            f = called(name, optax.losses)
            slope = jax.grad(lambda *x, f=f: jax.numpy.sum(f(*x)), tuple(range(CASES[name].floats)))
            out[name] = f(*arguments[name]), slope(*arguments[name])
        return out

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(everything)({name: floats(CASES[name]) for name in names}))


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].optax])
def test_values_and_gradients_are_those_of_optax(name: str) -> None:
    want, slopes = by_optax()[name]
    case = CASES[name]
    np.testing.assert_allclose(called(name)(*floats(case)), want, rtol=1e-9, atol=1e-12)
    gradients = fg.grad(lambda *x: np.sum(called(name)(*x)), tuple(range(case.floats)))(*floats(case))
    for gradient, slope in zip(gradients, slopes, strict=True):
        known = np.isfinite(slope)  # optax's derivative by the labels is 0 * inf where they do not count
        np.testing.assert_allclose(gradient[known], slope[known], rtol=1e-8, atol=1e-10)


def test_every_name_of_optax_is_there_and_every_loss_has_a_case() -> None:
    tested = {name.split(",")[0] for name in CASES}
    others = {"make_fenchel_young_loss", "weighted_mean", "ctc_loss", "ctc_loss_with_forward_probs"}
    assert set(losses.__all__) == tested | others
    optax = pytest.importorskip("optax")
    names = {name for name in dir(optax.losses) if not name.startswith("_")}
    assert names - set(losses.__all__) == {"convex_kl_divergence"}  # deprecated there


# Edges ---------------------------------------------------------------------------------------------------------------

HUGE = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, -np.inf, 1.0]])
RIGHT = np.array([0, 0, 2])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_cross_entropy_of_huge_logits(dtype: str) -> None:
    x = HUGE.astype(dtype)
    want = np.array([0, 2e4 + np.log(2), np.log1p(np.exp(-1))])
    slopes = np.array([[0, 0, 0], [-1, 0.5, 0.5], [1 / (1 + np.e), 0, -1 / (1 + np.e)]])
    codes = np.eye(3)[RIGHT]
    for loss in (
        lambda x: losses.softmax_cross_entropy_with_integer_labels(x, RIGHT),
        lambda x: losses.softmax_cross_entropy(x, codes),
        lambda x: losses.safe_softmax_cross_entropy(x, codes),
    ):
        for f in (loss, fg.jit(loss)):
            np.testing.assert_allclose(f(x), want, rtol=1e-6)
        np.testing.assert_allclose(fg.jit(fg.grad(lambda x, loss=loss: np.sum(loss(x))))(x), slopes, atol=1e-7)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sigmoid_cross_entropy_of_huge_logits(dtype: str) -> None:
    x = np.array([1e4, 1e4, -1e4, -1e4, np.inf, -np.inf, 50.0, 0.0], dtype)
    y = np.array([1, 0, 1, 0, 1, 0, 1, 0], dtype)
    want = [0, 1e4, 1e4, 0, 0, 0, np.exp(-50.0), np.log(2)]
    slopes = [0, 1, -1, 0, 0, 0, -np.exp(-50.0), 0.5]
    for f in (losses.sigmoid_binary_cross_entropy, fg.jit(losses.sigmoid_binary_cross_entropy)):
        np.testing.assert_allclose(f(x, y), want, rtol=1e-6)
    got = fg.jit(fg.grad(lambda x: np.sum(losses.sigmoid_binary_cross_entropy(x, y))))(x)
    np.testing.assert_allclose(got, slopes, rtol=1e-6)
    labels = fg.grad(lambda y: np.sum(losses.sigmoid_binary_cross_entropy(x[:4], y)))(y[:4])
    np.testing.assert_allclose(labels, -x[:4])
    assert losses.sigmoid_binary_cross_entropy(x[4], 0 * y[4]) == np.inf


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_losses_of_huge_logits(gamma: float) -> None:
    x = np.array([1e4, -1e4, 0.0], np.float32)
    loss = lambda x: losses.sigmoid_focal_loss(x, np.ones(3), gamma=gamma)  # noqa: E731
    np.testing.assert_allclose(loss(x), [0, 1e4, np.log(2) * 0.5**gamma], rtol=1e-6)
    assert np.all(np.isfinite(fg.jit(fg.grad(lambda x: np.sum(loss(x))))(x)))
    many = lambda x: losses.softmax_focal_loss(x, RIGHT[:2], gamma=gamma)  # noqa: E731
    np.testing.assert_allclose(many(HUGE[:2]), [0, 2e4 + np.log(2)], rtol=1e-6, atol=1e-30)
    assert np.all(np.isfinite(fg.jit(fg.grad(lambda x: np.sum(many(x))))(HUGE[:2])))


def test_log_cosh_is_accurate_for_small_and_large_errors() -> None:
    x = np.array([0.0, 1e-30, 1e-6, 0.999, 1.001, 1e3, 1e30], np.float32)
    wide = x.astype(float)
    want = [*(wide[:3] ** 2 / 2), *np.log(np.cosh(wide[3:5])), *(wide[5:] - np.log(2))]
    np.testing.assert_allclose(losses.log_cosh(x), want, rtol=3e-7, atol=1e-44)
    gradient = fg.jit(fg.grad(lambda x: np.sum(losses.log_cosh(x))))(np.concatenate([x, -x]))
    np.testing.assert_allclose(gradient, np.tanh(np.concatenate([wide, -wide])), rtol=1e-6)


def test_nothing_comes_of_a_target_of_0() -> None:
    log_p, q = np.array([0.0, -np.inf]), np.array([1.0, 0.0])
    assert losses.kl_divergence(log_p, q) == 0
    assert losses.kl_divergence_with_log_targets(log_p, np.array([0.0, -np.inf])) == 0
    assert losses.softmax_cross_entropy(log_p, q) == 0
    for f in (losses.kl_divergence, losses.softmax_cross_entropy):
        assert np.all(np.isfinite(fg.grad(f)(log_p, q)))
    assert losses.kl_divergence(log_p, 1 - q) == np.inf


def test_kinks() -> None:
    slope = lambda f, x: float(fg.grad(f)(x))  # noqa: E731
    assert slope(losses.absolute_error, 0.0) == 0
    assert slope(losses.huber_loss, 1.0) == 1
    assert slope(losses.huber_loss, -1.0) == -1
    assert slope(lambda x: losses.hinge_loss(x, 1.0), 1.0) == -0.5  # of max(0, 0), as in JAX
    assert slope(losses.log_cosh, 0.0) == 0


def test_a_vector_of_zeros_has_no_direction() -> None:
    zeros = np.zeros(3)
    assert np.isnan(losses.cosine_similarity(zeros, np.ones(3)))
    assert losses.cosine_similarity(zeros, np.ones(3), epsilon=1e-8) == 0
    assert np.all(np.isfinite(fg.grad(lambda x: losses.cosine_distance(x, np.ones(3), epsilon=1e-8))(zeros)))


def test_ignored_examples_and_those_that_count() -> None:
    labels = np.array([2, -100, 4, -100])

    def loss(x: Any) -> Any:
        values = losses.softmax_cross_entropy_with_integer_labels(x, labels, ignore_index=-100)
        return losses.weighted_mean(values, where=labels != -100)

    assert not np.any(fg.grad(loss)(X)[[1, 3]])
    np.testing.assert_allclose(loss(X), np.mean(losses.softmax_cross_entropy(X, CODES)[[0, 2]]))
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    factors = torch.arange(1.0, 6.0, dtype=torch.float64)
    options = {"weight": factors, "ignore_index": -100, "label_smoothing": 0.1, "reduction": "none"}
    want = torch.nn.functional.cross_entropy(x, torch.tensor(labels), **options)
    mine = lambda x: losses.softmax_cross_entropy_with_integer_labels(  # noqa: E731
        x, labels, ignore_index=-100, label_smoothing=0.1, weights=factors.numpy()
    )
    np.testing.assert_allclose(mine(X), want.detach().numpy(), rtol=1e-12)
    want.sum().backward()
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(mine(x)))(X), x.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_weighted_mean() -> None:
    values = np.array([1.0, 2.0, np.nan])
    assert losses.weighted_mean(values, [1.0, 3.0, 1.0], [True, True, False]) == 1.75
    assert losses.weighted_mean(values, where=np.zeros(3, bool)) == 0
    np.testing.assert_allclose(losses.weighted_mean(np.arange(6.0).reshape(2, 3), [1, 0, 1], axis=1), [1, 4])


def test_lists_without_items_count_for_nothing() -> None:
    where = np.array([[True, True], [False, False]])
    x, y = np.zeros((2, 2)), np.ones((2, 2))
    assert losses.ranking_softmax_loss(x, y, where=where) == 2 * np.log(2)
    assert losses.ranking_softmax_loss(x, y, where=~where[:1]) == 0
    np.testing.assert_allclose(losses.ranking_softmax_loss(x, y, where=where, reduce_fn=None), [2 * np.log(2), 0])
    assert losses.ranking_softmax_loss(x, y, where=where, reduce_fn=np.sum) == 2 * np.log(2)


def test_fenchel_young_losses() -> None:
    loss = losses.make_fenchel_young_loss(nn.logsumexp)
    for f in (loss, fg.jit(loss), fg.vmap(loss)):
        np.testing.assert_allclose(f(X, P), losses.softmax_cross_entropy(X, P), rtol=1e-12)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(loss(x, P)))(X), nn.softmax(X) - P, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_dice_reductions(reduction: str) -> None:
    each = losses.dice_loss(IMAGES, REGIONS, reduction="none")
    want = {"mean": each.mean(-1), "sum": each.sum(-1), "none": each}[reduction]
    np.testing.assert_allclose(losses.dice_loss(IMAGES, REGIONS, reduction=reduction), want)
    probabilities = nn.softmax(IMAGES)
    np.testing.assert_allclose(losses.dice_loss(probabilities, REGIONS, apply_softmax=False, reduction=reduction), want)


def kernels(f: Any, *args: Any) -> list[str]:
    text = fg.jit(fg.value_and_grad(f)).lower(*args).as_text("python")
    return [part for part in text.split("\ndef ") if part.startswith("kernel")]


def test_cross_entropy_has_the_kernels_of_the_one_written_by_hand() -> None:
    x, labels = np.zeros((64, 100), np.float32), np.zeros(64, np.int32)
    by_hand = lambda x: -np.mean(np.take_along_axis(nn.log_softmax(x), labels[:, None], 1))  # noqa: E731
    loss = lambda x: losses.softmax_cross_entropy_with_integer_labels(x, labels).mean()  # noqa: E731
    mine, theirs = kernels(loss, x), kernels(by_hand, x)
    assert len(mine) == len(theirs)
    for m, t in zip(mine, theirs, strict=True):  # but for the place of the minus
        assert abs(len(m.splitlines()) - len(t.splitlines())) <= 1


@pytest.mark.parametrize(
    "name",
    [
        *("softmax_cross_entropy", "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "squared_error", "huber_loss"),
        *("log_cosh", "hinge_loss", "kl_divergence", "poisson_nll_loss", "absolute_error"),
    ],
)
def test_loss_and_gradient_read_the_data_once(name: str) -> None:
    x, y = np.ones((64, 100), np.float32), np.ones((64, 100), np.float32)
    loss = lambda x, y: getattr(losses, name)(x, y).mean()  # noqa: E731
    text = fg.jit(fg.value_and_grad(loss)).lower(x, y).as_text("python")
    calls = [line for line in text.splitlines() if "    kernel_" in line]
    assert ["a0" in line for line in calls] == [True] + [False] * (len(calls) - 1)  # others add and divide sums
    assert len(calls) <= 3


@pytest.mark.parametrize("mode", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_no_examples(mode: Any) -> None:
    x, labels = np.zeros((0, 3)), np.zeros(0, int)
    assert mode(losses.softmax_cross_entropy)(x, x).shape == (0,)
    for loss in (losses.softmax_cross_entropy_with_integer_labels, losses.multiclass_hinge_loss):
        assert mode(loss)(x, labels).shape == (0,)
    several = mode(lambda x, y: losses.softmax_cross_entropy_with_integer_labels(x, y, axis=(1, 2)))
    assert several(x[:, :, None], labels).shape == (0,)
    assert mode(losses.squared_error)(x, x).shape == (0, 3)


def test_under_vmap_and_grad() -> None:
    loss = losses.softmax_cross_entropy_with_integer_labels
    want = nn.softmax(X) - CODES
    np.testing.assert_allclose(fg.vmap(fg.grad(loss))(X, LABELS), want, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(loss)))(X, LABELS), want, rtol=1e-12, atol=1e-15)
    p = nn.softmax(X[0])
    np.testing.assert_allclose(fg.hessian(lambda x: loss(x, 1))(X[0]), np.diag(p) - np.outer(p, p), atol=1e-15)


# Mistakes ------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "integers": (
        lambda: losses.squared_error(LABELS),
        TypeError,
        "predictions must be floats, not int64",
    ),
    "integer logits": (
        lambda: losses.softmax_cross_entropy(CODES.astype(int), CODES),
        TypeError,
        "softmax_cross_entropy: logits must be floats",
    ),
    "float labels": (
        lambda: losses.softmax_cross_entropy_with_integer_labels(X, CODES[:, 0]),
        TypeError,
        "labels must be integers, not float64",
    ),
    "shapes": (
        lambda: losses.huber_loss(X, T[:, :1]),
        ValueError,
        r"huber_loss: shapes differ: predictions \(4, 5\), targets \(4, 1\)",
    ),
    "labels": (
        lambda: losses.softmax_cross_entropy_with_integer_labels(X, LABELS[:3]),
        ValueError,
        r"labels of shape \(3,\) do not fit logits of shape \(4, 5\)",
    ),
    "scores": (
        lambda: losses.multiclass_hinge_loss(X, LABELS[:3]),
        ValueError,
        r"multiclass_hinge_loss: labels of shape \(3,\) do not fit scores of shape \(4, 5\)",
    ),
    "signs": (lambda: losses.perceptron_loss(X, SIGNS[0]), ValueError, "perceptron_loss: shapes differ"),
    "label out of bounds": (
        lambda: losses.softmax_cross_entropy_with_integer_labels(X, LABELS + 3),
        IndexError,
        r"label 5 is none of 5 classes \(0 to 4\)",
    ),
    "axis": (lambda: losses.softmax_cross_entropy(X, CODES, axis=2), np.exceptions.AxisError, "out of bounds"),
    "reduction": (
        lambda: losses.dice_loss(IMAGES, REGIONS, reduction="max"),
        ValueError,
        "dice_loss: reduction 'max' is none of",
    ),
    "embeddings": (lambda: losses.ntxent(X, LABELS[:2]), ValueError, r"embeddings of shape \(4, 5\) and labels"),
    "complex": (lambda: losses.l2_loss(X * 1j), TypeError, "predictions must be floats, not complex128"),
    "None": (lambda: losses.sigmoid_binary_cross_entropy(None, BITS), TypeError, "does not accept None"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
