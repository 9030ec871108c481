"""For which CPU is code made, and what can it do?

LLVM ends the process when it is given a name that it does not know, or one whose CPUs do not run programs like this
one; so a process of its own is asked first.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import llvmlite
from llvmlite import binding

from funcgrad import config
from funcgrad.compile.aside import aside
from funcgrad.errors import SettingError

if TYPE_CHECKING:
    import subprocess

BASELINE = "generic"
VECTORS = {"+avx512f": (32, 64), "+avx2": (32,), "+avx": (16, 32)}  # bytes, by the first feature that a CPU has
_elsewhere: contextvars.ContextVar[str] = contextvars.ContextVar("the CPU to compile for")
_PROBE = """
import sys
from llvmlite import binding
binding.initialize_native_target()
binding.initialize_native_asmprinter()
target = binding.Target.from_triple(sys.argv[1])
machine = target.create_target_machine(sys.argv[2], "", opt=0)
machine.emit_object(binding.parse_assembly("define void @f() { ret void }"))
"""


def target() -> tuple[str, str]:
    """The name and the features of the CPU to compile for.

    That is the host's, unless the environment variable ``FUNCGRAD_CPU`` names another one that LLVM knows (``generic``
    is the least of its family), or `compiling_for` does.

    Raises
    ------
    ValueError
        LLVM cannot make code for it.
    """
    return _target(_elsewhere.get(config.cpu()))


@contextlib.contextmanager
def compiling_for(cpu: str) -> Iterator[None]:
    """A context in which this thread prints and compiles code for another CPU (``"host"``: this one)."""
    token = _elsewhere.set("" if cpu == "host" else cpu)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def features() -> list[str]:
    """The features of the CPU to compile for, with their signs; one empty text where its name alone is known."""
    return target()[1].split(",")


def has_fma() -> bool:
    """Whether the CPU to compile for multiplies and adds in one instruction (on x86 some do not; elsewhere all do)."""
    family = platform().split("-")[0]
    return family not in ("x86_64", "i686", "i386") or "+fma" in features()


def vector_widths() -> tuple[int, ...]:
    """The bytes of the vectors that LLVM may choose for the CPU to compile for."""
    found = features()
    if binding.get_process_triple().split("-")[0] != "x86_64":
        return (16,)
    if found == [""]:  # a CPU that is known by its name alone
        return (16, 32, 64)
    return next((widths for feature, widths in VECTORS.items() if feature in found), (16,))


def wide_vectors_pay() -> bool:
    """Whether whole vectors of AVX-512 are faster than halves: from Intel's Ice Lake and AMD's Zen 4 on."""
    return "+avx512vbmi2" in features()


def permutes_two() -> bool:
    """Whether one instruction takes any lanes of two vectors of 32 bytes."""
    return "+avx512vl" in features()


def streaming_pays() -> bool:
    """Whether there are stores past the caches that fetch no line first."""
    return platform().split("-")[0] == "x86_64"


def identity() -> str:
    """What object code depends on besides its source: CPU, features, platform and versions."""
    cpu, features = target()
    return f"{platform()} {cpu} {features} LLVM {version()} llvmlite {llvmlite.__version__}"


@functools.cache
def platform() -> str:
    """LLVM's name of the family of CPUs and the operating system."""
    return str(aside(binding.get_process_triple))


def version() -> str:
    """LLVM's version."""
    return ".".join(map(str, binding.llvm_version_info))


@functools.cache
def is_cpu(name: str) -> bool:
    """Whether code for processes like this one can be made for a CPU of this name."""
    if name in (BASELINE, binding.get_host_cpu_name()):
        return True
    tried = _child(name)
    return not tried.returncode and "is not a recognized processor" not in tried.stderr


@functools.cache
def check_cpu(name: str) -> None:
    """See that `is_cpu` holds for the CPU that ``FUNCGRAD_CPU`` names.

    Raises
    ------
    SettingError
        It does not; with the names that LLVM knows.
    """
    if not is_cpu(name):
        known = dict.fromkeys(re.findall(r"^ +(\S+) +- Select the", _child("help").stderr, re.M))
        raise SettingError(
            f"FUNCGRAD_CPU: LLVM cannot make code for {binding.get_process_triple()} on a CPU {name!r}; "
            f"the CPUs that it knows are {', '.join(known)}"
        )


def _child(name: str) -> subprocess.CompletedProcess[str]:
    import subprocess

    command = [sys.executable, "-c", _PROBE, binding.get_process_triple(), name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@functools.cache
def _target(wanted: str) -> tuple[str, str]:
    if wanted:
        check_cpu(wanted)
        return wanted, ""
    return aside(lambda: (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()))
