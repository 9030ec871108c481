"""Why is a function traced again, and how long does it take?  What `log_compiles` and `explain_cache_misses` say.

Both speak through the logger ``funcgrad``, as warnings, so that they are seen without further ado.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from funcgrad import config, tree
from funcgrad.errors import at_line, is_internal
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.executable import Executable, executable_for, executables

if TYPE_CHECKING:
    from funcgrad.runtime.dispatch import JitFunction
    from funcgrad.trace.function import Traced

Key = Any  # (the structure, perhaps with static values; the types)
MOST = 5  # differences in a line
LONGEST = 200  # characters of a value that are shown
# Explained before: the functions of a code, by the transformations around them; and jitted functions
_met: weakref.WeakKeyDictionary[CodeType, dict[tuple[str, ...], dict[str, int]]] = weakref.WeakKeyDictionary()
_explained: weakref.WeakSet[JitFunction[..., Any]] = weakref.WeakSet()


def _log(message: str) -> None:
    import logging

    logging.getLogger("funcgrad").warning("%s", message)


def missed(
    jitted: JitFunction[..., Any], key: Key, structure: tree.TreeDef, types: Sequence[ArrayType]
) -> Callable[[Traced], None] | None:
    """A function is traced for a new key: say why, and give what says how long it took (None: nobody asks)."""
    if config.explain_cache_misses.value:
        _log(f"{_title(jitted)} is traced, because {_reason(jitted, key, structure)}{at_line()}")
    if not config.log_compiles.value:
        return None
    begin = time.perf_counter()

    def traced(found: Traced) -> None:
        spent = 1e3 * (time.perf_counter() - begin)
        count = len(found.program.equations)
        _log(f"Traced {jitted._name} for {_shown(types)} in {spent:.1f} ms: {count} equations{at_line()}")

    return traced


def executable_of(name: str, types: Sequence[ArrayType], program: Program, donated: tuple[int, ...]) -> Executable:
    """The executable of a program, kept; its making is logged if somebody asks."""
    if not config.log_compiles.value:
        return executable_for(program, donated)
    before, begin = executables.cache_info().misses, time.perf_counter()
    made = executable_for(program, donated)
    if executables.cache_info().misses != before:
        spent = 1e3 * (time.perf_counter() - begin)
        _log(f"Compiled {name} for {_shown(types)} in {spent:.1f} ms: {len(made.plan.steps)} steps{at_line()}")
    return made


def _shown(types: Sequence[ArrayType]) -> str:
    texts = list(map(str, types))
    return f"({', '.join(texts if len(texts) <= MOST else [*texts[:MOST], f'{len(texts) - MOST} more'])})"


def _title(jitted: JitFunction[..., Any]) -> str:
    function = _written(jitted._fun).function
    code = getattr(function, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    called = getattr(function, "__name__", "") == "__call__"
    return f"jit of {function.__qualname__ if called else getattr(function, '__name__', jitted._name)}{where}"


class Written(NamedTuple):
    """What the user wrote with ``def`` or ``lambda``, the transformations on the way to it, and partial arguments."""

    function: Any
    through: tuple[str, ...]
    given: tuple[Any, ...]


def _written(function: Any) -> Written:
    """See `Written`; of an object that is called, its class's ``__call__``."""
    through: tuple[str, ...] = ()
    given: tuple[Any, ...] = ()
    while True:
        if isinstance(function, functools.partial):
            given += (function.args, function.keywords)
            function = function.func
        elif hasattr(function, "__wrapped__") and _ours(function):
            code = getattr(function, "__code__", None)
            through += (code.co_qualname if code else type(function).__qualname__,)
            function = function.__wrapped__
        else:
            break
    called = getattr(type(function), "__call__", None)  # noqa: B004  (what it is made of, not whether there is one)
    own = isinstance(called, FunctionType) and not _ours(called)
    return Written(called if own else function, through, given)


def _ours(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is None or is_internal(code.co_filename)


def _reason(jitted: JitFunction[..., Any], key: Key, structure: tree.TreeDef) -> str:
    """What is new about a key."""
    seen = list(jitted._traced)
    if not seen:
        return _first(jitted)
    differences = min((list(_differences(jitted, old, key)) for old in seen), key=len)
    found = [
        (f"{what} is new: {new}" if new else f"{what} is left out") + (f", it was {old}" if old else "")
        for what, old, new in differences
    ]
    if not found:
        return "it uses traced values of an outer transformation, or the programs were cleared"
    rest = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(found[:MOST]) + rest


def _first(jitted: JitFunction[..., Any]) -> str:
    """Why a function has no programs yet: it is new, or made anew from the same code."""
    function, through, given = _written(jitted._fun)
    code = getattr(function, "__code__", None)
    known = jitted in _explained
    _explained.add(jitted)
    if known:
        return "its programs were cleared"
    if code is None:
        return "it has not been called before"
    values = {name: _contents(cell) for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)}
    values |= {"its partial arguments": hash(_whole(given))} if given else {}
    met = _met.setdefault(code, {})
    before, met[through] = met.get(through), values
    if before is None:
        return "it has not been called before"
    changed = [name for name in values if before.get(name) != values[name]]
    closes = f" (it closes over other values of {', '.join(changed)}: make them arguments)" if changed else ""
    return (
        "it is a new function object made by the same code, and programs belong to function objects"
        f"{closes}: call jit once, outside of the loop or function that calls it, and keep what it returns"
    )


def _contents(cell: Any) -> int:
    """What tells the contents of a cell from others, without keeping them."""
    try:
        return hash(_whole(cell.cell_contents))
    except ValueError:  # an empty cell
        return 0


def _whole(value: Any) -> str:
    """What `repr` says, if the value's class lets it say something."""
    try:
        return repr(value)
    except Exception:
        return object.__repr__(value)


def _short(value: Any) -> str:
    text = _whole(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def _differences(jitted: JitFunction[..., Any], old: Key, new: Key) -> Iterator[tuple[str, str, str]]:
    """``(what, as it was, as it is)`` for two keys."""
    (one, fixed_one), (two, fixed_two) = map(_parts, (old[0], new[0]))
    statics_one, statics_two = dict(_statics(fixed_one)), dict(_statics(fixed_two))
    for which in dict.fromkeys((*statics_one, *statics_two)):
        before, after = statics_one.get(which), statics_two.get(which)
        if before != after:
            same = " (equal texts, but not equal values: does the class define __eq__ and __hash__?)"
            note = same if before is not None and after is not None and _whole(before[1]) == _whole(after[1]) else ""
            yield (
                f"the value of static argument {which!r}",
                "" if before is None else _short(before[1]),
                ("left out" if after is None else _short(after[1])) + note,
            )
    names_one = dict(zip(_names(jitted, one, fixed_one), old[1], strict=True))
    names_two = dict(zip(_names(jitted, two, fixed_two), new[1], strict=True))
    for name in dict.fromkeys((*names_one, *names_two)):
        yield from _of_leaf(name, names_one.get(name), names_two.get(name))
    if one != two and list(names_one) == list(names_two):
        yield "the pytree of arguments", str(one), str(two)


def _of_leaf(name: str, before: ArrayType | None, after: ArrayType | None) -> Iterator[tuple[str, str, str]]:
    if before is None or after is None:
        yield name, "absent" if before is None else str(before), "" if after is None else str(after)
        return
    if before.shape != after.shape:
        yield f"the shape of {name}", str(before.shape), str(after.shape)
    if before.dtype != after.dtype:
        yield f"the dtype of {name}", before.dtype.name, after.dtype.name
    if before.weak != after.weak:
        kinds = ("an array or NumPy scalar", "a Python number")
        yield f"the kind of {name}", kinds[before.weak], kinds[after.weak]


def _parts(key: Any) -> tuple[tree.TreeDef, Any]:
    return key if isinstance(key, tuple) else (key, ())


def _statics(fixed: Any) -> Iterator[tuple[Any, tuple[type, Any]]]:
    for which, kind, value in fixed[1] if fixed else ():
        yield which, (kind, value)


def _names(jitted: JitFunction[..., Any], structure: tree.TreeDef, fixed: Any) -> list[str]:
    """The leaves of ``(args, kwargs)`` as the caller knows them."""
    taken = {which for which, _ in _statics(fixed)}
    numbers = list(range(fixed[0])) if fixed else []
    moving = [k for k in numbers if k not in taken]
    names = []
    for part, first, *rest in structure.paths():
        number = moving[first] if part == 0 and fixed else first
        names.append(f"argument {number if part == 0 else repr(number)}{tree.key_string(tuple(rest))}")
    return names
