"""Calls of `convolve` and `correlate`."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.numpy.strategies import add, arrays, call

SHAPES = [(3,), (5,), (1,), (2,), (8,), (), (0,), (2, 3)]
mode = st.sampled_from(["full", "same", "valid"])
add("convolve correlate", call(arrays(shapes=SHAPES, special=False), arrays(shapes=SHAPES, special=False), mode=mode))
