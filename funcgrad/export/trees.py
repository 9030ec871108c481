"""How do pytrees look in files?  By the names of their nodes' kinds; classes of users, by names that are registered.

Tuples, lists, dicts, `OrderedDict`s, ``None``, and the named tuples of funcgrad itself are known. Other named tuples
and registered classes need a name (`register_namedtuple_serialization`, `register_pytree_node_serialization`), because
a file must not choose which code runs. What belongs to a structure besides its children (keys of dictionaries,
static fields) may be numbers, texts, bytes, ``None``, dtypes and tuples of these.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import optree

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.export.container import ExportError, dtype_code, dtype_of, refuse

T = TypeVar("T")
MOST_NODES, DEEPEST = 1_000_000, 64


class Registered(NamedTuple):
    """A class of the user's with its name in files."""

    name: str
    cls: type
    write: Callable[[Any], bytes] | None
    read: Callable[[bytes], Any] | None


_by_name: dict[str, Registered] = {}
_by_class: dict[type, Registered] = {}


def _register(entry: Registered) -> None:
    if not isinstance(entry.name, str) or not entry.name:
        raise ValueError(f"serialized_name must be a text, not {entry.name!r}{at_line()}")
    known = _by_name.get(entry.name)
    if known is not None and known.cls is not entry.cls:
        raise ValueError(f"the name {entry.name!r} belongs to {known.cls!r} already{at_line()}")
    if entry.cls in _by_class and _by_class[entry.cls].name != entry.name:
        raise ValueError(f"{entry.cls!r} has the name {_by_class[entry.cls].name!r} already{at_line()}")
    _by_name[entry.name] = _by_class[entry.cls] = entry


def register_namedtuple_serialization(nodetype: type[T], *, serialized_name: str) -> type[T]:
    """Give a named tuple a name in exported files, where it is written and where it is read.

    Parameters
    ----------
    nodetype
        The class.
    serialized_name
        Its name; the fields are checked when a file is read.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    ValueError
        If it is no named tuple, or the name belongs to another class.
    """
    if not optree.is_namedtuple_class(nodetype):
        raise ValueError(f"{nodetype!r} is no named tuple{at_line()}")
    _register(Registered(serialized_name, nodetype, None, None))
    return nodetype


def register_pytree_node_serialization(
    nodetype: type[T],
    *,
    serialized_name: str,
    serialize_auxdata: Callable[[Any], bytes] | None = None,
    deserialize_auxdata: Callable[[bytes], Any] | None = None,
) -> type[T]:
    """Give a class of pytree nodes a name in exported files.

    Parameters
    ----------
    nodetype
        A class that is a node of pytrees (`funcgrad.tree_util.register_dataclass` and the like).
    serialized_name
        Its name, the same where a file is written and where it is read.
    serialize_auxdata, deserialize_auxdata
        Bytes from what its ``flatten`` returns besides the children, and back. Left out, that may hold numbers, texts,
        bytes, ``None``, dtypes and tuples of these.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    ValueError
        If the name belongs to another class, or one of the two functions is missing.
    """
    if (serialize_auxdata is None) != (deserialize_auxdata is None):
        raise ValueError(f"serialize_auxdata and deserialize_auxdata belong together{at_line()}")
    _register(Registered(serialized_name, nodetype, serialize_auxdata, deserialize_auxdata))
    return nodetype


# Values that belong to structures -------------------------------------------------------------------------------------


def write_value(value: Any) -> Any:
    """A key or a static field."""
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return {"i": str(value)}
    if type(value) is float:
        return {"f": value.hex()}
    if type(value) is bytes:
        return {"b": value.hex()}
    if isinstance(value, np.dtype):
        return {"d": dtype_code(value)}
    if type(value) is tuple:
        return [write_value(x) for x in value]
    raise ExportError(
        f"export: {value!r} of type {type(value).__name__}, a part of a pytree's structure, has no form in files: give "
        f"its class's serialize_auxdata (register_pytree_node_serialization), or use a text or a number{at_line()}"
    )


def read_value(data: Any, depth: int = 0) -> Any:
    """The inverse of `write_value`."""
    if data is None or type(data) in (bool, str):
        return data
    if isinstance(data, list) and depth < DEEPEST:
        return tuple(read_value(x, depth + 1) for x in data)
    if isinstance(data, dict) and len(data) == 1:
        ((kind, text),) = data.items()
        if kind == "d":
            return dtype_of(text)
        if kind in _SCALARS and isinstance(text, str) and len(text) < 1 << 20:
            try:
                return _SCALARS[kind](text)
            except (ValueError, OverflowError):
                pass
    refuse(f"{data!r:.60} is no part of a pytree's structure")


_SCALARS: dict[str, Callable[[str], Any]] = {"i": int, "f": float.fromhex, "b": bytes.fromhex}


# Structures -----------------------------------------------------------------------------------------------------------


def write_tree(structure: tree.TreeDef) -> Any:
    """A structure as JSON."""

    def node(kind: type, data: Any, children: Sequence[Any]) -> Any:
        if kind in (tuple, list, type(None)):
            return [{tuple: "tuple", list: "list", type(None): "none"}[kind], list(children)]
        if kind in (dict, OrderedDict):
            return [kind.__name__, list(children), write_value(tuple(data))]
        entry = _by_class.get(kind)
        if optree.is_namedtuple_class(kind):
            name = entry.name if entry else _own_name(kind)
            return ["namedtuple", list(children), name, list(kind._fields)]  # type: ignore[attr-defined]
        if entry is None:
            raise ExportError(
                f"export: {kind.__module__}.{kind.__qualname__}, a node of pytrees, has no name in files: give it one "
                f"by funcgrad.export.register_pytree_node_serialization{at_line()}"
            )
        aux = write_value(data) if entry.write is None else {"b": bytes(entry.write(data)).hex()}
        return ["node", list(children), entry.name, aux]

    return structure.walk([None] * structure.num_leaves, node, lambda leaf: "*")


def _own_name(kind: type) -> str:
    """The name of a named tuple of funcgrad's."""
    if kind.__module__.split(".")[0] != "funcgrad":
        raise ExportError(
            f"export: the named tuple {kind.__module__}.{kind.__qualname__} has no name in files: give it one by "
            f"funcgrad.export.register_namedtuple_serialization{at_line()}"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def read_tree(data: Any) -> tree.TreeDef:
    """The structure that JSON describes."""
    count = [0]
    return _read_node(data, 0, count)


def _read_node(data: Any, depth: int, count: list[int]) -> tree.TreeDef:
    count[0] += 1
    if depth > DEEPEST or count[0] > MOST_NODES:
        refuse("a pytree is too large")
    if data == "*":
        return optree.treespec_leaf(namespace=tree.NAMESPACE)
    if not isinstance(data, list) or len(data) < 2 or not isinstance(data[0], str) or not isinstance(data[1], list):
        refuse(f"{data!r:.60} is no node of a pytree")
    kind, rest = data[0], data[2:]
    children = [_read_node(child, depth + 1, count) for child in data[1]]
    reader = _READERS.get(kind)
    if reader is None or len(rest) != reader[1]:
        refuse(f"{kind!r:.60} is no kind of pytree node")
    try:
        found: tree.TreeDef = reader[0](children, *rest)
        return found
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(f"deserialize: a pytree node {kind!r} cannot be made: {error}") from error


def _sequence(make: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    return lambda children: make(children, namespace=tree.NAMESPACE)


def _none(children: list[Any]) -> Any:
    if children:
        refuse("None has no children")
    return optree.treespec_none(namespace=tree.NAMESPACE)


def _mapping(make: Callable[..., Any]) -> Callable[[list[Any], Any], Any]:
    def read(children: list[Any], data: Any) -> Any:
        keys = read_value(data)
        if not isinstance(keys, tuple) or len(set(keys)) != len(keys) or len(keys) != len(children):
            refuse("the keys of a dictionary do not fit")
        return make(list(zip(keys, children, strict=True)), namespace=tree.NAMESPACE)

    return read


def _namedtuple(children: list[Any], name: Any, fields: Any) -> Any:
    entry = _by_name.get(name) if isinstance(name, str) else None
    cls = entry.cls if entry else _own_class(name)
    if cls is None or not optree.is_namedtuple_class(cls):
        refuse(
            f"the named tuple {name!r:.80} is not known here: import its module, or give the class this name by "
            "funcgrad.export.register_namedtuple_serialization"
        )
    if list(cls._fields) != fields or len(fields) != len(children):  # type: ignore[attr-defined]
        refuse(f"the named tuple {name!r:.80} has other fields than the file's {fields!r:.80}")
    return optree.treespec_namedtuple(cls(*children), namespace=tree.NAMESPACE)


def _own_class(name: Any) -> type | None:
    """A named tuple of funcgrad's that is there already: nothing is imported for a file."""
    module, _, path = name.partition(":") if isinstance(name, str) else ("", "", "")
    if module.split(".")[0] != "funcgrad" or "." in path:
        return None
    found = vars(sys.modules.get(module, object)).get(path)
    genuine = isinstance(found, type) and found.__module__ == module and found.__qualname__ == path
    return found if genuine else None


class _Holder:
    """Stands for a node of the user's, so that optree makes its structure."""


def _node(children: list[Any], name: Any, data: Any) -> Any:
    entry = _by_name.get(name) if isinstance(name, str) else None
    if entry is None or optree.is_namedtuple_class(entry.cls):
        refuse(
            f"the class {name!r:.80}, a node of pytrees, is not known here: give it this name by "
            "funcgrad.export.register_pytree_node_serialization"
        )
    aux = read_value(data) if entry.read is None else entry.read(read_value(data))
    handler = optree.register_pytree_node.get(entry.cls, namespace=tree.NAMESPACE)
    if handler is None:
        refuse(f"the class {name!r:.80} is no node of pytrees here")
    node: Any = handler.unflatten_func(aux, [_leaves(child) for child in children])
    return tree.structure(node)


def _leaves(structure: tree.TreeDef) -> Any:
    return structure.unflatten([_Holder() for _ in range(structure.num_leaves)])


_READERS: dict[str, tuple[Callable[..., Any], int]] = {
    "tuple": (_sequence(optree.treespec_tuple), 0),
    "list": (_sequence(optree.treespec_list), 0),
    "none": (_none, 0),
    "dict": (_mapping(optree.treespec_dict), 1),
    "OrderedDict": (_mapping(optree.treespec_ordereddict), 1),
    "namedtuple": (_namedtuple, 2),
    "node": (_node, 2),
}
