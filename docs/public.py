"""What is public?  The modules by pages of the API reference, and the names that each of them has.

A module's public names are its ``__all__``; where there is none, what it defines without a leading underscore. Of some
modules a few names are public only: `CHOSEN`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple


class Page(NamedTuple):
    """A page of the reference: its file, its title, the modules that it describes."""

    file: str
    title: str
    modules: tuple[str, ...]


_STATS = (
    "bernoulli beta betabinom binom cauchy chi2 dirichlet expon gamma gennorm geom gumbel_l gumbel_r laplace logistic "
    "multinomial multivariate_normal nbinom norm pareto poisson t truncnorm uniform vonmises wrapcauchy"
).split()

PAGES = (
    Page("funcgrad", "funcgrad: transformations and settings", ("funcgrad",)),
    Page("numpy", "funcgrad.numpy", ("funcgrad.numpy", "funcgrad.numpy._at")),
    Page("numpy_linalg", "funcgrad.numpy.linalg", ("funcgrad.numpy.linalg",)),
    Page("numpy_fft", "funcgrad.numpy.fft", ("funcgrad.numpy.fft",)),
    Page("lax", "funcgrad.lax", ("funcgrad.lax",)),
    Page("lax_linalg", "funcgrad.lax.linalg", ("funcgrad.lax.linalg",)),
    Page(
        "scipy",
        "funcgrad.scipy",
        ("funcgrad.scipy.cluster.vq", "funcgrad.scipy.fft", "funcgrad.scipy.integrate", "funcgrad.scipy.interpolate")
        + ("funcgrad.scipy.linalg", "funcgrad.scipy.ndimage", "funcgrad.scipy.optimize", "funcgrad.scipy.signal")
        + ("funcgrad.scipy.sparse", "funcgrad.scipy.sparse.linalg", "funcgrad.scipy.special"),
    ),
    Page(
        "scipy_stats",
        "funcgrad.scipy.stats",
        ("funcgrad.scipy.stats", *(f"funcgrad.scipy.stats.{name}" for name in _STATS)),
    ),
    Page("random", "funcgrad.random", ("funcgrad.random",)),
    Page("nn", "funcgrad.nn", ("funcgrad.nn",)),
    Page("nn_layers", "funcgrad.nn.layers", ("funcgrad.nn.layers",)),
    Page("nn_initializers", "funcgrad.nn.initializers", ("funcgrad.nn.initializers",)),
    Page("losses", "funcgrad.losses", ("funcgrad.losses",)),
    Page("optim", "funcgrad.optim", ("funcgrad.optim", "funcgrad.optim.tree")),
    Page("training", "funcgrad.training", ("funcgrad.training",)),
    Page("experimental", "funcgrad.experimental", ("funcgrad.experimental.ode", "funcgrad.experimental.checkify")),
    Page("tree", "funcgrad.tree and funcgrad.tree_util", ("funcgrad.tree", "funcgrad.tree_util")),
    Page("debug", "funcgrad.debug", ("funcgrad.debug",)),
    Page("testing", "funcgrad.testing", ("funcgrad.testing",)),
    Page("errors", "funcgrad.errors", ("funcgrad.errors",)),
    Page("config", "funcgrad.config", ("funcgrad.config",)),
    Page("export", "funcgrad.export and funcgrad.dlpack", ("funcgrad.export", "funcgrad.dlpack")),
    Page(
        "rules",
        "Rules, checkpoints and flat vectors",
        ("funcgrad.custom_derivatives", "funcgrad.custom_batching", "funcgrad.ad_checkpoint", "funcgrad.flatten_util"),
    ),
    Page(
        "inspect",
        "Programs, and what looks inside",
        (
            "funcgrad.runtime.dispatch",
            "funcgrad.runtime.stages",
            "funcgrad.ir.program",
            "funcgrad.ir.parser",
            "funcgrad.ir.printer",
        )
        + ("funcgrad.ir.interpret", "funcgrad.ir.check", "funcgrad.pictures", "funcgrad.runtime.profiling")
        + ("funcgrad.interop.native_function", "funcgrad.sparse_derivatives"),
    ),
    Page("extend", "Primitives of your own", ("funcgrad.ops.families", "funcgrad.ir.primitive")),
)
MODULES = tuple(module for page in PAGES for module in page.modules)

# of modules that are not public as a whole: what public functions return, and what the guides use
CHOSEN = {
    "funcgrad.interop.native_function": ("NativeFunction",),
    "funcgrad.ir.check": ("check",),
    "funcgrad.ir.interpret": ("interpret",),
    "funcgrad.ir.parser": ("parse_program",),
    "funcgrad.ir.primitive": ("Primitive",),
    "funcgrad.ir.printer": ("print_program", "python_objects"),
    "funcgrad.ir.program": ("Equation", "Literal", "Program", "Var"),
    "funcgrad.numpy._at": ("AtIndex",),
    "funcgrad.ops.families": ("bilinear", "elementwise", "linear", "nondifferentiable", "Operation"),
    "funcgrad.runtime.dispatch": ("JitFunction",),
    "funcgrad.sparse_derivatives": ("SparseJacobian",),
}

# whose names, arguments and meanings a module has; its docstring says so
MIRRORS = {
    "funcgrad.lax": "jax.lax",
    "funcgrad.losses": "optax",
    "funcgrad.nn": "jax.nn",
    "funcgrad.optim": "optax",
    "funcgrad.random": "jax.random",
    "funcgrad.scipy": "SciPy",
    "funcgrad.tree": "jax.tree",
    "funcgrad.tree_util": "jax.tree_util",
}
INTERNAL = {
    "lower_program",
    "is_internal",
    "Documented",
    "SourceLocation",
    "Scopes",
    "user_location",
    "at_line",
    "set_scopes",
    "TypeVar",
}


def names(module: str) -> list[str]:
    """The public names of a module, its submodules left out."""
    if module in CHOSEN:
        return sorted(CHOSEN[module])
    namespace = importlib.import_module(module)
    listed = getattr(namespace, "__all__", None)
    if listed is None:
        listed = [
            name
            for name, value in vars(namespace).items()
            if name[0] != "_" and str(getattr(value, "__module__", "")).startswith(module)
        ]
    return sorted(
        {name for name in listed if name not in INTERNAL and not isinstance(getattr(namespace, name), ModuleType)}
    )


def submodules(module: str) -> list[str]:
    """The public modules in a module's ``__all__``."""
    namespace = importlib.import_module(module)
    found = {getattr(namespace, name).__name__ for name in getattr(namespace, "__all__", ())
             if isinstance(getattr(namespace, name), ModuleType)}  # fmt: skip
    found |= {
        f"{module}.{name}" for attribute in ("_submodules", "_lazily") for name in getattr(namespace, attribute, ())
    }
    return sorted(found)


def borrowed(module: str, value: Any) -> str:
    """The name of what NumPy itself describes, else nothing."""
    if not (isinstance(value, type) or callable(value)):
        return ""
    home = str(getattr(value, "__module__", ""))
    own = getattr(value, "__name__", "")
    home = home if home in ("numpy.exceptions", "numpy.linalg") else "numpy"
    module = sys.modules[home]
    return f"{home}.{own}" if getattr(module, own, None) is value else ""
