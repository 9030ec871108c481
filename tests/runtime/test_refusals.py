"""Does the error of a check in compiled code say which number it refused, and where it came from?"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import losses
from funcgrad.runtime import refusals

X = np.ones((4, 10))
LABELS = np.array([1, 2, 10, 5])
REMEDY = ". Do labels count from 1? Subtract 1"
NAME = "softmax_cross_entropy_with_integer_labels"


def loss(w: Any, batch: Any) -> Any:
    return losses.softmax_cross_entropy_with_integer_labels(batch["x"] @ w, batch["y"]).mean()


def epoch(w: Any, xs: Any, ys: Any) -> Any:
    def step(w: Any, k: Any) -> tuple[Any, None]:
        return w - fg.grad(loss)(w, {"x": xs[k], "y": ys[k]}), None

    return fg.lax.scan(step, w, np.arange(len(xs)))[0]


def batches(w: Any, pairs: Any) -> Any:
    return fg.lax.scan(lambda w, pair: (w - fg.grad(loss)(w, {"x": pair[0], "y": pair[1]}), None), w, pairs)[0]


def refusal(function: Any, *args: Any, **kwargs: Any) -> str:
    """The message, which is the same when the call is the second one."""
    jitted = fg.jit(function)
    messages = []
    for _ in range(2):
        with pytest.raises(IndexError) as caught:
            jitted(*args, **kwargs)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    text, line = messages[0].split("\n  at ")
    assert re.match(r".*test_refusals.py:\d+ \(in ", line)
    return text


YS = np.ones((20, 4), np.int32)
YS[7, 2] = 12
CASES: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "an index": (lambda x, i: x[i], (X, 7), "index 7 is out of bounds for axis with size 4; it is the argument i"),
    "a negative one": (
        lambda x, i: x[i],
        (X, -5),
        "index -5 is out of bounds for axis with size 4; it is the argument i",
    ),
    "an array": (
        lambda x, i: x[:, i],
        (X, LABELS),
        "index 10 is out of bounds for axis with size 10; it is the argument i[2]",
    ),
    "converted, reshaped and turned": (
        lambda x, i: x[0, i.T.reshape(-1)],
        (X, np.array([[3, 4, -11], [5, 6, 7]], np.int16)),
        "index -11 is out of bounds for axis with size 10; it is the argument i[0, 2]",
    ),
    "a write": (
        lambda x, i: x.at[i].set(0.0),
        (fg.numpy.ones(3), 4),
        "index 4 is out of bounds for axis with size 3; it is the argument i",
    ),
    "examples": (
        fg.vmap(lambda x, i: x[i]),
        (X, LABELS),
        "index 10 is out of bounds for axis with size 10; it is the argument i[2]",
    ),
    "a number that is computed": (lambda x, i: x[2 * i], (X, 3), "index 6 is out of bounds for axis with size 4"),
    "a number that a loop counts": (
        lambda x, n: fg.lax.fori_loop(0, n, lambda k, s: s + x[k, 0], 0.0),
        (X, 9),
        "index 4 is out of bounds for axis with size 4",
    ),
    "labels": (
        fg.grad(loss),
        (np.ones((3, 10)), {"x": np.ones((4, 3)), "y": np.array([1, 2, 11, 5])}),
        f"{NAME}: label 11 is none of 10 classes (0 to 9); it is the argument batch['y'][2]",
    ),
    "labels that count from 1": (
        fg.grad(loss),
        (np.ones((3, 10)), {"x": np.ones((4, 3)), "y": LABELS}),
        f"{NAME}: label 10 is none of 10 classes (0 to 9); it is the argument batch['y'][2]{REMEDY}",
    ),
    "a label of an epoch that is one loop": (
        epoch,
        (np.ones((3, 10)), np.ones((20, 4, 3)), YS),
        f"{NAME}: label 12 is none of 10 classes (0 to 9); it is the argument ys[7, 2]",
    ),
    "a label of batches that are scanned": (
        batches,
        (np.ones((3, 10)), (np.ones((20, 4, 3)), YS)),
        f"{NAME}: label 12 is none of 10 classes (0 to 9); it is the argument pairs[1][7, 2]",
    ),
    "labels of which some are ignored": (
        lambda x, y: losses.softmax_cross_entropy_with_integer_labels(x, y, ignore_index=-1),
        (X, np.array([-1, 3, 14, -1])),
        f"{NAME}: label 14 is none of 10 classes (0 to 9); it is the argument y[2]",
    ),
    "labels of another loss": (
        lambda x, y: losses.multiclass_hinge_loss(x, y),
        (X, np.array([1, -1, 2, 3])),
        "multiclass_hinge_loss: label -1 is none of 10 classes (0 to 9); it is the argument y[1]",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_message_tells_the_number_and_its_argument(name: str) -> None:
    function, args, message = CASES[name]
    assert refusal(function, *args) == message
    with fg.config.check_memory():
        assert refusal(function, *args) == message


def test_keywords_and_static_arguments_have_their_names() -> None:
    def pick(n: int, x: Any, *, which: Any) -> Any:
        return x[which] * n

    with pytest.raises(IndexError, match=r"it is the argument which\[1\]"):
        fg.jit(pick, static_argnums=0)(2, X, which=np.array([0, 4]))


def test_compiled_code_and_known_values_say_the_same_of_labels() -> None:
    for known in (losses.softmax_cross_entropy_with_integer_labels, losses.softmax_focal_loss):
        with pytest.raises(IndexError) as caught:
            known(X, LABELS)
        said = f"{known.__name__}: label 10 is none of 10 classes (0 to 9)"
        assert str(caught.value).startswith(f"{said}{REMEDY}\n  at ")
        assert refusal(lambda x, y, known=known: known(x, y), X, LABELS) == f"{said}; it is the argument y[2]{REMEDY}"


@pytest.mark.parametrize("negative", [False, True])
def test_negative_labels_count_from_the_end_where_they_may(negative: bool) -> None:
    labels = np.array([-1, 3, -10, 0])
    if negative:
        direct, jitted = (f(losses.softmax_cross_entropy_with_integer_labels)(X, labels) for f in (lambda f: f, fg.jit))
        np.testing.assert_array_equal(direct, jitted)
        np.testing.assert_array_equal(direct, losses.softmax_cross_entropy_with_integer_labels(X, labels % 10))
    else:
        for f in (losses.multiclass_hinge_loss, fg.jit(losses.multiclass_hinge_loss)):
            with pytest.raises(IndexError, match="label -1 is none of 10 classes"):
                f(X, labels)


def test_a_search_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "PATIENCE", -1.0)
    assert refusal(lambda x, i: x[i], X, 7) == "index is out of bounds for axis with size 4"
    assert refusal(fg.grad(loss), np.ones((3, 10)), {"x": np.ones((4, 3)), "y": LABELS}) == (
        f"{NAME}: a label is none of 10 classes (0 to 9)"
    )


def test_what_has_side_effects_is_not_run_again() -> None:
    calls: list[int] = []

    def noted(x: Any) -> Any:
        calls.append(1)
        return x

    def beside(x: Any, i: Any) -> Any:
        fg.debug.callback(noted, x[0, 0])
        return x[i]

    def before(x: Any, i: Any) -> Any:
        return x[fg.io_callback(noted, i, i)]

    assert "index 7 is" in refusal(beside, X, 7)
    assert refusal(before, X, np.int64(7)) == "index is out of bounds for axis with size 4"
    assert len(calls) <= 4  # once in each call


def test_donated_arguments_are_not_looked_at_again() -> None:
    """Their memory may hold results."""
    with pytest.raises(IndexError, match=r"^index is out of bounds for axis with size 3\n"):
        fg.jit(lambda x, i: x.at[i].set(1.0), donate_argnums=0)(fg.numpy.ones(3), 5)


def test_only_what_checks_read_is_computed_again() -> None:
    calls: list[int] = []

    def seen(x: Any) -> Any:
        calls.append(1)
        return x

    def function(x: Any, i: Any) -> Any:
        y = fg.pure_callback(seen, x, x)
        return y.sum() + x[i].sum()

    with pytest.raises(IndexError, match="index 7 is"):
        fg.jit(function)(X, 7)
    assert len(calls) <= 1


def test_a_check_that_passes_again_leaves_the_message_as_it_is() -> None:
    """Another thread may have changed the array meanwhile."""
    error = IndexError("index is out of bounds for axis with size 4")
    program = fg.make_jaxpr(lambda x, i: x[i])(X, 7)
    assert refusals.explained(error, program, [X, 2], None) is error
    assert refusals.explained(MemoryError(), program, [X, 7], None).args == ()
    assert str(refusals.explained(error, program, [X, 7], None)).startswith("index 7 is out of bounds")
