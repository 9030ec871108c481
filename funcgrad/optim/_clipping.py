"""How are updates kept small?  Clipping by element, by leaf and by the norm of all leaves."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.arguments import check_within
from funcgrad.batching import vmap
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    OptState,
    Params,
    Updates,
    abs_sq,
    init_empty_state,
    like,
    transformation,
)
from funcgrad.optim._leaves import map_trees, shape_of


def global_norm(updates: Updates) -> Any:
    """The Euclidean norm of all elements of all leaves.

    Returns
    -------
    Array
        One float.

    Examples
    --------
    >>> import numpy as np
    >>> global_norm({"a": np.array([3.0]), "b": np.array([4.0])})
    Array(5.)
    """
    return tree.norm(updates)


def clip(max_delta: Any) -> GradientTransformation:
    """Keep every element between ``-max_delta`` and ``max_delta``.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.clip(0.7)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -0.7])
    """
    check_within("clip", "max_delta", max_delta, 0)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        return tree.clip(updates, -max_delta, max_delta), state

    return transformation("clip", init_empty_state, update)


def clip_by_block_rms(threshold: Any) -> GradientTransformation:
    """Scale each leaf down until its root mean square is at most `threshold`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.clip_by_block_rms(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.0632, -0.1265])
    """
    check_within("clip_by_block_rms", "threshold", threshold, 0)

    def clipped(u: Any) -> Any:
        rms = np.sqrt(np.mean(abs_sq(u)))
        return u / np.maximum(like(1.0, rms), rms / like(threshold, rms))

    return transformation(
        "clip_by_block_rms", init_empty_state, lambda updates, state, params: (map_trees(clipped, updates), state)
    )


def clip_by_global_norm(max_norm: Any) -> GradientTransformation:
    """Scale all leaves down together until their common norm is at most `max_norm` (Pascanu et al. 2012,
    arXiv:1211.5063).

    The gradients are read once for the norm and once for the scaling, which joins what comes after it.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> tx = optim.clip_by_global_norm(1.0)
    >>> tx.update(np.array([3.0, 4.0]), tx.init(None))[0]
    Array([0.6, 0.8])
    """
    check_within("clip_by_global_norm", "max_norm", max_norm, 0)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        norm = tree.norm(updates)
        factor = np.where(norm < like(max_norm, norm), like(1.0, norm), like(max_norm, norm) / norm)
        return tree.scale(factor, updates), state

    return transformation("clip_by_global_norm", init_empty_state, update)


def adaptive_grad_clip(clipping: Any, eps: Any = 1e-3, axis: Any = None) -> GradientTransformation:
    """Clip each unit's gradient to `clipping` times the norm of its weights (Brock et al. 2021, arXiv:2102.06171).

    Parameters
    ----------
    clipping
        The largest ratio of both norms.
    eps
        The least norm of weights that counts.
    axis
        Over which axes a norm is taken; by default all of a vector, and all but the last of larger arrays (the first
        of arrays with three axes), which have their inputs in front.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adaptive_grad_clip(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.1, -0.2])
    """

    def clipped(g: Any, p: Any) -> Any:
        mine, weights = _unit_norm(g, axis), _unit_norm(p, axis)
        most = like(clipping, weights) * np.maximum(weights, like(eps, weights))
        factor = np.where(mine < most, like(1.0, mine), most / np.maximum(mine, like(1e-6, mine)))
        return g * like(factor, g)

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        return map_trees(clipped, updates, params), state

    return transformation("adaptive_grad_clip", init_empty_state, update, needs_params=True)


UNIT_AXES: dict[int, Any] = {0: None, 1: None, 2: 0, 3: 0, 4: (0, 1, 2), 5: (0, 1, 2, 3)}


def _unit_norm(x: Any, axis: Any) -> Any:
    """The norm of each unit's weights, of shape 1 along the axes that belong to the unit."""
    shape = shape_of(x)
    if axis is None:
        whole = sum(n != 1 for n in shape) <= 1
        if not whole and len(shape) not in UNIT_AXES:
            raise ValueError(
                f"adaptive_grad_clip: for a parameter of shape {shape}, say over which axes norms are taken "
                f"(axis=...){at_line()}"
            )
        axis = None if whole else UNIT_AXES[len(shape)]
    return np.sqrt(np.sum(abs_sq(x), axis, keepdims=True))


def per_example_global_norm_clip(grads: Updates, l2_norm_clip: Any) -> tuple[Updates, Any]:
    """The sum over the first axis of gradients, each example's clipped to a norm, and how many were.

    For differentially private training (Abadi et al. 2016, arXiv:1607.00133).

    Returns
    -------
    tuple
        A pytree without the examples' axis, and the number of gradients that were clipped.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> grads = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> clipped, count = fg.optim.per_example_global_norm_clip([grads], 1.0)
    >>> clipped, count
    ([Array([0.9, 1.2])], Array(1))
    """
    _check_examples("per_example_global_norm_clip", grads)
    norms = vmap(tree.norm)(grads)
    factors = np.minimum(like(l2_norm_clip, norms) / np.where(norms > 0, norms, np.ones_like(norms)), 1.0)
    factors = np.where(norms > 0, factors, np.ones_like(norms))
    return map_trees(lambda g: np.tensordot(factors, g, 1), grads), np.sum(factors < 1.0)


def per_example_layer_norm_clip(grads: Updates, global_l2_norm_clip: Any, uniform: bool = True) -> tuple[Any, Any]:
    """As `per_example_global_norm_clip`, leaf by leaf, with bounds that add up to the whole one.

    With `uniform` every leaf has the same bound, else in proportion to the root of its size.

    Returns
    -------
    tuple
        A pytree without the examples' axis, and for each leaf the number of gradients that were clipped.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> grads = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> clipped, count = fg.optim.per_example_layer_norm_clip([grads], 1.0)
    >>> clipped, count
    ([Array([0.9, 1.2])], [Array(1)])
    """
    _check_examples("per_example_layer_norm_clip", grads)
    leaves, structure = _tree.flatten(grads)
    sizes = [1 if uniform else max(1, int(np.prod(shape_of(g)[1:]))) for g in leaves]
    bounds = [global_l2_norm_clip * (size / sum(sizes)) ** 0.5 for size in sizes]
    pairs = [per_example_global_norm_clip(g, bound) for g, bound in zip(leaves, bounds, strict=True)]
    sums, counts = zip(*pairs, strict=True)
    return _tree.unflatten(structure, sums), _tree.unflatten(structure, counts)


def _check_examples(name: str, grads: Updates) -> None:
    shapes = [shape_of(g) for g in _tree.leaves(grads)]
    if not shapes or any(not s or s[0] != shapes[0][0] for s in shapes):
        raise ValueError(
            f"{name}: all gradients need a first axis over the examples, but have shapes {shapes}{at_line()}"
        )
