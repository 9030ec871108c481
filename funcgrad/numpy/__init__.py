"""NumPy's functions, differentiable: ``import funcgrad.numpy as np``.

On arrays and numbers each function is NumPy's own, with its dtypes and warnings; on traced arrays it becomes
equations of primitives. ``import numpy as np`` works as well on traced arrays: NumPy's protocols lead here.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as _np

from funcgrad.numpy import (
    _analysis,
    _arrangements,
    _array_api,
    _at,
    _correlations,
    _creation,
    _cumulative,
    _differences,
    _editing,
    _elementwise,
    _floats,
    _functional,
    _grids,
    _histograms,
    _index_arrays,
    _indexing,
    _integers,
    _known,
    _methods,
    _nan_reductions,
    _padding,
    _polynomials,
    _predicates,
    _products,
    _quantiles,
    _reductions,
    _selection,
    _sets,
    _shapes,
    _signal,
    _sorting,
    _ufunc,
    _ufuncs,
    _windows,
    _writing,
)
from funcgrad.trace.tracer import functions, homes
from funcgrad.tracebacks import boundary as _boundary

_modules = (
    *(_analysis, _arrangements, _at, _creation, _elementwise, _floats, _functional, _grids, _indexing),
    *(_integers, _known, _padding),
    *(_polynomials, _predicates, _products, _reductions, _selection, _shapes, _signal, _ufuncs, _windows),
    *(_editing, _index_arrays, _writing),
    *(_correlations, _cumulative, _differences, _histograms, _nan_reductions, _quantiles, _sets, _sorting),
)
globals().update(_ufuncs.namespace)
for _module in _modules:
    globals().update(
        (name, f)
        for name, f in vars(_module).items()
        if getattr(f, "__module__", "") == "funcgrad.numpy" and not name.startswith("_")
    )
globals().update(amax=_reductions.max, amin=_reductions.min, around=_elementwise.round, fix=_ufuncs.namespace["trunc"])
_constants = {**_known.names, **_grids.objects, "ufunc": _ufunc.UFunc, "vectorize": _functional.vectorize}
_constants["frompyfunc"] = _functional.frompyfunc
globals().update(_constants)
__all__ = sorted(  # noqa: PLE0605
    {*_constants, *(name for name, f in globals().items() if getattr(f, "__module__", "") == "funcgrad.numpy")}
)


__array_api_version__ = _array_api.VERSION
__array_namespace_info__ = _array_api.Info
_methods.install()
functions[_np.fix] = _ufuncs.namespace["trunc"]
_aliases: tuple[tuple[Any, Any], ...] = (*((_np.amax, _np.max), (_np.amin, _np.min), (_np.around, _np.round)),)
for _alias, _function in _aliases:
    functions[_alias] = functions[_function]


_lazily = ("linalg", "fft")  # submodules that are imported when somebody asks for them, or for NumPy's on tracers


def _load(name: str) -> Any:
    return importlib.import_module(f"funcgrad.numpy.{name}")


homes.update({f"numpy.{_name}": functools.partial(_load, _name) for _name in _lazily})


@_boundary
def __getattr__(name: str) -> Any:
    if name in _lazily:
        return _load(name)
    if name == "special":  # where SciPy looks for a namespace's own special functions, with SCIPY_ARRAY_API=1
        return homes["scipy.special"]()
    if name.startswith("_") or not hasattr(_np, name):
        raise AttributeError(f"module 'funcgrad.numpy' has no attribute {name!r}")
    raise AttributeError(
        f"numpy.{name} is not in funcgrad.numpy yet; on arrays that are not traced NumPy's own function can be used"
    )
