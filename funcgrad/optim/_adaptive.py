"""How do Adam and its relatives scale?  By moving averages of gradients over roots of those of their squares.

The corrections of the averages for their first zeros are numbers, computed in float64 and multiplied by: an element
costs one division and one root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad import numpy as np
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
from funcgrad.optim._leaves import map_trees


class ScaleByAdamState(NamedTuple):
    """Moving averages of gradients (`mu`) and of their squares (`nu`)."""

    count: Any
    mu: Any
    nu: Any


class ScaleByAmsgradState(NamedTuple):
    """As `ScaleByAdamState`, with the largest `nu` so far."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any


class ScaleByLionState(NamedTuple):
    """The moving average of gradients."""

    count: Any
    mu: Any


class ScaleByBeliefState(NamedTuple):
    """Moving averages of gradients (`mu`) and of squared distances from it (`nu`)."""

    count: Any
    mu: Any
    nu: Any


class ScaleByAdanState(NamedTuple):
    """Moving averages of gradients (`m`), differences (`v`) and squares (`n`), and the last gradients."""

    m: Any
    v: Any
    n: Any
    g: Any
    t: Any


def _moments(params: Params, mu_dtype: Any = None) -> ScaleByAdamState:
    return ScaleByAdamState(zero_count(), tree.zeros_like(params, mu_dtype), tree.real_zeros_like(params))


def _quotient(mu: Updates, nu: Updates, eps: Any, eps_root: Any) -> Updates:
    """``mu / (sqrt(nu + eps_root) + eps)``."""

    def divide(m: Any, v: Any) -> Any:
        root = np.sqrt(v if type(eps_root) in (int, float) and eps_root == 0 else v + like(eps_root, v))
        return m / (root + like(eps, v))

    return map_trees(divide, mu, nu)


def _first_moment(updates: Updates, mu: Updates, b1: Any, count: Any, nesterov: bool) -> Updates:
    """The corrected average of the gradients; Nesterov's form looks one step ahead (Dozat 2016)."""
    if not nesterov:
        return tree.bias_correction(mu, b1, count)
    ahead, now = tree.correction(b1, safe_increment(count)), tree.correction(b1, count)
    return map_trees(lambda m, g: like(b1 * ahead, m) * m + like((1 - b1) * now, g) * g, mu, updates)


def scale_by_adam(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam's scaling (Kingma and Ba 2014, arXiv:1412.6980); see `adam`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_adam()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_averages("scale_by_adam", eps, b1=b1, b2=b2)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = tree.update_moment(updates, state.mu, b1, 1)
        nu = tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        count = safe_increment(state.count)
        first = _first_moment(updates, mu, b1, count, nesterov)
        scaled = _quotient(first, tree.bias_correction(nu, b2, count), eps, eps_root)
        return scaled, ScaleByAdamState(count, tree.cast(mu, mu_dtype), tree.cast_like(nu, state.nu))

    return transformation("scale_by_adam", lambda params: _moments(params, mu_dtype), update)


def scale_by_amsgrad(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """AMSGrad's scaling, by the largest average of squares so far (Reddi et al. 2018); see `amsgrad`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_amsgrad()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_averages("scale_by_amsgrad", eps, b1=b1, b2=b2)

    def init(params: Params) -> OptState:
        return ScaleByAmsgradState(*_moments(params, mu_dtype), tree.real_zeros_like(params))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = tree.update_moment(updates, state.mu, b1, 1)
        nu = tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        count = safe_increment(state.count)
        first = tree.bias_correction(mu, b1, count) if bias_correction_mu else mu
        second = tree.bias_correction(nu, b2, count) if bias_correction_nu else nu
        largest = map_trees(np.maximum, state.nu_max, second)
        scaled = _quotient(first, largest, eps, eps_root)
        return scaled, ScaleByAmsgradState(count, tree.cast(mu, mu_dtype), nu, largest)

    return transformation("scale_by_amsgrad", init, update)


def scale_by_adamax(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> GradientTransformation:
    """Adam's scaling with a decaying maximum in the place of the root (Kingma and Ba 2014); see `adamax`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_adamax()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_averages("scale_by_adamax", eps, b1=b1, b2=b2)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        count = safe_increment(state.count)
        mu = tree.update_moment(updates, state.mu, b1, 1)
        nu = tree.update_infinity_moment(updates, state.nu, b2, eps)
        return tree.div(tree.bias_correction(mu, b1, count), nu), ScaleByAdamState(count, mu, nu)

    return transformation("scale_by_adamax", _moments, update)


def _hard(x: Any, beta: Any) -> Any:
    return np.sign(x)


def _smooth(x: Any, beta: Any) -> Any:
    return np.tanh(like(beta, x) * x)


def _refined(x: Any, beta: Any) -> Any:
    return np.where(np.abs(x) < 1, x, np.sign(x))


SIGNS: dict[str, Callable[[Any, Any], Any]] = {"hard": _hard, "smooth": _smooth, "refined": _refined}


def scale_by_lion(
    b1: Any = 0.9, b2: Any = 0.99, mu_dtype: Any = None, *, mode: str = "hard", smooth_beta: float = 1.0
) -> GradientTransformation:
    """The sign of a moving average (Chen et al. 2023, arXiv:2302.06675); see `lion`.

    Parameters
    ----------
    b1, b2
        How much of the average enters the sign, and remains.
    mu_dtype
        Of the average; by default the parameters'.
    mode
        ``"hard"``: the sign; ``"smooth"``: tanh of `smooth_beta` times the average; ``"refined"``: linear up to 1.
    smooth_beta
        The slope of ``"smooth"``.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        `mode` is something else.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_lion()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_averages("scale_by_lion", 0, b1=b1, b2=b2)
    if mode not in SIGNS:
        raise ValueError(f"scale_by_lion: mode must be one of {', '.join(map(repr, SIGNS))}, not {mode!r}{at_line()}")

    def init(params: Params) -> OptState:
        return ScaleByLionState(zero_count(), tree.zeros_like(params, mu_dtype))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        signs = map_trees(lambda g, m: SIGNS[mode](tree.mixed(m, g, b1), smooth_beta), updates, state.mu)
        mu = tree.cast(tree.update_moment(updates, state.mu, b2, 1), mu_dtype)
        return signs, ScaleByLionState(safe_increment(state.count), mu)

    return transformation("scale_by_lion", init, update)


def scale_by_belief(
    b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-16, eps_root: Any = 1e-16, *, nesterov: bool = False
) -> GradientTransformation:
    """AdaBelief's scaling, by squared distances from the average (Zhuang et al. 2020, arXiv:2010.07468).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_belief()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1.1111, -1.1111])
    """
    check_averages("scale_by_belief", eps, b1=b1, b2=b2)

    def init(params: Params) -> OptState:
        return ScaleByBeliefState(*_moments(params))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = tree.update_moment(updates, state.mu, b1, 1)
        surprise = tree.sub(updates, mu)
        nu = tree.update_moment_per_elem_norm(surprise, state.nu, b2, 2)
        nu = map_trees(lambda v: v + like(eps_root, v), nu)
        count = safe_increment(state.count)
        first = _first_moment(updates, mu, b1, count, nesterov)
        return (
            _quotient(first, tree.bias_correction(nu, b2, count), eps, 0.0),
            ScaleByBeliefState(count, mu, nu),
        )

    return transformation("scale_by_belief", init, update)


def scale_by_yogi(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-3,
    eps_root: Any = 0.0,
    initial_accumulator_value: Any = 1e-6,
) -> GradientTransformation:
    """Yogi's scaling, whose `nu` changes by steps of bounded size (Zaheer et al. 2018); see `yogi`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_yogi()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.996 , -0.9985])
    """
    check_averages("scale_by_yogi", eps, b1=b1, b2=b2)

    def init(params: Params) -> OptState:
        mu = tree.full_like(params, initial_accumulator_value)
        return ScaleByAdamState(zero_count(), mu, tree.real_zeros_like(params, initial_accumulator_value))

    def step(g: Any, v: Any) -> Any:
        square = abs_sq(g)
        return v - like(1 - b2, v) * np.sign(v - square) * square

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = tree.update_moment(updates, state.mu, b1, 1)
        nu = map_trees(step, updates, state.nu)
        count = safe_increment(state.count)
        first, second = tree.bias_correction(mu, b1, count), tree.bias_correction(nu, b2, count)
        return _quotient(first, second, eps, eps_root), ScaleByAdamState(count, mu, nu)

    return transformation("scale_by_yogi", init, update)


def scale_by_radam(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    threshold: Any = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam's scaling, rectified while there are few gradients (Liu et al. 2019, arXiv:1908.03265); see `radam`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_radam()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """
    check_averages("scale_by_radam", eps, b1=b1, b2=b2)
    final = 2.0 / (1.0 - b2) - 1.0

    def rectification(count: Any) -> tuple[Any, Any]:
        """Whether the variance is tractable, and the factor then."""
        power = (float(b2) if isinstance(b2, (int, float)) else b2) ** count
        length = final - 2 * count * power / (1 - power)
        tractable = length >= threshold
        safe = np.where(tractable, length, final)
        factor = (safe - 4) * (safe - 2) * final / ((final - 4) * (final - 2) * safe)
        return tractable, np.sqrt(factor)

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        mu = tree.update_moment(updates, state.mu, b1, 1)
        nu = tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        count = safe_increment(state.count)
        tractable, factor = rectification(count)
        first = _first_moment(updates, mu, b1, count, nesterov)
        rectified = tree.scale(factor, _quotient(first, tree.bias_correction(nu, b2, count), eps, eps_root))
        return tree.where(tractable, rectified, first), ScaleByAdamState(count, mu, nu)

    return transformation("scale_by_radam", _moments, update)


def scale_by_adan(
    b1: Any = 0.98, b2: Any = 0.92, b3: Any = 0.99, eps: Any = 1e-8, eps_root: Any = 1e-8
) -> GradientTransformation:
    """Adan's scaling, which looks ahead by differences of gradients (Xie et al. 2022, arXiv:2208.06677).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_adan()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_averages("scale_by_adan", eps, b1=b1, b2=b2, b3=b3)

    def init(params: Params) -> OptState:
        zeros = [tree.zeros_like(params) for _ in range(4)]
        return ScaleByAdanState(zeros[0], zeros[1], tree.real_zeros_like(params), zeros[3], zero_count())

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        first = state.t == 0
        change = map_trees(lambda g, old: np.where(first, np.zeros_like(g), g - old), updates, state.g)
        m = tree.update_moment(updates, state.m, b1, 1)
        v = tree.update_moment(change, state.v, b2, 1)
        n = tree.update_moment_per_elem_norm(tree.add_scale(updates, 1 - b2, change), state.n, b3, 2)
        t = safe_increment(state.t)
        ahead = tree.add_scale(tree.bias_correction(m, b1, t), 1 - b2, tree.bias_correction(v, b2, t))
        return _quotient(ahead, tree.bias_correction(n, b3, t), eps, eps_root), ScaleByAdanState(m, v, n, updates, t)

    return transformation("scale_by_adan", init, update)
