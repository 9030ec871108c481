"""Which arguments of a jitted function are static, and what is left of a call without them?"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from funcgrad.errors import at_line


def positions(numbers: Iterable[int], count: int) -> set[int]:
    """Those of the numbers, counted from either end, that are among so many, counted from the first."""
    return {k % count for k in numbers if -count <= k < count}


class Statics(NamedTuple):
    """Arguments that are Python values: by number where they are positional, by name where they are keywords."""

    function: Callable[..., Any]
    numbers: tuple[int, ...]
    names: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)

    def among(self, count: int) -> set[int]:
        """The static ones among so many positional arguments, counted from the first."""
        return positions(self.numbers, count)

    def taken(self, count: int, names: Sequence[str]) -> bool:
        """Whether some of `count` positional arguments, or of those with `names`, are static."""
        return bool(self.among(count)) or not self.names.isdisjoint(names)

    def without(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Hashable]:
        """The function of the arguments that are not static, those arguments, and what the static ones are."""
        if not self:
            return self.function, args, kwargs, ()
        numbers = self.among(len(args))
        fixed = tuple((k, args[k]) for k in sorted(numbers))
        named = tuple((name, kwargs[name]) for name in sorted(self.names & kwargs.keys()))
        for which, value in (*fixed, *named):
            _check_hashable(which, value)
        moving = tuple(x for k, x in enumerate(args) if k not in numbers)
        rest = {name: value for name, value in kwargs.items() if name not in self.names}
        count = len(args)

        @functools.wraps(self.function)
        def partial(*given: Any, **keywords: Any) -> Any:
            values = iter(given)
            known = dict(fixed)
            full = [known[k] if k in known else next(values) for k in range(count)]
            return self.function(*full, **keywords, **dict(named))

        return partial, moving, rest, (count, tuple((k, type(v), v) for k, v in (*fixed, *named)))


def statics_of(fun: Any, numbers: tuple[int, ...], names: frozenset[str]) -> Statics:
    """Static arguments by number and by name, however they are passed; the signature tells, where there is one."""
    if not (numbers or names):
        return Statics(fun, numbers, names)
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return Statics(fun, numbers, names)
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if numbers and not variadic and not all(-len(positional) <= k < len(positional) for k in numbers):
        raise ValueError(
            f"jit: static_argnums={numbers} does not fit a function of {len(positional)} positional "
            f"arguments{at_line()}"
        )
    keywords = any(p.kind == p.VAR_KEYWORD for p in parameters)
    unknown = sorted(names - {p.name for p in parameters})
    if unknown and not keywords:
        raise ValueError(
            f"jit: static_argnames has {unknown[0]!r}, but the function's arguments are "
            f"{[p.name for p in parameters]}{at_line()}"
        )
    named = {positional[k] for k in numbers if -len(positional) <= k < len(positional)}
    numbered = {positional.index(name) for name in names if name in positional}
    return Statics(fun, tuple(sorted({*numbers, *numbered})), names | named)


def _check_hashable(which: object, value: Any) -> None:
    try:
        hash(value)
    except TypeError:
        raise ValueError(
            f"jit: static argument {which!r} is not hashable: {value!r} of type {type(value).__name__}. "
            f"Pass a tuple instead of a list (or make it a traced argument).{at_line()}"
        ) from None
