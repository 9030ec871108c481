"""What may be added to updates?  Weight decay and noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad import random
from funcgrad import tree as _tree
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    EmptyState,
    GradientTransformation,
    MaskOrFn,
    OptState,
    Params,
    ScalarOrSchedule,
    Updates,
    safe_increment,
    transformation,
    zero_count,
)
from funcgrad.optim._leaves import dtype_of, shape_of
from funcgrad.optim._masking import masked


class WeightDecaySchedule(NamedTuple):
    """How many updates there have been."""

    count: Any


class AddNoiseState(NamedTuple):
    """How many updates there have been, and the key for the next ones."""

    count: Any
    rng_key: Any


def add_decayed_weights(weight_decay: ScalarOrSchedule = 0.0, mask: MaskOrFn | None = None) -> GradientTransformation:
    """Add ``weight_decay * params`` to the updates.

    Parameters
    ----------
    weight_decay
        A number or a schedule.
    mask
        A tree of booleans (or a prefix of one), or a function from parameters to it: which leaves decay.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> params = {"w": np.array([2.0]), "b": np.array([2.0])}
    >>> tx = optim.add_decayed_weights(0.5, mask={"w": True, "b": False})
    >>> tx.update({"w": np.zeros(1), "b": np.zeros(1)}, tx.init(params), params)[0]
    {'w': Array([1.]), 'b': Array([0.])}
    """

    def init(params: Params) -> OptState:
        return WeightDecaySchedule(zero_count()) if callable(weight_decay) else EmptyState()

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        if callable(weight_decay):
            decayed = tree.add_scale(updates, weight_decay(state.count), params)
            return decayed, WeightDecaySchedule(safe_increment(state.count))
        if type(weight_decay) in (int, float) and weight_decay == 0:
            return updates, state
        return tree.add_scale(updates, weight_decay, params), state

    needed = not (type(weight_decay) in (int, float) and weight_decay == 0)
    tx = transformation("add_decayed_weights", init, update, needs_params=needed)
    return tx if mask is None else masked(tx, mask)


def add_noise(eta: Any, gamma: Any, key: Any) -> GradientTransformation:
    """Add normal noise of variance ``eta / count ** gamma`` (Neelakantan et al. 2015, arXiv:1511.06807).

    Parameters
    ----------
    eta, gamma
        The first variance, and how fast it falls.
    key
        A key of `funcgrad.random`, or the integer to make one of.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    TypeError
        `key` is a text or a float.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.add_noise(0.1, 0.5, 0)
    >>> updates, state = optimizer.update(x, optimizer.init(x), x)
    >>> updates.shape
    (2,)
    """
    if isinstance(key, str | float):
        raise TypeError(f"add_noise: key must be a key of funcgrad.random or an integer, not {key!r}{at_line()}")

    def init(params: Params) -> OptState:
        return AddNoiseState(zero_count(), random.PRNGKey(key) if isinstance(key, (int, _np.integer)) else key)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        count = safe_increment(state.count)
        deviation = np.sqrt(eta / count**gamma)
        rng_key, sample_key = random.split(state.rng_key)
        leaves, structure = _tree.flatten(updates)
        keys = random.split(sample_key, max(len(leaves), 1))
        noise = [random.normal(keys[k], shape_of(x), dtype_of(x)) for k, x in enumerate(leaves)]
        return tree.add_scale(updates, deviation, _tree.unflatten(structure, noise)), AddNoiseState(count, rng_key)

    return transformation("add_noise", init, update)
