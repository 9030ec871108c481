"""How do updates reach the parameters?"""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.lax._branches import cond
from funcgrad.optim._base import Params, Updates, like
from funcgrad.optim._leaves import arrays, check_match, dtype_of, in_dtype, map_trees, owned
from funcgrad.quiet import quiet


def apply_updates(params: Params, updates: Updates) -> Params:
    """``params + updates``, leaf by leaf, in the parameters' dtypes.

    Parameters
    ----------
    params
        A tree of arrays.
    updates
        What an optimiser's `update` returned: a tree of the same structure and shapes.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of the parameters.

    Raises
    ------
    ValueError
        For trees that do not match; the message names the leaf.

    Examples
    --------
    >>> import numpy as np
    >>> apply_updates({"w": np.array([1.0, 2.0])}, {"w": np.array([0.5, -0.5])})
    {'w': Array([1.5, 1.5])}
    """
    check_match("apply_updates", updates, params, "params")
    params, updates = arrays(params), arrays(updates)
    with quiet():
        return owned(map_trees(lambda p, u: in_dtype(p + u, dtype_of(p)), params, updates), (params, updates))


def incremental_update(new_tensors: Params, old_tensors: Params, step_size: Any) -> Params:
    """``step_size * new + (1 - step_size) * old``: a slowly moving copy (Polyak averaging).

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> incremental_update(np.array([1.0]), np.array([0.0]), 0.25)
    Array([0.25])
    """
    check_match("incremental_update", new_tensors, old_tensors, "old_tensors")
    new_tensors, old_tensors = arrays(new_tensors), arrays(old_tensors)

    def mean(new: Any, old: Any) -> Any:
        return like(step_size, new) * new + like(1.0 - step_size, old) * old

    return owned(map_trees(mean, new_tensors, old_tensors), (new_tensors, old_tensors))


def periodic_update(new_tensors: Params, old_tensors: Params, steps: Any, update_period: Any) -> Params:
    """The new tensors every `update_period` steps, else the old ones.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of the parameters.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.periodic_update(np.ones(2), np.zeros(2), 4, 2)
    Array([1., 1.])
    """
    check_match("periodic_update", new_tensors, old_tensors, "old_tensors")
    new_tensors, old_tensors = arrays(new_tensors), arrays(old_tensors)
    return cond(np.asarray(steps) % update_period == 0, lambda: new_tensors, lambda: old_tensors)
