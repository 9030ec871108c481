"""Which operations are Fourier transforms?  `fft`: complex, to and from half spectra of real signals, along any axes.

Transforms are linear; a forward one is symmetric, so its transpose is itself. Half spectra leave out the conjugate
half of the last axis: their transposes weigh the terms that stand for two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.comparison import convert
from funcgrad.ops.families import Operation
from funcgrad.ops.pocketfft import transform
from funcgrad.ops.shape import pad, slice_
from funcgrad.trace.frame import bind, type_of

Axes = tuple[int, ...]


def _fft(x: Any, *, kind: str, axes: Axes, length: int) -> Any:
    return transform(np.asarray(x), kind, axes, length)


def _fft_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    """In the result's memory: a result of its own would have to be copied."""
    transform(inputs[0], **params, out=outputs[0])


def _infer(x: ArrayType, *, kind: str, axes: Axes, length: int) -> ArrayType:
    wanted = "f" if kind == "rfftn" else "c"
    if x.dtype.kind != wanted or x.dtype == np.float16:
        raise TypeError(f"fft: {kind} does not accept dtype {x.dtype.name}")
    if not axes or len(set(axes)) != len(axes) or not all(0 <= k < x.ndim for k in axes):
        raise TypeError(f"fft: axes {axes} do not fit an array of shape {x.shape}")
    shape = list(x.shape)
    half = length // 2 + 1
    if 0 in (shape[k] for k in axes) or length < 1 or shape[axes[-1]] != (half if kind == "irfftn" else length):
        raise TypeError(f"fft: {kind} of length {length} along {axes} does not fit an array of shape {x.shape}")
    shape[axes[-1]] = half if kind == "rfftn" else length
    dtype = cx.to_complex(x.dtype) if kind == "rfftn" else cx.to_real(x.dtype) if kind == "irfftn" else x.dtype
    return ArrayType(tuple(shape), dtype)


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    return bind(fft, *inputs, **params), ((None,) if tangents[0] is None else bind(fft, *tangents, **params))


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    shape = type_of(inputs[0]).shape
    return bind(fft, *inputs, **params), lambda cotangents: (
        _TRANSPOSES[params["kind"]](cotangents[0], shape, **params),
    )


def _same(ct: Any, shape: Axes, *, kind: str, axes: Axes, length: int) -> Any:
    return fft(ct, kind=kind, axes=axes, length=length)


def _of_rfft(ct: Any, shape: Axes, *, kind: str, axes: Axes, length: int) -> Any:
    """Zeros where the half spectrum has nothing, a whole transform, the real part."""
    config = [(0, 0, 0)] * len(shape)
    config[axes[-1]] = (0, length - type_of(ct).shape[axes[-1]], 0)
    whole = pad(ct, type_of(ct).dtype.type(0), padding_config=tuple(config))
    return cx.real(fft(whole, kind="fftn", axes=axes, length=length))


def _of_irfft(ct: Any, shape: Axes, *, kind: str, axes: Axes, length: int) -> Any:
    """A whole inverse transform, cut to half, in which all terms but the first (and a middle one) count twice."""
    whole = fft(convert(ct, dtype=cx.to_complex(type_of(ct).dtype)), kind="ifftn", axes=axes, length=length)
    half = slice_(whole, start_indices=(0,) * len(shape), limit_indices=shape, strides=(1,) * len(shape))
    k = np.arange(shape[axes[-1]])
    weights = np.where((k == 0) | (2 * k == length), 1, 2).astype(type_of(half).dtype)
    line = [1] * len(shape)
    line[axes[-1]] = -1
    return half * np.broadcast_to(weights.reshape(line), shape)


_TRANSPOSES = {"fftn": _same, "ifftn": _same, "rfftn": _of_rfft, "irfftn": _of_irfft}


def _batch(
    size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    return bind(fft, *inputs, **{**params, "axes": tuple(k + 1 for k in params["axes"])}), (True,)


fft = Operation(
    name="fft", family="linear", reference=_fft, into=_fft_into, infer=_infer, jvp=_jvp, vjp=_vjp, batch=_batch
)
