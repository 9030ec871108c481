"""Which arithmetic is there on trees of arrays?  Sums, norms, moments: `optax.tree`'s names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.errors import at_line
from funcgrad.optim._base import abs_sq, like
from funcgrad.optim._leaves import check_match, dtype_of, map_trees
from funcgrad.tracebacks import bounded as _bounded


def add(tree_x: Any, tree_y: Any, *other_trees: Any) -> Any:
    """The sum of trees, leaf by leaf.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.add({"a": 1.0}, {"a": 2.0})
    {'a': 3.0}
    """
    for other in (tree_y, *other_trees):
        tree_x = map_trees(lambda x, y: x + y, tree_x, other)
    return tree_x


def sub(tree_x: Any, tree_y: Any) -> Any:
    """The difference of two trees.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.sub({"a": 1.0}, {"a": 2.0})
    {'a': -1.0}
    """
    return map_trees(lambda x, y: x - y, tree_x, tree_y)


def mul(tree_x: Any, tree_y: Any) -> Any:
    """The product of two trees, element by element.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.mul({"a": 3.0}, {"a": 2.0})
    {'a': 6.0}
    """
    return map_trees(lambda x, y: x * y, tree_x, tree_y)


def div(tree_x: Any, tree_y: Any) -> Any:
    """The quotient of two trees, element by element.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.div({"a": 3.0}, {"a": 2.0})
    {'a': 1.5}
    """
    return map_trees(lambda x, y: x / y, tree_x, tree_y)


def scale(scalar: Any, tree: Any) -> Any:
    """`scalar` times every leaf, in the leaf's dtype.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.scale(2.0, {"a": 3.0})
    {'a': 6.0}
    """
    return map_trees(lambda x: like(scalar, x) * x, tree)


def add_scale(tree_x: Any, scalar: Any, tree_y: Any) -> Any:
    """``tree_x + scalar * tree_y``.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.add_scale({"a": 1.0}, 2.0, {"a": 3.0})
    {'a': 7.0}
    """
    return map_trees(lambda x, y: x + like(scalar, y) * y, tree_x, tree_y)


def where(condition: Any, tree_x: Any, tree_y: Any) -> Any:
    """``tree_x`` where the condition (one for all) holds, else ``tree_y``.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.where(True, {"a": 1.0}, {"a": 2.0})
    {'a': Array(1.)}
    """
    return map_trees(lambda x, y: np.where(condition, x, y), tree_x, tree_y)


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros with the shapes (and dtypes, unless `dtype` is given) of a tree.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.zeros_like({"a": np.ones(2)})
    {'a': Array([0., 0.])}
    """
    return map_trees(lambda x: np.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: Any, dtype: Any = None) -> Any:
    """Ones with the shapes (and dtypes) of a tree.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.ones_like({"a": np.zeros(2)})
    {'a': Array([1., 1.])}
    """
    return map_trees(lambda x: np.ones_like(x, dtype=dtype), tree)


def full_like(tree: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere, with the shapes (and dtypes) of a tree.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.full_like({"a": np.zeros(2)}, 3.0)
    {'a': Array([3., 3.])}
    """
    return map_trees(lambda x: np.full_like(x, fill_value, dtype=dtype), tree)


def real_zeros_like(tree: Any, fill_value: Any = 0.0) -> Any:
    """As `full_like`; real for complex leaves, as squares of absolute values are.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.real_zeros_like({"a": np.ones(1, complex)})
    {'a': Array([0.])}
    """
    return map_trees(lambda x: np.full_like(x, fill_value, dtype=real_dtype(x)), tree)


def real_dtype(x: Any) -> _np.dtype:
    """The dtype of |x|.

    Returns
    -------
    np.dtype
        The float dtype of the parts for complex `x`, else the dtype of `x`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.real_dtype(np.ones(1, complex))
    dtype('float64')
    """
    dtype = dtype_of(x)
    return dtype.type(0).real.dtype if dtype.kind == "c" else dtype


def cast(tree: Any, dtype: Any) -> Any:
    """The tree in another dtype, or as it is for None.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.cast({"a": np.ones(1)}, np.float32)
    {'a': array([1.], dtype=float32)}
    """
    return tree if dtype is None else map_trees(lambda x: x.astype(_np.dtype(dtype)), tree)


def cast_like(tree: Any, other_tree: Any) -> Any:
    """The tree in the dtypes of another one.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.cast_like({"a": np.ones(1)}, {"a": np.ones(1, np.float32)})
    {'a': Array([1.], dtype=float32)}
    """
    return map_trees(lambda x, y: np.asarray(x).astype(dtype_of(y)), tree, other_tree)


def conj(tree: Any) -> Any:
    """The complex conjugate.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.conj({"a": np.array([1 + 2j])})
    {'a': Array([1.-2.j])}
    """
    return map_trees(np.conj, tree)


def real(tree: Any) -> Any:
    """The real part.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.real({"a": np.array([1 + 2j])})
    {'a': Array([1.])}
    """
    return map_trees(np.real, tree)


def clip(tree: Any, min_value: Any = None, max_value: Any = None) -> Any:
    """Every element between two bounds.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.clip({"a": np.array([-2.0, 3.0])}, -1.0, 1.0)
    {'a': Array([-1.,  1.])}
    """

    def bound(x: Any) -> Any:
        low = None if min_value is None else like(min_value, x)
        high = None if max_value is None else like(max_value, x)
        return np.clip(x, low, high)

    return map_trees(bound, tree)


def sum(tree: Any) -> Any:
    """The sum of all elements of all leaves.

    Returns
    -------
    Array
        One number.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.sum({"a": np.ones(2), "b": 3.0})
    Array(5.)
    """
    return _total([np.sum(x) for x in _tree.leaves(tree)])


def max(tree: Any) -> Any:
    """The largest element of all leaves.

    Returns
    -------
    Array
        One number.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.max({"a": np.ones(2), "b": 3.0})
    Array(3.)
    """
    return _folded(np.maximum, [np.max(x) for x in _tree.leaves(tree)], "max")


def min(tree: Any) -> Any:
    """The smallest element of all leaves.

    Returns
    -------
    Array
        One number.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.min({"a": np.ones(2), "b": 3.0})
    Array(1.)
    """
    return _folded(np.minimum, [np.min(x) for x in _tree.leaves(tree)], "min")


def size(tree: Any) -> int:
    """How many elements there are.

    Returns
    -------
    int
        The sum of the leaves' sizes.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.size({"a": np.ones(2), "b": 3.0})
    3
    """
    return _tree.reduce(lambda total, x: total + int(_np.prod(np.shape(x), dtype=int)), tree, 0)


def vdot(tree_x: Any, tree_y: Any) -> Any:
    """The inner product (of complex trees: with the conjugate of the first).

    Returns
    -------
    Array
        One number.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.vdot({"a": np.ones(2)}, {"a": np.array([1.0, 2.0])})
    Array(3.)
    """
    return _total(_tree.leaves(map_trees(_vdot, tree_x, tree_y)))


def _vdot(x: Any, y: Any) -> Any:
    return np.sum((np.conj(x) if dtype_of(x).kind == "c" else x) * y)


def norm(tree: Any, ord: Any = None, squared: bool = False) -> Any:
    """The norm of all elements of a tree as one vector.

    Parameters
    ----------
    tree
        Of arrays.
    ord
        2 or None: Euclidean; 1: the sum of absolute values; inf: the largest one.
    squared
        Return the square.

    Returns
    -------
    Array
        One number.

    Raises
    ------
    ValueError
        `ord` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> norm({"a": np.array([3.0]), "b": np.array([4.0])})
    Array(5.)
    """
    leaves = _tree.leaves(tree)
    if ord is None or ord == 2:
        total = _total([np.sum(abs_sq(x)) for x in leaves])
        return total if squared else np.sqrt(total)
    if ord == 1:
        found = _total([np.sum(np.abs(x)) for x in leaves])
    elif ord in (_np.inf, "inf"):
        found = _folded(np.maximum, [np.max(np.abs(x)) for x in leaves], "norm")
    else:
        raise ValueError(f"norm: ord must be 1, 2 or inf, not {ord!r}{at_line()}")
    return found * found if squared else found


def _total(numbers: list[Any]) -> Any:
    return _folded(np.add, numbers, "sum") if numbers else np.asarray(0.0)


def _folded(operation: Callable[[Any, Any], Any], numbers: list[Any], name: str) -> Any:
    if not numbers:
        raise ValueError(f"{name}: the tree has no leaves{at_line()}")
    found = numbers[0]
    for number in numbers[1:]:
        found = operation(found, number)
    return found


def dtype(tree: Any, mixed_dtype_handler: str | None = None) -> _np.dtype | None:
    """The dtype of all leaves; of different ones the ``"highest"`` or ``"lowest"``.

    Returns
    -------
    np.dtype or None
        None for a tree without leaves.

    Raises
    ------
    ValueError
        Dtypes differ, and `mixed_dtype_handler` does not say which one is meant.

    Examples
    --------
    >>> import numpy as np
    >>> dtype([np.float32(1), np.float64(1)], "highest")
    dtype('float64')
    """
    found = sorted({dtype_of(x) for x in _tree.leaves(tree)}, key=lambda d: (d.kind, d.itemsize))
    if not found:
        return None
    if len(found) == 1 or mixed_dtype_handler == "lowest":
        return found[0]
    if mixed_dtype_handler in ("highest", "promote"):
        return found[-1] if mixed_dtype_handler == "highest" else _np.result_type(*found)
    listed = ", ".join(map(str, found))
    raise ValueError(f"dtype: the leaves have different dtypes: {listed}; say 'highest' or 'lowest'{at_line()}")


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements of two trees are close.

    Returns
    -------
    Array
        A bool.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.allclose({"a": 1.0}, {"a": 1.0 + 1e-9})
    True
    """
    check_match("allclose", a, b, "the other tree")
    close = [np.allclose(x, y, rtol, atol, equal_nan) for x, y in zip(_tree.leaves(a), _tree.leaves(b), strict=True)]
    return _folded(np.logical_and, close, "allclose") if close else np.asarray(True)


# Moments --------------------------------------------------------------------------------------------------------------


def update_moment(updates: Any, moments: Any, decay: Any, order: int) -> Any:
    """``decay * moments + (1 - decay) * updates ** order``.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.update_moment({"a": 1.0}, {"a": 0.0}, 0.9, 2)
    {'a': 0.09999999999999998}
    """
    return map_trees(lambda g, m: mixed(m, g if order == 1 else g**order, decay), updates, moments)


def update_moment_per_elem_norm(updates: Any, moments: Any, decay: Any, order: int) -> Any:
    """As `update_moment`, of absolute values.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.update_moment_per_elem_norm({"a": 1.0}, {"a": 0.0}, 0.9, 2)
    {'a': 0.09999999999999998}
    """

    def power(g: Any) -> Any:
        return abs_sq(g) if order == 2 else np.abs(g) ** order

    return map_trees(lambda g, m: mixed(m, power(g), decay), updates, moments)


def update_infinity_moment(updates: Any, moments: Any, decay: Any, eps: Any) -> Any:
    """``max(decay * moments, |updates| + eps)``.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.update_infinity_moment({"a": 1.0}, {"a": 0.0}, 0.9, 1e-8)
    {'a': Array(1.00000001)}
    """
    return map_trees(lambda g, m: np.maximum(np.abs(g) + like(eps, m), like(decay, m) * m), updates, moments)


def bias_correction(moment: Any, decay: Any, count: Any) -> Any:
    """``moment / (1 - decay ** count)``: what a moving average that began at zero would be without that.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.bias_correction({"a": 0.1}, 0.9, 1)
    {'a': 1.0000000000000002}
    """
    factor = correction(decay, count)
    return map_trees(lambda m: m * like(factor, m), moment)


def mixed(old: Any, new: Any, decay: Any) -> Any:
    """``decay * old + (1 - decay) * new``.

    Returns
    -------
    pytree
        Of the structure of the (first) tree.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.mixed(1.0, 2.0, 0.9)
    1.1
    """
    return like(decay, old) * old + like(1 - decay, new) * new


def correction(decay: Any, count: Any) -> Any:
    """``1 / (1 - decay ** count)`` in float64: one number for all elements, which multiply by it.

    Returns
    -------
    Array
        float64.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.correction(0.9, 1)
    10.000000000000002
    """
    decay = float(decay) if isinstance(decay, (int, float)) else np.asarray(decay).astype(_np.float64)
    return 1 / (1 - decay**count)


# States ---------------------------------------------------------------------------------------------------------------


def get_all_with_path(tree: Any, key: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Every value that a named tuple or a dictionary anywhere in the tree has under `key`, with its path.

    Returns
    -------
    list of tuple
        Pairs of a key path and a value.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.tree.get_all_with_path({"a": {"w": 1.0}, "b": {"w": 2.0}}, "w")
    [((DictKey(key='a'), DictKey(key='w')), 1.0), ((DictKey(key='b'), DictKey(key='w')), 2.0)]
    """
    found: list[tuple[tuple[Any, ...], Any]] = []
    _search(tree, key, (), found)
    return found


def _search(node: Any, key: Any, path: tuple[Any, ...], found: list[tuple[tuple[Any, ...], Any]]) -> None:
    for step, name, child in _children(node):
        if name == key:
            found.append(((*path, step), child))
        _search(child, key, (*path, step), found)


def _children(node: Any) -> list[tuple[Any, Any, Any]]:
    if hasattr(node, "_fields"):
        return [(_tree.GetAttrKey(name), name, getattr(node, name)) for name in node._fields]
    if isinstance(node, dict):
        return [(_tree.DictKey(name), name, child) for name, child in node.items()]
    if isinstance(node, (list, tuple)):
        return [(_tree.SequenceKey(k), None, child) for k, child in enumerate(node)]
    return []


def get(tree: Any, key: Any, default: Any = None) -> Any:
    """The one value under `key` in a state.

    Returns
    -------
    object
        The value, or `default`.

    Raises
    ------
    KeyError
        If there are several.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> get(optim.adam(1e-3).init(np.zeros(2)), "count")
    Array(0, dtype=int32)
    """
    found = get_all_with_path(tree, key)
    if len(found) > 1:
        listed = ", ".join(_tree.keystr(path) for path, _ in found)
        raise KeyError(f"get: there are several values {key!r}: {listed}{at_line()}")
    return found[0][1] if found else default


def set(tree: Any, **values: Any) -> Any:
    """The state with other values under the given names, wherever they occur.

    Returns
    -------
    pytree
        A tree of the same structure.

    Raises
    ------
    KeyError
        For a name that does not occur.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> state = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1).init(np.zeros(2))
    >>> set(state, learning_rate=np.float64(0.5)).hyperparams["learning_rate"]
    np.float64(0.5)
    """
    for key in values:
        if not get_all_with_path(tree, key):
            raise KeyError(f"set: there is no value {key!r}{at_line()}")
    return _replaced(tree, values)


def _replaced(node: Any, values: dict[str, Any]) -> Any:
    children = _children(node)
    new = [values[name] if name in values else _replaced(child, values) for _, name, child in children]
    if hasattr(node, "_fields"):
        return type(node)(*new)
    if isinstance(node, dict):
        return type(node)(zip(node, new, strict=True))
    return type(node)(new) if isinstance(node, (list, tuple)) else node


_bounded(globals())
