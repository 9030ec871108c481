"""Functions that neural networks are made of: activations, softmax, attention, one-hot codes; convolutions and pools.

Names and meaning are `jax.nn`'s. `nn.initializers` and `nn.layers` are imported when somebody asks for them.

>>> import funcgrad as fg
>>> fg.grad(gelu)(0.0)
Array(0.5)
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

from funcgrad.nn._activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log1mexp,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softplus,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    swish,
    tanh,
)
from funcgrad.nn._attention import dot_product_attention
from funcgrad.nn._convolution import avg_pool, conv, max_pool, min_pool, pool
from funcgrad.nn._scaled import scaled_dot_general, scaled_matmul
from funcgrad.nn._softmax import log_softmax, logmeanexp, logsumexp, one_hot, softmax, standardize
from funcgrad.tracebacks import bounded as _bounded

if _TYPE_CHECKING:
    from funcgrad.nn import initializers, layers

_submodules = ("initializers", "layers")


if not _typing.TYPE_CHECKING:  # so that type checkers know which names there are

    def __getattr__(name: str) -> _ModuleType:
        if name in _submodules:
            return _importlib.import_module(f"funcgrad.nn.{name}")
        raise AttributeError(f"module 'funcgrad.nn' has no attribute {name!r}")


__all__ = [
    "avg_pool",
    "celu",
    "conv",
    "dot_product_attention",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "initializers",
    "layers",
    "leaky_relu",
    "log1mexp",
    "log_sigmoid",
    "log_softmax",
    "logmeanexp",
    "logsumexp",
    "max_pool",
    "min_pool",
    "mish",
    "one_hot",
    "pool",
    "relu",
    "relu6",
    "scaled_dot_general",
    "scaled_matmul",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "standardize",
    "swish",
    "tanh",
]

_bounded(globals())
