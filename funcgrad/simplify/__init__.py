"""Programs made smaller with exactly the same results: `simplify` runs all passes.

Only identities that hold for every value, NaN, infinities and signed zeros included, are used: ``x * 1`` is ``x``,
but ``x + 0`` is not (-0 + 0 is 0), and ``x * 0`` may be NaN.
"""

from funcgrad.simplify.pipeline import simplify

__all__ = ["simplify"]
