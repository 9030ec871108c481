"""What do mistakes say?  The function, the leaf, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim

P = {"w": np.ones((2, 3)), "b": [np.ones(3)]}
SHAPE = {"w": np.ones((2, 3)), "b": [np.ones(4)]}
MISSING = {"w": np.ones((2, 3)), "b": []}


def updated(optimiser: Any, updates: Any, params: Any = None, init: Any = P) -> Any:
    return optimiser.update(updates, optimiser.init(init), params)


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "shape": (
        lambda: updated(optim.adam(0.1), SHAPE, P),
        ValueError,
        r"scale_by_adam: updates\['b'\]\[0\] has shape \(4,",
    ),
    "missing": (lambda: updated(optim.adam(0.1), MISSING, P), ValueError, r"updates have no leaf \['b'\]\[0\]"),
    "missing in params": (
        lambda: updated(optim.adam(0.1), P, MISSING),
        ValueError,
        r"params have no leaf \['b'\]\[0\]",
    ),
    "other node": (lambda: optim.apply_updates([np.ones(1)], (np.ones(1),)), ValueError, "different structures"),
    "other state": (lambda: updated(optim.adam(0.1), MISSING), ValueError, r"no leaf \['b'\]\[0\]"),
    "apply": (
        lambda: optim.apply_updates(P, SHAPE),
        ValueError,
        r"apply_updates: updates\['b'\]\[0\] has shape \(4,\), but",
    ),
    "no params": (
        lambda: updated(optim.adamw(0.1), P),
        ValueError,
        r"add_decayed_weights: .* update\(updates, state, params\)",
    ),
    "no params, masked": (
        lambda: updated(optim.adamw(0.1, mask={"w": True, "b": False}), P),
        ValueError,
        "were not given",
    ),
    "no params, lamb": (lambda: updated(optim.lamb(0.1, weight_decay=0.1), P), ValueError, "were not given"),
    "state of another": (
        lambda: optim.adam(0.1).update(P, optim.sgd(0.1, 0.9).init(P)[:1]),
        ValueError,
        r"chain: the state is not one of this chain: 2 transformations, but 1 states; .* optimizer.init\(params\)",
    ),
    "state of another, not chained": (
        lambda: optim.scale_by_adam().update(P, optim.trace(0.9).init(P)),
        ValueError,
        r"scale_by_adam: the state is not one of this transformation but a TraceState, which has no 'mu'; begin with",
    ),
    "state of another, equally long chain": (
        lambda: optim.adam(0.1).update(P, optim.sgd(0.1, 0.9).init(P)),
        ValueError,
        r"scale_by_adam: .* a TraceState, which has no 'mu'",
    ),
    "rate as text": (lambda: optim.adam("1e-3"), TypeError, "must be a number or a schedule, not '1e-3'"),  # type: ignore[arg-type]
    "rates in a list": (lambda: optim.sgd([0.1]), TypeError, r"must be a number or a schedule, not \[0\.1\]"),  # type: ignore[arg-type]
    "named state": (lambda: optim.named_chain(("a", optim.sgd(0.1))).update(P, {}), ValueError, "has the names"),
    "equal names": (lambda: optim.named_chain(("a", optim.sgd(0.1)), ("a", optim.sgd(0.1))), ValueError, "must differ"),
    "not called": (
        lambda: optim.chain(optim.identity),
        TypeError,
        r"chain: argument 0 .* call it first, as in identity",
    ),
    "no transformation": (
        lambda: optim.MultiSteps(3, 2),
        TypeError,
        "MultiSteps: opt is no gradient transformation but 3",
    ),
    "label": (
        lambda: updated(optim.partition({"a": optim.sgd(0.1)}, {"w": "a", "b": ["c"]}), P),
        ValueError,
        r"partition: the label 'c' of the parameters at \['b'\]\[0\] has no transformation; there are 'a'",
    ),
    "mask": (
        lambda: updated(optim.masked(optim.sgd(0.1), {"w": True}), P),
        ValueError,
        r"masked: .* \['b'\]\[0\], \['w'\]",
    ),
    "traced mask": (
        lambda: fg.jit(lambda m: updated(optim.masked(optim.sgd(0.1), m), np.ones(1), init=np.ones(1)))(True),
        fg.errors.TracerBoolConversionError,
        "condition",
    ),
    "steps": (
        lambda: optim.linear_schedule(0.0, 1.0, 0),
        ValueError,
        "linear_schedule: transition_steps must be at least 1",
    ),
    "negative steps": (
        lambda: optim.cosine_decay_schedule(1.0, -3),
        ValueError,
        "decay_steps must be greater than 0, not -3",
    ),
    "warm-up": (
        lambda: optim.warmup_cosine_decay_schedule(0.0, 1.0, 10, 10),
        ValueError,
        r"decay_steps \(which include the warm-up\) must be greater than 10",
    ),
    "one cycle": (lambda: optim.cosine_onecycle_schedule(0, 1.0), ValueError, "transition_steps must be at least 1"),
    "rate": (lambda: optim.exponential_decay(1.0, 10, 0.0), ValueError, "decay_rate must be greater than 0"),
    "scale": (
        lambda: optim.piecewise_constant_schedule(1.0, {3: -1.0}),
        ValueError,
        "the scale at 3 must be at least 0",
    ),
    "interpolation": (lambda: optim.piecewise_interpolate_schedule("spline", 1.0), ValueError, "'linear' or 'cosine'"),
    "boundaries": (lambda: optim.join_schedules([abs, abs], []), ValueError, "2 schedules need 1 boundaries"),
    "order": (lambda: optim.join_schedules([abs] * 3, [5, 2]), ValueError, "must ascend"),
    "no cycles": (lambda: optim.sgdr_schedule([]), ValueError, "at least one cycle"),
    "k": (lambda: optim.MultiSteps(optim.sgd(0.1), 0), ValueError, "every_k_schedule must be at least 1, not 0"),
    "sync": (lambda: optim.lookahead(optim.sgd(0.1), 0, 0.5), ValueError, "sync_period must be at least 1"),
    "lookahead": (
        lambda: updated(optim.lookahead(optim.sgd(0.1), 2, 0.5), P, P),
        TypeError,
        "LookaheadParams.init_synced",
    ),
    "memory": (lambda: optim.lbfgs(memory_size=0), ValueError, "memory_size must be at least 1"),
    "guess": (lambda: optim.scale_by_zoom_linesearch(3, initial_guess_strategy="two"), ValueError, "'keep' or 'one'"),
    "no value": (lambda: updated(optim.lbfgs(), P, P), TypeError, "value"),
    "surplus": (
        lambda: optim.lbfgs().update(
            np.ones(1), optim.lbfgs().init(np.ones(1)), np.ones(1), value=1.0, grad=np.ones(1), value_fn=np.sum, batch=3
        ),
        TypeError,
        "value_fn does not take the keyword arguments batch",
    ),
    "no stored value": (
        lambda: optim.value_and_grad_from_state(np.sum)(np.ones(1), state=optim.sgd(0.1).init(np.ones(1))),
        ValueError,
        "the state has no value and gradient",
    ),
    "static": (
        lambda: optim.inject_hyperparams(optim.adam, "lr"),
        ValueError,
        "static_args names lr, .* it has learning_rate",
    ),
    "factor": (lambda: optim.reduce_on_plateau(1.5), ValueError, "factor must be between 0 and 1, not 1.5"),
    "tolerances": (lambda: optim.reduce_on_plateau(0.5, rtol=0.0), ValueError, "one of them positive"),
    "norm": (lambda: optim.clip_by_global_norm(-1.0), ValueError, "max_norm must be at least 0, not -1.0"),
    "axes": (
        lambda: updated(optim.adaptive_grad_clip(0.1), np.ones([2] * 6), np.ones([2] * 6), np.ones([2] * 6)),
        ValueError,
        r"say over which axes",
    ),
    "mode": (lambda: optim.scale_by_lion(mode="soft"), ValueError, "'hard', 'smooth', 'refined', not 'soft'"),
    "variant": (lambda: optim.polyak_sgd(variant="x"), ValueError, "'sps' or 'sps\\+'"),
    "skip": (
        lambda: updated(optim.MultiSteps(optim.sgd(0.1), 2, should_skip_update_fn=lambda *_: (np.ones(2), ())), P),
        ValueError,
        "must return one boolean first, not float64 of shape",
    ),
    "several": (
        lambda: optim.tree.get((optim.sgd(0.1, 0.9).init(P), optim.sgd(0.1, 0.9).init(P)), "trace"),
        KeyError,
        "several",
    ),
    "not there": (lambda: optim.tree.set(optim.sgd(0.1).init(P), rate=1), KeyError, "no value 'rate'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message) as info:
        call()
    assert name in ("no value",) or "test_mistakes.py" in str(info.value)
