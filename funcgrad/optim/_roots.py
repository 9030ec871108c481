"""How do AdaGrad, RMSProp and others without Adam's first moment scale?"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    OptState,
    Params,
    Updates,
    abs_sq,
    check_averages,
    like,
    safe_increment,
    transformation,
    zero_count,
)
from funcgrad.optim._leaves import dtype_of, map_trees, shape_of


class ScaleByRssState(NamedTuple):
    """The sum of all squares so far."""

    sum_of_squares: Any


class ScaleByRmsState(NamedTuple):
    """The moving average of squares."""

    nu: Any


class ScaleByRmsWithCountState(NamedTuple):
    """As `ScaleByRmsState`, with the count that its correction needs."""

    count: Any
    nu: Any


class ScaleByRStdDevState(NamedTuple):
    """Moving averages of gradients and of squares."""

    mu: Any
    nu: Any


class ScaleByRStdDevWithCountState(NamedTuple):
    """As `ScaleByRStdDevState`, with the count that its correction needs."""

    count: Any
    mu: Any
    nu: Any


class ScaleByAdaDeltaState(NamedTuple):
    """Moving averages of squared gradients and of squared updates."""

    e_g: Any
    e_x: Any


class ScaleByRpropState(NamedTuple):
    """The step size of each element, and the steps before the last learning rate."""

    step_sizes: Any
    prev_updates: Any


class ScaleByOptimisticGradientState(NamedTuple):
    """The last gradient."""

    is_initial_step: Any
    previous_gradient: Any


class ScaleBySM3State(NamedTuple):
    """For each leaf a list with one vector of maxima per axis (`mu`), and the momentum (`nu`)."""

    mu: Any
    nu: Any


class ScaleByNovogradState(NamedTuple):
    """The momentum, and one average of squared norms per leaf."""

    count: Any
    mu: Any
    nu: Any


def _inverse_root(square: Any, eps: Any) -> Any:
    """``1 / sqrt(square + eps)``; 0 where the square is 0."""
    some = square > 0
    safe = np.where(some, square, np.ones_like(square))
    return np.where(some, 1 / np.sqrt(safe + like(eps, square)), np.zeros_like(square))


def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> GradientTransformation:
    """AdaGrad's scaling, by the root of the sum of all squares (Duchi et al. 2011); see `adagrad`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_rss()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.8452, -0.9535])
    """

    def init(params: Params) -> OptState:
        return ScaleByRssState(tree.real_zeros_like(params, initial_accumulator_value))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        sums = map_trees(lambda g, s: s + abs_sq(g), updates, state.sum_of_squares)
        return map_trees(lambda g, s: g * _inverse_root(s, eps), updates, sums), ScaleByRssState(sums)

    return transformation("scale_by_rss", init, update)


def _over_root(g: Any, square: Any, eps: Any, eps_in_sqrt: bool) -> Any:
    root = np.sqrt(square + like(eps, square)) if eps_in_sqrt else np.sqrt(square) + like(eps, square)
    return g / root


def scale_by_rms(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp's scaling, by the root of the average of squares (Tieleman and Hinton 2012); see `rmsprop`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_rms()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 3.1623, -3.1623])
    """
    check_averages("scale_by_rms", eps, decay=decay)

    def init(params: Params) -> OptState:
        nu = tree.real_zeros_like(params, initial_scale)
        return ScaleByRmsWithCountState(zero_count(), nu) if bias_correction else ScaleByRmsState(nu)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        nu = squares = tree.update_moment_per_elem_norm(updates, state.nu, decay, 2)
        new: OptState = ScaleByRmsState(nu)
        if bias_correction:
            count = safe_increment(state.count)
            squares, new = tree.bias_correction(nu, decay, count), ScaleByRmsWithCountState(count, nu)
        return map_trees(lambda g, n: _over_root(g, n, eps, eps_in_sqrt), updates, squares), new

    return transformation("scale_by_rms", init, update)


def scale_by_stddev(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Centred RMSProp's scaling, by the standard deviation of gradients (Graves 2013, arXiv:1308.0850).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_stddev()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 3.3333, -3.3333])
    """
    check_averages("scale_by_stddev", eps, decay=decay)

    def init(params: Params) -> OptState:
        mu, nu = tree.zeros_like(params), tree.real_zeros_like(params, initial_scale)
        return ScaleByRStdDevWithCountState(zero_count(), mu, nu) if bias_correction else ScaleByRStdDevState(mu, nu)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = means = tree.update_moment(updates, state.mu, decay, 1)
        nu = squares = tree.update_moment_per_elem_norm(updates, state.nu, decay, 2)
        new: OptState = ScaleByRStdDevState(mu, nu)
        if bias_correction:
            count = safe_increment(state.count)
            means, squares = tree.bias_correction(mu, decay, count), tree.bias_correction(nu, decay, count)
            new = ScaleByRStdDevWithCountState(count, mu, nu)
        variances = map_trees(lambda m, n: n - abs_sq(m), means, squares)
        return map_trees(lambda g, v: _over_root(g, v, eps, eps_in_sqrt), updates, variances), new

    return transformation("scale_by_stddev", init, update)


def scale_by_adadelta(rho: Any = 0.9, eps: Any = 1e-6) -> GradientTransformation:
    """AdaDelta's scaling (Zeiler 2012, arXiv:1212.5701); see `adadelta`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_adadelta()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.0032, -0.0032])
    """
    check_averages("scale_by_adadelta", eps, rho=rho)

    def init(params: Params) -> OptState:
        return ScaleByAdaDeltaState(tree.zeros_like(params), tree.zeros_like(params))

    def scaled(g: Any, gradients: Any, steps: Any) -> Any:
        return np.sqrt(steps + like(eps, steps)) / np.sqrt(gradients + like(eps, gradients)) * g

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        e_g = tree.update_moment(updates, state.e_g, rho, 2)
        updates = map_trees(scaled, updates, e_g, state.e_x)
        return updates, ScaleByAdaDeltaState(e_g, tree.update_moment(updates, state.e_x, rho, 2))

    return transformation("scale_by_adadelta", init, update)


def scale_by_rprop(
    learning_rate: Any,
    eta_minus: Any = 0.5,
    eta_plus: Any = 1.2,
    min_step_size: Any = 1e-6,
    max_step_size: Any = 50.0,
) -> GradientTransformation:
    """Rprop's steps: each element's size grows while its gradient keeps its sign (Riedmiller and Braun 1993).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_rprop(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.1, -0.1])
    """

    def init(params: Params) -> OptState:
        return ScaleByRpropState(tree.full_like(params, learning_rate), tree.zeros_like(params))

    def size(g: Any, before: Any, step: Any) -> Any:
        agreement = g * before
        grown, shrunk = like(eta_plus, step) * step, like(eta_minus, step) * step
        factor = np.where(agreement > 0, grown, shrunk)
        bounded = np.clip(factor, like(min_step_size, step), like(max_step_size, step))
        return np.where(agreement == 0, step, bounded)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        before = state.prev_updates
        sizes = map_trees(size, updates, before, state.step_sizes)
        steps = map_trees(lambda g, b, s: np.where(g * b < 0, np.zeros_like(g), s * np.sign(g)), updates, before, sizes)
        return steps, ScaleByRpropState(sizes, steps)

    return transformation("scale_by_rprop", init, update)


def scale_by_optimistic_gradient(alpha: Any = 1.0, beta: Any = 1.0) -> GradientTransformation:
    """``(alpha + beta) * g - beta * last g`` (Mokhtari et al. 2019, arXiv:1901.08511).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_optimistic_gradient()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """

    def init(params: Params) -> OptState:
        return ScaleByOptimisticGradientState(np.asarray(True), tree.zeros_like(params))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        def ahead(g: Any, last: Any) -> Any:
            last = np.where(state.is_initial_step, g, last)
            return like(alpha + beta, g) * g - like(beta, g) * last

        new = map_trees(ahead, updates, state.previous_gradient)
        return new, ScaleByOptimisticGradientState(np.asarray(False), updates)

    return transformation("scale_by_optimistic_gradient", init, update)


def scale_by_sm3(b1: Any = 0.9, b2: Any = 1.0, eps: Any = 1e-8) -> GradientTransformation:
    """SM3's scaling: of squares only the maxima along axes are kept (Anil et al. 2019, arXiv:1901.11150).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_sm3()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.1, -0.1])
    """
    check_averages("scale_by_sm3", eps, b1=b1)

    def init(params: Params) -> OptState:
        if any(dtype_of(p).kind == "c" for p in _tree.leaves(params)):
            raise ValueError(f"scale_by_sm3: complex parameters are not supported{at_line()}")
        mu = map_trees(lambda p: [np.zeros(n, dtype_of(p)) for n in shape_of(p)], params)
        return ScaleBySM3State(mu, tree.zeros_like(params))

    def sums(g: Any, maxima: list[Any]) -> Any:
        """The new squares, added to the smallest of the maxima that cover an element."""
        weight = 1.0 if type(b2) in (int, float) and b2 == 1.0 else 1.0 - b2
        ndim = len(shape_of(g))
        covers = [v.reshape(tuple(-1 if k == axis else 1 for k in range(ndim))) for axis, v in enumerate(maxima)]
        smallest = functools.reduce(np.minimum, covers) if covers else np.zeros_like(g)
        return like(weight, g) * g * g + like(b2, g) * smallest

    def maxima(total: Any) -> list[Any]:
        axes = range(len(shape_of(total)))
        return [np.max(total, tuple(k for k in axes if k != axis)) if len(axes) > 1 else total for axis in axes]

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        totals = map_trees(sums, updates, state.mu)
        scaled = map_trees(lambda g, s: g * _inverse_root(s, eps), updates, totals)
        nu = tree.update_moment(scaled, state.nu, b1, 1)
        return nu, ScaleBySM3State(map_trees(maxima, totals), nu)

    return transformation("scale_by_sm3", init, update)


def scale_by_novograd(
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """NovoGrad's scaling, by an average of squared norms per leaf (Ginsburg et al. 2019, arXiv:1905.11286).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_novograd()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.4472, -0.8944])
    """
    check_averages("scale_by_novograd", eps, b1=b1, b2=b2)

    def init(params: Params) -> OptState:
        nu = map_trees(lambda p: np.zeros((), tree.real_dtype(p)), params)
        return ScaleByNovogradState(zero_count(), tree.zeros_like(params, mu_dtype), nu)

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        count = safe_increment(state.count)
        first = count == 1
        squares = map_trees(lambda g: np.sum(abs_sq(g)), updates)
        nu = map_trees(lambda s, n: np.where(first, s, tree.mixed(n, s, b2)), squares, state.nu)

        def step(g: Any, p: Any, n: Any, m: Any) -> Any:
            scaled = g / (np.sqrt(n + like(eps_root, n)) + like(eps, n)) + like(weight_decay, p) * p
            return np.where(first, scaled, like(b1, m) * m + scaled)

        mu = tree.cast(map_trees(step, updates, params, nu, state.mu), mu_dtype)
        return mu, ScaleByNovogradState(count, mu, nu)

    return transformation("scale_by_novograd", init, update, needs_params=True)
