"""What is a pytree?  Nested tuples, lists, dicts, named tuples and registered classes: a thin face on `optree`.

Names and meanings are those of `jax.tree`. ``None`` is an empty tree, as in JAX; dictionaries are visited in the order
of their sorted keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import optree
from optree import PyTreeSpec

from funcgrad.tracebacks import boundary, shorten

T = TypeVar("T")
NAMESPACE = "funcgrad"
TreeDef = PyTreeSpec


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeDef]:
    """The leaves of `tree`, in order, and its structure.

    Returns
    -------
    tuple
        A list of leaves and a `TreeDef`.

    Examples
    --------
    >>> leaves, structure = flatten({"b": 1, "a": (2, None)})
    >>> leaves
    [2, 1]
    """
    return optree.tree_flatten(tree, is_leaf, namespace=NAMESPACE)


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of structure `treedef` that holds `leaves`.

    Returns
    -------
    pytree
        Of the structure `treedef`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> leaves, treedef = fg.tree.flatten(tree)
    >>> fg.tree.unflatten(treedef, [10.0, 20.0, 30.0])
    {'a': 10.0, 'b': (20.0, 30.0)}
    """
    try:
        return optree.tree_unflatten(treedef, leaves)
    except BaseException as error:
        shorten(error)
        raise


def leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None, none_is_leaf: bool = False) -> list[Any]:
    """The leaves of `tree`, in order; with `none_is_leaf`, ``None`` is one.

    Returns
    -------
    list
        Of leaves.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> fg.tree.leaves(tree)
    [1.0, 2.0, 3.0]
    """
    return optree.tree_leaves(tree, is_leaf, none_is_leaf=none_is_leaf, namespace=NAMESPACE)


def structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeDef:
    """The structure of `tree`: equal for trees that differ in their leaves only.

    Returns
    -------
    TreeDef
        It can be compared, hashed and printed.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> fg.tree.structure(tree).num_leaves
    3
    """
    return optree.tree_structure(tree, is_leaf, namespace=NAMESPACE)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """`f` applied leaf by leaf to one or more trees of one structure.

    Returns
    -------
    pytree
        Of the structure of `tree`.

    Examples
    --------
    >>> map(lambda p, g: p - g, {"w": 3, "b": 2}, {"w": 1, "b": 1})
    {'w': 2, 'b': 1}
    """
    try:
        return optree.tree_map(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)
    except BaseException as error:
        shorten(error)
        raise


@dataclass(frozen=True)
class SequenceKey:
    """A step of a key path: an index into a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclass(frozen=True)
class DictKey:
    """A step of a key path: a key of a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class GetAttrKey:
    """A step of a key path: an attribute, of a named tuple or a dataclass."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class FlattenedIndexKey:
    """A step of a key path: a child's number, of a registered class that does not name its children."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KEYS = (SequenceKey, DictKey, GetAttrKey, FlattenedIndexKey)


def _key(entry: Any) -> Any:
    """A step of a path as JAX has it."""
    if isinstance(entry.entry, KEYS):
        return entry.entry
    if isinstance(entry, optree.NamedTupleEntry):
        return GetAttrKey(entry.field)
    if isinstance(entry, (optree.GetAttrEntry, optree.StructSequenceEntry)):
        return GetAttrKey(entry.entry if isinstance(entry, optree.GetAttrEntry) else entry.field)
    if isinstance(entry, optree.SequenceEntry):
        return SequenceKey(entry.entry)
    return DictKey(entry.entry) if isinstance(entry, optree.MappingEntry) else FlattenedIndexKey(entry.entry)


def flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeDef]:
    """The leaves of `tree` with their key paths, and its structure.

    Returns
    -------
    tuple
        A list of pairs ``(path, leaf)`` and a `TreeDef`.

    Examples
    --------
    >>> flatten_with_path({"a": [5]})[0]
    [((DictKey(key='a'), SequenceKey(idx=0)), 5)]
    """
    accessors, found, structure = optree.tree_flatten_with_accessor(tree, is_leaf, namespace=NAMESPACE)
    keys = [tuple([_key(entry) for entry in accessor]) for accessor in accessors]
    return list(zip(keys, found, strict=True)), structure


def leaves_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves of `tree` with their key paths.

    Returns
    -------
    list of tuple
        Pairs ``(path, leaf)``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> [leaf for path, leaf in fg.tree.leaves_with_path(tree)]
    [1.0, 2.0, 3.0]
    """
    return flatten_with_path(tree, is_leaf)[0]


@boundary
def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """As `map`, with the key path of the leaf as the first argument of `f`.

    Returns
    -------
    pytree
        Of the structure of `tree`.

    Examples
    --------
    >>> map_with_path(lambda path, x: keystr(path) + "=" + str(x), {"a": [5]})
    {'a': ["['a'][0]=5"]}
    """
    pairs, structure = flatten_with_path(tree, is_leaf)
    others = [structure.flatten_up_to(other) for other in rest]
    keys = [path for path, _ in pairs]
    return unflatten(structure, [f(*args) for args in zip(keys, [x for _, x in pairs], *others, strict=True)])


@boundary
def keystr(path: Iterable[Any], *, simple: bool = False, separator: str = "") -> str:
    """A key path as Python would write it; if `simple`, only what the keys hold.

    Returns
    -------
    str
        Such as ``['w'][0]``.

    Examples
    --------
    >>> keystr((DictKey("layers"), SequenceKey(0), GetAttrKey("w")))
    "['layers'][0].w"
    >>> keystr((DictKey("layers"), SequenceKey(0)), simple=True, separator="/")
    'layers/0'
    """
    if not simple:
        return separator.join(str(key) for key in path)
    return separator.join(str(next(iter(vars(key).values()))) if isinstance(key, KEYS) else str(key) for key in path)


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[Any, ...]]:
    """The path of every leaf: a tuple of keys and indices.

    Returns
    -------
    list of tuple
        A path per leaf, in order.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> fg.tree.paths(tree)
    [('a',), ('b', 0), ('b', 1)]
    """
    return optree.tree_paths(tree, is_leaf, namespace=NAMESPACE)


@boundary
def key_string(path: tuple[Any, ...]) -> str:
    """A path as Python would write it.

    Returns
    -------
    str
        Such as ``['w'][0]``.

    Examples
    --------
    >>> key_string(("layers", 0))
    "['layers'][0]"
    """
    return "".join(str(key) if isinstance(key, KEYS) else f"[{key!r}]" for key in path)


def reduce(f: Callable[[T, Any], T], tree: Any, *initial: T, is_leaf: Callable[[Any], bool] | None = None) -> T:
    """`f` folded over the leaves of `tree`, from the left.

    Returns
    -------
    object
        The last value of `f`, or `initial`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> fg.tree.reduce(lambda x, y: x + y, tree)
    6.0
    """
    folded: T = optree.tree_reduce(f, tree, *initial, is_leaf=is_leaf, namespace=NAMESPACE)
    return folded


def all(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether every leaf is true.

    Returns
    -------
    bool
        True for a tree without leaves.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.tree.all({"a": True, "b": False})
    False
    """
    return optree.tree_all(tree, is_leaf=is_leaf, namespace=NAMESPACE)


def transpose(outer: TreeDef, inner: TreeDef, tree: Any) -> Any:
    """A tree of trees turned inside out.

    Returns
    -------
    pytree
        Of the structure `inner`, with trees of the structure `outer` at its leaves.

    Examples
    --------
    >>> import funcgrad as fg
    >>> outer, inner = fg.tree.structure([0, 0]), fg.tree.structure({"a": 0})
    >>> fg.tree.transpose(outer, inner, [{"a": 1}, {"a": 2}])
    {'a': [1, 2]}
    """
    return optree.tree_transpose(outer, inner, tree)


def broadcast_prefix(
    prefix: Any, tree: Any, is_leaf: Callable[[Any], bool] | None = None, none_is_leaf: bool = False
) -> list[Any]:
    """One entry of `prefix` for each leaf of `tree`; `prefix` may stop at any level of it.

    With `none_is_leaf`, ``None`` counts as a leaf of both.

    Returns
    -------
    list
        In the order of the leaves.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.tree.broadcast_prefix((0, None), ({"a": 1.0, "b": 2.0}, 3.0), none_is_leaf=True)
    [0, 0, None]
    """
    return optree.broadcast_prefix(prefix, tree, is_leaf, none_is_leaf=none_is_leaf, namespace=NAMESPACE)


@boundary
def register_pytree_node(
    nodetype: type[T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Hashable]],
    unflatten_func: Callable[[Any, Iterable[Any]], T],
) -> None:
    """Make `nodetype` a node of pytrees.

    Parameters
    ----------
    nodetype
        The class.
    flatten_func
        ``flatten_func(node) -> (children, aux)`` with a hashable `aux`.
    unflatten_func
        ``unflatten_func(aux, children) -> node``.

    Raises
    ------
    ValueError
        If the class is registered already.

    Examples
    --------
    >>> import funcgrad as fg
    >>> class Pair:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    >>> fg.tree.register_pytree_node(Pair, lambda p: ((p.x, p.y), None), lambda _, xs: Pair(*xs))
    >>> fg.tree.leaves(Pair(1.0, 2.0))
    [1.0, 2.0]
    """

    def unflatten_children(aux: Any, children: Iterable[Any]) -> T:
        return unflatten_func(aux, tuple(children))

    optree.register_pytree_node(nodetype, flatten_func, unflatten_children, namespace=NAMESPACE)  # type: ignore[arg-type]


@boundary
def register_pytree_node_class(cls: type[T]) -> type[T]:
    """Class decorator: the class has ``tree_flatten(self)`` and ``tree_unflatten(cls, aux, children)``.

    Returns
    -------
    type
        The class itself.

    Examples
    --------
    >>> @register_pytree_node_class
    ... class Pair:
    ...     def __init__(self, a, b): self.a, self.b = a, b
    ...     def tree_flatten(self): return (self.a, self.b), None
    ...     @classmethod
    ...     def tree_unflatten(cls, aux, children): return cls(*children)
    >>> leaves(Pair(1, 2))
    [1, 2]
    """
    register_pytree_node(cls, lambda node: node.tree_flatten(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


@boundary
def register_dataclass(
    nodetype: type[T], data_fields: Iterable[str] | None = None, meta_fields: Iterable[str] | None = None
) -> type[T]:
    """Make a dataclass a node of pytrees: `data_fields` are its children, `meta_fields` part of its structure.

    By default every field is data unless it was made by ``dataclasses.field(metadata={"static": True})``.

    Returns
    -------
    type
        The class itself.

    Examples
    --------
    >>> import dataclasses
    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class Layer:
    ...     w: float
    ...     name: str = dataclasses.field(metadata={"static": True})
    >>> map(lambda v: v * 2, Layer(3.0, "dense"))
    Layer(w=6.0, name='dense')
    """
    fields = nodetype.__dataclass_fields__.values()  # type: ignore[attr-defined]
    meta = [f.name for f in fields if f.metadata.get("static", False)] if meta_fields is None else list(meta_fields)
    data = [f.name for f in fields if f.init and f.name not in meta] if data_fields is None else list(data_fields)

    def flatten_fields(node: T) -> tuple[tuple[Any, ...], Hashable]:
        return tuple(getattr(node, name) for name in data), tuple(getattr(node, name) for name in meta)

    def unflatten_fields(aux: Any, children: Iterable[Any]) -> T:
        return nodetype(**dict(zip(data, children, strict=True)), **dict(zip(meta, aux, strict=True)))

    def flatten_named(node: T) -> tuple[tuple[Any, ...], Hashable, tuple[Any, ...]]:
        return (*flatten_fields(node), keys)

    keys = tuple(GetAttrKey(name) for name in data)
    optree.register_pytree_node(nodetype, flatten_named, unflatten_fields, namespace=NAMESPACE)  # type: ignore[arg-type]
    return nodetype


@boundary
def register_pytree_with_keys(
    nodetype: type[T],
    flatten_with_keys: Callable[[T], tuple[Iterable[tuple[Any, Any]], Hashable]],
    unflatten_func: Callable[[Any, Iterable[Any]], T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Hashable]] | None = None,
) -> None:
    """As `register_pytree_node`, with a key for each child: ``flatten_with_keys(node) -> ((key, child), ...), aux``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> class Point:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> key = fg.tree.GetAttrKey("x")
    >>> fg.tree.register_pytree_with_keys(Point, lambda p: (((key, p.x),), None), lambda _, xs: Point(*xs))
    >>> fg.tree.leaves(Point(1.0))
    [1.0]
    """

    def flatten_named(node: T) -> tuple[tuple[Any, ...], Hashable, tuple[Any, ...]]:
        pairs, aux = flatten_with_keys(node)
        pairs = tuple(pairs)
        return tuple(child for _, child in pairs), aux, tuple(key for key, _ in pairs)

    def unflatten_children(aux: Any, children: Iterable[Any]) -> T:
        return unflatten_func(aux, tuple(children))

    optree.register_pytree_node(nodetype, flatten_named, unflatten_children, namespace=NAMESPACE)  # type: ignore[arg-type]


@boundary
def register_pytree_with_keys_class(cls: type[T]) -> type[T]:
    """Class decorator: the class has ``tree_flatten_with_keys(self)`` and ``tree_unflatten(cls, aux, children)``.

    Returns
    -------
    type
        The class itself.

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.tree.register_pytree_with_keys_class
    ... class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    ...     def tree_flatten_with_keys(self):
    ...         return ((fg.tree.GetAttrKey("x"), self.x),), None
    ...     @classmethod
    ...     def tree_unflatten(cls, _, children):
    ...         return cls(*children)
    >>> fg.tree.leaves(Box(1.0))
    [1.0]
    """
    register_pytree_with_keys(cls, lambda node: node.tree_flatten_with_keys(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


@boundary
def register_static(cls: type[T]) -> type[T]:
    """Class decorator: instances (hashable) are part of the structure and have no leaves.

    Returns
    -------
    type
        The class itself.

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.tree.register_static
    ... class Mode:
    ...     pass
    >>> fg.tree.leaves((1.0, Mode()))
    [1.0]
    """
    register_pytree_node(cls, lambda node: ((), node), lambda node, children: node)
    return cls


def broadcast(prefix: Any, full: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """A tree like `full` with the leaves of `prefix`, which may stop at any level of it.

    Returns
    -------
    pytree
        Of the structure of `full`.

    Examples
    --------
    >>> broadcast((1, 2), ({"a": 0, "b": 0}, 0))
    ({'a': 1, 'b': 1}, 2)
    """
    return unflatten(structure(full, is_leaf), broadcast_prefix(prefix, full, is_leaf))


def reduce_associative(
    operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = None, is_leaf: Any = None
) -> Any:
    """`operation` folded over the leaves of `tree`, pair by pair, as a tree of even depth.

    Returns
    -------
    object
        The combination of all leaves, or `identity`.

    Raises
    ------
    TypeError
        The tree has no leaves, and there is no `identity`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> tree = {"a": 1.0, "b": (2.0, 3.0)}
    >>> fg.tree.reduce_associative(lambda x, y: x + y, tree)
    6.0
    """
    found = leaves(tree, is_leaf)
    if not found:
        if identity is None:
            raise TypeError("reduce_associative of a tree without leaves needs an identity")
        return identity
    while len(found) > 1:
        pairs = [operation(x, y) for x, y in zip(found[::2], found[1::2], strict=False)]
        found = [*pairs, *found[len(pairs) * 2 :]]
    return found[0]
