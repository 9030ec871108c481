"""What happens when a jitted function is called?  Trace once per types, compile once per program,
then go straight to native code.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import operator
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, overload

import numpy as np

from funcgrad import config, forks, tree
from funcgrad.array import Array
from funcgrad.control.call import call
from funcgrad.errors import DonatedBufferError, at_line
from funcgrad.ir.names import with_names
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.c_names import positional_names
from funcgrad.runtime.caches import functions
from funcgrad.runtime.executable import start_runtime
from funcgrad.runtime.misses import executable_of, missed
from funcgrad.runtime.pickling import reduced
from funcgrad.runtime.stages import Lowered, lower_program
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import bind, running, type_of
from funcgrad.trace.locals import Locals
from funcgrad.trace.outputs import RETURNS, checked_leaves
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary, shorten

if TYPE_CHECKING:
    from funcgrad.runtime.background import Compilation

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R")
T = TypeVar("T")
Owner = TypeVar("Owner")

_lock = forks.held(threading.RLock())  # of what jitted functions remember


class ShapeDtypeStruct:
    """The shape and dtype of an array that does not exist (yet).

    >>> import numpy as np
    >>> ShapeDtypeStruct((2, 3), np.float32)
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Iterable[int], dtype: Any) -> None:
        self.shape = tuple([n if getattr(n, "symbolic", False) else operator.index(n) for n in shape])  # see export
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))


class Traced(NamedTuple):
    """A function's program, the structure of its output, and the outer tracers that are the program's first inputs."""

    program: Program
    out_structure: tree.TreeDef
    captures: tuple[Tracer, ...]


def trace_function(fun: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType]) -> Traced:
    """Trace ``fun(*args, **kwargs)``, where ``(args, kwargs)`` has `structure` and leaves of `types`."""
    out: list[tree.TreeDef] = []

    def flat(*variables: Tracer) -> list[Any]:
        args, kwargs = tree.unflatten(structure, variables)
        name = getattr(fun, "__name__", repr(fun))
        leaves, out_structure = checked_leaves(f"{name} {RETURNS}", fun(*args, **kwargs))
        out.append(out_structure)
        return leaves

    with np.errstate(all="ignore"):
        program, captures = uncollected(trace, flat, types)
    return Traced(program, out[0], captures)


def leaf_types(name: str, leaves: Sequence[Any], structure: tree.TreeDef) -> list[ArrayType]:
    """The types of the leaves of ``(args, kwargs)``, or a `TypeError` that names the one that is no array."""
    types = []
    for number, leaf in enumerate(leaves):
        if isinstance(leaf, DonatedArray):
            raise DonatedBufferError(DonatedArray.message.format(at_line()))
        try:
            described = isinstance(leaf, ShapeDtypeStruct)
            types.append(ArrayType(leaf.shape, leaf.dtype) if described else type_of(leaf))
        except TypeError as error:
            (part, *path) = structure.paths()[number]
            where = f"argument {path[0]}" if part == 0 else f"argument {path[0]!r}"
            raise TypeError(
                f"{name}: {where}{tree.key_string(tuple(path[1:]))}: {error}. Mark arguments that are not arrays as "
                f"static (static_argnums, static_argnames), or register the class as a pytree.{at_line()}"
            ) from None
    return types


def uncollected(function: Callable[..., T], *args: Any) -> T:
    """What a function gives, without garbage collection meanwhile: a program under construction is many objects, all of
    them alive, and most of them stay. So they count as old afterwards, by way of the permanent generation (if nobody
    else uses it), until there are a quarter more objects than after the last collection.
    """
    if not gc.isenabled():
        return function(*args)
    try:
        gc.disable()
        return function(*args)
    finally:
        gc.enable()  # the first call here: Ctrl-C may raise after each
        if sys.getallocatedblocks() > _enough[0]:
            if _enough[0]:
                gc.collect()
            _enough[0] = sys.getallocatedblocks() * 5 // 4 + SPARE_BLOCKS
        elif not gc.get_freeze_count():
            try:
                gc.freeze()
            finally:
                gc.unfreeze()


SPARE_BLOCKS = 1 << 18  # of Python's memory: some 20 MB
MOST_PROGRAMS = 1 << 10  # that one function remembers
_enough = [0]  # blocks at which garbage is collected next; nobody knows before the first program


Ready = tuple[
    Callable[[list[Any]], Any], Callable[[list[Any]], Any], Callable[[int], Any]
]  # a native entry, what makes the output of its results, and what raises the error behind a status


class DonatedArray(np.ndarray):
    """What an array becomes when it has been given away: every use of it is refused."""

    __slots__ = ()
    message = (
        "This array was given away through donate_argnums: its memory may hold something else now. "
        "Use the function's result instead, or do not donate the argument.{}"
    )

    @boundary
    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise DonatedBufferError(self.message.format(at_line()))

    __array_ufunc__ = __array_function__ = __getitem__ = __setitem__ = __repr__ = __str__ = __iter__ = __float__ = (
        __bool__
    ) = __dlpack__ = _refuse
    sum = mean = copy = astype = reshape = tolist = item = _refuse
    shape = dtype = property(_refuse)


class _Gift:
    """A context in which arguments are given away: afterwards, or after a failure in the middle, arrays of ours among
    them are `DonatedArray`s.
    """

    def __init__(self, arguments: list[Any]) -> None:
        self.arguments = arguments
        self.taken = True

    def __enter__(self) -> _Gift:
        return self

    def __exit__(self, *error: object) -> None:
        if self.taken and self.arguments:
            for leaf in tree.leaves(self.arguments):
                if type(leaf) is Array:
                    leaf.__class__ = DonatedArray  # type: ignore[assignment]


class JitFunction(Generic[P, R]):
    """A function that is compiled on its first call for each combination of argument types; made by `jit`."""

    def __init__(
        self,
        fun: Callable[P, R],
        static_argnums: Sequence[int],
        static_argnames: Sequence[str],
        donate_argnums: Sequence[int],
        background: bool = False,
    ) -> None:
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._static_numbers, self._static_names = _both_ways(fun, tuple(static_argnums), frozenset(static_argnames))
        self._donated = tuple(donate_argnums)
        self._plain = not (self._static_numbers or self._static_names or self._donated)
        self._direct: tuple[Ready, ...] = ()
        self._ready: dict[Hashable, tuple[Ready, ...]] = {}
        self._traced: dict[Hashable, Traced] = {}
        self._background = background
        self._compilations: dict[Hashable, Compilation] = {}
        self._lock = _lock
        self._token = ""  # by which other processes know it
        functions.add(self)

    def __repr__(self) -> str:
        return f"<jit of {getattr(self._fun, '__qualname__', None) or repr(self._fun)}>"

    @overload
    def __get__(self, instance: None, owner: Any = None) -> JitFunction[P, R]: ...
    @overload
    def __get__(
        self: JitFunction[Concatenate[Owner, Rest], R], instance: Owner, owner: Any = None
    ) -> Callable[Rest, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        names = tuple(sorted(self._static_names))
        return reduced(self, self._fun, (self._static_numbers, names, self._donated, self._background))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's value for the arguments, computed natively."""
        try:
            if not self._plain:
                return self._call_special(args, kwargs)  # type: ignore[no-any-return]
            if not kwargs:
                for entry, finish, fail in self._direct:  # arguments that are all leaves: no pytree to take apart
                    results = entry([*args])
                    if type(results) is list:
                        return finish(results)  # type: ignore[no-any-return]
                    if results is not None:
                        fail(results)
            leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
            for entry, finish, fail in self._ready.get(structure, ()):
                results = entry(leaves)
                if type(results) is list:
                    return finish(results)  # type: ignore[no-any-return]
                if results is not None:
                    fail(results)
            if not kwargs:
                leaves, structure = tree.flatten((args, kwargs))
            return self._call_any(self._fun, leaves, structure, structure, args, kwargs)  # type: ignore[no-any-return]
        except BaseException as error:
            shorten(error)
            raise

    def _call_special(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = args
        fun, args, kwargs, key = self._without_statics(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        full_key = (structure, key)
        for entry, finish, fail in self._ready.get(full_key, ()):
            with self._giving_away(given) as gift:
                results = entry(leaves)
                gift.taken = results is not None
            if type(results) is list:
                return finish(results)
            if results is not None:
                fail(results)
        return self._call_any(fun, leaves, structure, full_key, given=given)

    def call_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same value without native entries: the executable is asked for, each time."""
        fun, moving, named, key = self._without_statics(args, kwargs)
        leaves, structure = tree.flatten((moving, named))
        return self._call_any(fun, leaves, structure, structure if self._plain else (structure, key), given=args)

    def _giving_away(self, args: tuple[Any, ...]) -> _Gift:
        return _Gift([args[number] for number in self._donated if -len(args) <= number < len(args)])

    def _donated_leaves(self, args: tuple[Any, ...]) -> tuple[int, ...]:
        """The numbers, among the leaves of all arguments that are not static, of those that are given away."""
        donated = {number % len(args) for number in self._donated if -len(args) <= number < len(args)}
        fixed = {number % len(args) for number in self._static_numbers if -len(args) <= number < len(args)}
        found: list[int] = []
        first = 0
        for number, arg in enumerate(args):
            count = 0 if number in fixed else len(tree.leaves(arg))
            found += range(first, first + count) if number in donated else ()
            first += count
        return tuple(found)

    def _takes_statics(self, count: int, names: Sequence[str]) -> bool:
        """Whether some of `count` positional arguments, or of those with `names`, are static."""
        return any(-count <= k < count for k in self._static_numbers) or not self._static_names.isdisjoint(names)

    def _without_statics(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function of the arguments that are not static, those arguments, and what the static ones are."""
        if not (self._static_numbers or self._static_names):
            return self._fun, args, kwargs, ()
        numbers = {k % len(args) for k in self._static_numbers if -len(args) <= k < len(args)}
        fixed = tuple((k, args[k]) for k in sorted(numbers))
        named = tuple((name, kwargs[name]) for name in sorted(self._static_names & kwargs.keys()))
        for which, value in (*fixed, *named):
            _check_hashable(which, value)
        moving = tuple(x for k, x in enumerate(args) if k not in numbers)
        rest = {name: value for name, value in kwargs.items() if name not in self._static_names}
        count = len(args)

        def fun(*given: Any, **keywords: Any) -> Any:
            values = iter(given)
            known = dict(fixed)
            full = [known[k] if k in known else next(values) for k in range(count)]
            return self._fun(*full, **keywords, **dict(named))

        key = (count, tuple((k, type(v), v) for k, v in (*fixed, *named)))
        return functools.wraps(self._fun)(fun), moving, rest, key

    def _call_any(
        self,
        fun: Callable[..., Any],
        leaves: list[Any],
        structure: tree.TreeDef,
        key: Hashable,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        given: tuple[Any, ...] = (),
    ) -> Any:
        """The slow path: tracers among the arguments, types not seen before, arrays that must be copied first."""
        types = leaf_types(f"jit of {getattr(fun, '__name__', 'a function')}", leaves, structure)
        start_runtime()
        traced = uncollected(self._trace, fun, structure, types, key)
        if traced.captures or any(type(x) is Tracer for x in leaves):
            outputs = bind(call, *traced.captures, *leaves, program=traced.program, name=self._name)
            return tree.unflatten(traced.out_structure, outputs)
        donated = self._donated_leaves(given) if self._donated else ()
        if self._background:
            found = self._meanwhile(traced.program, donated, leaves)
            if found is not None:
                with self._giving_away(given):
                    return tree.unflatten(traced.out_structure, found)
        executable = uncollected(executable_of, self._name, types, traced.program, donated)
        with self._giving_away(given):
            try:
                results, entry = executable(leaves)
            except OverflowError:
                _check_integers(self._name, leaves, types, structure)
                raise
        if entry is not None:
            self._remember(key, (entry, _finisher(traced.out_structure), executable.fail), leaves, args, kwargs)
        return tree.unflatten(traced.out_structure, results)

    def _meanwhile(self, program: Program, donated: tuple[int, ...], leaves: list[Any]) -> list[Any] | None:
        """The results by the interpreter while a program is compiled in the background, or None."""
        from funcgrad.runtime.background import Compilation

        with self._lock:
            compilation = self._compilations.get((program, donated))
            if compilation is None:
                compilation = self._compilations[program, donated] = Compilation(program, donated, self._name)
        return compilation.interpreted(leaves) if compilation.executable is None else None

    @property
    def _name(self) -> str:
        return getattr(self._fun, "__name__", "function")

    def _trace(self, fun: Callable[..., Any], structure: tree.TreeDef, types: list[ArrayType], key: Hashable) -> Traced:
        """The program for these types, traced on their first appearance; for a listing, once more for its names.

        No lock is held while the user's code runs: two threads may trace the same function; the first one's
        program is kept.
        """
        full_key = (key, tuple(types))
        known = self._traced if running.locals is None else running.locals.programs_of(self)
        found = known.get(full_key)
        if found is None:
            noticed = None if full_key in self._traced else missed(self, full_key, structure, types)
            found = trace_function(fun, structure, types)
            if noticed is not None:
                noticed(found)
            if not found.captures:
                with self._lock:
                    found = known.setdefault(full_key, found)
                    self._traced.setdefault(full_key, found)
                    _forget_oldest(self._traced)
        return found

    def _remember(self, key: Hashable, pair: Ready, leaves: list[Any], args: tuple[Any, ...], kwargs: Any) -> None:
        """Put a native entry in front of those that are tried first."""
        with self._lock:
            if not kwargs and len(args) == len(leaves) and all(map(operator.is_, args, leaves)):
                self._direct = _in_front(pair, self._direct)
                return
            quick = tree.structure(args) if args and not kwargs else key
            self._ready[quick] = _in_front(pair, self._ready.get(quick, ()))
            _forget_oldest(self._ready)

    @boundary
    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The program for these arguments."""
        fun, args, kwargs, _ = self._without_statics(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        return trace_function(fun, structure, leaf_types(f"jit of {self._name}", leaves, structure))

    def leaves(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What the program takes for these arguments: the leaves of those that are not static."""
        _, args, kwargs, _ = self._without_statics(args, kwargs)
        return tree.leaves((args, kwargs))

    @boundary
    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The program for these arguments (arrays or `ShapeDtypeStruct`), ready to be looked at or compiled.

        >>> import funcgrad as fg
        >>> print(fg.jit(lambda x: x * 2).lower(1.0).as_text())
        { lambda ; a:f64[]*. let
            b:f64[]* = mul a 2.0:f64[]*
          in (b,) }
        """
        given = args
        fun, args, kwargs, _ = self._without_statics(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        with Locals() as seen:
            traced = trace_function(fun, structure, leaf_types(f"jit of {self._name}", leaves, structure))
        static = {number % len(given) for number in self._static_numbers if -len(given) <= number < len(given)}
        names = [name for k, name in enumerate(positional_names(self._fun)) if k not in static]
        program = with_names(traced.program, self._fun, structure.paths(), static, seen.names)
        return lower_program(program, structure, traced.out_structure, names)

    def clear_cache(self) -> None:
        """Forget every program of this function."""
        with self._lock:
            self._direct = ()
            self._ready.clear()
            self._traced.clear()
            self._compilations.clear()


Watch = Callable[..., Any]  # watch(call, jitted, args, kwargs): a call of a jitted function, looked at

_compiled_call = JitFunction.__call__
_watches: dict[config.Switch, Watch | None] = {config.disable_jit: None}
_switched_on, _switch = [0], forks.held(threading.Lock())


@boundary
def _watched_call(self: JitFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What calls of jitted functions are while a switch is on in some thread."""
    if config.disable_jit.value:
        return self._fun(*args, **kwargs)
    call: Callable[..., Any] = _compiled_call
    for switch, watch in _watches.items():
        if watch is not None and switch.value:
            call = functools.partial(watch, call)
    return call(self, *args, **kwargs)


def _any_switch(active: bool) -> None:
    """Have calls looked at, or no longer; so a call costs nothing while all switches are off."""
    with _switch:
        _switched_on[0] += 1 if active else -1
        JitFunction.__call__ = _watched_call if _switched_on[0] else _compiled_call  # type: ignore[method-assign]


def watch_calls(switch: config.Switch, watch: Watch | None) -> Callable[[bool], None]:
    """Have ``watch(call, jitted, *args, **kwargs)`` in the place of calls while a switch is on; what to tell of it."""
    _watches[switch] = watch
    return _any_switch


config.disable_jit.changed = watch_calls(config.disable_jit, None)


@contextlib.contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Within this context, and this thread, jitted functions are the Python functions that they were made of.

    For debuggers, ``print`` and profilers. ``lax.scan``, ``while_loop``, ``cond`` and their like are Python's loops and
    branches then, whose functions see values.

    Returns
    -------
    context manager
        For a ``with`` block.

    Examples
    --------
    >>> import funcgrad as fg
    >>> f = fg.jit(lambda x: x * 2 if x > 0 else x)
    >>> with fg.disable_jit():
    ...     f(3.0)
    6.0
    """
    with config.disable_jit(bool(disable)):
        yield


def _forget_oldest(remembered: dict[Hashable, Any]) -> None:
    while len(remembered) > MOST_PROGRAMS:
        del remembered[next(iter(remembered))]


def _in_front(pair: Ready, pairs: Sequence[Ready]) -> tuple[Ready, ...]:
    return (pair, *(other for other in pairs if other[0] is not pair[0]))[:8]


def _finisher(structure: tree.TreeDef) -> Callable[[list[Any]], Any]:
    """The output from its leaves."""
    return operator.itemgetter(0) if structure.is_leaf() else structure.unflatten


def _both_ways(fun: Any, numbers: tuple[int, ...], names: frozenset[str]) -> tuple[tuple[int, ...], frozenset[str]]:
    """Static arguments by number and by name, however they are passed; the signature tells, where there is one."""
    if not (numbers or names):
        return numbers, names
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return numbers, names
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
    return tuple(sorted({*numbers, *numbered})), names | named


def _check_integers(name: str, leaves: Sequence[Any], types: Sequence[ArrayType], structure: tree.TreeDef) -> None:
    """An `OverflowError` that names the Python integer that its dtype does not hold."""
    for leaf, t, path in zip(leaves, types, structure.paths(), strict=True):
        if type(leaf) is int and t.dtype.kind in "iu":
            limits = np.iinfo(t.dtype)
            if not limits.min <= leaf <= limits.max:
                where = f"argument {path[1]}{tree.key_string(tuple(path[2:]))}"
                raise OverflowError(
                    f"jit of {name}: {where} is {leaf}, which {t.dtype.name} does not hold: pass a float, or make it "
                    f"static{at_line()}"
                ) from None


def _check_hashable(which: object, value: Any) -> None:
    try:
        hash(value)
    except TypeError:
        raise ValueError(
            f"jit: static argument {which!r} is not hashable: {value!r} of type {type(value).__name__}. "
            f"Pass a tuple instead of a list (or make it a traced argument).{at_line()}"
        ) from None


def _sequence(value: Any, kind: type, name: str) -> tuple[Any, ...]:
    if value is None:
        return ()
    items = (value,) if isinstance(value, kind) else tuple(value)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"jit: {name} takes {kind.__name__}s, not {item!r}{at_line()}")
    return items


WHEN = ("at once", "background")


@overload
def jit(
    fun: np.ufunc,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    compile: str = "at once",
) -> JitFunction[..., Any]: ...
@overload
def jit(
    fun: Callable[P, R],
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    compile: str = "at once",
) -> JitFunction[P, R]: ...
@overload
def jit(
    fun: None = None,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    compile: str = "at once",
) -> Callable[[Callable[P, R]], JitFunction[P, R]]: ...
@boundary
def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    compile: str = "at once",
) -> Any:
    """Compile a function to native code on its first call.

    Parameters
    ----------
    fun
        A pure function of arrays, numbers, and pytrees of them. Left out, a decorator is returned.
    static_argnums, static_argnames
        Positional numbers and keyword names of arguments that are Python values: hashable, and compiled for anew.
    donate_argnums
        Positional numbers of arguments that the caller gives away: `funcgrad.Array` leaves of them must not be used
        again (a use raises `DonatedBufferError`), for results of a mebibyte and more may be written over them; nor must
        views of them. Plain NumPy arrays stay as they are.
    compile
        ``"at once"``, or ``"background"``: calls with new types are answered by NumPy, equation by equation, until
        another thread has compiled their program; values agree but for rounding. A program that cannot be compiled is
        reported by a `CompilationWarning`, once, and stays with NumPy. (Derivatives and batches of the function are
        compiled at once, as ever, unless they are what is jitted so.)

    Returns
    -------
    JitFunction
        With `fun`'s signature, and the method ``lower``. Results are `Array` objects of their own.

    Raises
    ------
    ValueError
        If a static argument is not hashable, or `compile` is something else.
    TypeError
        If an argument is no array, number or pytree of them.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.jit
    ... def norm(x):
    ...     return np.sqrt(np.sum(x * x))
    >>> norm(np.array([3.0, 4.0]))
    Array(5.)
    """
    if fun is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            compile=compile,
        )
    if not callable(fun):
        raise TypeError(f"jit takes a function, not {fun!r} of type {type(fun).__name__}{at_line()}")
    if compile not in WHEN:
        raise ValueError(f"jit: compile must be one of {', '.join(map(repr, WHEN))}, not {compile!r}{at_line()}")
    return JitFunction(
        fun,
        _sequence(static_argnums, int, "static_argnums"),
        _sequence(static_argnames, str, "static_argnames"),
        _sequence(donate_argnums, int, "donate_argnums"),
        compile == "background",
    )
