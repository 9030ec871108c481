"""For which CPUs can code be made?  LLVM ends the process when it is given a name that it does not know, or one whose
CPUs do not run programs like this one; so a process of its own is asked first.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING

from llvmlite import binding

from funcgrad.errors import SettingError

if TYPE_CHECKING:
    import subprocess

BASELINE = "generic"
_PROBE = """
import sys
from llvmlite import binding
binding.initialize_native_target()
binding.initialize_native_asmprinter()
target = binding.Target.from_triple(sys.argv[1])
machine = target.create_target_machine(sys.argv[2], "", opt=0)
machine.emit_object(binding.parse_assembly("define void @f() { ret void }"))
"""


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
