"""How is a transformation kept to some leaves?  `masked`, `freeze`."""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad import tree as _tree
from funcgrad.errors import at_line
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    MaskOrFn,
    OptState,
    Params,
    Updates,
    set_to_zero,
    transformation_with_args,
    with_extra_args_support,
)


class MaskedState(NamedTuple):
    """The state of the inner transformation, which sees a `MaskedNode` for every leaf that it must leave alone."""

    inner_state: Any


class MaskedNode(NamedTuple):
    """Stands for a leaf that a mask hides: an empty tree."""


def masked(
    inner: GradientTransformation, mask: MaskOrFn, *, mask_compatible_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply a transformation to some leaves and hand the others through unchanged.

    Parameters
    ----------
    inner
        The transformation.
    mask
        A tree of booleans (or a prefix of one), or a function from parameters to it; True: transform.
    mask_compatible_extra_args
        Whether further arguments that are trees like the updates are masked too.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> params = {"w": np.ones(2), "b": np.ones(1)}
    >>> tx = optim.masked(optim.scale(10.0), {"w": True, "b": False})
    >>> tx.update(params, tx.init(params))[0]
    {'w': Array([10., 10.]), 'b': Array([1.])}
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return MaskedState(inner.init(_hidden(_mask_for(mask, params), params)))

    def update(updates: Updates, state: OptState, params: Params | None, **extra_args: Any) -> tuple[Updates, OptState]:
        chosen = _mask_for(mask, updates)
        if mask_compatible_extra_args:
            alike = _tree.structure(updates)
            extra_args = {
                name: _hidden(chosen, value) if _tree.structure(value) == alike else value
                for name, value in extra_args.items()
            }
        hidden_params = None if params is None else _hidden(chosen, params)
        new, inner_state = inner.update(_hidden(chosen, updates), state.inner_state, hidden_params, **extra_args)
        merged = _tree.map(lambda m, changed, old: changed if m else old, chosen, new, updates)
        return merged, MaskedState(inner_state)

    return transformation_with_args("masked", init, update)


def _mask_for(mask: MaskOrFn, values: Any) -> Any:
    """The tree of booleans; a pytree of which every leaf is a function is one too, as in optax."""
    found = _tree.leaves(mask)
    chosen = mask(values) if found and all(callable(leaf) for leaf in found) else mask
    marks, structure = _tree.flatten(chosen)
    try:
        structure.flatten_up_to(values)
    except ValueError as error:
        leaves = ", ".join(_tree.keystr(path) for path, _ in _tree.leaves_with_path(values))
        raise ValueError(
            f"masked: the mask is no tree of booleans for these leaves, nor a prefix of one: the mask is {chosen!r}, "
            f"the leaves are at {leaves}{at_line()}"
        ) from error
    return _tree.unflatten(structure, [bool(mark) for mark in marks])


def _hidden(mask: Any, values: Any) -> Any:
    return _tree.map(lambda m, x: x if m else MaskedNode(), mask, values)


def freeze(mask: Any) -> GradientTransformation:
    """Set the updates of some leaves to zero: True means frozen.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> tx = optim.freeze({"w": False, "b": True})
    >>> updates = {"w": np.ones(1), "b": np.ones(1)}
    >>> tx.update(updates, tx.init(updates))[0]
    {'w': Array([1.]), 'b': Array([0.])}
    """
    return masked(set_to_zero(), mask)
