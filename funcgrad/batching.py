"""How is a function of one example applied to a batch?  `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from funcgrad import tree
from funcgrad.arguments import FlatFunction, batch_size, check_callable, leaf_axes, moved, owned
from funcgrad.errors import at_line
from funcgrad.ops.families import repeat
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary
from funcgrad.transform.vmap import vmap_flagged

P = ParamSpec("P")
R = TypeVar("R")


@overload
def vmap(
    fun: np.ufunc,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable = None,
    axis_size: int | None = None,
    spmd_axis_name: Hashable = None,
) -> Callable[..., Any]: ...
@overload
def vmap(
    fun: Callable[P, R],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable = None,
    axis_size: int | None = None,
    spmd_axis_name: Hashable = None,
) -> Callable[P, R]: ...
@boundary
def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable = None,
    axis_size: int | None = None,
    spmd_axis_name: Hashable = None,
) -> Callable[..., Any]:
    """The function that applies `fun` to every example of a batch.

    Parameters
    ----------
    fun
        A function of one example.
    in_axes
        Which axis of each argument counts examples (negative ones count from the end); None for arguments that are the
        same for all. An int, or a pytree that is a prefix of the tuple of arguments. Keyword arguments are batched
        along axis 0.
    out_axes
        Where the batch axis stands in the outputs, likewise; None for outputs that are the same for all examples.
    axis_name
        A name of the batch axis, by which `fun` may reduce over it: ``lax.psum(x, axis_name)`` and its like.
    axis_size
        The number of examples, where no argument tells.
    spmd_axis_name
        Refused unless None: there is one device.

    Returns
    -------
    callable
        It takes what `fun` takes with a batch axis more in each argument that `in_axes` names, and returns what `fun`
        returns with one more where `out_axes` says.

    Raises
    ------
    ValueError
        For axes that an argument or output does not have, and for arguments that disagree on the number of examples.
    NotImplementedError
        `spmd_axis_name` is given.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
    Array([3., 4.])
    >>> fg.vmap(lambda x: x / fg.lax.psum(x, "batch"), axis_name="batch")(np.array([1.0, 3.0]))
    Array([0.25, 0.75])
    """
    check_callable(fun, "vmap")
    if spmd_axis_name is not None:
        raise NotImplementedError(
            f"vmap: spmd_axis_name={spmd_axis_name!r} names an axis of a mesh of devices, and there is one device, the "
            f"CPU: leave it out, or use axis_name for collective operations over the batch{at_line()}"
        )

    @boundary
    @functools.wraps(fun)
    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        axes = leaf_axes(in_axes, args, kwargs)
        paths = [path[1:] if path[0] == 0 else (repr(path[1]), *path[2:]) for path in structure.paths()]
        size = batch_size(leaves, axes, axis_size, paths)
        values = [x if a is None else moved(x, a % len(type_of(x).shape), 0) for x, a in zip(leaves, axes, strict=True)]
        flat = FlatFunction(lambda part: fun(*part[0], **part[1]), tree.structure(((args, kwargs),)))
        with quiet():
            outputs, flags = vmap_flagged(flat, size, values, [a is not None for a in axes], axis_name)
        wanted = _out_axes(out_axes, flat.structure)
        places = zip(outputs, flags, wanted, flat.structure.paths(), strict=True)
        placed = [_placed(x, b, a, size, path) for x, b, a, path in places]
        return tree.unflatten(flat.structure, owned(placed, leaves))

    return batched


def _out_axes(out_axes: Any, structure: tree.TreeDef) -> list[int | None]:
    """One axis (or None) for each leaf of the output."""
    example = tree.unflatten(structure, [0] * structure.num_leaves)
    try:
        spread = tree.broadcast_prefix(out_axes, example, none_is_leaf=True)
    except (ValueError, TypeError):
        raise ValueError(
            f"vmap: out_axes={out_axes!r} is neither an int nor a prefix of the output, whose structure is "
            f"{structure}{at_line()}"
        ) from None
    present = tree.leaves(example, none_is_leaf=True)
    axes = [a for a, x in zip(spread, present, strict=True) if x is not None]
    for a in axes:
        if a is not None and (not isinstance(a, int) or isinstance(a, bool)):
            raise TypeError(f"vmap: out_axes must hold ints and None, not {a!r}{at_line()}")
    return axes


def _placed(x: Any, batched: bool, axis: int | None, size: int, path: tuple[Any, ...]) -> Any:
    """An output with its batch axis where it is wanted."""
    where = f"the output{' at ' + tree.key_string(path) if path else ''}"
    if axis is None:
        if batched:
            raise ValueError(
                f"vmap: {where} differs from example to example, but its out_axes is None: give the axis along which "
                f"the examples are to stand{at_line()}"
            )
        return x
    full = x if batched else repeat(x, size)
    ndim = len(type_of(full).shape)
    if not -ndim <= axis < ndim:
        shape = type_of(full).shape[1:]
        raise ValueError(
            f"vmap: out_axes has axis {axis} for {where}, which has shape {shape} for one example{at_line()}"
        )
    return moved(full, 0, axis % ndim)
