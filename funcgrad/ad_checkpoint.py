"""How is memory of reverse mode traded for time?  `checkpoint` (or `remat`), its policies, `checkpoint_name`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, overload

from funcgrad import tree
from funcgrad.arguments import FlatFunction, check_callable, owned
from funcgrad.control import checkpoint as control
from funcgrad.errors import at_line
from funcgrad.quiet import quiet
from funcgrad.trace.builder import trace
from funcgrad.trace.function import leaf_types
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

checkpoint_policies = SimpleNamespace(
    checkpoint_dots=control.dots_saveable,
    checkpoint_dots_with_no_batch_dims=control.dots_with_no_batch_dims_saveable,
    dots_saveable=control.dots_saveable,
    dots_with_no_batch_dims_saveable=control.dots_with_no_batch_dims_saveable,
    everything_saveable=control.everything_saveable,
    nothing_saveable=control.nothing_saveable,
    offload_dot_with_no_batch_dims=control.offload_dot_with_no_batch_dims,
    save_and_offload_only_these_names=control.save_and_offload_only_these_names,
    save_any_names_but_these=control.save_any_names_but_these,
    save_anything_except_these_names=control.save_anything_except_these_names,
    save_from_both_policies=control.save_from_both_policies,
    save_only_these_names=control.save_only_these_names,
)


P = ParamSpec("P")
R = TypeVar("R")


@overload
def checkpoint(
    fun: Callable[P, R],
    *,
    prevent_cse: bool | Sequence[bool] = True,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Callable[P, R]: ...
@overload
def checkpoint(
    fun: None = None,
    *,
    prevent_cse: bool | Sequence[bool] = True,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
@boundary
def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool | Sequence[bool] = True,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Any:
    """The same function, of whose values reverse mode keeps the arguments only, and computes the others again.

    Parameters
    ----------
    fun
        A function of arrays or pytrees of them; outside `jit` it may use ``if`` and ``float()`` on its values. Left
        out, a decorator is returned.
    prevent_cse
        Whether compiled programs must not merge what is computed again with what was computed before.
    policy
        Which values may be kept none the less: ``policy(primitive, *types, **params)``, such as
        ``fg.checkpoint_policies.dots_saveable``. By default none.
    static_argnums, static_argnames
        Arguments that are Python values.

    Returns
    -------
    callable
        A function with the parameters and results of `fun`.

    Raises
    ------
    TypeError
        For a policy that is no function.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.grad(fg.checkpoint(lambda x: np.sin(np.sin(x))))(0.0)
    Array(1.)
    """
    if fun is None:
        return functools.partial(
            checkpoint,
            prevent_cse=prevent_cse,
            policy=policy,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
        )
    check_callable(fun, "checkpoint")
    if policy is not None and not callable(policy):
        raise TypeError(
            f"checkpoint: policy must be a function such as funcgrad.checkpoint_policies.dots_saveable, not {policy!r}"
            f"{at_line()}"
        )
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(map(operator.index, static_argnums))
    names = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)
    barred = any(prevent_cse) if isinstance(prevent_cse, Sequence) else bool(prevent_cse)

    @boundary
    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        fixed = {k % len(args): args[k] for k in numbers if -len(args) <= k < len(args)}
        named = {key: value for key, value in kwargs.items() if key in names}
        moving = [x for k, x in enumerate(args) if k not in fixed]
        keywords = {key: value for key, value in kwargs.items() if key not in names}

        def call(part: Any) -> Any:
            given = iter(part[0])
            return fun(*(fixed[k] if k in fixed else next(given) for k in range(len(args))), **part[1], **named)

        leaves, structure = tree.flatten((moving, keywords))
        if not any(type(x) is Tracer for x in leaves):
            return fun(*args, **kwargs)
        types = leaf_types("checkpoint", leaves, structure)
        flat = FlatFunction(call, tree.structure(((moving, keywords),)))
        with quiet():
            try:
                program, captures, values = control.record(flat, leaves)
            except control.Unknown:
                (program, captures), values = trace(flat, types), None
            params = {"policy": policy, "prevent_cse": barred}
            outputs = control.apply_recorded(program, values, *captures, *leaves, **params)
        return tree.unflatten(flat.structure, owned(outputs, leaves))

    return checkpointed


remat = checkpoint


def checkpoint_name(x: Any, name: str) -> Any:
    """`x` (a pytree of arrays) under a name by which policies of `checkpoint` know it.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> policy = fg.checkpoint_policies.save_only_these_names("s")
    >>> f = fg.checkpoint(lambda x: np.cos(fg.ad_checkpoint.checkpoint_name(np.sin(x), "s")), policy=policy)
    >>> round(float(fg.grad(f)(0.5)), 6)
    -0.404802
    """
    return tree.map(lambda leaf: control.name(leaf, name=name) if type(leaf) is Tracer else leaf, x)
