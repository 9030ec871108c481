"""In which mode does a thread compute with floats?  One word of the CPU's, which each thread has for itself.

Its bits say how results are rounded, and whether subnormal numbers count as zeros.  The pool hands the caller's word to
the workers that help it, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import platform

from funcgrad.compile.native.text import Module

_X86, _ARM = ("x86_64", "AMD64"), ("aarch64", "arm64")
FLUSH = {**dict.fromkeys(_X86, 1 << 15 | 1 << 6), **dict.fromkeys(_ARM, 1 << 24)}.get(platform.machine(), 0)
"""The bits of the word by which subnormal operands and results are zeros; 0 where nobody knows any."""


def define(module: Module) -> None:
    """Define ``fg_float_mode`` and ``fg_set_float_mode``; on other CPUs they do nothing."""
    machine = platform.machine()
    with module.function("fg_float_mode", "i64") as f:
        if machine in _ARM:
            f.ret(f.call("llvm.aarch64.get.fpcr"))
        word = f.variable("i32", 0)
        if machine in _X86:
            f.call("llvm.x86.sse.stmxcsr", word.place, returns="void")
        f.ret(f.cast_int(word.get(), "i64"))
    with module.function("fg_set_float_mode", "void", mode="i64") as f:
        if machine in _ARM:
            f.call("llvm.aarch64.set.fpcr", f.mode, returns="void")
        if machine in _X86:
            word = f.variable("i32", 0)
            word.set(f.cast_int(f.mode, "i32"))
            f.call("llvm.x86.sse.ldmxcsr", word.place, returns="void")
        f.ret()
