"""How are transformations combined?  One after the other, or each for its own leaves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from funcgrad import tree as _tree
from funcgrad.errors import at_line
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Updates,
    check_transformation,
    set_to_zero,
    with_extra_args_support,
)
from funcgrad.optim._masking import masked
from funcgrad.tracebacks import boundary


class PartitionState(NamedTuple):
    """The state of each transformation, by label."""

    inner_states: Any


MultiTransformState = PartitionState


def chain(*args: GradientTransformation) -> GradientTransformationExtraArgs:
    """Apply transformations one after the other; the state is the tuple of theirs.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> optimizer = optim.chain(optim.clip(1.0), optim.scale(-0.5))
    >>> optimizer.update(np.array([3.0, -0.5]), optimizer.init(np.zeros(2)))[0]
    Array([-0.5 ,  0.25])
    """
    for k, tx in enumerate(args):
        check_transformation("chain", f"argument {k}", tx)
    transforms = [with_extra_args_support(tx) for tx in args]

    @boundary
    def init(params: Params) -> OptState:
        return tuple(tx.init(params) for tx in transforms)

    @boundary
    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        if not isinstance(state, tuple) or len(state) != len(transforms):
            have = f"{len(state)} states" if isinstance(state, tuple) else f"a {type(state).__name__}"
            raise ValueError(
                f"chain: the state is not one of this chain: {len(transforms)} transformations, but {have}; "
                f"begin with state = optimizer.init(params){at_line()}"
            )
        new = []
        for tx, part in zip(transforms, state, strict=True):
            updates, part = tx.update(updates, part, params, **extra_args)
            new.append(part)
        return updates, tuple(new)

    return GradientTransformationExtraArgs(init, update)


def named_chain(*args: tuple[str, GradientTransformation]) -> GradientTransformationExtraArgs:
    """As `chain`, of pairs ``(name, transformation)``: the state is a dictionary.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        Names repeat.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.named_chain(("clip", fg.optim.clip(0.5)), ("step", fg.optim.sgd(0.1)))
    >>> updates, state = optimizer.update(x, optimizer.init(x))
    >>> updates
    Array([-0.05, -0.05])
    >>> list(state)
    ['clip', 'step']
    """
    names = [name for name, _ in args]
    if len(set(names)) != len(names):
        raise ValueError(f"named_chain: names must differ, but are {names}{at_line()}")
    for name, tx in args:
        check_transformation("named_chain", repr(name), tx)
    transforms = [(name, with_extra_args_support(tx)) for name, tx in args]

    @boundary
    def init(params: Params) -> OptState:
        return {name: tx.init(params) for name, tx in transforms}

    @boundary
    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        if not isinstance(state, Mapping) or set(state) != set(names):
            raise ValueError(
                f"named_chain: the state is not one of this chain, which has the names {names}; "
                f"begin with state = optimizer.init(params){at_line()}"
            )
        new = {}
        for name, tx in transforms:
            updates, new[name] = tx.update(updates, state[name], params, **extra_args)
        return updates, new

    return GradientTransformationExtraArgs(init, update)


def partition(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Any | Callable[[Any], Any],
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """Give each leaf the transformation that its label names.

    Parameters
    ----------
    transforms
        A transformation for each label.
    param_labels
        A tree of labels (or a prefix of one), or a function from parameters to it.
    mask_compatible_extra_args
        See `masked`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        For a label without a transformation; the message names the leaf.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> params = {"w": np.ones(1), "b": np.ones(1)}
    >>> optimizer = optim.partition({"fast": optim.sgd(1.0), "slow": optim.sgd(0.1)}, {"w": "fast", "b": "slow"})
    >>> optimizer.update(params, optimizer.init(params))[0]
    {'w': Array([-1.]), 'b': Array([-0.1])}
    """
    for label, tx in transforms.items():
        check_transformation("partition", f"transforms[{label!r}]", tx)

    def parts(values: Any) -> dict[Hashable, GradientTransformationExtraArgs]:
        labels = _labels_for(param_labels, values, transforms)
        return {
            label: masked(
                tx,
                _tree.map(lambda found, label=label: found == label, labels),
                mask_compatible_extra_args=mask_compatible_extra_args,
            )
            for label, tx in transforms.items()
        }

    @boundary
    def init(params: Params) -> OptState:
        return PartitionState({label: tx.init(params) for label, tx in parts(params).items()})

    @boundary
    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        new = {}
        for label, tx in parts(updates).items():
            updates, new[label] = tx.update(updates, state.inner_states[label], params, **extra_args)
        return updates, PartitionState(new)

    return GradientTransformationExtraArgs(init, update)


multi_transform = partition


def _labels_for(param_labels: Any, values: Any, transforms: Mapping[Hashable, Any]) -> Any:
    """The tree of labels, each of which has a transformation."""
    labels = param_labels(values) if callable(param_labels) else param_labels
    for path, label in _tree.leaves_with_path(labels):
        if label not in transforms:
            raise ValueError(
                f"partition: the label {label!r} of the parameters at {_tree.keystr(path) or '(the root)'} has no "
                f"transformation; there are {', '.join(map(repr, transforms))}{at_line()}"
            )
    return labels


def selective_transform(optimizer: GradientTransformation, *, freeze_mask: Any) -> GradientTransformationExtraArgs:
    """The optimiser for the leaves where `freeze_mask` is False; the others stay as they are.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.selective_transform(fg.optim.sgd(0.1), freeze_mask={"a": True, "b": False})
    >>> params = {"a": x, "b": x}
    >>> optimizer.update(params, optimizer.init(params))[0]
    {'a': Array([0., 0.]), 'b': Array([-0.1, -0.2])}
    """
    labels = _tree.map(lambda frozen: "freeze" if frozen else "train", freeze_mask)
    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)
