"""Where does compiled code stay between processes?  A disk cache, addressed by content.

The name of a file is the SHA-256 of everything that the code in it depends on: the key (the source), the CPU, the
versions.  A file is a header (magic, length, SHA-256 of its name and the payload) and a payload; it is written beside
its place and moved there, and checked whenever it is read: a file that got another one's name is a damaged one.  The
payload is code that will run, so the directory and its files must belong to the user, and nobody else may write to them
or put another directory in their place: ownership and modes are checked up to the root, as OpenSSH checks the way to a
user's keys.

See `funcgrad.config` for the environment variables that place it or turn it off.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import stat
import struct
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from funcgrad import config, forks
from funcgrad.compile import cpus
from funcgrad.errors import CacheWarning

FORMAT = 2
MAGIC = b"funcgrad"
HEADER = struct.Struct("<8sIQ32s")  # magic, format, length of the payload, SHA-256 of name and payload
SUFFIX = ".o"
LIMIT = 512 << 20  # bytes
CHECK_EVERY = 256  # writes between two looks at the size of the whole, on average, over all processes
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
STALE = 3600.0  # seconds after which another process's unfinished file is litter

_lock = forks.held(threading.Lock())
_warned: set[str] = set()


class Info(NamedTuple):
    """The state of the cache: its directory (None while it is off), how many files, how many bytes."""

    directory: Path | None
    files: int
    bytes: int


def fetch(key: str, make: Callable[[], bytes]) -> bytes:
    """The code for `key`, from the cache, or made (and kept).

    Parameters
    ----------
    key
        The source of the code: whatever determines the result of `make` but for the machine and the versions.
    make
        Called when the cache does not have it.

    Returns
    -------
    bytes
        The code.

    Warns
    -----
    CacheWarning
        Once per directory: it cannot be used.  The result is right nevertheless.
    """
    directory = config.cache_directory()
    if directory is None or not _usable(directory):
        return make()
    path = directory / (_digest(key) + SUFFIX)
    payload = _read(path)
    if payload is None:
        payload = make()
        _write(path, payload)
    return payload


def info() -> Info:
    """Where the cache is and what it holds."""
    directory = config.cache_directory()
    sizes = [] if directory is None else [status.st_size for _, status in _files(directory)]
    return Info(directory, len(sizes), sum(sizes))


def clear() -> None:
    """Delete every file of the cache."""
    directory = config.cache_directory()
    for path, _ in [] if directory is None else list(_files(directory)):
        with suppress(OSError):
            path.unlink()


def _usable(directory: Path) -> bool:
    """Make the directory if there is none; whether it is ours alone to write to."""
    try:
        _make(directory)
        status = directory.stat()
    except OSError as error:
        return _refuse(directory, str(error))
    if os.name == "posix":
        if status.st_uid != os.geteuid():
            return _refuse(directory, "it belongs to another user")
        if status.st_mode & OTHERS_WRITE:
            return _refuse(directory, "other users may write to it")
        try:
            replaceable = _replaceable(directory, os.geteuid())
        except OSError as error:
            return _refuse(directory, str(error))
        if replaceable is not None:
            return _refuse(directory, f"other users may put another one in its place, in {str(replaceable)!r}")
    return True


def _make(directory: Path) -> None:
    """Make the directory, private, unless it is there; and those above it: with ``parents=True`` they would not be."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if directory.parent == directory:  # the current directory, which is gone
            raise
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


@functools.cache  # looked at once in a process: where nobody else can write, nobody else can change that
def _replaceable(directory: Path, user: int) -> Path | None:
    """The folder above in which somebody else than the user or root can rename things; None if there is none.

    In a sticky folder, such as ``/tmp``, only the owner of a thing can.
    """
    place = directory.absolute()
    links = place.parents if place.resolve() != place else ()  # a link can be replaced where it stands, too
    for parent in {*links, *place.resolve().parents}:
        status = parent.stat()
        free = status.st_mode & OTHERS_WRITE and not status.st_mode & stat.S_ISVTX
        if free or status.st_uid not in (0, user):
            return parent
    return None


def _refuse(directory: Path, reason: str) -> bool:
    """Say, once, that the directory cannot be used; False."""
    with _lock:
        first = str(directory) not in _warned
        _warned.add(str(directory))
    if first:
        warnings.warn(
            f"funcgrad's cache directory {str(directory)!r} cannot be used: {reason}. Programs are compiled anew "
            f"in each process. Set {config.CACHE_DIR} to a directory of your own, or {config.CACHE}=0 to do without.",
            CacheWarning,
            stacklevel=2,
        )
    return False


def _digest(key: str) -> str:
    return hashlib.sha256(f"{FORMAT}\n{cpus.identity()}\n{key}".encode()).hexdigest()


def _read(path: Path) -> bytes | None:
    """The payload of a file; None where there is none, or a damaged one."""
    try:
        data = _read_own(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path.parent, str(error))
        return None
    payload = data[HEADER.size :]
    if data[: HEADER.size] != _header(path, payload):
        return None
    with suppress(OSError):  # the time of the last use decides what goes first
        os.utime(path)
    return payload


def _read_own(path: Path) -> bytes:
    """The bytes of a file, or none if it is a link, or belongs to somebody else, or others may write to it."""
    if os.name != "posix":
        return path.read_bytes()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""
        raise
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & OTHERS_WRITE
        return file.read() if own else b""


def _header(path: Path, payload: bytes) -> bytes:
    return HEADER.pack(MAGIC, FORMAT, len(payload), hashlib.sha256(path.stem.encode() + payload).digest())


def _write(path: Path, payload: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem[:16], suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_header(path, payload) + payload)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except FileNotFoundError:  # somebody has cleared the directory meanwhile
        return
    except OSError as error:
        _refuse(path.parent, str(error))
        return
    if int(path.stem[:8], 16) % CHECK_EVERY == 0:  # the name decides: a process may be too short to count to many
        _trim(path.parent)


def _trim(directory: Path) -> None:
    """Delete what was not used for longest, until a quarter of the limit is free, and what crashed processes left."""
    files = sorted(_files(directory), key=lambda item: item[1].st_mtime)
    newest = min(files[-1][1].st_mtime, time.time()) if files else 0.0  # whichever clock is behind
    total = sum(status.st_size for _, status in files)
    goal = LIMIT if total <= LIMIT else LIMIT * 3 // 4
    for path, status in files:
        litter = path.suffix == ".tmp" and status.st_mtime < newest - STALE
        if total > goal or litter:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # another process may trim too
                total -= status.st_size


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(OSError):
        for path in directory.iterdir():
            if path.suffix in (SUFFIX, ".tmp"):
                with suppress(OSError):
                    yield path, path.stat()
