"""Differentiable NumPy programs, compiled to native CPU code: `grad`, `jit`, `vmap` and the rest, with JAX's names.

>>> import funcgrad as fg
>>> import numpy as np
>>> fg.grad(lambda x: np.sum(np.tanh(x)))(np.zeros(3))
Array([1., 1., 1.])
"""

import functools as _functools
import gc as _gc
import importlib as _importlib
import typing as _typing
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

_collecting = _gc.isenabled()
_gc.disable()  # what is imported stays: looking for garbage meanwhile takes a twentieth of the time

from funcgrad import config

try:
    config.check_switches()
except ValueError as _error:  # of the whole way to it, only the message is the user's affair
    raise _error.with_traceback(None) from None

from funcgrad import (
    ad_checkpoint,
    custom_batching,
    custom_derivatives,
    debug,
    dlpack,
    errors,
    flatten_util,
    lax,
    numpy,
    tree,
    tree_util,
)
from funcgrad.ad_checkpoint import checkpoint, checkpoint_policies, remat
from funcgrad.api import eval_shape, grad, jvp, make_jaxpr, stop_gradient, value_and_grad, vjp
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.callbacks import io_callback, pure_callback
from funcgrad.config import debug_infs, debug_nans, explain_cache_misses, log_compiles
from funcgrad.control.jvp_rules import custom_jvp
from funcgrad.control.vjp_rules import custom_gradient, custom_vjp
from funcgrad.debug import check_tracer_leaks, checking_leaks
from funcgrad.interop.numba_hook import install as _install
from funcgrad.jacobians import hessian, jacfwd, jacrev
from funcgrad.linearization import closure_convert, linear_transpose, linearize
from funcgrad.runtime.caches import clear_caches
from funcgrad.runtime.dispatch import jit
from funcgrad.runtime.subnormals import flush_subnormals
from funcgrad.runtime.switches import disable_jit
from funcgrad.runtime.threads import get_num_threads, set_num_threads
from funcgrad.scopes import ensure_compile_time_eval, named_call, named_scope
from funcgrad.sparse_derivatives import sparse_hessian, sparse_jacobian
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import SPECIAL as _SPECIAL
from funcgrad.trace.tracer import homes as _homes
from funcgrad.tracebacks import boundary as _boundary

if _TYPE_CHECKING:
    from funcgrad import experimental, export, losses, nn, optim, random, scipy, testing, training
    from funcgrad.interop.native_function import cfunc, logp_and_grad_cfunc
    from funcgrad.interop.numba_call import numba_call
    from funcgrad.interop.numba_primitive import numba_primitive
    from funcgrad.interop.torch_function import to_torch_function
    from funcgrad.pictures import visualize
    from funcgrad.runtime.profiling import profile

jacobian = jacrev
# imported when asked for
_submodules = ("experimental", "export", "losses", "nn", "optim", "random", "scipy", "testing", "training")
_late = {  # names of what is imported when asked for, and where it is
    "cfunc": "interop.native_function",
    "logp_and_grad_cfunc": "interop.native_function",
    "numba_call": "interop.numba_call",
    "numba_primitive": "interop.numba_primitive",
    "profile": "runtime.profiling",
    "to_torch_function": "interop.torch_function",
    "visualize": "pictures",
}

if _collecting:
    if not _gc.get_freeze_count():  # all of it counts as old: the next collection need not look through it
        _gc.freeze()
        _gc.unfreeze()
    _gc.enable()


if not _typing.TYPE_CHECKING:  # so that type checkers know which names there are

    @_boundary
    def __getattr__(name: str) -> _Any:
        if name in _submodules:
            return _importlib.import_module(f"funcgrad.{name}")
        if name in _late:
            return getattr(_importlib.import_module(f"funcgrad.{_late[name]}"), name)
        raise AttributeError(f"module 'funcgrad' has no attribute {name!r}")


_install()  # functions that are called inside numba.njit

# scipy.special.erf(x) of a traced x needs no import of ours
_homes[_SPECIAL] = _functools.partial(_importlib.import_module, "funcgrad.scipy.special")


__version__ = "0.1.0"
__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "ad_checkpoint",
    "cfunc",
    "check_tracer_leaks",
    "checking_leaks",
    "checkpoint",
    "checkpoint_policies",
    "clear_caches",
    "closure_convert",
    "config",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "debug_infs",
    "debug_nans",
    "disable_jit",
    "dlpack",
    "ensure_compile_time_eval",
    "errors",
    "eval_shape",
    "experimental",
    "explain_cache_misses",
    "export",
    "flatten_util",
    "flush_subnormals",
    "get_num_threads",
    "grad",
    "hessian",
    "io_callback",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "log_compiles",
    "logp_and_grad_cfunc",
    "losses",
    "make_jaxpr",
    "named_call",
    "named_scope",
    "nn",
    "numba_call",
    "numba_primitive",
    "numpy",
    "optim",
    "profile",
    "pure_callback",
    "random",
    "remat",
    "scipy",
    "set_num_threads",
    "sparse_hessian",
    "sparse_jacobian",
    "stop_gradient",
    "testing",
    "to_torch_function",
    "training",
    "tree",
    "tree_util",
    "value_and_grad",
    "visualize",
    "vjp",
    "vmap",
]
