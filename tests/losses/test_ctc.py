"""Is the CTC loss the sum over all paths?  Held against counting them, against PyTorch and against optax."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import funcgrad as fg
from funcgrad import losses

RANDOM = np.random.default_rng(0)
B, TIMES, K, N = 4, 6, 4, 3
LOGITS = RANDOM.standard_normal((B, TIMES, K))
LABELS = np.array([[1, 2, 3], [1, 1, 2], [3, -7, 99], [-1, -1, -1]])
LENGTHS, TIME = np.array([3, 3, 1, 0]), np.array([6, 6, 4, 5])
PADS = (np.arange(TIMES) >= TIME[:, None]).astype(float)
LABEL_PADS = (np.arange(N) >= LENGTHS[:, None]).astype(float)


def by_counting(logits: np.ndarray, labels: Any, blank: int = 0) -> float:
    """-log of the sum over every path that reads as the labels."""
    log_p = sp.log_softmax(logits, -1)
    total = []
    for path in itertools.product(range(K), repeat=len(logits)):
        read = [k for k, _ in itertools.groupby(path) if k != blank]
        if read == list(labels):
            total.append(sum(log_p[t, k] for t, k in enumerate(path)))
    return float(-sp.logsumexp(total))


@pytest.mark.parametrize("mode", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_the_sum_over_all_paths(mode: Any) -> None:
    got = mode(losses.ctc_loss)(LOGITS, PADS, LABELS, LABEL_PADS)
    want = [by_counting(LOGITS[b, : TIME[b]], LABELS[b, : LENGTHS[b]]) for b in range(B)]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_another_blank() -> None:
    labels = np.array([[0, 1]])
    got = losses.ctc_loss(LOGITS[:1], PADS[:1], labels, np.zeros((1, 2)), blank_id=3)
    np.testing.assert_allclose(got, by_counting(LOGITS[0], [0, 1], 3), rtol=1e-12)


def test_values_and_gradients_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    scores = torch.nn.functional.log_softmax(logits, -1).transpose(0, 1)
    labels = torch.tensor(np.where(LABEL_PADS == 1, 0, LABELS))
    want = torch.nn.functional.ctc_loss(scores, labels, torch.tensor(TIME), torch.tensor(LENGTHS), reduction="none")
    np.testing.assert_allclose(losses.ctc_loss(LOGITS, PADS, LABELS, LABEL_PADS), want.detach().numpy(), rtol=1e-10)
    want.sum().backward()
    gradient = fg.jit(fg.grad(lambda x: np.sum(losses.ctc_loss(x, PADS, LABELS, LABEL_PADS))))(LOGITS)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_forward_probabilities_are_those_of_optax() -> None:
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    labels = np.where(LABEL_PADS == 1, 0, LABELS)
    with jax.enable_x64(True):
        want = jax.jit(optax.losses.ctc_loss_with_forward_probs)(LOGITS, PADS, labels, LABEL_PADS)
    for g, w in zip(losses.ctc_loss_with_forward_probs(LOGITS, PADS, labels, LABEL_PADS), want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-6, atol=1e-12)  # optax mixes float32 into float64


def test_labels_that_do_not_fit_in_the_time_cost_much_but_not_nan() -> None:
    pads = np.ones((B, TIMES))
    pads[:, :2] = 0
    loss = lambda x: losses.ctc_loss(x, pads, LABELS, LABEL_PADS)  # noqa: E731
    assert np.all(loss(LOGITS)[:2] > 9e4)
    assert np.all(np.isfinite(fg.grad(lambda x: np.sum(loss(x)))(LOGITS)))
    assert np.all(np.isfinite(fg.grad(lambda x: np.sum(loss(x)))(LOGITS * 1e4)))


def test_a_long_sequence_in_float32() -> None:
    x = np.zeros((1, 500, 3), np.float32)
    labels = np.tile([[1, 2]], (1, 50))
    got = losses.ctc_loss(x, np.zeros((1, 500)), labels, np.zeros((1, 100)))
    wide = losses.ctc_loss(x.astype(float), np.zeros((1, 500)), labels, np.zeros((1, 100)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wide, rtol=1e-5)


BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "axes": ((LOGITS[0], PADS, LABELS, LABEL_PADS), {}, ValueError, r"logits \(6, 4\)"),
    "times": ((LOGITS[:, 1:], PADS, LABELS, LABEL_PADS), {}, ValueError, r"logit_paddings \(4, 6\)"),
    "labels": ((LOGITS, PADS, LABELS[:, 1:], LABEL_PADS), {}, ValueError, r"labels \(4, 2\)"),
    "batch": ((LOGITS[1:], PADS[1:], LABELS, LABEL_PADS), {}, ValueError, "do not fit"),
    "floats": ((LOGITS, PADS, LABELS * 1.0, LABEL_PADS), {}, TypeError, "labels must be integers"),
    "blank": ((LOGITS, PADS, LABELS, LABEL_PADS), {"blank_id": 4}, ValueError, "blank_id 4 is none of 4 classes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    args, options, kind, message = BAD[name]
    with pytest.raises(kind, match=f"ctc_loss: .*{message}"):
        losses.ctc_loss(*args, **options)
