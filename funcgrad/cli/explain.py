"""What does a function become?  The command ``explain``: its program, its kernels, and what they cost."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import funcgrad as fg
from funcgrad.cli.info import print_rows
from funcgrad.cli.notation import read_argument
from funcgrad.ir.display import signature
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.runtime.stages import Lowered

HOOK = "example_args"
EXTRAS = {"llvm": "The kernels as LLVM IR", "optimized": "What LLVM makes of them", "assembly": "The machine code"}


class Mistake(Exception):
    """A request that cannot be answered; its text is one line."""


def run(given: argparse.Namespace) -> int:
    """Print everything; 2 if the request is wrong, with one line on standard error."""
    try:
        lowered = lower(given.function, given.types or given.args, given.grad)
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    print(f"{given.function}: {signature(lowered.program)}")
    _title("The program, as traced")
    lowered.program.show(source=given.source)
    simplified = lowered.as_text("simplified")
    if simplified != str(lowered.program):
        _title("The program, simplified")
        print(simplified)
    _title("The kernels, as Python")
    print(lowered.as_text("python").strip())
    _title("What a call costs")
    print_rows({name.replace("_", " "): f"{value:,}" for name, value in costs(lowered).items()})
    for dialect, title in EXTRAS.items():
        if getattr(given, dialect):
            _title(title)
            print(lowered.as_text(dialect).strip())
    return 0


def lower(place: str, texts: list[str] | None, grad: bool) -> Lowered:
    """The lowered function at ``FILE.py:function`` or ``package.module:function``, for arguments that are written as
    types, or as the file says.
    """
    file, _, name = place.rpartition(":")
    if not file or not name:
        whole = Path(place.removesuffix(":"))
        which = f"; its functions are: {_functions(load(whole))}" if whole.is_file() else ""
        raise Mistake(f"{place!r} is not of the form FILE.py:function{which}")
    module = load(Path(file)) if Path(file).is_file() or not _dotted(file) else imported(file)
    function = _function(module, file, name)
    arguments = _examples(module, file, name) if texts is None else _read(texts)
    jitted = fg.jit(fg.value_and_grad(function)) if grad else function
    jitted = jitted if isinstance(jitted, JitFunction) else fg.jit(jitted)
    with _guarded(f"{name} cannot be traced for these arguments"):
        return jitted.lower(*arguments)


def costs(lowered: Lowered) -> dict[str, int]:
    """Operations, steps and bytes."""
    return lowered.cost_analysis() | lowered.memory_analysis()


def _dotted(name: str) -> bool:
    return not name.endswith(".py") and all(part.isidentifier() for part in name.split("."))


def imported(name: str) -> ModuleType:
    """The module of a name, as in a package whose files import one another."""
    with _guarded(f"{name} cannot be imported"):
        return importlib.import_module(name)


def load(path: Path) -> ModuleType:
    """The module in a file, whose folder is where it imports from."""
    if not path.is_file():
        beside = path.with_name(f"{path.name}.py")
        raise Mistake(f"there is no file {path}{f'; do you mean {beside}?' if beside.is_file() else ''}")
    if path.suffix != ".py":
        raise Mistake(f"{path} is no Python file")
    name = path.stem if path.stem not in sys.modules else f"_explained_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with _guarded(f"{path} cannot be imported"):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.resolve().parent))
        del sys.modules[name]
    return module


def _function(module: ModuleType, file: str, name: str) -> Callable[..., Any]:
    found: Any = module
    holder: Any = None
    for part in name.split("."):
        if not hasattr(found, part):
            raise Mistake(f"{file} has no {name!r}; its functions are: {_functions(module)}")
        holder, found = found, getattr(found, part)
    if isinstance(found, type):
        raise Mistake(f"{name} in {file} is a class: name one of its functions, or of an object's")
    if not callable(found):
        raise Mistake(f"{name} in {file} is no function but {type(found).__name__}")
    if isinstance(holder, type) and isinstance(inspect.getattr_static(holder, part), FunctionType | JitFunction):
        raise Mistake(
            f"{name} in {file} is a method, which needs an object: make one in the file "
            f"(model = {holder.__name__}(...)) and name its method (model.{part})"
        )
    return found  # type: ignore[no-any-return]


def _functions(module: ModuleType) -> str:
    """The functions and classes that a module defines."""
    own = [k for k, x in vars(module).items() if callable(x) and getattr(x, "__module__", None) == module.__name__]
    return ", ".join(own) or "none"


def _examples(module: ModuleType, file: str, name: str) -> tuple[Any, ...]:
    """What the file says of its functions' arguments."""
    if not hasattr(module, HOOK):
        raise Mistake(f"no arguments: give their types (like 'f32[10]'), or define {HOOK} in {file}")
    found = getattr(module, HOOK)
    if isinstance(found, dict):
        if name not in found:
            raise Mistake(f"{HOOK} in {file} has nothing for {name!r}")
        found = found[name]
    if callable(found):
        with _guarded(f"{HOOK} in {file} failed"):
            found = found()
    if not isinstance(found, tuple | list):
        raise Mistake(f"{HOOK} in {file} gives no tuple of arguments for {name!r}, but {type(found).__name__}")
    return tuple(found)


def _read(texts: list[str]) -> tuple[Any, ...]:
    try:
        return tuple(map(read_argument, texts))
    except ValueError as error:
        raise Mistake(str(error)) from None


class _guarded:
    """Within, any exception is a `Mistake`: what was tried, the exception's first line, and the user's line."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, tb: Any) -> None:
        if not isinstance(error, Exception | SystemExit):
            return
        text = str(error).partition("\n")[0]
        frames = [frame for frame in traceback.extract_tb(tb) if not fg.errors.is_internal(frame.filename)]
        frames = [frame for frame in frames if not frame.filename.startswith("<frozen")]
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise Mistake(f"{self.what}: {type(error).__name__}: {text}{where}") from error


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")
