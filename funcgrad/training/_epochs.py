"""How is an epoch trained without Python between its steps?  As one `scan` over the batches, inside `jit`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from funcgrad import numpy as np
from funcgrad import random, tree
from funcgrad.api import value_and_grad
from funcgrad.arguments import check_callable
from funcgrad.errors import at_line
from funcgrad.lax._control import scan
from funcgrad.optim._apply import apply_updates
from funcgrad.optim._base import check_transformation
from funcgrad.runtime.dispatch import jit
from funcgrad.training._batches import check_count, check_examples

STEPS = 2**31  # folded into an epoch's key for the keys of its steps: apart from what shuffling derives from it


def scan_epoch(
    step: Callable[[Any, Any], tuple[Any, Any]], batch_size: int, *, drop_last: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A compiled function that runs `step` over the batches of a data set, with no Python in between.

    Parameters
    ----------
    step
        ``step(carry, batch) -> (carry, output)``, as for `lax.scan`; each batch is a pytree like the data. It is
        traced once, and once more for a last batch that is smaller.
    batch_size
        How many examples a batch has.
    drop_last
        Whether a smaller last batch is left out.

    Returns
    -------
    Callable
        ``epoch(carry, data, key=None) -> (carry, outputs)``: `data` is a pytree of arrays whose first axes have one
        length; with a key the examples are shuffled by ``random.permutation(key, count)``; outputs are stacked.

    Raises
    ------
    ValueError
        If there are no examples, lengths differ (the message names the leaf), or every batch would be dropped.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> epoch = fg.training.scan_epoch(lambda total, batch: (total + np.sum(batch), np.mean(batch)), 2)
    >>> epoch(0.0, np.arange(5.0))
    (Array(10.), Array([0.5, 2.5, 4. ]))
    """
    return _over_batches("scan_epoch", step, batch_size, drop_last)


def _over_batches(name: str, step: Callable[..., Any], batch_size: int, drop_last: bool) -> Callable[..., Any]:
    """`scan_epoch` for a public function, which the messages name."""
    check_callable(step, name)
    check_count(name, "batch_size", batch_size, 1)
    size = operator.index(batch_size)

    def epoch(carry: Any, data: Any, key: Any = None) -> tuple[Any, Any]:
        """The last carry, and the outputs of all steps."""
        count = check_examples(name, data)
        whole = count // size * size
        if not whole and drop_last:
            raise ValueError(
                f"{name}: {count} examples make no batch of {size}, and drop_last leaves out smaller ones{at_line()}"
            )
        first, rest, chosen = _cut(data, key, count, size)
        outputs: list[Any] = []
        if whole:
            carry, stacked = scan(lambda carry, rows: step(carry, chosen(rows)), carry, first)
            outputs.append(stacked)
        if whole < count and not drop_last:
            carry, last = step(carry, chosen(rest))
            outputs.append(tree.map(lambda y: np.asarray(y)[None], last))
        return carry, tree.map(lambda *ys: np.concatenate(ys), *outputs) if len(outputs) > 1 else outputs[0]

    compiled: Callable[..., tuple[Any, Any]] = jit(epoch)
    return compiled


def _cut(data: Any, key: Any, count: int, size: int) -> tuple[Any, Any, Callable[[Any], Any]]:
    """What a loop over the whole batches reads, what is left, and how either becomes a batch: shuffled examples are
    gathered step by step, and the data are not copied.
    """
    whole = count // size * size

    def stacked(x: Any) -> Any:
        return x[:whole].reshape(whole // size, size, *x.shape[1:])

    if key is None:
        return tree.map(stacked, data), tree.map(lambda x: x[whole:], data), lambda batch: batch
    order = random.permutation(key, count)
    return stacked(order), order[whole:], lambda rows: tree.map(lambda x: x[rows], data)


def fit_epoch(
    loss: Callable[..., Any],
    optimizer: Any,
    batch_size: int,
    *,
    drop_last: bool = False,
    has_state: bool = False,
    has_key: bool = False,
) -> Callable[..., Any]:
    """A compiled function that trains for one epoch: gradients and updates of all batches, with no Python in between.

    Parameters
    ----------
    loss
        ``loss(params, batch)``, a real number. It takes ``(params, state, batch)`` and returns ``(value, new_state)``
        if `has_state`; a key for the step comes last if `has_key`.
    optimizer
        One of `funcgrad.optim`, or anything with `init` and `update` like those.
    batch_size
        How many examples a batch has.
    drop_last
        Whether a smaller last batch is left out.
    has_state
        Whether the loss carries a state from batch to batch, such as the running statistics of batch norm.
    has_key
        Whether the loss takes a key, as dropout needs it.

    Returns
    -------
    Callable
        ``epoch(params, opt_state, data, key=None) -> (params, opt_state, losses)``, or, if `has_state`,
        ``epoch(params, state, opt_state, data, key=None) -> (params, state, opt_state, losses)``. `losses` has the loss
        of each batch before its update. With a key the examples are shuffled: ``fold_in(key, e)`` gives the order that
        `batches` has in epoch e. Keep the function and call it for every epoch: it is compiled once.

    Raises
    ------
    ValueError
        If there are no examples, lengths differ (the message names the leaf), every batch would be dropped, or the
        loss needs a key and there is none.
    TypeError
        The optimiser has no `init` or `update`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> loss = lambda w, batch: np.mean((batch["x"] * w - batch["y"]) ** 2)
    >>> optimizer = fg.optim.sgd(0.1)
    >>> epoch = fg.training.fit_epoch(loss, optimizer, batch_size=2)
    >>> x = np.array([1.0, -1.0, 2.0, -2.0])
    >>> w, state, losses = epoch(0.0, optimizer.init(0.0), {"x": x, "y": 3 * x})
    >>> losses
    Array([ 9.  , 23.04])
    """
    check_callable(loss, "fit_epoch")
    check_transformation("fit_epoch", "the optimizer", optimizer)

    def step(carry: Any, batch: Any) -> tuple[Any, Any]:
        params, state, opt_state, number, key = carry
        given = (state, batch) if has_state else (batch,)
        keys = (random.fold_in(key, number),) if has_key else ()
        value, gradients = value_and_grad(loss, has_aux=has_state)(params, *given, *keys)
        value, state = value if has_state else (value, state)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (apply_updates(params, updates), state, opt_state, number + 1, key), value

    run = _over_batches("fit_epoch", step, batch_size, drop_last)

    def epoch(params: Any, state: Any, opt_state: Any, data: Any, key: Any) -> tuple[Any, Any, Any, Any]:
        if has_key and key is None:
            raise ValueError(f"fit_epoch: the loss takes a key (has_key=True), but the epoch was given none{at_line()}")
        keys = random.fold_in(key, STEPS) if has_key else None
        carry = (params, state, opt_state, 0, keys)
        (params, state, opt_state, _, _), losses = run(carry, data, key)
        return params, state, opt_state, losses

    def with_state(params: Any, state: Any, opt_state: Any, data: Any, key: Any = None) -> Any:
        """Parameters, state and optimiser's state after the epoch, and the loss of each batch."""
        return epoch(params, state, opt_state, data, key)

    def without_state(params: Any, opt_state: Any, data: Any, key: Any = None) -> Any:
        """Parameters and optimiser's state after the epoch, and the loss of each batch."""
        params, _, opt_state, losses = epoch(params, None, opt_state, data, key)
        return params, opt_state, losses

    compiled: Callable[..., Any] = jit(with_state if has_state else without_state)
    return compiled
