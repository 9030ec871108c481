"""Does Ctrl-C leave NumPy's warnings on, at whatever instruction it comes?"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.quiet
from funcgrad.quiet import quiet
from funcgrad.tracebacks import boundary

CODES = (quiet.__enter__.__code__, quiet.__exit__.__code__)


def interrupted(call: Callable[[], Any], instruction: int) -> bool:
    """Call a function, and raise before an instruction at the border of a quiet block; whether there is one."""
    seen = -1

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if frame.f_code not in CODES:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == instruction:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@boundary
def nested() -> Any:
    """A block in a block."""
    with quiet(), quiet():
        return np.log(np.zeros(1))


@pytest.fixture(params=["context", "functions"])
def state_of_numpy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to NumPy's state."""
    if request.param == "functions":
        monkeypatch.setattr(funcgrad.quiet, "_STATE", funcgrad.quiet._Functions)
        monkeypatch.setattr(funcgrad.quiet, "_OFF", funcgrad.quiet._Functions.off)


@pytest.mark.usefixtures("state_of_numpy")
@pytest.mark.parametrize("mode", ["short", "full"])
@pytest.mark.parametrize("call", [nested, lambda: fg.grad(lambda x: x * x)(3.0)], ids=["nested", "grad"])
@pytest.mark.parametrize("state", ["raise", "ignore"])
def test_warnings_are_as_they_were(call: Callable[[], Any], mode: str, state: str) -> None:
    with np.errstate(all=state), fg.config.traceback(mode):
        before, instruction = np.geterr(), 0
        while interrupted(call, instruction):
            assert np.geterr() == before, instruction
            instruction += 1
        assert instruction > 10
        assert np.geterr() == before


@pytest.mark.usefixtures("state_of_numpy")
def test_a_block_is_quiet_and_ends() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            np.log(np.zeros(1))
        with pytest.raises(RuntimeWarning):
            np.log(np.zeros(1))
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    with pytest.raises(RuntimeWarning):
        np.log(np.zeros(1))
