"""JAX's older names for pytrees, `jax.tree_util`: ``tree_map``, ``tree_flatten``, ... ; see `funcgrad.tree`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.tracebacks import boundary
from funcgrad.tree import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    SequenceKey,
    TreeDef,
    keystr,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
    unflatten,
)
from funcgrad.tree import all as tree_all
from funcgrad.tree import broadcast as tree_broadcast
from funcgrad.tree import flatten as tree_flatten
from funcgrad.tree import flatten_with_path as tree_flatten_with_path
from funcgrad.tree import leaves as tree_leaves
from funcgrad.tree import leaves_with_path as tree_leaves_with_path
from funcgrad.tree import map as tree_map
from funcgrad.tree import map_with_path as tree_map_with_path
from funcgrad.tree import reduce as tree_reduce
from funcgrad.tree import reduce_associative as tree_reduce_associative
from funcgrad.tree import structure as tree_structure
from funcgrad.tree import transpose as tree_transpose
from funcgrad.tree import unflatten as tree_unflatten

PyTreeDef = TreeDef
KeyEntry = SequenceKey | DictKey | GetAttrKey | FlattenedIndexKey
KeyPath = tuple[KeyEntry, ...]


class Partial(functools.partial[Any]):
    """`functools.partial` as a pytree: its arguments are children, its function is part of the structure.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.grad(lambda f: f(3.0))(fg.tree_util.Partial(lambda a, x: a * x, 2.0)).args
    (Array(3.),)
    """


def _partial(func: Callable[..., Any], children: Iterable[Any]) -> Partial:
    args, keywords = children
    return Partial(func, *args, **keywords)


register_pytree_node(Partial, lambda p: ((p.args, p.keywords), p.func), _partial)


@boundary
def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether every element is a leaf.

    Returns
    -------
    bool
        A Python bool.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.tree_util.all_leaves([1.0, 2.0])
    True
    """
    found = list(iterable)
    return len(tree_leaves(found, is_leaf)) == len(found) and all(tree_structure(x, is_leaf).is_leaf() for x in found)


@boundary
def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether the structure is that of a leaf.

    Returns
    -------
    bool
        A Python bool.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.tree_util.treedef_is_leaf(fg.tree.structure(1.0))
    True
    """
    return treedef.is_leaf()


@boundary
def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures of the children of the root.

    Returns
    -------
    list of TreeDef
        In order.

    Examples
    --------
    >>> import funcgrad as fg
    >>> [str(d) for d in fg.tree_util.treedef_children(fg.tree.structure((1, 2)))]
    ['PyTreeSpec(*)', 'PyTreeSpec(*)']
    """
    return treedef.children()


@boundary
def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple of trees of these structures.

    Returns
    -------
    TreeDef
        Its children are the given ones.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.tree_util.treedef_tuple([fg.tree.structure(1.0)] * 2).num_leaves
    2
    """
    return tree_structure(tuple(unflatten(t, [0] * t.num_leaves) for t in treedefs))


__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyEntry",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_reduce_associative",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]
