"""Native support code as text: loops that hold values, and what LLVM may know of loops."""

from __future__ import annotations

import ctypes

import pytest

from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Module
from funcgrad.compile.passes import Effort


def _text(effort: Effort, plain: bool) -> str:
    module = Module(effort, plain)
    with module.function("fg_fibonacci", "i64", n="i64") as f:
        state = [f.constant("i64", 0), f.constant("i64", 1)]
        with f.folding(f.n, state) as index:
            first, second = state
            state[:] = second, first + second
            with f.if_(index.is_(90)):
                f.ret(-1)
        f.ret(state[0])
    return str(module)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("effort", Effort)
def test_a_loop_that_holds_values_leaves_those_of_its_last_iteration(effort: Effort, plain: bool) -> None:
    library = native_library("test", _text(effort, plain))
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("fg_fibonacci"))
    assert [function(n) for n in (-1, 0, 1, 2, 10, 90, 91)] == [0, 0, 1, 1, 55, 2880067194370816120, -1]


def test_only_plain_loops_hide_their_counts_and_only_where_llvm_would_look() -> None:
    hides = {(effort, plain) for effort in Effort for plain in (False, True) if "freeze" in _text(effort, plain)}
    assert hides == {(Effort.REGISTERS, True), (Effort.ALL, True)}
