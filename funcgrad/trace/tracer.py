"""What does a traced function hold in its hands?  `Tracer`:
an array's operators, methods and protocols, without an array.

The meaning of the operators is NumPy's and lives in `funcgrad.numpy`, which fills the table `methods`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from opcode import opmap
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.dtypes import INEXACT
from funcgrad.errors import (
    ConcretizationTypeError,
    LostDerivativeWarning,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    UnexpectedTracerError,
    at_line,
    is_internal,
)
from funcgrad.ir.types import ArrayType
from funcgrad.tracebacks import boundary, shorten

if TYPE_CHECKING:
    from funcgrad.trace.frame import Frame

methods: dict[str, Callable[..., Any]] = {}  # by NumPy's name: "add", "sum", "reshape", ...
ufuncs: dict[np.ufunc, Callable[..., Any]] = {}  # what replaces a NumPy ufunc called on tracers
functions: dict[Callable[..., Any], Callable[..., Any]] = {}  # what replaces a NumPy function called on tracers
homes: dict[str, Callable[[], object]] = {}  # by NumPy's or SciPy's module: what fills the tables with its own
WRITERS = {  # by name: what to write instead of functions that change their argument or leave the program
    "numpy.copyto": "it writes into its argument; write x = np.where(mask, values, x)",
    "numpy.putmask": "it writes into its argument; write x = np.where(mask, values, x)",
    "numpy.save": "return the array, and save the result",
    "numpy.savetxt": "return the array, and save the result",
    "numpy.savez": "return the array, and save the result",
}
_REMEDY = "do it outside of the transformed function, or call it through funcgrad.pure_callback"
SPECIAL = "scipy.special"  # whose functions are ufuncs


class Tracer:
    """A value under transformation.

    It has a type (`shape`, `dtype`) but, as long as a program is being made, no elements.  All operators, methods and
    NumPy functions work on it; ``if``, ``while``, ``float()``, ``int()``, ``len(range(...))`` and the like work where
    its value is known: under `grad`, `vjp`, `jvp` and `linearize` outside `jit`.
    """

    __slots__ = ("__weakref__", "frame", "payload", "type")
    __array_priority__ = 1000

    def __init__(self, frame: Frame, type: ArrayType, payload: Any) -> None:
        self.frame = frame
        self.type = type
        self.payload = payload

    if TYPE_CHECKING:  # operators and methods are set below, from tables

        def __getattr__(self, name: str) -> Any: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents."""
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.type.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.type.size

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        return self.type.nbytes

    @property
    def itemsize(self) -> int:
        """The number of bytes of one element."""
        return self.type.dtype.itemsize

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        return methods["transpose"](self)

    @property
    def mT(self) -> Any:
        """The array with its last two axes exchanged."""
        return methods["matrix_transpose"](self)

    @property
    def real(self) -> Any:
        """The real part."""
        return methods["real"](self)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return methods["imag"](self)

    @property
    def flat(self) -> Any:
        """Not to be had: tracers have no memory to walk through."""
        raise TypeError(f"a traced array has no .flat: use x.ravel(){at_line()}")

    def __len__(self) -> int:
        if not self.type.shape:
            raise TypeError("len() of unsized object")
        return self.type.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.type.shape:
            raise TypeError(f"iteration over a 0-d array{at_line()}")
        return (self[i] for i in range(self.type.shape[0]))

    def __getitem__(self, index: Any) -> Any:
        try:
            return methods["getitem"](self, index)
        except BaseException as error:
            shorten(error)
            raise

    @property
    def at(self) -> Any:
        """What ``x.at[index].set(values)`` and the like begin with: the array with that place changed."""
        return methods["at"](self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "Traced arrays cannot be written to: functions under transformation are pure. Instead of x[i] = v write "
            f"x = x.at[i].set(v), or x = np.where(mask, v, x) with a mask that is true there.{at_line()}"
        )

    def __delitem__(self, index: Any) -> None:
        raise TypeError(
            "Traced arrays cannot be written to: functions under transformation are pure. Instead of del x[i] write "
            f"x = np.delete(x, i).{at_line()}"
        )

    def __repr__(self) -> str:
        value = known(self) if self.frame.active else None
        return f"Tracer<{self.type}>" + ("" if value is None else f" with value {value!r}")

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        return format(_need(self, ConcretizationTypeError, f"format(..., {spec!r})"), spec)

    def __hash__(self) -> int:
        raise TypeError(f"unhashable type: a traced array cannot be a dictionary key or a member of a set{at_line()}")

    @boundary
    def __bool__(self) -> bool:
        return bool(_need(self, TracerBoolConversionError, "a condition (if, while, and, or, not, assert)"))

    @boundary
    def __float__(self) -> float:
        use = "float() (as math.sin(x) and out[i] = x do: write np.sin(x), and np.stack, np.concatenate or np.where)"
        _check_not_written(self)
        return float(_number(self, use, "float()"))

    @boundary
    def __int__(self) -> int:  # no warning: the derivative of a truncated number is 0
        return int(_need(self, ConcretizationTypeError, "int()"))

    @boundary
    def __complex__(self) -> complex:
        _check_not_written(self)
        return complex(_number(self, "complex()"))

    @boundary
    def __index__(self) -> int:
        value = _need(
            self,
            TracerIntegerConversionError,
            "a Python index or a size (for table[i] with a NumPy array write funcgrad.numpy.take(table, i, axis=0))",
        )
        return value.__index__()  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TracerArrayConversionError(
            f"A traced array of type {self.type} was handed to a function that needs a real NumPy array. "
            "NumPy's own functions work on traced arrays (np.sin(x), np.sum(x), ...); writing into a NumPy array, "
            "math.*, and compiled libraries do not: build the result with np.stack, np.concatenate or np.where, "
            "use np.sin for math.sin, and funcgrad.numpy.take(table, i, axis=0) for table[i] where only i is traced."
            f"{at_line()}"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc not in ufuncs and SPECIAL in sys.modules and SPECIAL in homes:
            homes[SPECIAL]()
        replacement = ufuncs.get(ufunc)
        if replacement is None or (method != "__call__" and not hasattr(replacement, method)):
            name = f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else repr(ufunc)
            call = name if method == "__call__" else f"{name}.{method}"
            raise TypeError(f"{call} has no counterpart for traced arrays: {_REMEDY}{at_line()}")
        if kwargs.pop("out", None) is not None:
            raise TypeError(
                f"np.{ufunc.__name__}(..., out=...) and in-place operators on NumPy arrays would write a traced "
                f"value into an array: write x = x + y instead of x += y.{at_line()}"
            )
        try:
            if method == "__call__":
                return replacement(*inputs, **kwargs)
            return getattr(replacement, method)(*inputs, **kwargs)
        except BaseException as error:
            shorten(error)
            raise

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        home = getattr(function, "__module__", "numpy")
        if function not in functions and home in homes:
            homes[home]()
        replacement = functions.get(function)
        if replacement is None:
            name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
            remedy = WRITERS.get(name, _REMEDY)
            raise TypeError(f"{name} has no counterpart for traced arrays: {remedy}{at_line()}")
        try:
            return replacement(*args, **kwargs)
        except BaseException as error:
            shorten(error)
            raise

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """The functions for such arrays, by the names of the Array API standard: `funcgrad.numpy`."""
        return methods["array_namespace"](api_version)

    @property
    def device(self) -> str:
        """The CPU."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: None = None) -> Any:
        """The array itself: there is one device."""
        if device != "cpu":
            raise ValueError(f'Unsupported device "{device}": arrays are on the "cpu".{at_line()}')
        return self

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError(f"A traced array of type {self.type} has no memory to be shared through DLPack.{at_line()}")

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.__dlpack__()  # which says why not
        return device

    def __contains__(self, value: Any) -> Any:
        return methods["any"](self == value)

    def __round__(self, ndigits: int = 0) -> Any:
        return methods["round"](self, ndigits)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    @boundary
    def item(self, *args: int) -> Any:
        """The Python number, where the value is known."""
        return _number(self, ".item()").item(*args)

    @boundary
    def tolist(self) -> Any:
        """Nested lists of Python numbers, where the value is known."""
        return _number(self, ".tolist()").tolist()


def _of_value(name: str) -> Callable[..., Any]:
    """A method that needs the elements, where the value is known."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(_need(self, ConcretizationTypeError, f".{name}()"), name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"NumPy's ``ndarray.{name}``, where the value is known."
    return method


def _in_place(name: str, remedy: str) -> Callable[..., Any]:
    """A method that would write into the array: it says what to write instead."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"x.{name}() would write into a traced array: functions under transformation are pure. Write "
            f"{remedy}.{at_line()}"
        )

    method.__name__ = name
    method.__doc__ = f"Refused: {remedy}."
    return method


def _of_memory(name: str, remedy: str) -> property:
    """An attribute of the array's memory, which a traced one has none of."""

    def attribute(self: Any) -> Any:
        raise AttributeError(f"a traced array has no .{name}, as it has no memory: {remedy}{at_line()}")

    return property(attribute, doc=f"Not to be had: {remedy}.")


def _operator(name: str, reflected: bool = False) -> Callable[[Any, Any], Any]:
    def forward(self: Any, other: Any) -> Any:
        try:
            found = type(other) is Tracer or _is_operand(other, name, self)
            return methods[name](self, other) if found else NotImplemented
        except BaseException as error:
            shorten(error)
            raise

    def backward(self: Any, other: Any) -> Any:
        try:
            return methods[name](other, self) if _is_operand(other, name, self) else NotImplemented
        except BaseException as error:
            shorten(error)
            raise

    return backward if reflected else forward


def _is_operand(x: Any, name: str, beside: Tracer) -> bool:
    if isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)):
        return True
    repeats = name == "multiply" and not beside.type.shape and beside.type.dtype.kind in "biu"
    return isinstance(x, (list, tuple)) and not repeats  # which Python does by itself


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        function = methods.get(name) or functions.get(getattr(np, name, None))  # type: ignore[arg-type]
        if function is None:
            raise TypeError(f"ndarray.{name} has no counterpart for traced arrays{at_line()}")
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"NumPy's ``ndarray.{name}``."
    return method


BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder",
    "divmod": "divmod", "pow": "power", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
METHODS = (
    "all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum "
    "diagonal dot flatten max mean min nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes "
    "take trace transpose var view"
).split()
OF_VALUE = "dump dumps tobytes tofile".split()
IN_PLACE = {
    "byteswap": "x.view(dtype) for other bits",
    "fill": "x = np.full_like(x, value)",
    "partition": "x = np.partition(x, kth)",
    "put": "x = x.at[indices].set(values)",
    "resize": "x = np.resize(x, shape)",
    "setfield": "x = x.at[index].set(values)",
    "setflags": "nothing: traced arrays are never written to",
    "sort": "x = np.sort(x)",
}
OF_MEMORY = {
    "base": "it is nobody's view",
    "ctypes": "return the array, and take the address of the result",
    "data": "return the array, and take the buffer of the result",
    "flags": "whether it is contiguous or writable has no meaning",
    "getfield": "use x.view(dtype)",
    "strides": "its elements have an order, but no distance; use shape and dtype",
}

for _python, _numpy in BINARY.items():
    setattr(Tracer, f"__{_python}__", _operator(_numpy))
    setattr(Tracer, f"__r{_python}__", _operator(_numpy, reflected=True))
for _python, _numpy in COMPARISONS.items():
    setattr(Tracer, f"__{_python}__", _operator(_numpy))
for _python, _numpy in UNARY.items():
    setattr(Tracer, f"__{_python}__", _method(_numpy))
for _name in METHODS:
    setattr(Tracer, _name, _method(_name))
for _name in OF_VALUE:
    setattr(Tracer, _name, _of_value(_name))
for _name, _remedy in IN_PLACE.items():
    setattr(Tracer, _name, _in_place(_name, _remedy))
for _name, _remedy in OF_MEMORY.items():
    setattr(Tracer, _name, _of_memory(_name, _remedy))


def leak_message(what: str) -> str:
    """The message for a tracer used after its trace."""
    return (
        f"{what} was given a traced value whose trace has ended: it was kept in a global, "
        "an attribute or a closure while its function was traced. Return the value from the function "
        f"instead.{at_line()}"
    )


def known(value: Any) -> Any:
    """The array that `value` is or carries, or None where there is none yet."""
    while type(value) is Tracer:
        if not value.frame.active:
            raise UnexpectedTracerError(leak_message("An operation"))
        value = value.frame.below(value)
    return value


def _check_not_written(tracer: Tracer) -> None:
    """An error where the user's line is ``out[i] = x``: NumPy asks x for a number, and its derivative would be lost."""
    frame = _users_frame()
    if frame is not None and frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _STORE:
        raise TracerArrayConversionError(
            f"A traced value of type {tracer.type} is written into a NumPy array, which keeps its number and forgets "
            "its derivative. Build the array with np.stack, np.concatenate or np.where, or begin with a traced one, "
            f"x.at[i].set(y). Where only the number is wanted, write float(lax.stop_gradient(x)).{at_line()}"
        )


_STORE = opmap["STORE_SUBSCR"]


def _users_frame() -> FrameType | None:
    """The innermost frame on the call stack that is the user's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _number(tracer: Tracer, use: str, short: str = "") -> Any:
    """The known value of `tracer` for Python, which does not carry derivatives: where there is one, a warning."""
    value = _need(tracer, ConcretizationTypeError, use)
    frame = _users_frame()
    if frame is not None and tracer.type.dtype in INEXACT and _differentiated(tracer):
        message = (
            f"{short or use} gives a plain number: what is computed from it counts as a constant, and its derivative "
            "is lost. Use the value as it is (np.sin(x) for math.sin(x)); where the number is all that is wanted, "
            f"write float(lax.stop_gradient(x)).{at_line()}"
        )
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        category, where = LostDerivativeWarning, frame.f_code.co_filename
        warnings.warn_explicit(message, category, where, frame.f_lineno, frame.f_globals.get("__name__"), registry)
    return value


def _differentiated(value: Any) -> bool:
    """Whether a derivative is taken by what `value` stands for, in any of the frames that know it."""
    while type(value) is Tracer:
        if value.frame.differentiates(value):
            return True
        value = value.frame.below(value)
    return False


def _need(tracer: Tracer, error: type[TypeError], use: str) -> Any:
    """The known value of `tracer`, or `error` with the remedy."""
    value: Any = tracer
    while type(value) is Tracer:
        if not value.frame.active:
            raise UnexpectedTracerError(leak_message(use))
        below = value.frame.below(value)
        if below is None:
            raise error(
                f"A traced value of type {tracer.type} was used as {use}, which needs a known value. "
                f"{value.frame.explain()}{at_line()}"
            )
        value = below
    return value
