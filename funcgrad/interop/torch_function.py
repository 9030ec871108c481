"""How do compiled functions take part in PyTorch's autograd?  As one operation of it, whose pullback is compiled too.

A `Native` is a function of leaves; its pullback, pushforward and batch are natives again, each made when somebody asks
for it, so that derivatives of any order and PyTorch's function transforms run compiled code throughout.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import jvp, vjp
from funcgrad.arguments import check_callable, function_name
from funcgrad.batching import vmap
from funcgrad.dlpack import from_dlpack
from funcgrad.dtypes import BFLOAT16, is_inexact
from funcgrad.errors import at_line, pass_over
from funcgrad.runtime.dispatch import jit
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary

Numbers = tuple[int, ...]


class Native:
    """A compiled function of leaves, and what is derived from it.

    Parameters
    ----------
    fun
        Of the leaves; it returns a pytree.
    name
        For messages.
    plain
        If `fun` returns a pair, of the value of this native and of gradients where the value is one number.
    """

    def __init__(self, fun: Callable[..., Any], name: str, plain: Native | None = None) -> None:
        self.fun, self.name, self.plain = fun, name, plain
        self.run = jit(fun)
        self._derived: dict[Any, Native] = {}

    def derived(self, kind: Callable[..., Native], *how: Any) -> Native:
        """What `kind` makes of this native, once."""
        found = self._derived.get((kind, how))
        if found is None:
            found = self._derived.setdefault((kind, how), kind(self, *how))
        return found


def with_gradient(native: Native, wanted: Numbers) -> Native:
    """The value, and if that is one real number its gradients by the leaves numbered `wanted`, else None."""

    def fun(*leaves: Any) -> Any:
        value, pull = vjp(_of(native.fun, leaves, wanted), *(leaves[k] for k in wanted))
        found = [type_of(x) for x in tree.leaves(value)]
        number = len(found) == 1 and not found[0].shape and is_inexact(found[0].dtype) and found[0].dtype.kind != "c"
        if not number:
            return value, None
        one = tree.map(lambda x: np.ones((), found[0].dtype), value)
        return value, tuple(map(_conjugate, pull(one)))

    return Native(fun, native.name, native)


def pullback(native: Native, count: int, wanted: Numbers, smooth: Numbers) -> Native:
    """The cotangents of the leaves numbered `wanted`, as a function of all `count` leaves and of the cotangents of the
    outputs numbered `smooth`.

    PyTorch's gradient by a complex number is the conjugate of ours.
    """

    def fun(*values: Any) -> Any:
        leaves, cotangents = values[:count], values[count:]
        _, pull = vjp(_of(native.fun, leaves, wanted, smooth), *(leaves[k] for k in wanted))
        return tuple(map(_conjugate, pull([_conjugate(ct) for ct in cotangents])))

    return Native(fun, f"the pullback of {native.name}")


def pushforward(native: Native, count: int, moved: Numbers, smooth: Numbers) -> Native:
    """The tangents of the outputs numbered `smooth`, of all leaves and the tangents of those numbered `moved`."""

    def fun(*values: Any) -> Any:
        leaves, tangents = values[:count], values[count:]
        return tuple(jvp(_of(native.fun, leaves, moved, smooth), tuple(leaves[k] for k in moved), tangents)[1])

    return Native(fun, f"the pushforward of {native.name}")


def batched(native: Native, axes: tuple[int | None, ...]) -> Native:
    """The function of many examples, which lie along `axes` of the leaves."""
    plain = native.plain and native.plain.derived(batched, axes)
    return Native(vmap(native.fun, in_axes=axes), f"a batch of {native.name}", plain)


def _of(fun: Callable[..., Any], leaves: Any, chosen: Numbers, smooth: Numbers | None = None) -> Callable[..., Any]:
    """`fun` as a function of the chosen leaves; its outputs numbered `smooth` if that is given."""

    def function(*values: Any) -> Any:
        full = list(leaves)
        for k, value in zip(chosen, values, strict=True):
            full[k] = value
        result = fun(*full)
        if smooth is None:
            return result
        outputs = tree.leaves(result)
        return [outputs[k] for k in smooth]

    return function


def _conjugate(x: Any) -> Any:
    return np.conj(x) if type_of(x).dtype.kind == "c" else x


class Told:
    """Where a call notes the structure of its output (PyTorch takes lists apart, but not this)."""

    structure: tree.TreeDef


@functools.cache
def _bridge() -> Any:
    """The operation of PyTorch's: ``apply(native, told, *leaves)``, which returns the leaves of the output."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(f"to_torch_function needs PyTorch: install torch{at_line()}") from error
    pass_over(torch.autograd.function.__file__)

    def array(x: Any, native: Native) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        if x.device.type != "cpu" or x.layout is not torch.strided:
            raise TypeError(
                f"{native.name} takes dense tensors on the CPU, not one of layout {x.layout} on {x.device}: "
                f"call x.cpu() or x.to_dense() before{at_line()}"
            )
        x = x.detach().resolve_conj().resolve_neg().contiguous()  # the cotangent of a sum has strides 0
        return from_dlpack(x) if x.dtype is torch.bfloat16 else x.numpy()

    def tensor(x: Any) -> Any:
        return torch.from_dlpack(x) if x.dtype == BFLOAT16 else torch.from_numpy(x)

    class Call(torch.autograd.Function):  # type: ignore[misc]  # PyTorch may not be there
        """One call of a native."""

        @staticmethod
        def forward(native: Native, told: Told, *leaves: Any) -> Any:
            result = native.run(*[array(x, native) for x in leaves])
            values, told.structure = tree.flatten(result)
            return tuple(map(tensor, values))

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            native, told, *leaves = inputs
            ready = 0
            if native.plain is not None:
                native, (_, gradients) = native.plain, told.structure.children()
                ready = gradients.num_leaves
            ctx.native = native
            ctx.known = [(k, x) for k, x in enumerate(leaves) if not isinstance(x, torch.Tensor)]
            tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
            values, gradients = output[: len(output) - ready], output[len(output) - ready :]
            ctx.save_for_backward(*tensors, *gradients)
            ctx.save_for_forward(*tensors, *gradients)
            ctx.smooth = tuple(k for k, y in enumerate(values) if y.is_floating_point() or y.is_complex())
            ctx.mark_non_differentiable(*(y for k, y in enumerate(output) if k not in ctx.smooth))
            ctx.ready, ctx.outputs = ready, len(output)

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            leaves, gradients = parts(ctx)
            wanted = tuple(k for k, needed in enumerate(ctx.needs_input_grad[2:]) if needed)
            if len(gradients) == len(wanted) and not torch.is_grad_enabled():
                found = [cotangents[0] * g for g in gradients]
            else:
                native = ctx.native.derived(pullback, len(leaves), wanted, ctx.smooth)
                found = Call.apply(native, Told(), *leaves, *(cotangents[k] for k in ctx.smooth))
            results = dict(zip(wanted, found, strict=True))
            return (None, None, *map(results.get, range(len(leaves))))

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            leaves, _ = parts(ctx)
            moved = tuple(k for k, t in enumerate(tangents[2:]) if t is not None and inexact(leaves[k]))
            native = ctx.native.derived(pushforward, len(leaves), moved, ctx.smooth)
            found = Call.apply(native, Told(), *leaves, *(tangents[2 + k] for k in moved))
            results = dict(zip(ctx.smooth, found, strict=True))
            return tuple(map(results.get, range(ctx.outputs)))

        @staticmethod
        def vmap(info: Any, axes: Any, native: Native, told: Told, *leaves: Any) -> Any:
            found = Call.apply(native.derived(batched, tuple(axes[2:])), told, *leaves)
            return found, (0,) * len(found)

    def inexact(x: Any) -> bool:
        return isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex())

    def parts(ctx: Any) -> tuple[list[Any], Any]:
        """The leaves of a call, and gradients that it computed already."""
        saved = ctx.saved_tensors
        leaves = list(saved[: len(saved) - ctx.ready])
        for k, x in ctx.known:
            leaves.insert(k, x)
        return leaves, saved[len(saved) - ctx.ready :]

    def gradients_wanted(leaves: list[Any]) -> Numbers:
        if not torch.is_grad_enabled():
            return ()
        return tuple(k for k, x in enumerate(leaves) if isinstance(x, torch.Tensor) and x.requires_grad)

    # PyTorch asks for the signature in every call, which took longer than all else
    Call.forward.__signature__ = inspect.signature(Call.forward)  # type: ignore[attr-defined]
    Call.gradients_wanted = staticmethod(gradients_wanted)
    return Call


@boundary
def to_torch_function(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function of PyTorch tensors that runs `fun` as native code, in both directions of autograd.

    Parameters
    ----------
    fun
        A pure function of arrays, numbers, and pytrees of them, as `jit` takes it.

    Returns
    -------
    callable
        Takes pytrees whose leaves may be dense tensors on the CPU, of any strides, which are not copied unless they are
        not contiguous; returns `fun`'s pytree with tensors for leaves. Gradients flow through ``backward``,
        ``torch.autograd.grad`` (``create_graph`` included), forward-mode AD, ``torch.func.grad``, ``vjp``, ``jvp``,
        ``vmap`` and what is made of them. Where `fun` returns one number and a gradient is wanted, value and gradient
        are computed at once, as by `value_and_grad`; elsewhere the backward pass computes what it needs again
        from the arguments.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `fun` is not callable; in calls, if a tensor is not on the CPU or not dense.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> import pytest; torch = pytest.importorskip("torch")
    >>> norm = fg.to_torch_function(lambda x: np.sqrt(np.sum(x * x)))
    >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> norm(x).backward()
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    check_callable(fun, "to_torch_function")
    call = _bridge()
    natives: dict[tree.TreeDef, Native] = {}
    name = function_name(fun)

    def native_of(structure: tree.TreeDef) -> Native:
        def flat(*leaves: Any) -> Any:
            args, kwargs = tree.unflatten(structure, leaves)
            return fun(*args, **kwargs)

        flat.__name__ = name
        return natives.setdefault(structure, Native(flat, name))

    def function(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        native = natives.get(structure) or native_of(structure)
        wanted = call.gradients_wanted(leaves)
        if wanted:
            native = native.derived(with_gradient, wanted)
        told = Told()
        results = call.apply(native, told, *leaves)
        value = tree.unflatten(told.structure, results)
        return value[0] if wanted else value

    return functools.update_wrapper(function, fun, updated=())
