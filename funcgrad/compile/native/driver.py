"""What runs a compiled program?  ``fg_run``: one kernel after another, long ones in pieces on several threads.

``i64 fg_run(ptr steps, i64 nsteps, ptr bufs)`` reads `steps` as ``i64[nsteps][4]``: kernel address, address of its
integers, total, chunk.  A kernel is ``void kernel(ptr bufs, ptr ints, i64 first, i64 last)``.  With
``0 < chunk < total`` it is called on ``[0, chunk), [chunk, 2*chunk), ...``: the pieces depend on the table alone, never
on the number of threads, so partial results may be indexed by ``first / chunk``.  Otherwise it is called once, on
``[0, total)``.

A negative `chunk` is that of pieces that may take long: two integers stand before the kernel's then, a function like
``fg_poll`` and its `code`, which is called while the caller waits for other threads.

``bufs[0]`` is the address of the call's status; the run ends after the first step that makes it non-zero.
"""

from __future__ import annotations

from funcgrad.compile.native.text import Module

STEP_WORDS = 4


def define(module: Module) -> None:
    """Define ``fg_run``, and ``fg_chain``: kernels that take turns on one range.

    The integers of ``fg_chain`` are the number of kernels, and for each its address, the address of its integers, and
    by what the range is multiplied.
    """
    with module.function("fg_chain", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        with f.range(f.load(f.ints)) as index:
            link = f.ints + 8 + index * 24
            scale = f.load(link, 16)
            bounds = f.first * scale, f.last * scale
            f.call(f.load(link, 0, "ptr"), f.bufs, f.load(link, 8, "ptr"), *bounds, returns="void")
        f.ret()
    with module.function("fg_run", "i64", steps="ptr", count="i64", bufs="ptr") as f:
        status = f.load(f.bufs, 0, "ptr")
        with f.range(f.count) as index:
            step = f.steps + index * (8 * STEP_WORDS)
            kernel, ints = f.load(step, 0, "ptr"), f.load(step, 8, "ptr")
            total, chunk = f.load(step, 16), f.load(step, 24)
            f.choose(
                chunk.is_not(0) & (chunk < total),
                lambda: f.call("fg_share", kernel, ints, total, chunk, f.bufs, returns="void"),
                lambda: f.call(kernel, f.bufs, ints, 0, total, returns="void"),
            )
            with f.if_(f.load(status).is_not(0)):
                f.break_()
        f.ret(f.load(status))
