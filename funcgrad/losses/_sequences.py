"""How well does a sequence of predictions spell a shorter one?  Connectionist temporal classification
(Graves et al. 2006).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.lax._control import scan
from funcgrad.losses._common import class_numbers, floats, integers, like, result
from funcgrad.nn import log_softmax
from funcgrad.nn._common import public
from funcgrad.trace.frame import type_of


@public
def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: Any = -1e5,
) -> Any:
    """-log of the probability that predictions, read without repetitions and blanks, spell the labels.

    Parameters
    ----------
    logits
        Floats, of shape (B, T, K): K classes, blank included, at T times.
    logit_paddings
        Of shape (B, T): 1 at times that do not count, 0 at those that do.
    labels
        Integers, of shape (B, N).
    label_paddings
        Of shape (B, N): zeros, then ones for the labels that do not count (which may be any integers).
    blank_id
        The class that means nothing.
    log_epsilon
        In the place of log(0): labels that cannot be spelled in the time cost about as much.

    Returns
    -------
    Array
        Of shape (B,).

    Examples
    --------
    >>> import numpy as np
    >>> ctc_loss(np.zeros((1, 2, 2)), np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1)))  # 3 of 4 paths
    Array([0.28768207])
    """
    return _ctc("ctc_loss", logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon)[0]


@public
def ctc_loss_with_forward_probs(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: Any = -1e5,
) -> Any:
    """`ctc_loss`, and logarithms of forward probabilities of shapes (T, B, N + 1) and (T, B, N).

    The first are those of a blank after n labels, the second those of label n, at each time.

    Returns
    -------
    tuple of Array
        Losses of shape (B,), and the two arrays of logarithms; floats.

    Examples
    --------
    >>> import numpy as np
    >>> parts = ctc_loss_with_forward_probs(np.zeros((1, 2, 2)), np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1)))
    >>> [part.shape for part in parts]
    [(1,), (2, 1, 2), (2, 1, 1)]
    """
    name = "ctc_loss_with_forward_probs"
    return _ctc(name, logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon)


def _ctc(
    name: str, logits: Any, paddings: Any, labels: Any, label_paddings: Any, blank: int, never: Any
) -> tuple[Any, Any, Any]:
    logits, dtype = floats(name, logits=logits)
    labels = integers(name, "labels", labels)
    paddings, label_paddings = (like(name, x, logits) for x in (paddings, label_paddings))
    _check(name, *(type_of(x).shape for x in (logits, paddings, labels, label_paddings)))
    batch, times, classes = type_of(logits).shape
    count = type_of(labels).shape[1]
    kind = type_of(logits).dtype.type
    if not -classes <= blank < classes:
        raise ValueError(f"{name}: blank_id {blank} is none of {classes} classes{at_line()}")

    check_within(name, "log_epsilon", never, -math.inf, 0)
    labels = np.where(label_paddings == 1, type_of(labels).dtype.type(0), labels)
    labels = class_numbers(name, labels, classes, negative=True)
    log_p = log_softmax(logits)
    spelled = np.take_along_axis(log_p, np.broadcast_to(np.expand_dims(labels, 1), (batch, times, count)), 2)
    again = np.pad((labels[:, :-1] == labels[:, 1:]).astype(kind), [(0, 0), (0, 1 if count else 0)])
    without, needed = kind(never) * again, kind(never) * (1 - again)  # a blank must part a label from its repetition

    def joined(blanks: Any, ways: Any) -> Any:
        return np.concatenate([blanks[:, :1], np.logaddexp(blanks[:, 1:], ways)], 1)

    def step(carry: Any, x: Any) -> Any:
        blanks, emitted = carry
        emit, silent, padded = x
        ready = joined(blanks, emitted + without)
        next_emitted = np.logaddexp(ready[:, :-1], emitted) + emit
        next_blanks = joined(ready + silent, emitted + silent + needed)
        after = (np.where(padded == 1, blanks, next_blanks), np.where(padded == 1, emitted, next_emitted))
        return after, after

    start = _np.full((batch, count + 1), never, kind)
    start[:, 0] = 0
    in_time = (np.transpose(x, (1, 0, 2)) for x in (spelled, log_p[:, :, blank][:, :, None], paddings[:, :, None]))
    _, (blanks, emitted) = scan(step, (start, _np.full((batch, count), never, kind)), tuple(in_time))
    last = joined(blanks[-1], emitted[-1])
    lengths = count - np.sum(label_paddings, 1).astype(int)
    loss = -np.take_along_axis(last, lengths[:, None], 1)[:, 0]
    blanks = np.concatenate([blanks[:-1], last[None]])
    return result(loss, dtype), result(blanks, dtype), result(emitted, dtype)


def _check(name: str, logits: Any, paddings: Any, labels: Any, label_paddings: Any) -> None:
    """Raise a ValueError unless the shapes fit."""
    fits = len(logits) == 3 and len(labels) == 2 and paddings == logits[:2]
    if not fits or labels != label_paddings or labels[0] != logits[0] or not logits[1]:
        raise ValueError(
            f"{name}: logits {logits}, logit_paddings {paddings}, labels {labels} and label_paddings {label_paddings} "
            f"do not fit; (B, T, K), (B, T), (B, N) and (B, N) with T > 0 are needed{at_line()}"
        )
