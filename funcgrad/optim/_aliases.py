"""Which optimisers are there, first half?  Gradient descent, Adam and its relatives, as chains of transformations.

Learning rates are numbers or schedules; what the parameters of a scaling mean stands here, its formula beside the code
of `scale_by_...`.
"""

from __future__ import annotations

from typing import Any

from funcgrad.optim._accumulation import trace
from funcgrad.optim._adaptive import (
    scale_by_adam,
    scale_by_adamax,
    scale_by_adan,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_lion,
    scale_by_radam,
    scale_by_yogi,
)
from funcgrad.optim._adding import add_decayed_weights
from funcgrad.optim._base import GradientTransformationExtraArgs, MaskOrFn, ScalarOrSchedule, identity
from funcgrad.optim._combine import chain
from funcgrad.optim._scales import scale_by_learning_rate


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Any = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformationExtraArgs:
    """Gradient descent, with momentum if asked for.

    Parameters
    ----------
    learning_rate
        A number or a schedule.
    momentum
        How much of the last update remains (Polyak 1964); None keeps no state.
    nesterov
        Whether to look one step ahead (Sutskever et al. 2013).
    accumulator_dtype
        Of the momentum; by default the parameters'.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> loss = lambda w: np.sum((w - 3.0) ** 2)
    >>> optimizer = fg.optim.sgd(0.1)
    >>> @fg.jit
    ... def step(w, state):
    ...     updates, state = optimizer.update(fg.grad(loss)(w), state, w)
    ...     return fg.optim.apply_updates(w, updates), state
    >>> w = np.zeros(1)
    >>> state = optimizer.init(w)
    >>> for _ in range(100):
    ...     w, state = step(w, state)
    >>> np.round(w, 3)
    array([3.])
    """
    memory = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(memory, scale_by_learning_rate(learning_rate))


def adam(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam (Kingma and Ba 2014, arXiv:1412.6980).

    Parameters
    ----------
    learning_rate
        A number or a schedule.
    b1, b2
        How much remains of the averages of gradients and of squares.
    eps, eps_root
        Added to the root, and under it. For derivatives through updates `eps_root` must be positive.
    mu_dtype
        Of the average of gradients; by default the parameters'.
    nesterov
        Whether to look one step ahead: see `nadam`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> params = {"w": np.array([1.0, -2.0])}
    >>> optimizer = fg.optim.adam(0.1)
    >>> updates, state = optimizer.update({"w": np.array([30.0, 0.004])}, optimizer.init(params), params)
    >>> updates
    {'w': Array([-0.1       , -0.09999975])}
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov), scale_by_learning_rate(learning_rate)
    )


def nadam(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Adam with Nesterov's momentum (Dozat 2016); the parameters are those of `adam`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.nadam(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1474,  0.1474])
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam with weight decay beside its scaling (Loshchilov and Hutter 2017, arXiv:1711.05101).

    The further parameters are those of `adam` and of `add_decayed_weights`; the decay is multiplied by the learning
    rate, as in PyTorch.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adamw(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """`nadam` with weight decay; the parameters are those of `adamw`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.nadamw(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1474,  0.1473])
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov)


def adamax(
    learning_rate: ScalarOrSchedule, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8
) -> GradientTransformationExtraArgs:
    """Adam by the largest gradients instead of the root of their squares (Kingma and Ba 2014).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adamax(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """`adamax` with weight decay, as in `adamw`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adamaxw(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(
        scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )


def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformationExtraArgs:
    """Adam by the largest average of squares so far (Reddi et al. 2018).

    The parameters are those of `adam`; with both bias corrections False it is the paper's form.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.amsgrad(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu),
        scale_by_learning_rate(learning_rate),
    )


def radam(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    threshold: Any = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Rectified Adam (Liu et al. 2019, arXiv:1908.03265).

    As `adam`, but without scaling until the average of squares is as good as `threshold` independent gradients, and
    with a correction from then on.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.radam(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.05,  0.1 ])
    """
    return chain(
        scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov), scale_by_learning_rate(learning_rate)
    )


def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-16,
    eps_root: Any = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam by squared distances from the average gradient (Zhuang et al. 2020, arXiv:2010.07468).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adabelief(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1111,  0.1111])
    """
    return chain(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), scale_by_learning_rate(learning_rate))


def yogi(
    learning_rate: ScalarOrSchedule, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-3
) -> GradientTransformationExtraArgs:
    """Adam whose average of squares changes by bounded steps (Zaheer et al. 2018).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.yogi(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.0996,  0.0998])
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adan(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.98,
    b2: Any = 0.92,
    b3: Any = 0.99,
    eps: Any = 1e-8,
    eps_root: Any = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """Adaptive Nesterov momentum (Xie et al. 2022, arXiv:2208.06677).

    `b1`, `b2` and `b3` say how much remains of the averages of gradients, of their differences, and of squares.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.adan(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1,  0.1])
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: MaskOrFn | None = None,
) -> GradientTransformationExtraArgs:
    """Steps of one size by the sign of an average (Chen et al. 2023, arXiv:2302.06675).

    `b1` and `b2` say how much of the average enters the sign, and remains. Learning rates are 3 to 10 times smaller
    than Adam's, weight decays as much larger.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.lion(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.1001,  0.0998])
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
