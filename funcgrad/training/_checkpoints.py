"""How does a pytree survive the process?  One `safetensors` file, written whole or not at all, checked when read.

Arrays lie in the file under their key paths, so that other programs can read them; complex ones as pairs of floats.
The header's metadata says what the leaves were: Python numbers, which have no bytes of their own, are written there,
and so are checksums (CRC-32) of every array and of the metadata.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.array import Array
from funcgrad.errors import CheckpointError, at_line
from funcgrad.ir.types import ArrayType, type_of_value
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.training._optional import needed

HEADER = "funcgrad"  # our entry of the file's metadata
VERSION = 1
NUMBERS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "True",
    "int": int,
    "float": float,
    "complex": complex,
}


class Leaf(NamedTuple):
    """What the header says of a leaf.

    Attributes
    ----------
    path
        Its key path, as Python would write it.
    kind
        ``"array"``, or the Python type of a number.
    type
        Shape and dtype of an array, as in listings; the number itself.
    """

    path: str
    kind: str
    type: str

    def __str__(self) -> str:
        return self.type if self.kind == "array" else f"a Python {self.kind}"


def save_checkpoint(path: str | os.PathLike[str], tree_: Any, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a pytree of arrays and numbers to a file in the format of `safetensors`.

    The tree is written to a temporary file beside `path`, forced to the disk, and renamed: whatever happens, `path`
    holds either what it held before or the whole new tree.

    Parameters
    ----------
    path
        The file; an older one is replaced.
    tree_
        Arrays of any dtype that funcgrad knows, 0-d and empty ones too, and Python numbers, in any pytree.
    metadata
        Texts to keep with it, for `checkpoint_metadata`.

    Raises
    ------
    TypeError
        For a leaf that is neither array nor number, and for metadata that are no texts.
    ModuleNotFoundError
        If `safetensors` is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> state = {"params": [np.arange(3.0)], "epoch": 7}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fg.training.save_checkpoint(f"{folder}/run.safetensors", state, metadata={"commit": "1f2e"})
    ...     fg.training.load_checkpoint(f"{folder}/run.safetensors", state)
    {'params': [Array([0., 1., 2.])], 'epoch': 7}
    """
    with needed("safetensors", "save_checkpoint"):
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    target = os.path.realpath(os.fspath(path))
    described, arrays = _described(tree_), {}
    for leaf, value in described:
        if leaf.kind == "array":
            arrays[leaf.path] = _stored(np.asarray(value))
    leaves, texts = [leaf for leaf, _ in described], _checked_metadata(metadata or {})
    checksums = {name: _crc(array) for name, array in arrays.items()}
    header = {
        "version": VERSION,
        "leaves": leaves,
        "crc32": checksums,
        "texts": _crc_of_texts(leaves, checksums, texts),
    }
    texts[HEADER] = json.dumps(header)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.partial")
    try:
        with open(temporary, "xb") as file:  # Python's own error for a missing folder, and the mode of new files
            mode = os.fstat(file.fileno()).st_mode
        save_file(arrays, temporary, texts)
        os.chmod(temporary, mode)
        _to_disk(temporary)
        os.replace(temporary, target)
    except SafetensorError as error:
        os.unlink(temporary)
        raise OSError(f"checkpoint {target}: cannot be written: {error}{at_line()}") from None
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(PermissionError):  # a folder that may be written to, but not read
        _to_disk(folder)


def load_checkpoint(path: str | os.PathLike[str], like: Any) -> Any:
    """The tree in a file of `save_checkpoint`, if it is one like `like`.

    Parameters
    ----------
    path
        The file.
    like
        A tree with the structure, shapes and dtypes that are expected: of arrays (whose values do not matter), of
        `ShapeDtypeStruct`, and of Python numbers. Lists and tuples are alike.

    Returns
    -------
    Any
        A tree with the structure of `like`; arrays are new (`Array`), with the same bits that were saved. See
        `save_checkpoint` for an example.

    Raises
    ------
    CheckpointError
        If the file is truncated, damaged or no checkpoint, or if structure, shape or dtype differ: the message names
        the first key path that does, or whose bytes are not those that were saved.
    OSError
        If the file cannot be read.
    """
    with needed("safetensors", "load_checkpoint"):
        from safetensors import SafetensorError, safe_open
    wanted = _described(like)
    with open(path, "rb"):  # missing files and folders: Python's own errors
        pass
    try:
        with safe_open(path, "np") as file:
            saved, checksums = _header(path, file.metadata())
            _check_same(path, saved, [leaf for leaf, _ in wanted])
            values = []
            for leaf, (_, value) in zip(saved, wanted, strict=True):
                if leaf.kind == "array":
                    stored = file.get_tensor(leaf.path)
                    values.append(_restored(path, stored, value))
                    _check_bytes(path, leaf.path, stored, checksums)
                else:
                    values.append(_number(leaf))
    except SafetensorError as error:
        raise CheckpointError(_unreadable(path, error)) from None
    return tree.unflatten(tree.structure(like), values)


def checkpoint_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that `save_checkpoint` was given with the tree; no array is read. See `save_checkpoint` for an example.

    Returns
    -------
    dict
        Of strings.

    Raises
    ------
    CheckpointError
        If the file is truncated or no checkpoint.
    OSError
        If the file cannot be read.
    """
    with needed("safetensors", "checkpoint_metadata"):
        from safetensors import SafetensorError, safe_open
    with open(path, "rb"):
        pass
    try:
        with safe_open(path, "np") as file:
            texts = dict(file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(_unreadable(path, error)) from None
    _header(path, texts)
    return {name: text for name, text in texts.items() if name != HEADER}


def _described(tree_: Any) -> list[tuple[Leaf, Any]]:
    """Every leaf with what the header says of it."""
    found: dict[str, tuple[Leaf, Any]] = {}
    for keys, value in tree.leaves_with_path(tree_):
        path = tree.keystr(keys)
        if path in found:
            raise ValueError(f"a checkpoint needs distinct key paths, but two leaves are at {path}{at_line()}")
        found[path] = (_describe(path, value), value)
    return list(found.values())


def _describe(path: str, value: Any) -> Leaf:
    if type(value).__name__ in NUMBERS and type(value).__module__ == "builtins":
        return Leaf(path, type(value).__name__, repr(value))
    if isinstance(value, ShapeDtypeStruct):
        return Leaf(path, "array", str(ArrayType(value.shape, value.dtype)))
    try:
        kind = type_of_value(value)
    except TypeError as error:
        raise TypeError(
            f"a checkpoint holds arrays and numbers, but at {path or 'the top'}: {error}. Texts belong into "
            f"metadata.{at_line()}"
        ) from None
    return Leaf(path, "array", str(ArrayType(kind.shape, kind.dtype.newbyteorder("="))))


def _stored(array: np.ndarray) -> np.ndarray:
    """`array` as bytes in order: native, contiguous, real."""
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype.kind == "c":
        return array.reshape((*array.shape, 1)).view(array.real.dtype)
    return array


def _restored(path: Any, stored: np.ndarray, wanted: Any) -> Array:
    """An array of the type of `wanted` (an array or its description) from the bytes in the file."""
    dtype = np.dtype(wanted.dtype).newbyteorder("=")
    parts = np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype
    shape = (*wanted.shape, 2) if dtype.kind == "c" else tuple(wanted.shape)
    if stored.dtype != parts or stored.shape != shape:
        raise CheckpointError(f"checkpoint {os.fspath(path)}: its header does not fit its arrays{at_line()}")
    fresh = np.array(stored, order="C")
    return (fresh.view(dtype).reshape(wanted.shape) if dtype.kind == "c" else fresh).view(Array)


def _number(leaf: Leaf) -> Any:
    return NUMBERS[leaf.kind](leaf.type)


def _header(path: Any, texts: Mapping[str, str] | None) -> tuple[list[Leaf], dict[str, int] | None]:
    """The leaves that a file's metadata describe, and the checksums of arrays (None in files from before there were
    any).
    """
    try:
        header = json.loads((texts or {})[HEADER])
        leaves = [Leaf(*map(str, entry)) for entry in header["leaves"]]
        if header["version"] != VERSION or any(leaf.kind not in ("array", *NUMBERS) for leaf in leaves):
            raise ValueError
        checksums = dict(header["crc32"]) if "crc32" in header else None
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"checkpoint {os.fspath(path)}: written neither by save_checkpoint nor by this version of it{at_line()}"
        ) from None
    others = {name: text for name, text in (texts or {}).items() if name != HEADER}
    if checksums is not None and header.get("texts") != _crc_of_texts(leaves, checksums, others):
        raise CheckpointError(
            f"checkpoint {os.fspath(path)}: damaged: its list of leaves or its metadata are not what was saved (a "
            f"checksum differs); nothing was loaded{at_line()}"
        )
    return leaves, checksums


def _crc_of_texts(leaves: list[Leaf], checksums: Mapping[str, int], texts: Mapping[str, str]) -> int:
    """The checksum of all that is written beside the arrays."""
    return zlib.crc32(json.dumps([leaves, sorted(checksums.items()), sorted(texts.items())]).encode())


def _crc(array: np.ndarray) -> int:
    """The checksum of an array's bytes in order."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _check_bytes(path: Any, name: str, stored: np.ndarray, checksums: Mapping[str, int] | None) -> None:
    """A `CheckpointError` if an array is not what was saved."""
    if checksums is not None and _crc(stored) != checksums.get(name):
        raise CheckpointError(
            f"checkpoint {os.fspath(path)}: damaged: {name or 'the leaf'} is not what was saved (its checksum differs)"
            f"; nothing was loaded{at_line()}"
        )


def _check_same(path: Any, saved: list[Leaf], wanted: list[Leaf]) -> None:
    """A `CheckpointError` that names the first leaf that differs."""
    paths, stored = {leaf.path for leaf in wanted}, {leaf.path for leaf in saved}
    for have, want in zip_longest(saved, wanted):
        if have is None or (want is not None and want.path not in stored):
            problem = f"there is no {want.path or 'single leaf'}, which `like` has"
        elif want is None or have.path not in paths:
            problem = f"there is {have.path or 'a single leaf'}, which `like` has not"
        elif have.path != want.path:
            problem = f"there is {have.path}, where `like` has {want.path}"
        elif (have.kind, have.kind == "array" and have.type) != (want.kind, want.kind == "array" and want.type):
            problem = f"{have.path or 'the leaf'} is {have}, `like` has {want}"
        else:
            continue
        raise CheckpointError(f"checkpoint {os.fspath(path)}: {problem}; nothing was loaded{at_line()}")


def _unreadable(path: Any, error: Exception) -> str:
    return f"checkpoint {os.fspath(path)}: no checkpoint, or a truncated one ({error}){at_line()}"


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for name, text in metadata.items():
        if not isinstance(name, str) or not isinstance(text, str) or name == HEADER:
            raise TypeError(
                f"save_checkpoint: metadata are texts by name (any name but {HEADER!r}), not {name!r}: {text!r}"
                f"{at_line()}"
            )
    return dict(metadata)


def _to_disk(path: str) -> None:
    """Wait until what was written to a file, or to a folder's list of files, lies on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
