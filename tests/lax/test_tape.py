"""What does the pullback of a loop of unknown length do when its tape does not fit, and how much of it is kept?"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.runtime import structured

LIMITED = """
import re, resource
import numpy as np
import funcgrad as fg
from funcgrad import lax

def total(x, n, way=None):
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 0.5 + 1), (0, x), checkpoint=way)[1].sum()

gradient, kept = fg.jit(fg.grad(total)), fg.jit(fg.grad(lambda x, n: total(x, n, "binomial")))
sizes = (1, 4000, 4_000_000)
for size in sizes:
    gradient(np.ones(size), 3)
kept(np.ones(4000), 3)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (400 << 20), resource.RLIM_INFINITY))
for size in (*sizes, *sizes):
    try:
        gradient(np.ones(size), 10**9)
    except MemoryError as error:
        text = str(error)
        each, count, whole = (int(n.replace(",", "")) for n in re.findall(r"([\\d,]+) (?:bytes|iterations)", text))
        assert each == 8 * size + 8 and whole == each * count, text
        assert 50 << 20 < whole < 400 << 20, text
        assert "checkpoint" in text and "<string>" in text, text
    else:
        raise SystemExit("no MemoryError")
    assert (gradient(np.ones(4), 3) == 0.125).all()
assert (kept(np.ones(4000), 2000) == 0).all()
print("usable")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where the limit of an address space is kept")
def test_a_tape_beyond_memory_leaves_the_process_usable() -> None:
    run = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("usable\n", 0), run.stderr


@pytest.mark.parametrize(("size", "count"), [(1, 1 << 20), (50_000, 41)], ids=["kernels", "steps"])
def test_a_tape_ends_before_the_machines_memory(monkeypatch: pytest.MonkeyPatch, size: int, count: int) -> None:
    monkeypatch.setattr(structured, "memory_limit", lambda: 1 << 24)
    each = 8 * size + 8

    def slope(n: Any) -> Any:
        def last(x: Any) -> Any:
            return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1]) + 0.25), (0, x))[1].sum()

        return fg.grad(last)(np.ones(size))

    function = fg.jit(slope)
    with pytest.raises(MemoryError, match=f"{each:,} bytes, and had grown to {count:,} iterations") as caught:
        function(10**8)
    assert "test_tape.py" in str(caught.value)
    np.testing.assert_allclose(function(2), np.cos(1) * np.cos(np.sin(1) + 0.25), rtol=1e-12)


@pytest.mark.skipif(sys.platform != "linux", reason="where a machine's memory can be asked for")
def test_the_limit_is_the_machines_memory() -> None:
    assert 1 << 28 < structured.memory_limit() < 1 << 46
