"""What happens when a jitted function is called?  Trace once per types, compile once per program,
then go straight to native code.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import numpy as np

from funcgrad import forks, tree
from funcgrad.control.call import call
from funcgrad.errors import at_line
from funcgrad.ir.names import argument_names, with_names
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.c_names import positional_names
from funcgrad.runtime.caches import functions
from funcgrad.runtime.donated import donated_leaves, gift
from funcgrad.runtime.executable import start_runtime
from funcgrad.runtime.misses import executable_of, missed
from funcgrad.runtime.pickling import reduced
from funcgrad.runtime.stages import Lowered, lower_program
from funcgrad.runtime.statics import statics_of
from funcgrad.trace.frame import bind, running, undisturbed
from funcgrad.trace.function import Traced, leaf_types, trace_function
from funcgrad.trace.locals import Locals
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary, shorten

if TYPE_CHECKING:
    from funcgrad.runtime.background import Compilation

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R")
Owner = TypeVar("Owner")

_lock = forks.held(threading.RLock())  # of what jitted functions remember
MOST_PROGRAMS = 1 << 10  # that one function remembers

Ready = tuple[
    Callable[[list[Any]], Any], Callable[[list[Any]], Any], Callable[[int, Sequence[Any]], Any]
]  # a native entry, what makes the output of its results, and what raises the error behind a status for the arguments


class JitFunction(Generic[P, R]):
    """A function that is compiled on its first call for each combination of argument types; made by `jit`.

    It has the name, the docstring and the signature of the function that it was made of. In a class it is a method.
    Transformations take it as any function, threads may call it, and it can be pickled.

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.jit
    ... def half(x):
    ...     return x / 2
    >>> half
    <jit of half>
    >>> half(3.0), fg.grad(half)(3.0), half.__name__
    (Array(1.5), Array(0.5), 'half')
    """

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
        self._statics = statics_of(fun, tuple(static_argnums), frozenset(static_argnames))
        self._donated = tuple(donate_argnums)
        self._plain = not (self._statics or self._donated)
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
        statics = (self._statics.numbers, tuple(sorted(self._statics.names)))
        return reduced(self, self._fun, (*statics, self._donated, self._background))

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
                        fail(results, args)
            leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
            for entry, finish, fail in self._ready.get(structure, ()):
                results = entry(leaves)
                if type(results) is list:
                    return finish(results)  # type: ignore[no-any-return]
                if results is not None:
                    fail(results, leaves)
            if not kwargs:
                leaves, structure = tree.flatten((args, kwargs))
            return self._call_any(self._fun, leaves, structure, structure, args, kwargs)  # type: ignore[no-any-return]
        except BaseException as error:
            shorten(error)
            raise

    def _call_special(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = args
        fun, args, kwargs, key = self._statics.without(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        full_key = (structure, key)
        for entry, finish, fail in self._ready.get(full_key, ()):
            with gift(given, self._donated) as presents:
                results = entry(leaves)
                presents.taken = results is not None
            if type(results) is list:
                return finish(results)
            if results is not None:
                fail(results, leaves)
        return self._call_any(fun, leaves, structure, full_key, given=given)

    def call_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same value without native entries: the executable is asked for, each time."""
        fun, moving, named, key = self._statics.without(args, kwargs)
        leaves, structure = tree.flatten((moving, named))
        return self._call_any(fun, leaves, structure, structure if self._plain else (structure, key), given=args)

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
        traced = self._trace(fun, structure, types, key)
        if traced.captures or any(type(x) is Tracer for x in leaves):
            outputs = bind(call, *traced.captures, *leaves, program=traced.program, name=self._name)
            return tree.unflatten(traced.out_structure, outputs)
        donated = donated_leaves(given, self._donated, self._statics.among(len(given))) if self._donated else ()
        if self._background:
            found = self._meanwhile(traced.program, donated, leaves)
            if found is not None:
                with gift(given, self._donated):
                    return tree.unflatten(traced.out_structure, found)
        executable = executable_of(self._name, types, traced.program, donated)
        names = functools.partial(argument_names, self._fun, structure, self._statics.among(len(given)))
        with gift(given, self._donated):
            try:
                results, entry = executable(leaves, names)
            except OverflowError:
                _check_integers(self._name, leaves, types, structure)
                raise
        if entry is not None:
            fail = functools.partial(executable.fail, names)
            self._remember(key, (entry, _finisher(traced.out_structure), fail), leaves, args, kwargs)
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
        """The program for these arguments.

        Parameters
        ----------
        *args, **kwargs
            The function's arguments; in the places of arrays, `ShapeDtypeStruct` will do.

        Returns
        -------
        Traced
            The program, the structure of the function's output, and the traced values of outer functions that it reads.

        Examples
        --------
        >>> import funcgrad as fg
        >>> print(*fg.jit(lambda x: x * 2).trace(1.0).program.output_types)
        f64[]*
        """
        fun, args, kwargs, _ = self._statics.without(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        return trace_function(fun, structure, leaf_types(f"jit of {self._name}", leaves, structure))

    def leaves(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What the program takes for these arguments.

        Parameters
        ----------
        *args, **kwargs
            The function's arguments.

        Returns
        -------
        list
            The leaves of those that are not static.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.jit(lambda x, n: n * x["a"], static_argnums=1).leaves({"a": 1.0}, 3)
        [1.0]
        """
        _, args, kwargs, _ = self._statics.without(args, kwargs)
        return tree.leaves((args, kwargs))

    @boundary
    @undisturbed
    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The program for these arguments, ready to be looked at or compiled.

        Parameters
        ----------
        *args, **kwargs
            The function's arguments; in the places of arrays, `ShapeDtypeStruct` will do.

        Returns
        -------
        Lowered
            Nothing is compiled yet.

        Examples
        --------
        >>> import funcgrad as fg
        >>> print(fg.jit(lambda x: x * 2).lower(1.0).as_text())
        { lambda ; a:f64[]*. let
            b:f64[]* = mul a 2.0:f64[]*
          in (b,) }
        """
        given = args
        fun, args, kwargs, _ = self._statics.without(args, kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        with Locals() as seen:
            traced = trace_function(fun, structure, leaf_types(f"jit of {self._name}", leaves, structure))
        static = self._statics.among(len(given))
        names = [name for k, name in enumerate(positional_names(self._fun)) if k not in static]
        program = with_names(traced.program, self._fun, structure.paths(), static, seen.names)
        return lower_program(program, structure, traced.out_structure, names)

    def clear_cache(self) -> None:
        """Forget every program of this function; the next call traces it again.

        Kernels that were compiled are found again, in memory and on the disk.

        Examples
        --------
        >>> import funcgrad as fg
        >>> calls = []
        >>> f = fg.jit(lambda x: calls.append("traced") or x)
        >>> f(1.0), f(2.0), f.clear_cache(), f(3.0), calls
        (Array(1.), Array(2.), None, Array(3.), ['traced', 'traced'])
        """
        with self._lock:
            self._direct = ()
            self._ready.clear()
            self._traced.clear()
            self._compilations.clear()


def _forget_oldest(remembered: dict[Hashable, Any]) -> None:
    while len(remembered) > MOST_PROGRAMS:
        del remembered[next(iter(remembered))]


def _in_front(pair: Ready, pairs: Sequence[Ready]) -> tuple[Ready, ...]:
    return (pair, *(other for other in pairs if other[0] is not pair[0]))[:8]


def _finisher(structure: tree.TreeDef) -> Callable[[list[Any]], Any]:
    """The output from its leaves."""
    return operator.itemgetter(0) if structure.is_leaf() else structure.unflatten


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
        again (a use raises `DonatedBufferError`), for results of 256 KiB and more may be written over them; nor must
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
