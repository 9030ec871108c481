"""What are the bytes of an exported program?  A fixed prefix, a header in JSON, and the arrays, with checksums.

========  =====  ============================================================================================
offset    bytes  what
========  =====  ============================================================================================
0         8      ``MAGIC``
8         4      the version of the format, an unsigned little-endian integer, like all numbers here
12        4      zero
16        8      the length of the header
24        8      the length of the arrays
32        32     SHA-256 of everything from offset 64 on
64        ...    the header: JSON in UTF-8, filled up with spaces to a multiple of 64 bytes
...       ...    the arrays, C order, little-endian, each at a multiple of 64 bytes from the beginning of this part
========  =====  ============================================================================================

The header's ``arrays`` says for each array its dtype, shape and offset. Nothing in a file is ever executed: there is no
pickle, and no text is evaluated or imported.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.dtypes import BFLOAT16, check_supported, code
from funcgrad.errors import Documented

MAGIC = b"\x89fgx\r\n\x1a\n"  # no text, and damaged by what changes the ends of lines
FORMAT = 1
PREFIX = struct.Struct("<8sIIQQ32s")
ALIGNMENT = 64
MOST_BYTES = 1 << 48  # of one array that is described, whether it is in the file or not
MOST_AXES = 32
DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "bf16"}


class ExportError(Documented, ValueError):
    """A program cannot be exported, or a file holds none: it is damaged, from a later version, or not to be trusted."""


def refuse(what: str) -> NoReturn:
    """Raise what every fault of a file raises."""
    raise ExportError(f"deserialize: {what}")


def dtype_code(dtype: np.dtype) -> str:
    """A dtype in files."""
    return "bf16" if dtype == BFLOAT16 else code(dtype)


def dtype_of(text: Any) -> np.dtype:
    """The dtype behind its code."""
    if not isinstance(text, str) or text not in DTYPES:
        refuse(f"{text!r:.40} is no dtype")
    return BFLOAT16 if text == "bf16" else check_supported(np.dtype(text))


def checked_shape(value: Any, dtype: np.dtype) -> tuple[int, ...]:
    """A shape whose elements can be counted and addressed."""
    if not isinstance(value, list) or len(value) > MOST_AXES:
        refuse(f"{value!r:.60} is no shape")
    size = dtype.itemsize
    for extent in value:
        if type(extent) is not int or not 0 <= extent < MOST_BYTES:
            refuse(f"{extent!r:.40} is no extent of an array")
        size *= max(extent, 1)
    if size >= MOST_BYTES:
        refuse(f"an array of shape {tuple(value)} is larger than any memory")
    return tuple(value)


def little(array: np.ndarray) -> bytes:
    """The elements in C order, little-endian."""
    bits = np.ascontiguousarray(array)
    if bits.dtype.kind != "V" and bits.dtype.itemsize > 1:
        bits = bits.astype(bits.dtype.newbyteorder("<"), copy=False)
    elif bits.dtype == BFLOAT16:
        bits = bits.view(np.uint16).astype("<u2", copy=False)
    return bits.tobytes()


def from_little(data: bytes | memoryview, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `little`: an array of its own."""
    if dtype == BFLOAT16:
        return np.frombuffer(data, "<u2").astype(np.uint16).view(dtype).reshape(shape)
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def write(header: dict[str, Any], arrays: Sequence[np.ndarray]) -> bytes:
    """The file."""
    table, parts, offset = [], [], 0
    for array in arrays:
        data = little(array)
        table.append([dtype_code(array.dtype), list(array.shape), offset])
        filling = -len(data) % ALIGNMENT
        parts += [data, b"\0" * filling]
        offset += len(data) + filling
    text = json.dumps(header | {"arrays": table}, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    payload = b"".join([text, *parts])
    prefix = PREFIX.pack(MAGIC, FORMAT, 0, len(text), offset, hashlib.sha256(payload).digest())
    return prefix + payload


def read(view: memoryview) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The header and the arrays of a file, checked as far as bytes tell."""
    if len(view) < PREFIX.size or bytes(view[:8]) != MAGIC:
        refuse("this is no exported program, or its first bytes are damaged")
    _, version, zero, header_length, data_length, digest = PREFIX.unpack(view[: PREFIX.size])
    if version != FORMAT:
        refuse(f"the file has version {version} of the format; this funcgrad reads version {FORMAT}")
    if zero or len(view) != PREFIX.size + header_length + data_length:
        refuse(f"the file has {len(view)} bytes where its beginning promises others: it is truncated or damaged")
    payload = view[PREFIX.size :]
    if hashlib.sha256(payload).digest() != digest:
        refuse("the checksum does not fit: the file is damaged")
    header = parsed(bytes(payload[:header_length]))
    arrays = header.pop("arrays", None)
    if not isinstance(arrays, list):
        refuse("the table of arrays is missing")
    return header, _read_arrays(arrays, payload[header_length:])


def parsed(text: bytes) -> dict[str, Any]:
    """The header: a JSON object, in which NaN and infinities have no place."""

    def no_constant(name: str) -> NoReturn:
        refuse(f"{name} in the header")

    try:
        header = json.loads(text.decode("utf-8"), parse_constant=no_constant)
    except ExportError:
        raise
    except (ValueError, RecursionError) as error:
        refuse(f"the header is no JSON ({error})")
    if not isinstance(header, dict):
        refuse("the header is no object")
    return header


def _read_arrays(table: list[Any], data: memoryview) -> list[np.ndarray]:
    """The arrays; they lie one behind the other, so that together they are no larger than the file."""
    found, end = [], 0
    for entry in table:
        if not isinstance(entry, list) or len(entry) != 3:
            refuse("an entry of the table of arrays is damaged")
        dtype = dtype_of(entry[0])
        shape = checked_shape(entry[1], dtype)
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        first = entry[2]
        if type(first) is not int or first != end or end + size > len(data):
            refuse("an array does not lie where it should")
        array = from_little(data[first : first + size], dtype, shape)
        if dtype.kind == "b" and size and array.view(np.uint8).max() > 1:
            refuse("a truth value is neither 0 nor 1")
        found.append(array)
        end = first + size + -size % ALIGNMENT
    if end != len(data):
        refuse("there are more bytes than arrays")
    return found
