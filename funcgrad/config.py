"""Which settings are there?  Environment variables, each with a type, a default and a meaning;
read when they are needed.

=========================  ==========  ================================================================================
variable                   default     meaning
=========================  ==========  ================================================================================
``FUNCGRAD_NUM_THREADS``   all cores   threads that compiled programs use (at least 1); see `funcgrad.set_num_threads`
``FUNCGRAD_CACHE``         ``1``       ``0``: keep no compiled kernels on disk
``FUNCGRAD_CACHE_DIR``     per user    where the disk cache is (default: the platform's place for caches)
``FUNCGRAD_CPU``           the host    the CPU to compile for, as LLVM names it (``generic``: the least of its family)
``FUNCGRAD_DEBUG``         ``0``       ``1``: have LLVM verify every module
=========================  ==========  ================================================================================
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NUM_THREADS, CACHE, CACHE_DIR = "FUNCGRAD_NUM_THREADS", "FUNCGRAD_CACHE", "FUNCGRAD_CACHE_DIR"
CPU, DEBUG = "FUNCGRAD_CPU", "FUNCGRAD_DEBUG"


def num_threads() -> int | None:
    """How many threads the environment asks for, if it does.

    Raises
    ------
    ValueError
        If the variable is set to something that is not a positive integer.
    """
    text = os.environ.get(NUM_THREADS, "")
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{NUM_THREADS} must be a positive integer, not {text!r}")
    return int(text)


def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None when they are not."""
    if os.environ.get(CACHE, "1") == "0":
        return None
    if named := os.environ.get(CACHE_DIR):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "funcgrad" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "funcgrad"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "funcgrad"


def cpu() -> str:
    """The name of the CPU to compile for; empty for the host's."""
    return os.environ.get(CPU, "")


def debug() -> bool:
    """Whether compiled modules are verified."""
    return os.environ.get(DEBUG, "0") not in ("", "0")
