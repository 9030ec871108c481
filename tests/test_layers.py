"""Do imports only point upwards in the order of the layers?

`LAYERS` is the order of the pipeline: a file of funcgrad may import what stands above its own layer, and any file of
its own package.  `EXTERNAL` says where a package from outside may be imported, `LATE` which imports may stand inside
a function.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "funcgrad"
FACE = "__init__"  # funcgrad/__init__.py: below everything, so that nothing imports it

LAYERS = (
    *("forks", "errors", "config", "quiet", "tracebacks", "dtypes", "tree", "tree_util", "capsules", "array", "dlpack"),
    *("ir", "trace", "ops", "transform", "control"),
    *("lax", "numpy", "scipy"),
    *("simplify", "lower", "compile", "runtime"),
    *(
        "arguments",
        "api",
        "batching",
        "linearization",
        "jacobians",
        "flatten_util",
        "callbacks",
        "ad_checkpoint",
        "scopes",
    ),
    *(
        "custom_derivatives",
        "custom_batching",
        "sparse_patterns",
        "sparse_derivatives",
        "debug",
        "testing",
        "interop",
        "pictures",
    ),
    *("random", "nn", "losses", "optim", "experimental", "training", "export", FACE, "cli", "__main__"),
)

# package: where it may be imported (paths, or folders with everything in them); any other package needs a row
EXTERNAL = {
    "numpy": ("",),
    "optree": ("tree.py", "tree_util.py", "export/trees.py", "export/watched.py"),
    "ml_dtypes": ("dtypes.py", "numpy/_limits.py"),
    "llvmlite": ("compile/", "interop/"),
    "numba": ("compile/", "interop/", "runtime/pickling.py"),
    "scipy": (
        *("compile/", "scipy/", "ops/transcendental.py", "ops/references.py", "ops/linalg/", "ops/pocketfft.py"),
        "sparse_patterns.py",
    ),
    "matplotlib": ("training/", "runtime/profiling/", "pictures/"),
    "safetensors": ("training/",),
    "torch": ("interop/torch_function.py",),
    "cloudpickle": ("runtime/pickling.py",),
    "tqdm": ("training/",),
}

# (file, module): why this import may stand inside a function
LATE: dict[tuple[str, str], str] = {
    ("sparse_patterns.py", "scipy.sparse"): "0.1 s, for sparse derivatives only",
    ("__init__.py", "<computed>"): "submodules, when somebody asks for them",
    ("scipy/__init__.py", "<computed>"): "submodules, when somebody asks for them",
    ("experimental/__init__.py", "<computed>"): "submodules, when somebody asks for them",
    ("nn/__init__.py", "<computed>"): "initializers and layers, with random behind them, when somebody asks for them",
    ("scipy/_matrices.py", "scipy.linalg"): "0.2 s, for constant matrices",
    ("ops/linalg/matrices.py", "scipy.linalg"): "0.2 s, for references of what NumPy has not (LU, triangles, expm)",
    ("ops/pocketfft.py", "scipy.fft"): "0.1 s, and only where its extension module is not as expected",
    ("numpy/__init__.py", "<computed>"): "linalg and fft, with numpy.fft behind it, when somebody asks for them",
    ("ops/transcendental.py", "scipy.special"): "0.3 s, for references that only eager calls of erf and sigmoid use",
    ("ops/references.py", "scipy.special"): "0.3 s, for references that only calls of special functions use",
    ("training/_checkpoints.py", "safetensors"): "an optional package, for checkpoints only",
    ("training/_plots.py", "matplotlib.figure"): "an optional package, 0.3 s, for plots of gradient reports only",
    ("runtime/dispatch.py", "funcgrad.runtime.background"): "what waits for forks and exits, if there is such a thread",
    ("runtime/profiling/picture.py", "matplotlib.figure"): "an optional package, 0.3 s, for pictures of profiles only",
    ("runtime/stages.py", "funcgrad.runtime.objects"): "what writes object files, for those who do",
    ("pictures/png.py", "matplotlib"): "likewise for pictures of programs",
    ("training/_progress.py", "tqdm"): "an optional package, for progress bars only",
    ("compile/cpus.py", "subprocess"): "5 ms, for those who name another CPU",
    ("debug/_memory.py", "funcgrad.runtime.guarded"): "what looks after programs, for those who ask",
    ("debug/_breakpoint.py", "pdb"): "20 ms, for those who stop in a debugger",
    ("debug/_breakpoint.py", "bdb"): "comes with pdb",
    ("runtime/misses.py", "logging"): "10 ms, for those who ask why functions are compiled",
    ("runtime/pickling.py", "cloudpickle"): "an optional package, for functions that no module has",
    ("runtime/pickling.py", "numba.cloudpickle"): "where that is not installed",
    ("interop/torch_function.py", "torch"): "an optional package, for functions of its tensors only",
    ("interop/numba_hook.py", "funcgrad.interop.numba_functions"): "needs all of Numba, at the first function in @njit",
    ("interop/numba_hook.py", "funcgrad.interop.numba_regions"): "likewise, at the first prange around one",
    ("cli/explain.py", "<computed>"): "the user's module",
    ("compile/native/blas.py", "scipy.linalg.cython_blas"): "0.2 s, and only where no OpenBLAS bears its wheel's name",
}


class Import(NamedTuple):
    """One import of `target` (a dotted name) in the file at `path` (relative to the package), at `line`."""

    path: str
    line: int
    target: str
    late: bool


IMPORTERS = ("__import__", "import_module", "importlib", "_importlib")


class Importer(ast.NodeVisitor):
    """Collects the imports of one file, those written as calls included."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.depth = 0
        self.found: list[Import] = []

    def add(self, node: ast.AST, target: str) -> None:
        self.found.append(Import(self.path, node.lineno, target, self.depth > 0))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            package = ("funcgrad", *Path(self.path).parts[:-1])
            base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
        for alias in node.names:
            self.add(node, f"{base}.{alias.name}")

    def visit_Call(self, node: ast.Call) -> None:
        last = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        if last in ("__import__", "import_module") and ast.unparse(node.func).split(".")[0] in IMPORTERS:
            known = node.args and isinstance(node.args[0], ast.Constant)
            self.add(node, str(node.args[0].value) if known else "<computed>")
        self.generic_visit(node)

    def inside(self, node: ast.AST) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = inside


@functools.cache
def imports(path: str, source: str) -> list[Import]:
    importer = Importer(path)
    importer.visit(ast.parse(source))
    return importer.found


def layer_of(path: str) -> str:
    """The layer of a file: its folder or its own name."""
    return Path(path).parts[0].removesuffix(".py")


def layer_named(target: str) -> str:
    """The layer that ``funcgrad.a.b`` or ``from funcgrad import a`` names;
    a name that is no layer is the package's face.
    """
    parts = target.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else FACE


def matches(target: str, module: str) -> bool:
    return target == module or target.startswith(f"{module}.")


def broken_rules(found: Import) -> Iterator[str]:
    """What is wrong with an import, one sentence per broken rule."""
    own, package = layer_of(found.path), found.target.split(".")[0]
    if found.late and not any(path == found.path and matches(found.target, module) for path, module in LATE):
        yield "stands inside a function: move it to the top of the file, or into LATE with the reason"
    if package == "funcgrad":
        other = layer_named(found.target)
        if own in LAYERS and other != own and LAYERS.index(other) > LAYERS.index(own):
            yield f"points down: {own} may import only the layers above it, and {other} stands below"
    elif package == "<computed>":
        if not found.late:
            yield "has a computed name, which no rule can check"
    elif package not in sys.stdlib_module_names:
        places = EXTERNAL.get(package)
        if places is None:
            yield f"is no dependency of funcgrad: {package} has no row in EXTERNAL"
        elif not found.path.startswith(places):
            yield f"is out of place: {package} is imported in {', '.join(places)} only"


def violations(path: str, source: str) -> list[str]:
    """One line for each broken rule: the file, the line, the import, the rule."""
    lines = []
    if layer_of(path) not in LAYERS:
        lines.append(f"funcgrad/{path}: {layer_of(path)} is no layer: give it a place in LAYERS")
    for found in imports(path, source):
        lines += [f"funcgrad/{path}:{found.line}: import of {found.target} {rule}" for rule in broken_rules(found)]
    return lines


def files() -> dict[str, str]:
    return {str(p.relative_to(ROOT).as_posix()): p.read_text(encoding="utf-8") for p in sorted(ROOT.rglob("*.py"))}


def test_every_import_keeps_the_order_of_the_layers():
    found = [line for path, source in files().items() for line in violations(path, source)]
    assert not found, "\n" + "\n".join(found)


def test_every_exception_in_the_list_of_late_imports_is_used():
    late = {
        (found.path, found.target) for path, source in files().items() for found in imports(path, source) if found.late
    }
    unused = [key for key in LATE if not any(path == key[0] and matches(target, key[1]) for path, target in late)]
    assert not unused


LATER = (  # what the first import can do without: each takes milliseconds
    *("scipy", "numba", "matplotlib", "numpy.polynomial", "numpy.fft", "numpy.random", "fractions", "logging"),
    *("json", "subprocess", "multiprocessing", "asyncio", "unittest"),
)


def test_an_import_brings_nothing_heavy_along() -> None:
    code = f"import sys, funcgrad; print(*sys.modules.keys() & {set(LATER)})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


PLANTED = {
    "down": (
        "ir/program.py",
        "import os\nfrom funcgrad.lower import loops",
        "funcgrad/ir/program.py:2: import of funcgrad.lower",
    ),
    "down, as a name": ("tree.py", "from funcgrad import api", "tree.py:1: import of funcgrad.api points down"),
    "down, relative": (
        "ir/program.py",
        "from ..lower.loops import Loop",
        "import of funcgrad.lower.loops.Loop points down",
    ),
    "down, for types only": (
        "ops/a.py",
        "if TYPE_CHECKING:\n    from funcgrad.api import jit",
        "a.py:2: .* points down",
    ),
    "down, in the band": (
        "numpy/linalg.py",
        "import funcgrad.scipy.linalg",
        "numpy may import only .* scipy stands below",
    ),
    "the face": (
        "ops/a.py",
        "import funcgrad as fg",
        "ops may import only the layers above it, and __init__ stands below",
    ),
    "late": (
        "api.py",
        "def jit():\n    from funcgrad import ir",
        "api.py:2: import of funcgrad.ir stands inside a function",
    ),
    "late, as a call": (
        "api.py",
        "def jit():\n    importlib.import_module('json')",
        "import of json stands inside a function",
    ),
    "late, computed": ("api.py", "f = lambda name: __import__(name)", "import of <computed> stands inside a function"),
    "computed": ("api.py", "importlib.import_module(name)", "import of <computed> has a computed name"),
    "numba": (
        "runtime/threads.py",
        "import numba.core",
        "numba is imported in compile/, interop/, runtime/pickling.py only",
    ),
    "llvmlite": ("lower/loops.py", "from llvmlite import binding", "llvmlite is imported in compile/, interop/ only"),
    "scipy": ("ops/arithmetic.py", "import scipy.special", "scipy is imported in compile/, scipy/"),
    "a stranger": ("testing.py", "import jax", "jax has no row in EXTERNAL"),
    "no layer": ("utils.py", "", "utils is no layer: give it a place in LAYERS"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name):
    path, source, message = PLANTED[name]
    (line,) = violations(path, source)
    assert re.search(message, line), line


ALLOWED = {
    "up": ("api.py", "from funcgrad.transform.vjp import vjp\nfrom funcgrad import dtypes, ir"),
    "the same package": (
        "ops/arithmetic.py",
        "from funcgrad.ops import family\nfrom . import shape\nfrom .family import linear",
    ),
    "the package above": ("compile/llvm.py", "from ..lower.loops import Kernel\nimport llvmlite.binding as llvm"),
    "the standard library": ("errors.py", "from __future__ import annotations\nimport os.path"),
    "NumPy, not funcgrad.numpy": ("dtypes.py", "import numpy.linalg"),
    "the face": ("__init__.py", "from funcgrad.api import jit\nfrom funcgrad import numpy, testing"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_an_import_in_order_is_accepted(name):
    assert violations(*ALLOWED[name]) == []
