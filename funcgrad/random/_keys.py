"""What are keys, and how does one become many?  Arrays of two uint32; `split` and `fold_in` give new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops.comparison import convert
from funcgrad.ops.random import threefry2x32
from funcgrad.random._arguments import Shape, array, compiled, converted, extents, keys, one_key
from funcgrad.random._streams import LONG, WORD, blocks, high_word, low_word, words
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

NAME = "threefry2x32"
MASK = 0xFFFFFFFF


def _check_implementation(name: str, impl: Any, dtype: Any) -> None:
    if impl is not None and dtype is not None:
        raise ValueError(f"{name}: give impl or dtype, not both{at_line()}")
    given = impl if dtype is None else dtype
    if given is None or given in (NAME, WORD):
        return
    if isinstance(given, str):
        raise ValueError(f'{name}: there is no generator {given!r}; "{NAME}" is the one there is{at_line()}')
    raise TypeError(f'{name}: impl must be None or "{NAME}", not {given!r}{at_line()}')


def key(seed: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """A key from a number: what every random number is a function of.

    Keys are plain arrays of two uint32, so that they go wherever arrays go; `PRNGKey` makes the same ones.

    Parameters
    ----------
    seed
        An integer of up to 64 bits.
    impl, dtype
        None, or ``"threefry2x32"``.

    Returns
    -------
    Array
        uint32, of shape (2,).

    Examples
    --------
    >>> key(42)
    Array([ 0, 42], dtype=uint32)
    """
    return _seeded("key", seed, impl, dtype)


def PRNGKey(seed: Any, *, impl: Any = None) -> Any:
    """A key from a number: the same as `key`.

    Returns
    -------
    Array
        uint32, of shape (2,).

    Examples
    --------
    >>> PRNGKey(42)
    Array([ 0, 42], dtype=uint32)
    """
    return _seeded("PRNGKey", seed, impl, None)


def _seeded(name: str, seed: Any, impl: Any, dtype: Any) -> Any:
    _check_implementation(name, impl, dtype)
    if isinstance(seed, int) and not -(1 << 63) <= seed < 1 << 63:
        raise OverflowError(f"{name}: the seed must fit into a signed integer of 64 bits, got {seed}{at_line()}")
    seed = array(name, "the seed", int(seed) if isinstance(seed, bool) else seed)
    kind = type_of(seed)
    if kind.shape:
        raise TypeError(f"{name} takes one seed, but was given an array of shape {kind.shape}: use vmap{at_line()}")
    if kind.dtype.kind not in "iu":
        raise TypeError(f"{name}: the seed must be an integer of up to 64 bits, got dtype {kind.dtype.name}{at_line()}")
    if type(seed) is not Tracer:
        upper = int(seed) >> 32 if kind.dtype.itemsize == 8 else 0
        return as_array(np.array([upper & MASK, int(seed) & MASK], WORD))
    wide = convert(seed, dtype=LONG)
    high = high_word(wide) if kind.dtype.itemsize == 8 else WORD.type(0)
    return fnp.stack([high, low_word(wide)])


def split(key: Any, num: Any = 2) -> Any:
    """New keys from one, which is not to be used again.

    Parameters
    ----------
    key
        A key.
    num
        How many, or the shape of an array of keys.

    Returns
    -------
    Array
        Of shape ``(num, 2)``: each row is a key.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.split(random.key(0))
    Array([[1797259609, 2579123966],
           [ 928981903, 3453687069]], dtype=uint32)
    """
    return _split(one_key("split", key), shape=extents("split", num, "num"))


@compiled
def _split(key: Any, *, shape: Shape) -> Any:
    found = blocks(words(key), shape)
    return fnp.stack([high_word(found), low_word(found)], axis=-1)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as the number of a step.

    Parameters
    ----------
    key
        A key.
    data
        An integer of 32 bits.

    Returns
    -------
    Array
        uint32: a key of shape (2,).

    Raises
    ------
    TypeError
        `data` is not one integer.
    OverflowError
        It does not fit 32 bits.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.fold_in(random.key(0), 7)
    Array([2716826189,  292468403], dtype=uint32)
    """
    if isinstance(data, int) and not 0 <= data <= MASK:
        raise OverflowError(f"fold_in: data must be an integer of 32 bits without a sign, got {data}{at_line()}")
    key, data = one_key("fold_in", key), array("fold_in", "data", data)
    kind = type_of(data)
    if kind.shape:
        raise TypeError(f"fold_in takes one integer, but data has shape {kind.shape}: use vmap{at_line()}")
    if kind.dtype.kind not in "iub":
        raise TypeError(f"fold_in: data must be an integer, got dtype {kind.dtype.name}{at_line()}")
    return _fold_in(key, converted(data, WORD))


@compiled
def _fold_in(key: Any, data: Any) -> Any:
    found = threefry2x32(*words(key), WORD.type(0), data)
    return fnp.stack([high_word(found), low_word(found)])


def clone(key: Any) -> Any:
    """A copy of keys, for using them once more knowingly.

    Returns
    -------
    Array
        uint32: keys of the same shape.

    Examples
    --------
    >>> clone(key(1))
    Array([0, 1], dtype=uint32)
    """
    return _copied(keys("clone", key))


def key_data(keys: Any) -> Any:
    """The words of keys, which are the keys themselves: a copy.

    Returns
    -------
    Array
        uint32, of shape (..., 2).

    Examples
    --------
    >>> key_data(key(1))
    Array([0, 1], dtype=uint32)
    """
    return _copied(_checked("key_data", keys))


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """Keys from their words: a copy, checked.

    Returns
    -------
    Array
        uint32: keys of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> wrap_key_data(np.array([0, 1], np.uint32))
    Array([0, 1], dtype=uint32)
    """
    _check_implementation("wrap_key_data", impl, dtype)
    return _copied(keys("wrap_key_data", key_bits_array))


def key_impl(keys: Any) -> str:
    """The name of the generator that keys belong to.

    Returns
    -------
    str
        ``"threefry2x32"``.

    Examples
    --------
    >>> key_impl(key(1))
    'threefry2x32'
    """
    _checked("key_impl", keys)
    return NAME


def key_dtype(impl_spec: Any = None) -> np.dtype:
    """The dtype of keys.

    Returns
    -------
    np.dtype
        uint32.

    Examples
    --------
    >>> key_dtype()
    dtype('uint32')
    """
    _check_implementation("key_dtype", impl_spec, None)
    return WORD


_checked = keys


def _copied(x: Any) -> Any:
    return x if type(x) is Tracer else as_array(np.array(x))
