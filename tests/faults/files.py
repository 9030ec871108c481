"""What does a broken disk do?  Full, read-only, with damaged files, with files that another machine made, with a clock
that was set back: results are right, and at most a `CacheWarning` tells of it.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import funcgrad as fg
from funcgrad.compile import cache, cpus
from funcgrad.errors import CacheWarning
from tests.faults.processes import Child
from tests.faults.programs import Broken, elementwise, loop

NOBODY = 65534


@contextmanager
def fresh_cache() -> Iterator[Path]:
    """An empty cache, with nothing in memory either."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, FUNCGRAD_CACHE_DIR=f"{folder}/cache"):
        cache._warned.clear()
        yield Path(folder) / "cache"
        fg.clear_caches()


def compile_again(seed: int, allowed: bool = True) -> list[str]:
    """Forget what is compiled, and compile it with the disk as it is; what was warned of."""
    fg.clear_caches()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in (elementwise, loop):
            make(seed)()
    told = [str(w.message) for w in caught if issubclass(w.category, CacheWarning)]
    if len(told) != len(caught) or (told and not allowed):
        raise Broken(f"warnings: {[str(w.message) for w in caught]}")
    return told


# A disk that refuses --------------------------------------------------------------------------------------------------

CALLS: dict[str, tuple[Any, str]] = {
    "make the directory": (Path, "mkdir"),
    "look at the directory": (Path, "stat"),
    "follow links": (Path, "resolve"),
    "begin a file": (tempfile, "mkstemp"),
    "open for writing": (os, "fdopen"),
    "move into place": (os, "replace"),
    "open for reading": (os, "open"),
    "look at a file": (os, "fstat"),
    "note a use": (os, "utime"),
    "list": (Path, "iterdir"),
    "delete": (Path, "unlink"),
}
ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EMFILE, errno.ENOENT, errno.ESTALE)


class Refusing:
    """A function of the system's that fails from its `first` call on, for `times` calls."""

    def __init__(self, original: Callable[..., Any], code: int, first: int, times: int) -> None:
        self.original, self.code, self.first, self.last = original, code, first, first + times
        self.calls = 0

    def __get__(self, instance: Any, owner: Any) -> Callable[..., Any]:
        return self if instance is None else lambda *args, **kwargs: self(instance, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.first < self.calls <= self.last:
            raise OSError(self.code, os.strerror(self.code))
        return self.original(*args, **kwargs)


def refusals(rounds: int, seed: int) -> dict[str, int]:
    """Have each call of the system's fail in turn; afterwards the cache works, and nothing unfinished lies about."""
    drawn = random.Random(seed)
    counts = dict.fromkeys(("refused", "warned"), 0)
    with fresh_cache() as directory, patch.object(cache, "CHECK_EVERY", 1):
        compile_again(seed)  # what looks at the disk once in a process
        for number in range(rounds):
            where, name = CALLS[list(CALLS)[number % len(CALLS)]]
            failing = Refusing(getattr(where, name), drawn.choice(ERRORS), drawn.randrange(4), drawn.choice((1, 99)))
            program = 2_000_000 * seed + number // 2  # the second time it is read
            with patch.object(where, name, failing):
                counts["warned"] += len(compile_again(program))
            counts["refused"] += max(0, min(failing.calls, failing.last) - failing.first)
            cache._warned.clear()
            compile_again(program, allowed=False)
            litter = [path.name for path in directory.iterdir() if path.suffix != cache.SUFFIX]
            if litter and name != "unlink":
                raise Broken(f"left behind: {litter}")
    return counts


def full_disk(seed: int, sizes: Sequence[int] = (0, 1, 40, 51, 52, 53, 200, 700, 1000, 4000)) -> int:
    """Processes that may write files of so many bytes and no more; the number of sizes tried."""

    def work(size: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        compile_again(seed)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        cache._warned.clear()
        compile_again(seed, allowed=False)

    for size in sizes:
        with fresh_cache() as directory:
            _must_end_well(lambda size=size: work(size), f"a disk with {size} bytes")  # type: ignore[misc]
            if any(path.suffix != cache.SUFFIX for path in directory.iterdir()):
                raise Broken("an unfinished file")
    return len(sizes)


HOMES = ("/proc", "/nonexistent/home", "/dev/null", None)


def read_only_homes(seed: int, homes: Sequence[str | None] = HOMES) -> int:
    """Homes in which nothing can be written, or that there are not; their number."""
    user = {None: NOBODY - 1}  # of whom the system knows no home either

    def work(home: str | None) -> None:
        compile_again(seed)  # load everything: Python itself may lie in a home
        for name in ("FUNCGRAD_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
            os.environ.pop(name, None)
        if home is not None:
            os.environ["HOME"] = home
        if os.geteuid() == 0:
            os.setuid(user.get(home, NOBODY))
        cache._warned.clear()
        compile_again(seed)
        compile_again(seed, allowed=False)  # once is enough

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        for home in (folder, *homes):
            _must_end_well(lambda home=home: work(home), f"the home {home}")  # type: ignore[misc]
        if os.listdir(folder):
            raise Broken("a read-only home was written to")
    return 1 + len(homes)


def _must_end_well(work: Callable[[], object], what: str) -> None:
    code = Child(work).end()
    if code:
        raise Broken(f"{what}: a process ended with {code}")


# Files that are not what they should be ------------------------------------------------------------------------------


def _flipped(data: bytes, at: int, drawn: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ drawn.randrange(1, 256)]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes, int, random.Random], bytes]] = {
    "a byte": _flipped,
    "the rest": lambda data, at, drawn: data[:at] + drawn.randbytes(len(data) - at),
    "zeros": lambda data, at, drawn: data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :],
    "cut": lambda data, at, drawn: data[:at],
    "inserted": lambda data, at, drawn: data[:at] + b"\0" + data[at:],
}


def damages(rounds: int, seed: int) -> int:
    """Damage the files of a working cache everywhere; how often."""
    drawn, made = random.Random(seed), 0
    with fresh_cache() as directory:
        compile_again(seed, allowed=False)
        for number in range(rounds):
            paths = sorted(directory.iterdir())
            for path in paths:
                data = path.read_bytes()
                header = number % 2 and number // 2 % cache.HEADER.size  # each byte of the header, and others
                at = header or drawn.randrange(len(data))
                path.write_bytes(DAMAGES[list(DAMAGES)[number % len(DAMAGES)]](data, at, drawn))
                made += 1
            compile_again(seed, allowed=False)
            _check_files(directory)
    return made


def exchanges(seed: int, most: int = 1 << 62) -> int:
    """Give every file of a working cache the name of every other one, those for another CPU included; how often."""
    with fresh_cache() as directory:
        compile_again(seed, allowed=False)
        own = {path: path.read_bytes() for path in directory.iterdir()}
        with patch.dict(os.environ, FUNCGRAD_CPU="generic"):
            compile_again(seed, allowed=False)
        with patch.object(cpus, "version", lambda: "1.0"):
            compile_again(seed, allowed=False)
        foreign = [path.read_bytes() for path in set(directory.iterdir()) - set(own)]
        donors = [*own.values(), *foreign]
        turns = range(1, len(donors))[:most]
        for turn in turns:
            for number, path in enumerate(own):
                path.write_bytes(donors[(number + turn) % len(donors)])
            compile_again(seed, allowed=False)
            if any(path.read_bytes() != data for path, data in own.items() if path.exists() and _used(path)):
                raise Broken("a file of another kernel was used")
    return len(turns) * len(own)


def _used(path: Path) -> bool:
    return cache._read(path) is not None


def _check_files(directory: Path) -> None:
    for path in directory.iterdir():
        if path.suffix != cache.SUFFIX:
            raise Broken(f"left behind: {path.name}")


# Clocks --------------------------------------------------------------------------------------------------------------


def clocks(seed: int, days: Sequence[int] = (-36500, -400, -1, 1, 400, 36500)) -> int:
    """Set the clock, and the times of files, to other days; how often."""
    with fresh_cache() as directory, patch.object(cache, "CHECK_EVERY", 1):
        for number, day in enumerate(days):
            compile_again(seed + number, allowed=False)
            now = time.time()
            unfinished = directory / "another_process.tmp"
            unfinished.write_bytes(b"half")
            for path in directory.glob(f"*{cache.SUFFIX}"):
                os.utime(path, (now + 86400 * day,) * 2)
            with ExitStack() as stack:
                if day < 0:  # a file from the future is the same as a clock that was set back
                    stack.enter_context(patch.object(cache.time, "time", lambda now=now, day=day: now + 86400 * day))
                compile_again(seed + number, allowed=False)
                compile_again(seed + 100 + number, allowed=False)
            if not unfinished.exists():
                raise Broken("a file that another process is writing was deleted")
            unfinished.unlink()
            shutil.rmtree(directory)
            compile_again(seed + number, allowed=False)
    return len(days)
