"""How does one see what a transformed function does?  `print`, `callback`, `breakpoint`, `saved_residuals`.

The switches `debug_nans`, `debug_infs`, `checking_leaks`, `disable_jit`, `log_compiles` and `explain_cache_misses`
stand beside `jit`, as in JAX; ``docs/debugging.md`` shows all of them at work.
"""

from __future__ import annotations

from funcgrad.debug import _leaks, _memory, _nans
from funcgrad.debug._breakpoint import breakpoint
from funcgrad.debug._leaks import check_tracer_leaks, checking_leaks
from funcgrad.debug._printing import callback, print
from funcgrad.debug._residuals import Residual, Residuals, saved_residuals

_memory.install()  # first: whatever else looks at calls stands around its own
_nans.install()
_leaks.install()

__all__ = [
    "Residual",
    "Residuals",
    "breakpoint",
    "callback",
    "check_tracer_leaks",
    "checking_leaks",
    "print",
    "saved_residuals",
]
