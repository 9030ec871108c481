"""How does C call a function?  `cfunc` makes a native function; `logp_and_grad_cfunc`, one for samplers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import value_and_grad
from funcgrad.arguments import check_callable, function_name
from funcgrad.compile import native
from funcgrad.compile.native.standalone import OUT_OF_MEMORY, WRONG_SIZE, Form, link
from funcgrad.errors import at_line
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.c_names import (
    C_TYPES,
    Parameter,
    identifier,
    parameter_names,
    parameters_of,
    positional_names,
    results_of,
)
from funcgrad.runtime.executable import executable_for
from funcgrad.trace.function import ShapeDtypeStruct, Traced, leaf_types, trace_function
from funcgrad.tracebacks import boundary

_CTYPES: dict[str, Any] = {
    **{f"i{size}": getattr(ctypes, f"c_int{8 * size}") for size in (1, 2, 4, 8)},
    **{f"u{size}": getattr(ctypes, f"c_uint{8 * size}") for size in (1, 2, 4, 8)},
    "b1": ctypes.c_uint8,
    "f4": ctypes.c_float,
    "f8": ctypes.c_double,
}
_DOUBLES = ctypes.POINTER(ctypes.c_double)
_ROUTINES = ("fg_share", "fg_run", "fg_alloc", "fg_free")


class NativeFunction:
    """A native function of a program; made by `cfunc`.

    The code lives as long as this object or its `ctypes` does.

    Attributes
    ----------
    address
        Of the function.
    ctypes
        The function for `ctypes`, which lets go of Python's lock during calls; `scipy.LowLevelCallable` takes it.
    signature
        Its declaration in C.
    parameters, results
        What it takes and writes, in order.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> pick = fg.cfunc(lambda x, i: x[i], (np.zeros(3), 0))
    >>> x, out = np.array([1.0, 2.0, 3.0]), np.zeros(())
    >>> pick.check(pick.ctypes(x.ctypes.data, 2, out.ctypes.data))
    >>> out
    array(3.)
    """

    def __init__(self, name: str, traced: Traced, parameters: Sequence[Parameter], form: Form) -> None:
        self.parameters = tuple(parameters)
        self.results = tuple(results_of(traced.program.output_types, traced.out_structure, self.parameters))
        _check(name, self.parameters, self.results, form)
        self._executable = executable_for(traced.program)
        layout = self._executable.layout(name)
        runtime = native.runtime()
        if layout.parallel:
            runtime.start_pool()
        library, keep = link(layout, form, {routine: runtime.address(routine) for routine in _ROUTINES})
        self.address = library.address("fg_call")
        self.ctypes = _prototype(form, self.parameters, self.results)(self.address)
        self.ctypes._funcgrad = (library, keep, self._executable)  # who holds the function holds its code
        self.signature = _declaration(identifier(name), form, self.parameters, self.results)

    @classmethod
    def of_leaves(cls, name: str, traced: Traced, form: Form) -> NativeFunction:
        """The native function of a program whose parameters have no names; `cfunc` makes those of Python functions.

        Parameters
        ----------
        name
            What it is called in its declaration.
        traced
            The program.
        form
            How results go to the caller.

        Returns
        -------
        NativeFunction
            Its parameters are called ``x0``, ``x1`` and so on.
        """
        types = traced.program.input_types
        return cls(name, traced, list(parameters_of([f"x{k}" for k in range(len(types))], types)), form)

    def __repr__(self) -> str:
        return f"<native function {self.signature}>"

    def check(self, status: int) -> None:
        """Raise what a status other than 0 tells of: the error that the jitted function would raise.

        Parameters
        ----------
        status
            What the function returned.

        Raises
        ------
        Exception
            Of the type that the failed operation raises, with the user's line.
        MemoryError
            For -1: there was no memory for temporaries.
        ValueError
            For -2: the size that the caller gave is not the one that the function was made for.
        """
        if status == OUT_OF_MEMORY:
            raise MemoryError("there was no memory for the temporaries of a native function")
        if status == WRONG_SIZE:
            raise ValueError(f"a native function was called with another size than {self.parameters[0].shape}")
        if status:
            raise self._executable.failure(status)


@boundary
def cfunc(fun: Callable[..., Any], example_args: Sequence[Any], *, form: str = "status") -> NativeFunction:
    """A native function that computes `fun` for arguments of the given types, for callers in C and its like.

    It takes no lock of Python's, keeps nothing between calls, and may be called by several threads at once. Arrays lie
    in C order, aligned to their elements; results may not overlap arguments, which it only reads.

    Parameters
    ----------
    fun
        A function of arrays or pytrees of them; a jitted or transformed one too.
    example_args
        A tuple of arguments, of which only shapes and dtypes count; `ShapeDtypeStruct` will do.
    form
        What it looks like to C:

        ``"status"``
            ``int64_t f(double x, const double *y, double *out)``: leaves of shape ``()`` by value (complex and half
            precision ones by pointer), arrays by pointer, then a pointer for each leaf of the result. It returns 0,
            or a status: see `NativeFunction.check`.
        ``"value"``
            ``double f(double x)``: the only result, a number, is returned; NaN (of integers 0) after a failure.
        ``"vector"``
            ``double f(int n, double *x)``: all arguments in one array, for `fun` of `n` numbers or of one vector.
        ``"filter"``
            ``int f(double *x, intptr_t n, double *out, void *user)``: a vector to a number, for
            `scipy.ndimage.generic_filter`; 1 means success.

    Returns
    -------
    NativeFunction
        Its `ctypes` is what C, SciPy or Numba calls; it writes results into memory of the caller's.

    Raises
    ------
    NotImplementedError
        Some operation calls Python; the message has its name and line.
    TypeError
        The arguments or results do not fit `form`.
    ValueError
        `form` is no form of function.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> f = fg.cfunc(lambda x, w: x * np.sum(w * w), (1.0, np.zeros(3)))
    >>> f.signature
    'int64_t f(double x, const double *w, double *out)'
    >>> w, out = np.array([1.0, 2.0, 3.0]), np.zeros(())
    >>> f.ctypes(0.5, w.ctypes.data, out.ctypes.data), out
    (0, array(7.))
    """
    check_callable(fun, "cfunc")
    forms = [known.value for known in Form if known is not Form.DENSITY]
    if form not in forms:
        raise ValueError(f"cfunc: form must be one of {', '.join(map(repr, forms))}, not {form!r}{at_line()}")
    if not isinstance(example_args, tuple | list):
        kind = type(example_args).__name__
        raise TypeError(f"cfunc: example_args must be a tuple of arguments, not {kind}: (x,) for one{at_line()}")
    leaves, structure = tree.flatten((tuple(example_args), {}))
    types = strong(leaf_types("cfunc", leaves, structure))
    names = parameter_names(positional_names(fun), structure)
    traced = traced_alone("cfunc", fun, structure, types)
    return NativeFunction(function_name(fun), traced, list(parameters_of(names, types)), Form(form))


@boundary
def logp_and_grad_cfunc(logp: Callable[[Any], Any], n: int) -> NativeFunction:
    """A log-density with its gradient as a native function, in the shape that samplers such as nutpie take.

    Parameters
    ----------
    logp
        Of a float64 vector; returns a float64 number.
    n
        The length of the vector.

    Returns
    -------
    NativeFunction
        ``int f(int64_t n, const double *x, double *grad, double *logp, void *user)``: 0, a positive status after a
        failure that another `x` may not have, a negative one otherwise (-1: no memory, -2: another `n`).

    Raises
    ------
    NotImplementedError
        Some operation calls Python; the message has its name and line.
    TypeError
        `logp` does not return a float64 number.
    ValueError
        `n` is no length.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> normal = fg.logp_and_grad_cfunc(lambda x: -0.5 * np.sum(x * x), 2)
    >>> x, gradient, value = np.array([1.0, 3.0]), np.zeros(2), np.zeros(())
    >>> normal.ctypes(2, x.ctypes.data, gradient.ctypes.data, value.ctypes.data, None)
    0
    >>> value, gradient
    (array(-5.), array([-1., -3.]))
    """
    check_callable(logp, "logp_and_grad_cfunc")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(
            f"logp_and_grad_cfunc: n must be the length of a vector, an integer >= 0, not {n!r}{at_line()}"
        )
    n = int(n)
    types = [ArrayType((n,), np.dtype(np.float64))]
    structure = tree.structure(((ShapeDtypeStruct((n,), np.float64),), {}))
    traced = traced_alone("logp_and_grad_cfunc", value_and_grad(logp), structure, types)
    return NativeFunction(function_name(logp), traced, list(parameters_of(["x"], types)), Form.DENSITY)


def strong(types: Sequence[ArrayType]) -> list[ArrayType]:
    """The types without weakness: a C double is a float64."""
    return [ArrayType(t.shape, t.dtype) for t in types]


def traced_alone(name: str, fun: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType]) -> Traced:
    """The program of a function that closes over no tracers."""
    traced = trace_function(fun, structure, types)
    if traced.captures:
        raise TypeError(f"{name}: the function closes over values that are being traced: pass them in{at_line()}")
    return traced


def _check(name: str, parameters: Sequence[Parameter], results: Sequence[Parameter], form: Form) -> None:
    """Whether a function fits its form."""
    caller = "logp_and_grad_cfunc" if form is Form.DENSITY else "cfunc"
    if form is Form.STATUS:
        return
    wanted = {
        Form.VALUE: "one number as its result",
        Form.VECTOR: "float64 numbers, or one float64 vector, and one float64 number as its result",
        Form.FILTER: "one float64 vector, and one float64 number as its result",
        Form.DENSITY: "a log-density that is a float64 number",
    }[form]
    doubles = [p.c_type == "double" for p in parameters]
    vector = len(parameters) == 1 and doubles[0] and len(parameters[0].shape) == 1
    scalar = bool(results) and results[0].shape == () and results[0].by_value
    double = scalar and results[0].c_type == "double"
    numbers = all(doubles) and all(p.by_value for p in parameters)
    fits = {
        Form.VALUE: scalar and len(results) == 1,
        Form.VECTOR: double and len(results) == 1 and (numbers or vector),
        Form.FILTER: double and len(results) == 1 and vector,
        Form.DENSITY: double,
    }[form]
    if not fits:
        given = ", ".join(map(_described, parameters)) or "nothing"
        returned = ", ".join(map(_described, results)) or "nothing"
        raise TypeError(
            f"{caller}: the form {form.value!r} is that of a function with {wanted}; {name} takes {given} and returns "
            f"{returned}{at_line()}"
        )


def _described(p: Parameter) -> str:
    return f"{p.c_type}{list(p.shape)}" if p.shape else p.c_type


def _declaration(name: str, form: Form, parameters: Sequence[Parameter], results: Sequence[Parameter]) -> str:
    given = [f"{p.c_type} {p.name}" if p.by_value else f"const {p.c_type} *{p.name}" for p in parameters]
    return {
        Form.STATUS: f"int64_t {name}({', '.join([*given, *(f'{r.c_type} *{r.name}' for r in results)])})",
        Form.VALUE: f"{results[0].c_type if results else 'void'} {name}({', '.join(given)})",
        Form.VECTOR: f"double {name}(int n, double *x)",
        Form.FILTER: f"int {name}(double *x, intptr_t n, double *out, void *user)",
        Form.DENSITY: f"int {name}(int64_t n, const double *x, double *grad, double *logp, void *user)",
    }[form]


def _prototype(form: Form, parameters: Sequence[Parameter], results: Sequence[Parameter]) -> Any:
    """The function's type for `ctypes`."""
    by_c = {C_TYPES[short]: kind for short, kind in _CTYPES.items()}
    given = [by_c[p.c_type] if p.by_value else ctypes.c_void_p for p in parameters]
    pointers = [ctypes.c_void_p] * len(results)
    return {
        Form.STATUS: lambda: ctypes.CFUNCTYPE(ctypes.c_int64, *given, *pointers),
        Form.VALUE: lambda: ctypes.CFUNCTYPE(by_c[results[0].c_type], *given),
        Form.VECTOR: lambda: ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, _DOUBLES),
        Form.FILTER: lambda: ctypes.CFUNCTYPE(ctypes.c_int, _DOUBLES, ctypes.c_ssize_t, _DOUBLES, ctypes.c_void_p),
        Form.DENSITY: lambda: ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        ),
    }[form]()
