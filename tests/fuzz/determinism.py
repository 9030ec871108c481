"""Are the bits always the same?  ``python -m tests.fuzz.determinism --programs 100``.

Each program is run by 1, 2, 3 and 5 threads, compiled anew and read from the disk, and once more in another process
with
another order of hashes; arrays are cut into many small pieces, so that the threads have something to share.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.compile import compiler, engine
from funcgrad.runtime.executable import Executable
from tests.fuzz.campaign import cases
from tests.fuzz.checks import plain
from tests.fuzz.programs import Case
from tests.fuzz.variants import patched, variant

THREADS = (1, 2, 3, 5)
CUT = ("small limits: pieces", "small limits: lines")


class Differs(AssertionError):
    """Two runs gave different bits."""


def programs(seed: int, count: int) -> Iterator[tuple[Case, Any]]:
    """Random programs, traced."""
    for case in cases(seed, 0, count):
        for program in case.programs:
            alone = Case((program,), case.label)
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    yield alone, fg.make_jaxpr(alone.function())(*alone.values)
                except Exception:  # what cannot be traced is no program
                    continue


def bits(executable: Executable, case: Case) -> bytes:
    """The bits of all results, of an exception its text."""
    try:
        with np.errstate(all="ignore"):
            results, _ = executable([plain(v) for v in case.values])
    except Exception as error:
        return f"{type(error).__name__}: {error}".encode()
    return b"".join(np.asarray(r).tobytes() for r in results)


def same_for_any_number_of_threads(executable: Executable, case: Case) -> bytes:
    """The bits, by one thread and by several, twice each."""
    before, first = fg.get_num_threads(), None
    try:
        for count in (*THREADS, *THREADS):
            fg.set_num_threads(count)
            found = bits(executable, case)
            first = found if first is None else first
            if found != first:
                raise Differs(f"{count} threads give other bits than {THREADS[0]}\n{case.script()}")
    finally:
        fg.set_num_threads(before)
    assert first is not None
    return first


def same_from_the_disk(traced: Any, case: Case, cold: bytes) -> None:
    """Read from the cache, without a compilation."""
    compiler.clear()

    def refuse(text: str, verify: bool = False) -> bytes:
        raise Differs(f"a kernel was not found on the disk\n{text}\n{case.script()}")

    with variant(CUT), patched(((engine, "to_object", refuse),)):
        warm = bits(Executable(traced), case)
    if warm != cold:
        raise Differs(f"code from the disk gives other bits\n{case.script()}")


def digest(seed: int, count: int, threads: bool, disk: bool) -> tuple[str, int]:
    """A number for all bits of so many programs, and how many there were."""
    whole, done = hashlib.sha256(), 0
    for case, traced in programs(seed, count):
        with variant(CUT):
            executable = Executable(traced)
        found = same_for_any_number_of_threads(executable, case) if threads else bits(executable, case)
        if disk:
            same_from_the_disk(traced, case, found)
        whole.update(found)
        done += 1
    return whole.hexdigest(), done


def main() -> int:
    """Compare what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.determinism")
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digest", action="store_true", help="print a digest of one run, and no more")
    given = parser.parse_args()
    if given.digest:
        print(*digest(given.seed, given.programs, threads=False, disk=False))
        return 0
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        os.environ |= {"FUNCGRAD_CACHE": "1", "FUNCGRAD_CACHE_DIR": folder}
        here = digest(given.seed, given.programs, threads=True, disk=True)
        command = [sys.executable, "-m", "tests.fuzz.determinism", "--digest"]
        command += ["--programs", str(given.programs), "--seed", str(given.seed)]
        for hashes, cache in (("1", "1"), ("2", "0")):  # another process: with the cache, and without it
            environment = os.environ | {"PYTHONHASHSEED": hashes, "FUNCGRAD_CACHE": cache}
            there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
            if there[0] != here[0]:
                raise Differs(f"another process (cache {cache}) gives {there}, not {here}")
    print(f"{here[1]} programs: the same bits by {THREADS} threads, cold, from the disk, in two other processes;")
    print(f"{time.process_time() - begun:.0f} s of CPU here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
