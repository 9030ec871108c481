"""Which optimisers are there, second half?  AdaGrad to Yogi's cousins, layer-wise ones, signs, and L-BFGS."""

from __future__ import annotations

from typing import Any

import numpy as _np

from funcgrad.optim._accumulation import ema, trace
from funcgrad.optim._adaptive import scale_by_adam
from funcgrad.optim._adding import add_decayed_weights, add_noise
from funcgrad.optim._aliases import sgd
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    identity,
)
from funcgrad.optim._clipping import clip_by_block_rms
from funcgrad.optim._combine import chain
from funcgrad.optim._factored import scale_by_factored_rms
from funcgrad.optim._lbfgs import scale_by_lbfgs
from funcgrad.optim._masking import masked
from funcgrad.optim._roots import (
    scale_by_adadelta,
    scale_by_novograd,
    scale_by_optimistic_gradient,
    scale_by_rms,
    scale_by_rprop,
    scale_by_rss,
    scale_by_sm3,
    scale_by_stddev,
)
from funcgrad.optim._scales import (
    scale,
    scale_by_learning_rate,
    scale_by_param_block_rms,
    scale_by_polyak,
    scale_by_sign,
    scale_by_trust_ratio,
)
from funcgrad.optim._zoom import scale_by_zoom_linesearch


def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7
) -> GradientTransformationExtraArgs:
    """AdaGrad: by the root of the sum of all squares (Duchi et al. 2011).

    `initial_accumulator_value` is where the sum begins; `eps` stands under the root.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adagrad(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.0845,  0.0953])
    """
    return chain(scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))


def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """AdaDelta: steps in the units of the parameters (Zeiler 2012, arXiv:1212.5701).

    Parameters
    ----------
    learning_rate
        A number, a schedule, or None for none: then the updates are to be subtracted.
    rho
        How much remains of the averages of squared gradients and steps.
    eps
        Under both roots.
    weight_decay, weight_decay_mask
        See `add_decayed_weights`; the decay is added to the gradients.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adadelta(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.0003,  0.0003])
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """RMSProp: by the root of an average of squares (Tieleman and Hinton 2012).

    Parameters
    ----------
    learning_rate
        A number or a schedule.
    decay
        How much of the average remains.
    eps, eps_in_sqrt
        Under the root, or with ``eps_in_sqrt=False`` added to it (PyTorch's form).
    initial_scale
        Where the average begins.
    centered
        Whether to subtract the square of the average gradient: the variance in the place of the square (Graves 2013).
    momentum, nesterov
        See `sgd`; they act on the scaled updates.
    bias_correction
        Whether to correct averages for their beginning.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.rmsprop(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.3162,  0.3162])
    """
    scaling = scale_by_stddev if centered else scale_by_rms
    return chain(
        scaling(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def rprop(
    learning_rate: Any,
    eta_minus: Any = 0.5,
    eta_plus: Any = 1.2,
    min_step_size: Any = 1e-6,
    max_step_size: Any = 50.0,
) -> GradientTransformationExtraArgs:
    """Resilient propagation: signs and a step size per element, for whole data sets (Riedmiller and Braun 1993).

    Parameters
    ----------
    learning_rate
        The first step size.
    eta_minus, eta_plus
        What a step size is multiplied by when its gradient changes sign, and when it does not.
    min_step_size, max_step_size
        Bounds of step sizes.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.rprop(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))


def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Any = 0.8,
    decay_offset: Any = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Any = 1.0,
    momentum: Any = None,
    dtype_momentum: Any = _np.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: Any = 1e-30,
    factored: bool = True,
    weight_decay_mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """Adafactor: averages of squares as row means times column means (Shazeer and Stern 2018, arXiv:1804.04235).

    Parameters
    ----------
    learning_rate
        A number or a schedule; None for 1.
    min_dim_size_to_factor
        The two largest axes must have this size for factors; smaller arrays keep all squares.
    decay_rate, decay_offset
        At step t, ``1 - (t + 1 - decay_offset) ** -decay_rate`` of the average remains.
    multiply_by_parameter_scale
        Whether steps are relative to the parameters' root mean square.
    clipping_threshold
        The largest root mean square of a leaf's scaled gradient, or None.
    momentum, dtype_momentum
        A moving average of updates, or None.
    weight_decay_rate, weight_decay_mask
        See `add_decayed_weights`; not multiplied by the learning rate.
    eps
        Added to squares.
    factored
        False keeps all squares of everything.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adafactor(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1581,  0.1581])
    """
    stages: list[GradientTransformation] = [
        scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    ]
    if clipping_threshold is not None:
        stages.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        stages.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        stages.append(scale_by_param_block_rms())
    if momentum is not None:
        stages.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        stages.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*stages, scale(-1.0))


def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn = True,
    trust_coefficient: Any = 0.001,
    eps: Any = 0.0,
    trust_ratio_mask: MaskOrFn = True,
    momentum: Any = 0.9,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Layer-wise adaptive rates for large batches (You et al. 2017, arXiv:1708.03888).

    Parameters
    ----------
    learning_rate
        A number or a schedule.
    weight_decay, weight_decay_mask
        See `add_decayed_weights`; the decay is added to the gradients.
    trust_coefficient, eps, trust_ratio_mask
        See `scale_by_trust_ratio`, and for which leaves.
    momentum, nesterov
        See `sgd`; they act on the scaled updates.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.lars(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.0001,  0.0002])
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


def lamb(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-6,
    eps_root: Any = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """Adam with layer-wise rates for large batches (You et al. 2019, arXiv:1904.00962).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.lamb(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1581,  0.1581])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


def fromage(learning_rate: ScalarOrSchedule, min_norm: Any = 1e-6) -> GradientTransformationExtraArgs:
    """Steps in proportion to weights, which are then shrunk (Bernstein et al. 2020, arXiv:2002.03432).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.fromage(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1045,  0.1891])
    """

    def shrink(rate: Any) -> Any:
        return 1 / (1 + rate**2) ** 0.5

    rate: ScalarOrSchedule = learning_rate
    if callable(rate):
        step: ScalarOrSchedule = lambda count: shrink(rate(count)) * rate(count)  # noqa: E731
        decay: ScalarOrSchedule = lambda count: shrink(rate(count)) - 1  # noqa: E731
    else:
        step, decay = shrink(rate) * rate, shrink(rate) - 1
    return chain(scale_by_trust_ratio(min_norm), scale_by_learning_rate(step), add_decayed_weights(decay))


def novograd(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-6,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
) -> GradientTransformationExtraArgs:
    """Momentum over gradients divided by averages of their leaf's norm (Ginsburg et al. 2019, arXiv:1905.11286).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.novograd(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.0447,  0.0894])
    """
    return chain(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), scale_by_learning_rate(learning_rate))


def sm3(learning_rate: Any, momentum: Any = 0.9) -> GradientTransformationExtraArgs:
    """AdaGrad with as much memory as rows and columns need (Anil et al. 2019, arXiv:1901.11150).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.sm3(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.01,  0.01])
    """
    return chain(scale_by_sm3(momentum), scale(-learning_rate))


def noisy_sgd(
    learning_rate: ScalarOrSchedule, eta: Any = 0.01, gamma: Any = 0.55, key: Any = 0
) -> GradientTransformationExtraArgs:
    """Gradient descent with noise that fades (Neelakantan et al. 2015, arXiv:1511.06807); see `add_noise`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.noisy_sgd(0.1, 0.5)
    >>> updates, state = optimizer.update(x, optimizer.init(x), x)
    >>> updates.shape
    (2,)
    """
    return chain(add_noise(eta, gamma, key), scale_by_learning_rate(learning_rate))


def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
    """Steps of one size by the signs of gradients (Bernstein et al. 2018, arXiv:1802.04434).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.sign_sgd(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


def signum(
    learning_rate: ScalarOrSchedule, beta: Any = 0.9, accumulator_dtype: Any = None
) -> GradientTransformationExtraArgs:
    """`sign_sgd` of a moving average of gradients.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.signum(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    average = ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return chain(average, scale_by_sign(), scale_by_learning_rate(learning_rate))


def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule, alpha: Any = 1.0, beta: Any = 1.0
) -> GradientTransformationExtraArgs:
    """Gradient descent with negative momentum, for games (Mokhtari et al. 2019, arXiv:1901.08511).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.optimistic_gradient_descent(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.05,  0.1 ])
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: Any = 1.0,
    beta: Any = 1.0,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Adam with negative momentum, for games (Daskalakis et al. 2017, arXiv:1711.00141).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.optimistic_adam_v2(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1474,  0.1474])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )


def polyak_sgd(
    max_learning_rate: Any = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Any = 0.0,
    eps: Any = 0.0,
    variant: str = "sps",
) -> GradientTransformationExtraArgs:
    """Gradient descent with Polyak's step size; `update` takes the loss as ``value=``: see `scale_by_polyak`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.polyak_sgd()
    >>> updates, state = optimizer.update(2 * x, optimizer.init(x), x, value=np.sum(x**2))
    >>> np.round(updates, 4)
    array([-0.5, -1. ])
    """
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008
) -> GradientTransformationExtraArgs:
    """L-BFGS with a line search (Liu and Nocedal 1989).

    `update` needs ``value=``, ``grad=`` and ``value_fn=``; `value_and_grad_from_state` takes both from the state.

    Parameters
    ----------
    learning_rate
        A factor of the direction, or None for 1; with a line search only the beginning of the search depends on it.
    memory_size
        How many differences of gradients make up the approximation of the Hessian.
    scale_init_precond
        See `scale_by_lbfgs`.
    linesearch
        `scale_by_zoom_linesearch` or `scale_by_backtracking_linesearch`; None takes the whole step.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> f = lambda w: np.sum((w[1:] - w[:-1] ** 2) ** 2 * 100 + (1 - w[:-1]) ** 2)
    >>> optimizer = fg.optim.lbfgs()
    >>> @fg.jit
    ... def step(w, state):
    ...     value, grad = fg.optim.value_and_grad_from_state(f)(w, state=state)
    ...     updates, state = optimizer.update(grad, state, w, value=value, grad=grad, value_fn=f)
    ...     return fg.optim.apply_updates(w, updates), state
    >>> w = np.zeros(3)
    >>> state = optimizer.init(w)
    >>> for _ in range(40):
    ...     w, state = step(w, state)
    >>> np.round(w, 6)
    array([1., 1., 1.])
    """
    factor = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    search = identity() if linesearch is None else linesearch
    return chain(scale_by_lbfgs(memory_size, scale_init_precond), factor, search)
