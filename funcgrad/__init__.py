"""Differentiable NumPy programs, compiled to native CPU code: `grad`, `jit`, `vmap` and the rest, with JAX's names.

>>> import funcgrad as fg
>>> import numpy as np
>>> fg.grad(lambda x: np.sum(np.tanh(x)))(np.zeros(3))
Array([1., 1., 1.])
"""

from funcgrad import custom_batching, custom_derivatives, errors, lax, nn, numpy, tree, tree_util
from funcgrad.api import eval_shape, grad, jvp, make_jaxpr, stop_gradient, value_and_grad, vjp
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.control.rules import custom_gradient, custom_jvp, custom_vjp
from funcgrad.jacobians import hessian, jacfwd, jacrev
from funcgrad.linearization import closure_convert, linear_transpose, linearize
from funcgrad.runtime.caches import clear_caches
from funcgrad.runtime.dispatch import ShapeDtypeStruct, jit
from funcgrad.runtime.threads import get_num_threads, set_num_threads

jacobian = jacrev
__version__ = "0.1.0"
__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "clear_caches",
    "closure_convert",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "errors",
    "eval_shape",
    "get_num_threads",
    "grad",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "make_jaxpr",
    "nn",
    "numpy",
    "set_num_threads",
    "stop_gradient",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
]
