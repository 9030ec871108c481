"""How do several cores share one kernel?  Workers take pieces from a ticket; nobody waits for who has not begun.

The ticket is one 64-bit word: the number of the job in its upper half, how many pieces were taken in its lower half:
16 bits for those from the first one on, which the caller takes, and 16 for those from the last one back, which workers
take.  So one kernel after the other finds the same part of an array in the same core's cache: ``z - x @ y`` with 436
rows takes two threads 0.6 of the time.  (Of 2¹⁶ pieces and more, all take the next.)  A thread reads the ticket, then
the job's fields, then takes the piece by compare-and-exchange: success proves that the job was still unfinished, hence
that the fields belong to it.  (A plain fetch-and-add could take a piece of the next job with the fields of the last.)
The caller takes pieces like everyone else, and at the end waits only for pieces that another thread is in the middle
of: on a busy machine it simply does all of them itself.

Workers are Python threads that enter `fg_worker` without the GIL.  They spin for some tens of microseconds, then
sleep on a condition variable.  A worker whose index is no longer below the wanted number returns.
"""

from __future__ import annotations

import platform

from funcgrad.compile.native.text import Function, Module, Value

# The pool's state.  Words that several threads write have a cache line of their own.
TICKET = 0
DONE = 64
BUSY = 128
SLEEPERS = 192
MODE = 320
WORKERS, STARTED, PIECES, KERNEL, BUFS, INTS, TOTAL, CHUNK = range(256, 256 + 64, 8)
MUTEX, CONDITION, SIZE = 384, 512, 640  # room for any platform's pthread objects

_NO_PIECE = 0xFFFFFFFF
_END = 16  # bits of a count of pieces from one end

SPINS = 2000
"""How often an idle worker looks at the ticket before it sleeps: about 100 microseconds of `pause`. Sequences of short
kernels and others on one thread (an LSTM, a factorisation by panels) take 0.83 of the time of 600 looks."""

PATIENCE = 500
"""How often a caller looks for the end of others' pieces before it starts to yield its core."""

POLLED = 1 << 12
"""Of how many looks one is followed by a look at pending signals where pieces may take long: a few milliseconds."""

_RELAX = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "AMD64": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.isb", (15,)),
    "arm64": ("llvm.aarch64.isb", (15,)),
}


def state(f: Function) -> Value:
    return f.module.zeros(f, "fg_pool", SIZE)


def define(module: Module) -> None:
    """Define ``fg_share`` (run one kernel in pieces) and what Python needs to run the pool."""
    _define_take(module)
    _define_share(module)
    _define_worker(module)
    _define_control(module)


def relax(f: Function) -> None:
    """Tell the core that this is a waiting loop."""
    intrinsic = _RELAX.get(platform.machine())
    if intrinsic is not None:
        f.call(intrinsic[0], *(f.constant("i32", n) for n in intrinsic[1]), returns="void")


def _define_take(module: Module) -> None:
    """``fg_take(job, back)``: do one piece of that job, the last one left if `back`; 1 when there was one."""
    with module.function("fg_take", "i64", job="i64", back="i1") as f:
        pool = state(f)
        with f.loop():
            ticket = f.atomic_load(pool, TICKET)
            with f.if_((ticket >> 32).is_not(f.job)):
                f.ret(0)
            taken, pieces = ticket & _NO_PIECE, f.atomic_load(pool, PIECES)
            begun, ended = taken & ((1 << _END) - 1), taken >> _END
            few = pieces < 1 << _END
            with f.if_(f.select(few, begun + ended, taken) >= pieces):
                f.ret(0)
            back = f.emit("i1", f"and {f.back}, {few.name}")
            piece = f.select(back, pieces - 1 - ended, f.select(few, begun, taken))
            after = ticket + f.select(back, f.constant("i64", 1 << _END), f.constant("i64", 1))
            fields = [f.atomic_load(pool, at) for at in (KERNEL, BUFS, INTS, TOTAL, CHUNK, MODE)]
            with f.if_(f.compare_exchange(pool, TICKET, ticket, after)):
                kernel, bufs, ints = (f.pointer(v) for v in fields[:3])
                f.call("fg_set_float_mode", fields[5], returns="void")
                _run_piece(f, kernel, bufs, ints, piece, fields[3], fields[4])
                f.atomic("add", pool, DONE, 1)
                f.ret(1)


def _run_piece(f: Function, kernel: Value, bufs: Value, ints: Value, piece: Value, total: Value, chunk: Value) -> None:
    first = piece * chunk
    rest = total - first
    last = f.select(rest < chunk, total, first + chunk)
    f.call(kernel, bufs, ints, first, last, returns="void")


def _define_share(module: Module) -> None:
    """``fg_share(kernel, ints, total, chunk, bufs)``: all pieces, on whatever threads are there; see `driver`."""
    with module.function("fg_share", "void", kernel="ptr", ints="ptr", total="i64", chunk="i64", bufs="ptr") as f:
        pool = state(f)
        polls = f.chunk < 0
        chunk = f.select(polls, f.constant("i64", 0) - f.chunk, f.chunk)
        ints = f.select(polls, f.ints + 16, f.ints)
        pieces = (f.total + chunk - 1) // chunk
        with f.if_((f.load(pool, WORKERS) > 0) & (pieces < _NO_PIECE)), f.if_(f.compare_exchange(pool, BUSY, 0, 1)):
            # No ticket is good while the fields change: a worker may hold the last job's exhausted one and read
            # the new number of pieces.
            job = (f.load(pool, TICKET) >> 32) + 1
            f.atomic_store((job << 32) | _NO_PIECE, pool, TICKET)
            fields = {KERNEL: f.kernel, BUFS: f.bufs, INTS: ints, TOTAL: f.total, CHUNK: chunk, PIECES: pieces}
            fields[MODE] = f.call("fg_float_mode")
            for at, value in fields.items():
                f.atomic_store(f.cast_int(value, "i64"), pool, at)
            f.atomic_store(0, pool, DONE)
            job = (job + 1) & _NO_PIECE
            f.atomic_store(job << 32, pool, TICKET)
            with f.if_(f.atomic_load(pool, SLEEPERS) > 0):
                f.call("fg_wake", pieces, returns="void")
            with f.while_(lambda: f.call("fg_take", job, f.constant("i1", "false")).is_not(0)):
                pass
            _wait(f, pool, pieces, polls)
            f.atomic_store(0, pool, BUSY)
            f.ret()
        with f.range(pieces) as piece:
            _run_piece(f, f.kernel, f.bufs, ints, piece, f.total, chunk)
        f.ret()


def _wait(f: Function, pool: Value, pieces: Value, polls: Value) -> None:
    looks = f.variable("i64", 0)
    with f.while_(lambda: f.atomic_load(pool, DONE) < pieces):
        relax(f)
        looks.set(looks.get() + 1)
        with f.if_(looks.get() > PATIENCE):
            f.call("sched_yield", returns="i32")
            with f.if_(polls & (looks.get() & (POLLED - 1)).is_(0)):
                f.call(f.load(f.ints, 0, "ptr"), f.load(f.bufs, 0, "ptr"), f.load(f.ints, 8), returns="void")


def _define_worker(module: Module) -> None:
    """``fg_worker(index)``: take pieces until the pool is made smaller."""
    with module.function("fg_worker", "void", index="i64") as f:
        pool = state(f)
        last = f.variable("i64", -1)  # a job may be going on already
        spins = f.variable("i64", 0)
        with f.loop():
            with f.if_(f.index >= f.atomic_load(pool, WORKERS)):
                f.ret()
            job = f.atomic_load(pool, TICKET) >> 32
            with f.if_(job.is_not(last.get())):
                with f.while_(lambda: f.call("fg_take", job, f.constant("i1", "true")).is_not(0)):
                    pass
                last.set(job)
                spins.set(0)
            relax(f)
            spins.set(spins.get() + 1)
            with f.if_(spins.get() > SPINS):
                f.call("fg_sleep", f.index, last.get(), returns="void")
                spins.set(0)
    with module.function("fg_sleep", "void", index="i64", last="i64") as f:
        # Announce first, look second; the caller publishes first, looks for sleepers second: one sees the other.
        pool = state(f)
        f.call("pthread_mutex_lock", pool + MUTEX, returns="i32")
        f.atomic("add", pool, SLEEPERS, 1)
        idle = (f.atomic_load(pool, TICKET) >> 32).is_(f.last)
        with f.if_(idle & (f.index < f.atomic_load(pool, WORKERS))):
            f.call("pthread_cond_wait", pool + CONDITION, pool + MUTEX, returns="i32")
        f.atomic("sub", pool, SLEEPERS, 1)
        f.call("pthread_mutex_unlock", pool + MUTEX, returns="i32")
        f.ret()


def _define_control(module: Module) -> None:
    with module.function("fg_wake", "void", pieces="i64") as f:
        pool = state(f)
        f.call("pthread_mutex_lock", pool + MUTEX, returns="i32")
        one = f.pieces.is_(2)
        f.choose(
            one,
            lambda: f.call("pthread_cond_signal", pool + CONDITION, returns="i32"),
            lambda: f.call("pthread_cond_broadcast", pool + CONDITION, returns="i32"),
        )
        f.call("pthread_mutex_unlock", pool + MUTEX, returns="i32")
        f.ret()
    with module.function("fg_pool_reset", "void") as f:
        # At the start, and in a forked child: no worker, no job, new locks.  The job's number is kept.
        pool = state(f)
        ticket = f.load(pool, TICKET)
        f.call("llvm.memset.p0.i64", pool, f.constant("i8", 0), SIZE, f.constant("i1", 0), returns="void")
        f.atomic_store(ticket, pool, TICKET)
        f.call("pthread_mutex_init", pool + MUTEX, f.constant("ptr", 0), returns="i32")
        f.call("pthread_cond_init", pool + CONDITION, f.constant("ptr", 0), returns="i32")
        f.ret()
    with module.function("fg_pool_resize", "void", workers="i64") as f:
        pool = state(f)
        f.atomic_store(f.workers, pool, WORKERS)
        f.atomic_store(1, pool, STARTED)
        f.call("fg_wake", 1 << 30, returns="void")
        f.ret()
    with module.function("fg_pool_word", "i64", at="i64") as f:
        f.ret(f.atomic_load(state(f) + f.at))
