"""How does L-BFGS turn gradients into directions?  By the last differences of parameters and gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.lax._control import scan
from funcgrad.lax._slicing import dynamic_update_index_in_dim
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    OptState,
    Params,
    Updates,
    like,
    safe_increment,
    transformation,
    zero_count,
)
from funcgrad.optim._leaves import dtype_of, map_trees, shape_of


class ScaleByLBFGSState(NamedTuple):
    """The last parameters and gradients, and a ring of differences between such.

    Attributes
    ----------
    count
        How many updates there have been.
    params, updates
        Those of the last update.
    diff_params_memory, diff_updates_memory
        Differences, along a first axis of the memory's size.
    weights_memory
        One over their inner products.
    """

    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """Multiply gradients by an approximation of the inverse Hessian (Nocedal and Wright, algorithm 7.4).

    Parameters
    ----------
    memory_size
        How many differences are kept, at least 1.
    scale_init_precond
        Whether the approximation starts from the identity times the last curvature (and, at the first update, from
        a step of length 1 at most), else from the identity.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_lbfgs()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.4472, -0.8944])
    """
    check_within("scale_by_lbfgs", "memory_size", memory_size, 1)

    def init(params: Params) -> OptState:
        def memory() -> Any:
            return map_trees(lambda p: np.zeros((memory_size, *shape_of(p)), dtype_of(p)), params)

        weights = np.zeros(memory_size, tree.dtype(tree.real(params), "highest"))
        zeros = tree.zeros_like(params), tree.zeros_like(params)
        return ScaleByLBFGSState(zero_count(), *zeros, memory(), memory(), weights)

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        begun = state.count > 0
        place, last = state.count % memory_size, (state.count - 1) % memory_size
        zeros = tree.zeros_like(params)
        moved = tree.where(begun, tree.sub(params, state.params), zeros)
        turned = tree.where(begun, tree.sub(updates, state.updates), zeros)
        curvature = np.real(tree.vdot(turned, moved))
        weight = np.where(curvature == 0, np.zeros_like(curvature), 1 / np.where(curvature == 0, 1, curvature))
        moves = _put(state.diff_params_memory, moved, last)
        turns = _put(state.diff_updates_memory, turned, last)
        weights = _put(state.weights_memory, like(weight, state.weights_memory), last)
        start = _first_scale(updates, turned, curvature, begun) if scale_init_precond else 1.0
        order = (place + np.arange(memory_size, dtype=np.int32)) % memory_size
        scaled = _two_loops(updates, moves, turns, weights, order.astype(np.int32), start)
        return scaled, ScaleByLBFGSState(safe_increment(state.count), params, updates, moves, turns, weights)

    return transformation("scale_by_lbfgs", init, update, needs_params=True)


def _put(memory: Any, new: Any, place: Any) -> Any:
    return map_trees(lambda m, x: dynamic_update_index_in_dim(m, x, place, 0), memory, new)


def _first_scale(updates: Updates, turned: Updates, curvature: Any, begun: Any) -> Any:
    """The identity's factor: curvature over squared difference; at first, one over the gradient's norm, at most 1."""
    square = tree.norm(turned, squared=True)
    ratio = np.where(square > 0, curvature / np.where(square > 0, square, np.ones_like(square)), np.ones_like(square))
    norm = tree.norm(updates)
    short = 1 / np.maximum(norm, np.ones_like(norm))
    return np.where(begun, ratio, short)


def _two_loops(updates: Updates, moves: Any, turns: Any, weights: Any, order: Any, start: Any) -> Updates:
    """The product with the approximation, from the newest difference to the oldest and back."""

    def at(memory: Any, place: Any) -> Any:
        return map_trees(lambda m: m[place], memory)

    def down(vector: Updates, place: Any) -> tuple[Updates, Any]:
        alpha = weights[place] * np.real(tree.vdot(at(moves, place), vector))
        return tree.cast_like(tree.add_scale(vector, -alpha, at(turns, place)), vector), alpha

    def up(vector: Updates, step: Any) -> tuple[Updates, None]:
        place, alpha = step
        beta = weights[place] * np.real(tree.vdot(at(turns, place), vector))
        return tree.cast_like(tree.add_scale(vector, alpha - beta, at(moves, place)), vector), None

    vector, alphas = scan(down, updates, order, reverse=True)
    return scan(up, tree.scale(start, vector), (order, alphas))[0]
