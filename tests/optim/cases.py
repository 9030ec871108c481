"""Which optimisers and schedules are compared, and on what?  The same text builds them with optax and with funcgrad.

Gradients do not depend on the parameters, so that rounding is not amplified and tolerances can be tight.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "recorded.npz"
STEPS = 12
RECORDED_ELEMENTS = 6  # of each leaf: all of them take part
DTYPES = ("float32", "float64")
COUNTS = (*range(36), 50, 100)

Build = Callable[[Any], Any]


def parameters(dtype: str) -> dict[str, Any]:
    """Several leaves of several ranks, one of them a number."""
    random = np.random.default_rng(0)
    shapes = {"w": (3, 4), "b": (4,), "t": (2, 4, 3), "s": ()}
    return {name: np.asarray(random.standard_normal(shape), dtype) for name, shape in shapes.items()}


def gradients(dtype: str) -> list[dict[str, Any]]:
    """One tree per step; the sizes differ from step to step by two orders of magnitude."""
    random = np.random.default_rng(1)
    sizes = np.exp(random.uniform(-2, 2, STEPS))
    return [
        {name: np.asarray(size * random.standard_normal(p.shape), dtype) for name, p in parameters(dtype).items()}
        for size in sizes
    ]


def values() -> list[float]:
    """The losses that some take: falling, then on a plateau."""
    return [max(1.0 - 0.2 * k, 0.3) for k in range(STEPS)]


def compact(rows: list[dict[str, Any]]) -> np.ndarray:
    """What is recorded of trees, one row for each: the first elements of every leaf."""
    return np.stack([np.concatenate([np.ravel(row[name])[:RECORDED_ELEMENTS] for name in sorted(row)]) for row in rows])


MASK = {"w": True, "b": False, "t": True, "s": False}
LABELS = {"w": "one", "b": "two", "t": "two", "s": "one"}


def _cosine(o: Any) -> Any:
    return o.warmup_cosine_decay_schedule(0.0, 0.1, 3, 10, 0.01)


OPTIMISERS: dict[str, Build] = {
    "sgd": lambda o: o.sgd(0.1),
    "sgd momentum": lambda o: o.sgd(0.1, 0.9),
    "sgd nesterov": lambda o: o.sgd(0.1, 0.9, nesterov=True),
    "sgd schedule": lambda o: o.sgd(_cosine(o), 0.5),
    "adam": lambda o: o.adam(0.05),
    "adam eps_root": lambda o: o.adam(0.05, 0.8, 0.95, 1e-4, 1e-3),
    "adam nesterov": lambda o: o.adam(0.05, nesterov=True),
    "adam mu_dtype": lambda o: o.adam(0.05, mu_dtype="float32"),
    "adam schedule": lambda o: o.adam(_cosine(o)),
    "adamw": lambda o: o.adamw(0.05, weight_decay=0.1),
    "adamw mask": lambda o: o.adamw(0.05, weight_decay=0.1, mask=MASK),
    "nadam": lambda o: o.nadam(0.05),
    "nadamw": lambda o: o.nadamw(0.05, weight_decay=0.1),
    "adamax": lambda o: o.adamax(0.05),
    "adamaxw": lambda o: o.adamaxw(0.05, weight_decay=0.1),
    "amsgrad": lambda o: o.amsgrad(0.05),
    "amsgrad paper": lambda o: o.amsgrad(0.05, bias_correction_mu=False, bias_correction_nu=False),
    "radam": lambda o: o.radam(0.05),
    "radam nesterov": lambda o: o.radam(0.05, b2=0.9, nesterov=True),
    "adabelief": lambda o: o.adabelief(0.05),
    "adabelief nesterov": lambda o: o.adabelief(0.05, nesterov=True),
    "yogi": lambda o: o.yogi(0.05),
    "adan": lambda o: o.adan(0.05, weight_decay=0.1),
    "lion": lambda o: o.lion(0.01, weight_decay=0.1),
    "adagrad": lambda o: o.adagrad(0.1),
    "adagrad from zero": lambda o: o.adagrad(0.1, 0.0),
    "adadelta": lambda o: o.adadelta(1.0, weight_decay=0.1),
    "rmsprop": lambda o: o.rmsprop(0.05),
    "rmsprop momentum": lambda o: o.rmsprop(0.05, eps_in_sqrt=False, initial_scale=0.5, momentum=0.9, nesterov=True),
    "rmsprop centered": lambda o: o.rmsprop(0.05, eps=1e-3, centered=True, momentum=0.9),
    "rmsprop corrected": lambda o: o.rmsprop(0.05, bias_correction=True),
    "rmsprop centered corrected": lambda o: o.rmsprop(0.05, eps=1e-3, centered=True, bias_correction=True),
    "adafactor": lambda o: o.adafactor(0.1, min_dim_size_to_factor=3, momentum=0.9, weight_decay_rate=1e-3),
    "adafactor plain": lambda o: o.adafactor(multiply_by_parameter_scale=False, clipping_threshold=None),
    "lars": lambda o: o.lars(0.1, weight_decay=0.01, trust_coefficient=0.1),
    "lars masks": lambda o: o.lars(0.1, 0.01, MASK, 0.1, 1e-3, MASK, nesterov=True),
    "lamb": lambda o: o.lamb(0.05, weight_decay=0.1),
    "fromage": lambda o: o.fromage(0.1),
    "fromage schedule": lambda o: o.fromage(_cosine(o)),
    "novograd": lambda o: o.novograd(0.05, weight_decay=0.1),
    "sm3": lambda o: o.masked(o.sm3(0.1), {**MASK, "b": True}),  # optax has no numbers there
    "sign_sgd": lambda o: o.sign_sgd(0.01),
    "signum": lambda o: o.signum(0.01),
    "optimistic": lambda o: o.optimistic_gradient_descent(0.1, 1.0, 0.5),
    "optimistic adam": lambda o: o.optimistic_adam_v2(0.05, beta=0.5),
    "polyak": lambda o: o.polyak_sgd(0.5, f_min=0.1),
    "polyak plus": lambda o: o.polyak_sgd(0.5, f_min=0.5, eps=1e-3, variant="sps+"),
    "dog": lambda o: o.scale_by_distance_over_gradients(1e-3, param_dtype=np.float64, global_scale=-1.0),
    "clip": lambda o: o.chain(o.clip(0.5), o.sgd(0.1)),
    "clip_by_global_norm": lambda o: o.chain(o.clip_by_global_norm(2.0), o.sgd(0.1)),
    "clip_by_block_rms": lambda o: o.chain(o.clip_by_block_rms(0.5), o.sgd(0.1)),
    "adaptive_grad_clip": lambda o: o.chain(o.adaptive_grad_clip(0.1), o.sgd(0.1)),
    "decay schedule": lambda o: o.chain(o.add_decayed_weights(_cosine(o)), o.sgd(0.1)),
    "ema": lambda o: o.chain(o.ema(0.9), o.sgd(0.1)),
    "trace": lambda o: o.chain(o.trace(0.9, nesterov=True), o.scale(-0.1)),
    "apply_every": lambda o: o.chain(o.apply_every(3), o.sgd(0.1)),
    "centralize": lambda o: o.chain(o.centralize(), o.sgd(0.1)),
    "normalize": lambda o: o.normalize_by_update_norm(-0.1),
    "param norms": lambda o: o.chain(o.scale_by_param_block_norm(), o.scale_by_param_block_rms(), o.sgd(1e-3)),
    "nonnegative": lambda o: o.chain(o.sgd(0.1), o.keep_params_nonnegative()),
    "masked": lambda o: o.chain(o.masked(o.trace(0.9), MASK), o.sgd(0.1)),
    "partition": lambda o: o.partition({"one": o.adam(0.05), "two": o.sgd(0.1, 0.9)}, LABELS),
    "named_chain": lambda o: o.named_chain(("clip", o.clip(0.5)), ("adam", o.adam(0.05))),
    "freeze": lambda o: o.chain(o.adam(0.05), o.freeze(MASK)),
    "multisteps": lambda o: o.MultiSteps(o.adam(0.05), 3, accumulator_dtype=np.float64).gradient_transformation(),
    "multisteps sum": lambda o: o.MultiSteps(o.sgd(0.1, 0.9), lambda n: n + 1, False, accumulator_dtype=np.float64),
    "inject": lambda o: o.inject_hyperparams(o.adamw)(_cosine(o), b1=0.8, weight_decay=0.1),
    "flatten": lambda o: o.flatten(o.clip_by_block_rms(0.5)),
    "conditionally_transform": lambda o: o.conditionally_transform(o.sgd(0.1), lambda step: step % 2 == 0),
    "conditionally_mask": lambda o: o.conditionally_mask(o.adam(0.1), lambda step: step % 3 == 0),
    "plateau": lambda o: o.chain(o.sgd(0.1), _plateau(o)(0.5, 2, cooldown=1, min_scale=0.2)),
    "plateau average": lambda o: o.chain(o.sgd(0.1), _plateau(o)(0.5, 1, 0.0, 0.3, accumulation_size=2)),
}


def _plateau(o: Any) -> Any:
    return o.reduce_on_plateau if hasattr(o, "reduce_on_plateau") else o.contrib.reduce_on_plateau


SCHEDULES: dict[str, Build] = {
    "constant": lambda o: o.constant_schedule(0.3),
    "linear": lambda o: o.linear_schedule(1.0, 0.1, 20, 5),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.1, 2.5, 20),
    "piecewise": lambda o: o.piecewise_constant_schedule(1.0, {20: 0.5, 10: 0.1}),
    "exponential": lambda o: o.exponential_decay(1.0, 10, 0.5, 3),
    "exponential stairs": lambda o: o.exponential_decay(1.0, 7, 0.5, 2, True, 0.2),
    "exponential growth": lambda o: o.exponential_decay(1.0, 10, 1.5, end_value=3.0),
    "cosine": lambda o: o.cosine_decay_schedule(0.5, 25, 0.1, 1.5),
    "interpolated": lambda o: o.piecewise_interpolate_schedule("linear", 1.0, {20: 0.5, 10: 3.0}),
    "interpolated cosine": lambda o: o.piecewise_interpolate_schedule("cosine", 1.0, {20: 0.5, 10: 3.0}),
    "linear one cycle": lambda o: o.linear_onecycle_schedule(30, 1.0),
    "cosine one cycle": lambda o: o.cosine_onecycle_schedule(30, 1.0),
    "warm-up constant": lambda o: o.warmup_constant_schedule(0.0, 1.0, 10),
    "warm-up cosine": lambda o: o.warmup_cosine_decay_schedule(0.1, 1.0, 10, 30, 0.2, 0.5),
    "no warm-up": lambda o: o.warmup_cosine_decay_schedule(0.1, 1.0, 0, 30),
    "warm-up exponential": lambda o: o.warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5, 2, True, 0.1),
    "joined": lambda o: o.join_schedules([o.constant_schedule(0.5), o.linear_schedule(1.0, 0.0, 10)], [8]),
    "restarts": lambda o: o.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 10},
            {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 3, "decay_steps": 20, "end_value": 0.05},
        ]
    ),
}

SEARCHES: dict[str, Build] = {
    "lbfgs": lambda o: o.lbfgs(),
    "lbfgs small memory": lambda o: o.lbfgs(memory_size=2, scale_init_precond=False),
    "lbfgs no search": lambda o: o.lbfgs(0.1, linesearch=None),
    "lbfgs backtracking": lambda o: o.lbfgs(linesearch=o.scale_by_backtracking_linesearch(15, store_grad=True)),
    "zoom": lambda o: o.chain(o.sgd(1.0), o.scale_by_zoom_linesearch(15)),
    "zoom limits": lambda o: o.chain(
        o.sgd(1.0), o.scale_by_zoom_linesearch(6, 0.02, 1e-3, 1.5, 1e-3, 0.5, None, initial_guess_strategy="one")
    ),
    "backtracking": lambda o: o.chain(o.sgd(1.0), o.scale_by_backtracking_linesearch(30)),
    "backtracking tolerances": lambda o: o.chain(
        o.sgd(1.0), o.scale_by_backtracking_linesearch(30, 0.1, 0.5, 3.0, 2.0, 1e-3, 1e-2)
    ),
}


def valley(params: dict[str, Any]) -> Any:
    """A curved valley (Rosenbrock's function), for line searches; written with operators only."""
    x, y = params["x"], params["y"]
    return (100 * (y - x**2) ** 2 + (1 - x) ** 2).sum()


def start() -> dict[str, Any]:
    """Where searches begin."""
    return {"x": np.array([-1.2, 0.5, 2.0]), "y": np.array([1.0, -0.5, 1.5])}


def valley_gradient(params: dict[str, Any]) -> dict[str, Any]:
    """The derivative, by hand."""
    x, y = params["x"], params["y"]
    return {"x": -400 * x * (y - x**2) - 2 * (1 - x), "y": 200 * (y - x**2)}
