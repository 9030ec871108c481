"""What is an exported function?  A program with its types that is called, differentiated, written and read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import forks, tree
from funcgrad.api import vjp
from funcgrad.arguments import check_callable
from funcgrad.control.call import call as call_primitive
from funcgrad.control.vjp_rules import custom_vjp
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.export.container import FORMAT, ExportError, read, refuse, write
from funcgrad.export.decode import read_body
from funcgrad.export.encode import packed
from funcgrad.export.files import Content, read_content, write_content
from funcgrad.export.signature import Signature, described
from funcgrad.export.sizes import Sizes, text_of
from funcgrad.export.symbolic import Function, Spec, function_of, template, written
from funcgrad.export.template import Holes
from funcgrad.ir.program import Program
from funcgrad.runtime.dispatch import JitFunction, jit
from funcgrad.trace.frame import bind, type_of

Json = Any
MOST_KEPT = 64  # programs of a function with symbolic sizes
MOST_ORDERS = 8
_lock = forks.held(threading.Lock())  # of the programs that exported functions keep


class Exported:
    """A function as a program that leaves the process; made by `export` and `deserialize`.

    Attributes
    ----------
    fun_name
        The function's name.
    in_tree, out_tree
        The structures of ``(args, kwargs)`` and of the result.
    in_avals, out_avals
        The shapes and dtypes of their leaves; extents may be symbolic.
    """

    def __init__(self, content: Content, source: Callable[..., Any] | None, derivative: Exported | None = None) -> None:
        self._content = content
        self._source = source  # the function itself, in the process that has it
        self._derivative = derivative
        self._programs: dict[tuple[int, ...], Program] = {}
        self._holes = Holes(list(content.holes), content.names)
        self.fun_name = content.name
        self.in_tree, self.out_tree = content.in_tree, content.out_tree
        self._signature = Signature(content)
        self.in_avals = self._signature.described
        self.out_avals = tuple(map(described, content.outputs))
        self._compiled = jit(self._named(self._call))

    def __repr__(self) -> str:
        return f"<Exported {self.fun_name}: {self.in_avals} -> {self.out_avals}>"

    def __reduce__(self) -> Any:
        """Pickled as a file's bytes, with the derivatives that it has, and at least one."""
        return deserialize, (bytes(self.serialize(max(self._orders(), int(self.has_vjp())))),)

    def _orders(self) -> int:
        """How many pullbacks were made or read."""
        return 0 if self._derivative is None else 1 + self._derivative._orders()

    def __copy__(self) -> Exported:
        return self  # nothing of it ever changes

    def __deepcopy__(self, memo: Any) -> Exported:
        return self

    def _named(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def named(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        named.__name__ = self.fun_name
        return named

    @property
    def platforms(self) -> tuple[str, ...]:
        """Where it runs."""
        return ("cpu",)

    @property
    def calling_convention_version(self) -> int:
        """The version of the format of files."""
        return FORMAT

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of symbolic sizes."""
        return self._content.names

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value, computed natively; under `jit`, `vmap` and derivatives, part of what these make.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the structure, dtypes and shapes of `in_avals`; symbolic sizes may be any that fit each other.

        Returns
        -------
        pytree of Array
            Of the structure, dtypes and shapes of `out_avals`.

        Raises
        ------
        TypeError
            If the arguments have another structure or dtypes.
        ValueError
            If they have other shapes, or sizes for which the function was not exported.

        Examples
        --------
        >>> import funcgrad as fg
        >>> import numpy as np
        >>> exported = fg.export.export(fg.jit(np.sin))(np.zeros(2))
        >>> exported.call(np.array([0.0, 1.0]))
        Array([0.        , 0.84147098])
        """
        return self._compiled(*args, **kwargs)

    def as_text(self, **sizes: int) -> str:
        """The program's listing.

        Parameters
        ----------
        **sizes
            The integers that the symbols stand for, each by its name.

        Returns
        -------
        str
            The canonical text.

        Raises
        ------
        ValueError
            If the names are not those of `symbols`.

        Examples
        --------
        >>> import funcgrad as fg
        >>> import numpy as np
        >>> spec = fg.ShapeDtypeStruct(fg.export.symbolic_shape("b"), np.float32)
        >>> print(fg.export.export(fg.jit(lambda x: x * x.shape[0]))(spec).as_text(b=5))
        { lambda ; a:f32[5]. let
            b:f32[5] = mul a 5.0:f32[]
          in (b,) }
        """
        if set(sizes) != set(self.symbols):
            raise ValueError(
                f"as_text: the sizes are {', '.join(self.symbols) or 'none'}, not {text_of(sizes)}{at_line()}"
            )
        return str(self._program(sizes))

    def has_vjp(self) -> bool:
        """Whether `vjp` gives something, and does not raise.

        Returns
        -------
        bool
            False only for a function with derivative rules of its own that was loaded from a file without derivatives.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.export.export(fg.jit(lambda x: x * x))(1.0).has_vjp()
        True
        """
        return bool(self._source or self._derivative or not self._content.rules)

    def vjp(self) -> Exported:
        """The pullback, exported.

        Returns
        -------
        Exported
            The function ``(leaves of the arguments, leaves of the cotangent) -> cotangents of the leaves``. Cotangents
            of integers and booleans are zeros of their own dtype, and what is given for such results does not matter.

        Raises
        ------
        ValueError
            If the function has derivative rules of its own, and was serialized with a smaller `vjp_order`.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.export.export(fg.jit(lambda x: x * x))(1.0).vjp().call(3.0, 1.0)
        (Array(6.),)
        """
        if self._derivative is None:
            if not self.has_vjp():
                raise ValueError(
                    f"{self.fun_name} was serialized without derivatives of this order, and has a rule of its own "
                    f"({self._content.rules[0]}), which no file can hold: use a larger vjp_order{at_line()}"
                )
            self._derivative = self._make_vjp()
        return self._derivative

    def _make_vjp(self) -> Exported:
        content = self._content
        fun, count = self._source or self.call, len(content.inputs)

        def flat(*leaves: Any) -> list[Any]:
            args, kwargs = tree.unflatten(content.in_tree, leaves)
            return tree.leaves(fun(*args, **kwargs))

        def pullback(*values: Any) -> tuple[Any, ...]:
            outputs, pull = vjp(flat, *values[:count])
            smooth = [ct if is_inexact(type_of(ct).dtype) else np.zeros_like(x) for ct, x in
                      zip(values[count:], outputs, strict=True)]  # fmt: skip
            return tuple(pull(smooth))

        pullback.__name__ = f"{content.name}_vjp"
        specs = (*content.inputs, *(spec._replace(weak=False) for spec in content.outputs))
        structure = tree.structure(((0,) * len(specs), {}))
        function = Function(pullback, structure, specs, content.names, content.constraints)
        made = exported(function, pullback.__name__)
        guards = tuple(dict.fromkeys((*content.guards, *made._content.guards)))
        return Exported(made._content._replace(guards=guards), made._source)

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The file's bytes.

        Parameters
        ----------
        vjp_order
            How many times a function with derivative rules of its own (`custom_jvp`, `custom_vjp`) can be
            differentiated after loading. A function without such rules can be so any number of times, in both modes,
            as its program is all that derivatives need; nothing is stored for it.

        Returns
        -------
        bytearray
            See the page on exported programs for the format.

        Raises
        ------
        ValueError
            If `vjp_order` is no integer from 0 to the largest that is allowed; the message has it.

        Examples
        --------
        >>> import funcgrad as fg
        >>> file = fg.export.export(fg.jit(lambda x: x * x))(1.0).serialize()
        >>> fg.export.deserialize(file).call(3.0)
        Array(9.)
        """
        if not isinstance(vjp_order, int) or not 0 <= vjp_order <= MOST_ORDERS:
            raise ValueError(
                f"serialize: vjp_order must be an integer from 0 to {MOST_ORDERS}, not {vjp_order!r}{at_line()}"
            )
        chain: list[Exported] = [self]
        while len(chain) <= vjp_order and chain[-1]._content.rules:
            chain.append(chain[-1].vjp())
        arrays: list[np.ndarray] = []
        functions = []
        for one in chain:
            functions.append(write_content(one._content, len(arrays)))
            arrays += one._content.arrays
        return bytearray(write({"functions": functions}, arrays))

    def _program(self, sizes: Sizes) -> Program:
        """The program for given sizes, checked and kept."""
        key = tuple(sizes[name] for name in self._content.names)
        found = self._programs.get(key)
        if found is None:
            for guard in self._content.guards:
                guard.check(sizes)
            body = self._holes.filled(self._content.body, sizes) if self._content.names else self._content.body
            found = read_body(body, self._content.arrays)
            _fits("argument", [spec.at(sizes) for spec in self._content.inputs], found.input_types)
            _fits("result", [spec.at(sizes) for spec in self._content.outputs], found.output_types)
            with _lock:
                if len(self._programs) >= MOST_KEPT:
                    self._programs.pop(next(iter(self._programs)))
                self._programs[key] = found
        return found

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """The call of the program that fits the arguments, in whatever trace they belong to."""
        leaves = self._signature.leaves(args, kwargs)
        try:
            sizes = self._signature.sizes(leaves)
            program = self._program(sizes)
        except ExportError as error:
            raise ExportError(
                f"{self.fun_name} was not exported for {text_of(sizes)}: there is no such program. {error}{at_line()}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{self.fun_name}: {error}{at_line()}") from None
        return tree.unflatten(self.out_tree, self._apply(program, leaves))

    def _apply(self, program: Program, leaves: Sequence[Any]) -> Sequence[Any]:
        def run(*values: Any) -> tuple[Any, ...]:
            return bind(call_primitive, *values, program=program, name=self.fun_name)

        if not self._content.rules:
            return run(*leaves)
        run.__name__ = self.fun_name
        ruled: Any = custom_vjp(run)
        ruled.defvjp(lambda *values: (run(*values), values), self._pull)
        return ruled(*leaves)  # type: ignore[no-any-return]

    def _pull(self, values: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        """Cotangents by the pullback that was exported too."""
        sizes = self._content.outputs
        given = [
            ct if is_inexact(spec.dtype) else np.zeros(type_of(ct).shape, spec.dtype)
            for ct, spec in zip(cotangents, sizes, strict=True)
        ]
        return tuple(self.vjp().call(*values, *given))


def _fits(what: str, said: Sequence[Any], have: Sequence[Any]) -> None:
    if [(t.shape, t.dtype) for t in said] != [(t.shape, t.dtype) for t in have]:
        refuse(f"the type of an {what} is not the program's")


def _verified(function: Exported) -> Exported:
    """A function of a file, all of which is looked at once."""
    content = function._content
    if not function._signature.tells_sizes:
        refuse("the sizes cannot be told from the arguments")
    function._program(content.example)
    if function._derivative is not None:
        pulled = function._derivative._content
        taken = (*content.inputs, *(spec._replace(weak=False) for spec in content.outputs))
        given = [(spec.shape, spec.dtype) for spec in pulled.outputs]
        if pulled.inputs != taken or given != [(s.shape, s.dtype) for s in content.inputs]:
            refuse("a pullback does not fit its function")
    return function


def deserialize(data: bytes | bytearray | memoryview) -> Exported:
    """The exported function that bytes hold.

    Nothing in them is executed, and all of it is checked before anything is returned.

    Returns
    -------
    Exported
        Its `call` computes what was exported, on arrays of the types that it names.

    Raises
    ------
    ExportError
        If the bytes are damaged, truncated, of a later version, or hold what `Exported.serialize` does not write.
    TypeError
        If `data` is not bytes.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> data = fg.export.export(fg.jit(np.tanh))(np.zeros(2)).serialize()
    >>> fg.export.deserialize(data).call(np.array([0.0, 1.0]))
    Array([0.        , 0.76159416])
    """
    try:
        view = memoryview(data).cast("B")
    except TypeError:
        raise TypeError(f"deserialize takes bytes, not {type(data).__name__}{at_line()}") from None
    try:
        header, arrays = read(view)
        if set(header) != {"functions"} or not isinstance(header["functions"], list):
            refuse("the header's parts are not those that it should have")
        if not 0 < len(header["functions"]) <= MOST_ORDERS + 1:
            refuse("there is no function, or too many")
        found: Exported | None = None
        for entry in reversed(header["functions"]):
            found = _verified(Exported(read_content(entry, arrays), None, found))
        assert found is not None
        return found
    except ExportError:
        raise
    except Exception as error:  # deep nesting, numbers beyond limits of Python's: whatever reading stumbles over
        raise ExportError(f"deserialize: the file is damaged ({type(error).__name__}: {error})") from error


# Exporting ------------------------------------------------------------------------------------------------------------


def exported(function: Function, name: str) -> Exported:
    """A function, exported."""
    if function.names:
        t = template(function)
        content = Content(
            name, function.structure, t.out_structure, function.specs, t.outputs, t.body, t.arrays,
            tuple(str(rule.name)[:1000] for rule in t.rules), function.names, function.constraints, tuple(t.guards),
            t.holes, t.example,
        )  # fmt: skip
    else:
        writer, traced = written(function, {}, regular=False)
        outputs = tuple(Spec(*t) for t in traced.program.output_types)
        content = Content(
            name, function.structure, traced.out_structure, function.specs, outputs, packed(writer.body), writer.arrays,
            tuple(str(rule.name)[:1000] for rule in writer.rules),
        )  # fmt: skip
    return Exported(content, function.fun)


def export(
    fun_jit: Callable[..., Any], *, platforms: Sequence[str] | None = None, disabled_checks: Iterable[Any] = ()
) -> Callable[..., Exported]:
    """A jitted function as a program that can be written to a file, and run elsewhere.

    Parameters
    ----------
    fun_jit
        A function made by `funcgrad.jit`; static arguments become part of the program.
    platforms
        ``("cpu",)`` or None.
    disabled_checks
        For JAX's sake: there are none to disable, so only an empty sequence is taken.

    Returns
    -------
    Callable
        Takes arrays, numbers or `ShapeDtypeStruct`, whose extents may be symbolic (`symbolic_shape`), in place of the
        arguments, and returns an `Exported`.

    Raises
    ------
    ValueError
        If the function was not made by `funcgrad.jit`, or a platform is unknown.
    ExportError
        If the program calls Python code, or differs from size to size in a way that cannot be told.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.jit
    ... def mean(x):
    ...     return np.sum(x, 0) / x.shape[0]
    >>> shape = fg.export.symbolic_shape("b, 3")
    >>> made = fg.export.export(mean)(fg.ShapeDtypeStruct(shape, np.float64))
    >>> made.out_avals
    (ShapeDtypeStruct(shape=(3,), dtype=float64),)
    >>> loaded = fg.export.deserialize(made.serialize())
    >>> loaded.call(np.arange(6.0).reshape(2, 3)), loaded.call(np.ones((5, 3)))
    (Array([1.5, 2.5, 3.5]), Array([1., 1., 1.]))
    """
    check_callable(fun_jit, "export")
    if not isinstance(fun_jit, JitFunction):
        raise ValueError(f"export: the function must be the result of funcgrad.jit, not {fun_jit!r}{at_line()}")
    if platforms is not None and tuple(platforms) != ("cpu",):
        raise ValueError(f"export: platforms must be ('cpu',), not {platforms!r}{at_line()}")
    if tuple(disabled_checks):
        raise ValueError(f"export: there are no checks to disable, but {tuple(disabled_checks)!r} was given{at_line()}")

    def make(*args: Any, **kwargs: Any) -> Exported:
        fun, moving, keywords, _ = fun_jit._statics.without(args, kwargs)
        leaves, structure = tree.flatten((moving, keywords))
        return exported(function_of(fun, leaves, structure), fun_jit._name)

    return make
