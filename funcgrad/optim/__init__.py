"""Gradient transformations: optimisers, schedules and what goes between them, in optax's shape.

>>> import funcgrad as fg
>>> import numpy as np
>>> optimizer = fg.optim.chain(fg.optim.clip_by_global_norm(1.0), fg.optim.adamw(1e-2))
>>> params = {"w": np.ones(3)}
>>> state = optimizer.init(params)
>>> updates, state = optimizer.update({"w": np.ones(3)}, state, params)
>>> params = fg.optim.apply_updates(params, updates)
"""

from funcgrad.optim import tree
from funcgrad.optim._accumulation import ApplyEvery, EmaState, TraceState, apply_every, ema, trace
from funcgrad.optim._adaptive import (
    ScaleByAdamState,
    ScaleByAdanState,
    ScaleByAmsgradState,
    ScaleByBeliefState,
    ScaleByLionState,
    scale_by_adam,
    scale_by_adamax,
    scale_by_adan,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_lion,
    scale_by_radam,
    scale_by_yogi,
)
from funcgrad.optim._adding import AddNoiseState, WeightDecaySchedule, add_decayed_weights, add_noise
from funcgrad.optim._aliases import (
    adabelief,
    adam,
    adamax,
    adamaxw,
    adamw,
    adan,
    amsgrad,
    lion,
    nadam,
    nadamw,
    radam,
    sgd,
    yogi,
)
from funcgrad.optim._apply import apply_updates, incremental_update, periodic_update
from funcgrad.optim._base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    identity,
    init_empty_state,
    safe_increment,
    safe_int32_increment,
    set_to_zero,
    stateless,
    stateless_with_tree_map,
    with_extra_args_support,
)
from funcgrad.optim._clipping import (
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    global_norm,
    per_example_global_norm_clip,
    per_example_layer_norm_clip,
)
from funcgrad.optim._combine import (
    MultiTransformState,
    PartitionState,
    chain,
    multi_transform,
    named_chain,
    partition,
    selective_transform,
)
from funcgrad.optim._conditions import (
    ApplyIfFiniteState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    ZeroNansState,
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
    keep_params_nonnegative,
    zero_nans,
)
from funcgrad.optim._factored import FactoredState, scale_by_factored_rms
from funcgrad.optim._inject import (
    InjectHyperparamsState,
    InjectStatefulHyperparamsState,
    WrappedSchedule,
    inject_hyperparams,
)
from funcgrad.optim._lbfgs import ScaleByLBFGSState, scale_by_lbfgs
from funcgrad.optim._linesearch import (
    BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch,
    value_and_grad_from_state,
)
from funcgrad.optim._masking import MaskedNode, MaskedState, freeze, masked
from funcgrad.optim._more_aliases import (
    adadelta,
    adafactor,
    adagrad,
    fromage,
    lamb,
    lars,
    lbfgs,
    noisy_sgd,
    novograd,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    polyak_sgd,
    rmsprop,
    rprop,
    sign_sgd,
    signum,
    sm3,
)
from funcgrad.optim._multisteps import MultiSteps, MultiStepsState, skip_large_updates, skip_not_finite
from funcgrad.optim._roots import (
    ScaleByAdaDeltaState,
    ScaleByNovogradState,
    ScaleByOptimisticGradientState,
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRpropState,
    ScaleByRssState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    ScaleBySM3State,
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
    ScaleByDistanceOverGradientsState,
    ScaleByScheduleState,
    centralize,
    normalize_by_update_norm,
    safe_norm,
    safe_root_mean_squares,
    scale,
    scale_by_distance_over_gradients,
    scale_by_learning_rate,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_polyak,
    scale_by_schedule,
    scale_by_sign,
    scale_by_trust_ratio,
)
from funcgrad.optim._schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    step_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from funcgrad.optim._wrappers import (
    LookaheadParams,
    LookaheadState,
    ReduceLROnPlateauState,
    flatten,
    lookahead,
    reduce_on_plateau,
)
from funcgrad.optim._zoom import ScaleByZoomLinesearchState, ZoomLinesearchInfo, scale_by_zoom_linesearch
