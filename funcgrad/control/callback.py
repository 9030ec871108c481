"""How does a compiled program call Python?  The primitives ``pure_callback``, ``io_callback``, ``debug_callback``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import as_array
from funcgrad.dtypes import check_supported
from funcgrad.errors import at_line
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, repeat
from funcgrad.trace.frame import bind, running, type_of

Types = tuple[ArrayType, ...]


class Callback:
    """A user's function of arrays, as one of flat values whose results are checked."""

    def __init__(
        self,
        kind: str,
        function: Callable[..., Any],
        arguments: tree.TreeDef,
        fixed: dict[int, Any],
        results: tree.TreeDef | None,
    ) -> None:
        self.kind, self.function, self.arguments, self.fixed, self.results = kind, function, arguments, fixed, results

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for callbacks that do the same, as long as both live."""
        fixed = tuple((k, id(value)) for k, value in self.fixed.items())
        return self.kind, id(self.function), self.arguments, fixed, self.results

    def __call__(self, types: Types, *values: Any) -> Values:
        """The results for arrays, which are the function's own."""
        given = iter(values)
        leaves = [
            self.fixed[k] if k in self.fixed else as_array(np.array(next(given)))
            for k in range(self.arguments.num_leaves)
        ]
        args, kwargs = tree.unflatten(self.arguments, leaves)
        result = self.function(*args, **kwargs)
        return () if self.results is None else self._checked(result, types)

    def _checked(self, result: Any, types: Types) -> Values:
        assert self.results is not None
        leaves, structure = tree.flatten(result)
        if structure != self.results:
            raise TypeError(
                f"{self.kind}: {self!r} returned the structure {structure}, result_shape_dtypes has {self.results}"
            )
        found = []
        for path, x, t in zip(structure.paths(), leaves, types, strict=True):
            where = f" at {tree.key_string(path)}" if path else ""
            try:
                have = type_of(x)
            except TypeError as error:
                raise TypeError(
                    f"{self.kind}: {self!r} returned something else than an array{where}: {error}"
                ) from None
            if have.shape != t.shape or (have.dtype != t.dtype and not have.weak):
                raise ValueError(
                    f"{self.kind}: {self!r} returned a value of type {have}{where}, where result_shape_dtypes has {t}"
                )
            found.append(np.array(x, t.dtype))
        return tuple(found)


class PerExample:
    """A callback called for one example after the other; results are stacked."""

    def __init__(self, callback: Any, size: int, batched: Sequence[bool]) -> None:
        self.callback, self.size, self.batched = callback, size, tuple(batched)

    def __repr__(self) -> str:
        return repr(self.callback)

    @property
    def identity(self) -> tuple[Any, ...]:
        """See `Callback.identity`."""
        return self.callback.identity, self.size, self.batched

    def __call__(self, types: Types, *values: Any) -> Values:
        """The results of all examples."""
        inner = tuple(ArrayType(t.shape[1:], t.dtype) for t in types)
        flags = self.batched
        each = [
            self.callback(inner, *(x[k] if b else x for x, b in zip(values, flags, strict=True)))
            for k in range(self.size)
        ]
        if not self.size:
            return tuple(np.empty(t.shape, t.dtype) for t in types)
        return tuple(np.stack(column) for column in zip(*each, strict=True))


def _reference(*inputs: Any, callback: Any, results: Types, **params: Any) -> Values:
    return callback(results, *inputs)  # type: ignore[no-any-return]


def _infer(*types: ArrayType, callback: Any, results: Types, **params: Any) -> Types:
    return results


def _in_front(types: Types, size: int) -> Types:
    return tuple(ArrayType((size, *t.shape), t.dtype) for t in types)


def _refuse(kind: str) -> Callable[..., Any]:
    def rule(*args: Any) -> Any:
        raise ValueError(
            f"{kind}s do not support derivatives: Python code has none. Wrap the call in a function with a rule of its "
            f"own (custom_jvp, custom_vjp), or take stop_gradient of the arguments.{at_line()}"
        )

    return rule


def _derivative_jvp(kind: str, primitive_of: Callable[[], Primitive]) -> Callable[..., tuple[Values, Values]]:
    refuse = _refuse(kind)

    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        if any(t is not None for t in tangents):
            refuse()
        outputs = bind(primitive_of(), *inputs, **params)
        return outputs, (None,) * len(outputs)

    return jvp


def _derivative_vjp(kind: str) -> Callable[..., tuple[Values, Pullback]]:
    return _refuse(kind)


# pure_callback -------------------------------------------------------------------------------------------------------


def _pure_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    method, results = params["vmap_method"], _in_front(params["results"], size)
    changed = params | {"results": results}
    if method is None:
        raise NotImplementedError(
            "vmap of pure_callback needs vmap_method: 'sequential' (one call per example), 'expand_dims' or "
            f"'broadcast_all' (one call of a function that takes batches){at_line()}"
        )
    if method.startswith("sequential"):
        changed["callback"] = PerExample(params["callback"], size, batched)
        full = list(inputs)
    elif method == "broadcast_all":
        full = [x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)]
    elif method == "expand_dims":
        full = [x if b else repeat(x, 1) for x, b in zip(inputs, batched, strict=True)]
    else:
        full = list(inputs)
    outputs = bind(pure_callback, *full, **changed)
    return outputs, (True,) * len(outputs)


pure_callback: Operation = Operation(
    name="pure_callback",
    family="callback",
    reference=_reference,
    infer=_infer,
    jvp=_derivative_jvp("Pure callback", lambda: pure_callback),
    vjp=_derivative_vjp("Pure callback"),
    batch=_pure_batch,
    multiple=True,
)


# io_callback and debug_callback: calls that are made once for each run of the program --------------------------------


def staged(primitive: Callable[[], Primitive]) -> Callable[..., Values]:
    """Part of the program that is being made, if there is one, also where all operands are known; else a call."""

    def evaluate(*inputs: Any, **params: Any) -> Values:
        if running.builders:
            return running.builders[-1].process(primitive(), inputs, params)
        return primitive().refer(inputs, params)

    return evaluate


def _per_example(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
        if params["ordered"]:
            raise ValueError(f"Cannot vmap an ordered {params['callback'].kind}: pass ordered=False{at_line()}")
        changed = params | {"results": _in_front(params["results"], size)}
        changed["callback"] = PerExample(params["callback"], size, batched)
        outputs = bind(primitive(), *inputs, **changed)
        return outputs, (True,) * len(outputs)

    return batch


io_callback: Operation = Operation(
    name="io_callback",
    family="callback",
    reference=_reference,
    infer=_infer,
    jvp=_derivative_jvp("IO callback", lambda: io_callback),
    vjp=_derivative_vjp("IO callback"),
    batch=_per_example(lambda: io_callback),
    evaluate=staged(lambda: io_callback),
    impure=True,
    multiple=True,
)

debug_callback: Operation = Operation(
    name="debug_callback",
    family="nondifferentiable",
    reference=_reference,
    infer=_infer,
    batch=_per_example(lambda: debug_callback),
    evaluate=staged(lambda: debug_callback),
    impure=True,
    multiple=True,
)


def result_types(name: str, described: Any) -> tuple[Types, tree.TreeDef]:
    """The types that a callback promises, from anything with ``shape`` and ``dtype``."""
    leaves, structure = tree.flatten(described)
    types = []
    for path, leaf in zip(structure.paths(), leaves, strict=True):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(
                f"{name}: result_shape_dtypes takes arrays or ShapeDtypeStruct, not {leaf!r}{where}{at_line()}"
            )
        types.append(ArrayType(tuple(leaf.shape), check_supported(np.dtype(leaf.dtype))))
    return tuple(types), structure


def call(
    primitive: Operation,
    function: Any,
    types: Types,
    results: tree.TreeDef | None,
    args: Any,
    kwargs: Any,
    **params: Any,
) -> list[Any]:
    """Bind a callback to arguments, of which those that are no arrays are passed on as they are."""
    if not callable(function):
        raise TypeError(
            f"{primitive.name} takes a function, not {function!r} of type {type(function).__name__}{at_line()}"
        )
    leaves, structure = tree.flatten((args, kwargs))
    fixed: dict[int, Any] = {}
    values = []
    for number, leaf in enumerate(leaves):
        try:
            type_of(leaf)
        except TypeError:
            fixed[number] = leaf
        else:
            values.append(leaf)
    callback = Callback(primitive.name, function, structure, fixed, results)
    try:
        return list(bind(primitive, *values, callback=callback, results=types, **params))
    except (TypeError, ValueError) as error:
        if len(error.args) == 1 and isinstance(error.args[0], str) and "\n  at " not in error.args[0]:
            error.args = (f"{error.args[0]}{at_line()}",)
        raise
