"""How does a program leave the process?  `export` makes a file's bytes of a jitted function, `deserialize` reads them.

The names are those of ``jax.export``; the format is funcgrad's own.

>>> import funcgrad as fg
>>> import numpy as np
>>> made = fg.export.export(fg.jit(lambda x: np.sum(x * x)))(np.zeros(3))
>>> loaded = fg.export.deserialize(made.serialize())
>>> fg.grad(loaded.call)(np.array([1.0, 2.0, 3.0]))
Array([2., 4., 6.])
"""

from funcgrad.export.constraints import SymbolicScope
from funcgrad.export.container import ExportError
from funcgrad.export.exported import Exported, deserialize, export
from funcgrad.export.shapes import symbolic_args_specs, symbolic_shape
from funcgrad.export.sizes import Size, is_symbolic_dim
from funcgrad.export.trees import register_namedtuple_serialization, register_pytree_node_serialization
from funcgrad.tracebacks import bounded as _bounded

__all__ = [
    "ExportError",
    "Exported",
    "Size",
    "SymbolicScope",
    "deserialize",
    "export",
    "is_symbolic_dim",
    "register_namedtuple_serialization",
    "register_pytree_node_serialization",
    "symbolic_args_specs",
    "symbolic_shape",
]

_bounded(globals())
