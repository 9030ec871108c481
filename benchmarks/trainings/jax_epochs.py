"""How does a JAX user write an epoch?  As a loop over a jitted step, or as one `lax.scan` in a jitted function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np


def looped(step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Steps are dispatched while earlier ones run; the losses are waited for at the end."""
    step = jax.jit(step, donate_argnums=0)

    def epoch(carry: Any, batches: Any) -> tuple[Any, Any]:
        losses = []
        for number in range(len(next(iter(batches.values())))):
            carry, loss = step(carry, {name: array[number] for name, array in batches.items()})
            losses.append(loss)
        return carry, np.array(jax.device_get(losses))

    return epoch


def scanned(step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """No Python between the steps."""
    return jax.jit(partial(jax.lax.scan, step), donate_argnums=0)
