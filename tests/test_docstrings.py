"""Does every public function say what it is?  A summary, parameters or where they are described, results, exceptions,
an example. So does every method of a public class that is the class's own; the class's example may show it.

Examples of functions that stand in files run with the other doctests; those that are put together at run time (most of
`funcgrad.numpy`) run here.
"""

from __future__ import annotations

import ast
import doctest
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from docs import public

SECTIONS = (
    *("Parameters", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes", "References", "Examples"),
    *("Attributes", "Methods", "Other Parameters", "Warnings"),
)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
ELSEWHERE = re.compile(  # who describes the parameters, or shows an example: another function
    r"[Pp]arameters (?:are|and \w+ are)|for the parameters|[Ss]ee `|[Ss]ee also|[Ss]ame (?:as|parameters)|as `"
    r"|`\w+` with|[Aa]nother name|alias|Like `|`jax|`optax"
)

# modules whose names are those of another one, where the examples stand
RENAMED = {"funcgrad.tree_util": "funcgrad.tree", "funcgrad.scipy.fft": "funcgrad.numpy.fft"}

# (module, name): why there is no example
WITHOUT: dict[tuple[str, str], str] = {
    ("funcgrad.config", "Switch.start"): "for the library itself",
    ("funcgrad.config", "cache_directory"): "what an environment variable says, for the library itself",
    ("funcgrad.config", "cpu"): "likewise",
    ("funcgrad.config", "debug"): "likewise",
    ("funcgrad.config", "num_threads"): "likewise",
    ("funcgrad.config", "read"): "the example of the module has it",
    ("funcgrad.config", "update"): "the example of the module has it",
    ("funcgrad.export", "register_namedtuple_serialization"): "classes with a home in a module: tests/export has them",
    ("funcgrad.export", "register_pytree_node_serialization"): "likewise",
    ("funcgrad.ops.families", "bilinear"): "docs/primitives.md declares primitives, which must not stay registered",
    ("funcgrad.ops.families", "elementwise"): "likewise",
    ("funcgrad.ops.families", "linear"): "likewise",
    ("funcgrad.ops.families", "nondifferentiable"): "likewise",
    ("funcgrad.pictures", "Picture.png"): "draws with matplotlib, which need not be there",
    ("funcgrad.runtime.profiling", "Profile.to_png"): "likewise",
    ("funcgrad.training", "GradientReport.plot"): "likewise",
}


# methods that others call: those of pytrees, of the library itself
CALLED_FOR_YOU = {"tree_flatten", "tree_unflatten", "call_slowly"}


@functools.cache
def functions(module: str) -> dict[str, Any]:
    """The public functions of a module that are not NumPy's own, and the methods of its classes."""
    namespace = importlib.import_module(module)
    found = {name: getattr(namespace, name) for name in public.names(module)}
    found = {name: f for name, f in found.items() if not public.borrowed(module, f)}
    plain = {
        name: f
        for name, f in found.items()
        if inspect.isroutine(f) or type(f).__name__ in ("UFunc", "SpecialFunction", "JitFunction")
    }
    classes = [c for c in found.values() if isinstance(c, type)]
    return plain | {f"{c.__name__}.{name}": f for c in classes for name, f in methods(c).items()}


def methods(cls: type) -> dict[str, Any]:
    """The public methods that a class has of its own, under their first names."""
    found: dict[str, Any] = {}
    for name, member in vars(cls).items():
        f = getattr(member, "__func__", member)
        own = inspect.isfunction(f) and f.__module__.startswith("funcgrad") and f not in found.values()
        if own and not name.startswith("_") and name not in CALLED_FOR_YOU:
            found[name] = f
    return found


def shown(module: str, name: str, f: Any) -> bool:
    """Whether there is an example of a function; a method's may be its class's."""
    if ">>>" in f.__doc__ or ELSEWHERE.search(" ".join(f.__doc__.split())) or (module, name) in WITHOUT:
        return True
    owner, _, method = name.rpartition(".")
    cls = getattr(importlib.import_module(module), owner, None)
    return bool(re.search(rf"^ *(?:>>>|\.\.\.) .*\.{method}\b", getattr(cls, "__doc__", None) or "", re.MULTILINE))


def made(f: Any) -> bool:
    """Whether it is put together at run time, so that the other doctests do not find it."""
    code = getattr(inspect.unwrap(f), "__code__", None)
    return code is None or f.__module__ in ("funcgrad.numpy", "funcgrad.numpy.linalg", "funcgrad.numpy.fft")


def parents(module: str) -> list[str]:
    """A module and the packages around it."""
    parts = module.split(".")
    return [".".join(parts[:k]) for k in range(len(parts), 0, -1)]


@pytest.mark.parametrize("module", public.MODULES)
def test_every_public_thing_has_a_docstring(module: str) -> None:
    namespace = importlib.import_module(module)
    assert (namespace.__doc__ or "").strip()
    things = {name: getattr(namespace, name) for name in public.names(module)}
    things = {name: x for name, x in things.items() if inspect.isroutine(x) or isinstance(x, type)}
    things |= functions(module)
    things |= {
        f"{cls.__name__}.{name}": member
        for cls in [*things.values()]
        if isinstance(cls, type)
        for name, member in vars(cls).items()
        if isinstance(member, property) and not name.startswith("_")
    }
    assert not [name for name, x in things.items() if not (x.__doc__ or "").strip()]


@pytest.mark.parametrize("module", public.MODULES)
def test_every_public_function_has_an_example(module: str) -> None:
    if module in RENAMED:
        pytest.skip(f"the examples stand in {RENAMED[module]}")
    lacking = [name for name, f in functions(module).items() if not shown(module, name, f)]
    assert not lacking


@pytest.mark.parametrize("module", public.MODULES)
def test_sections_are_numpydocs(module: str) -> None:
    wrong = []
    for name, f in functions(module).items():
        for title, line in re.findall(r"^ *([A-Z][a-z]+(?: [A-Z][a-z]+)?)\n *(-{3,})$", f.__doc__, re.MULTILINE):
            if title not in SECTIONS or len(title) != len(line):
                wrong.append((name, title))
    assert not wrong


@pytest.mark.parametrize("module", public.MODULES)
def test_parameters_are_described(module: str) -> None:
    """A function of several parameters describes them, or says who does; a module may say so for all of its own."""
    model = next((public.MIRRORS[name] for name in parents(module) if name in public.MIRRORS), None)
    if model is not None:
        assert any(model in (importlib.import_module(name).__doc__ or "") for name in parents(module)), model
        return
    lacking = []
    for name, f in functions(module).items():
        text = f.__doc__
        try:
            parameters = [p for p in inspect.signature(f).parameters if p not in ("self", "args", "kwargs")]
        except (TypeError, ValueError):
            continue
        if len(parameters) > 2 and "Parameters\n" not in text and not ELSEWHERE.search(text):
            unnamed = [p for p in parameters if not re.search(rf"\b{re.escape(p)}\b", text)]
            if unnamed:
                lacking.append((name, unnamed))
    assert not lacking


@pytest.mark.parametrize("module", public.MODULES)
def test_described_parameters_are_the_parameters(module: str) -> None:
    """Where a docstring describes parameters, it describes all of them."""
    wrong = []
    for name, f in functions(module).items():
        described = described_parameters(f)
        try:
            parameters = inspect.signature(f).parameters
        except (TypeError, ValueError):
            continue
        if described:
            open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
            extra = set() if open_ended else described - set(parameters) - UNSEEN
            missing = set(parameters) - described - {"self", "cls", "args", "kwargs"} - IN_THE_MODULE.get(module, set())
            if extra or (missing and not ELSEWHERE.search(f.__doc__)):
                wrong.append((name, extra, missing))
    assert not wrong


UNSEEN = {"inplace"}  # a decorator takes it
IN_THE_MODULE = {"funcgrad.nn.layers": {"name"}}  # its docstring describes them


def described_parameters(f: Any) -> set[str]:
    """The names before the descriptions."""
    text = section(inspect.cleandoc(f.__doc__), "Parameters", "Other Parameters")
    heads = [line for line in text.splitlines() if line[:1].strip()]
    return {name.strip().lstrip("*") for line in heads for name in line.split(",") if name.strip()}


def section(text: str, *titles: str) -> str:
    """A part of a docstring, up to the next one."""
    begin, end = rf"^ *(?:{'|'.join(titles)})\n *-+\n", r"(?:\n *[A-Z]\w+(?: [A-Z]\w+)?\n *---|\Z)"
    found = re.search(f"{begin}(.*?){end}", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("module", public.MODULES)
def test_results_are_described(module: str) -> None:
    lacking = []
    for name, f in functions(module).items():
        annotated = getattr(inspect.unwrap(f), "__annotations__", {}).get("return")
        if annotated != "None" and not section(f.__doc__, "Returns", "Yields").strip():
            lacking.append(name)
    assert not lacking


def raised(f: Any) -> set[str]:
    """The names of the exceptions that a function raises by itself."""
    f = inspect.unwrap(f)
    if not inspect.isfunction(f) or f.__name__ == "<lambda>":
        return set()
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(f))).body
    found = [x.exc for x in own(node) if isinstance(x, ast.Raise) and isinstance(x.exc, ast.Call)]
    return {ast.unparse(call.func).rpartition(".")[2] for call in found}


def own(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, but not in those that it defines."""
    for inner in ast.iter_child_nodes(node):
        if not isinstance(inner, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield inner
            yield from own(inner)


@pytest.mark.parametrize("module", public.MODULES)
def test_exceptions_are_described(module: str) -> None:
    """Those that the function raises itself; functions named after NumPy's refuse what NumPy refuses."""
    lacking = []
    for name, f in functions(module).items():
        if f.__doc__.startswith("NumPy's `"):
            continue
        missing = {x for x in raised(f) if x[0].isupper()} - set(re.findall(r"\w+", section(f.__doc__, "Raises")))
        if missing:
            lacking.append((name, missing))
    assert not lacking


@pytest.mark.parametrize("module", [module for module in public.MODULES if module not in RENAMED])
def test_examples_of_functions_that_are_made_at_run_time(module: str) -> None:
    finder, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    report: list[str] = []
    for name, f in functions(module).items():
        if made(f) and ">>>" in f.__doc__:
            namespace = vars(importlib.import_module(module))
            test = finder.get_doctest(inspect.cleandoc(f.__doc__), dict(namespace), f"{module}.{name}", None, 0)
            runner.run(test, out=report.append)
    assert not report, "".join(report)
