"""Where do the coefficients of `funcgrad.compile.vecmath` come from?  This script computes them: minimax fits by Remez.

    python tools/fit_polynomials.py > funcgrad/compile/vecmath/coefficients.py

Each row of `fits` names a function g, an interval, a weight w and, per precision, the error allowed: the polynomial of
least degree for which max |w * (p - g)| stays below it is found at 50 digits.  w is chosen so that w * (p - g) is the
relative error that p causes in the final result.  ``f4`` and ``f8`` compute in that format; ``wide`` serves float
results computed in double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mpmath import mp, mpf

mp.dps = 50
Function = Callable[[mpf], mpf]
TARGETS = {"f4": mpf(2) ** -27, "wide": mpf(2) ** -36, "f8": mpf(2) ** -58}


def one(x: mpf) -> mpf:
    return mpf(1)


@dataclass(frozen=True)
class Fit:
    """What to approximate: g on [low, high] (per precision where they differ), weighted, for which precisions."""

    g: Function
    low: mpf
    high: mpf | dict[str, mpf]
    weight: Function = one
    targets: dict[str, mpf] = field(default_factory=lambda: dict(TARGETS))


def only(*names: str, **others: mpf) -> dict[str, mpf]:
    return {name: TARGETS[name] for name in names} | others


def series(odd: Function, derivative: int = 1) -> Function:
    """(odd(s)/s - 1)/z as a function of z = s*s, for a function with odd(s) = s + O(s**3)."""

    def g(z: mpf) -> mpf:
        s = mp.sqrt(z)
        with mp.workdps(110):
            return (odd(s) / s - 1) / z

    return g


def identity(z: mpf) -> mpf:
    return z


def remez(fit: Fit, high: mpf, degree: int) -> tuple[list[mpf], mpf]:
    """The minimax polynomial's coefficients and its error, by exchange on a fine grid."""
    nodes = 24 * (degree + 2)
    # The ends are avoided: most g are quotients that are 0/0 at one of them.
    grid = [fit.low + (high - fit.low) * (1 - mp.cos(mp.pi * (i + mpf(1) / 2) / nodes)) / 2 for i in range(nodes)]
    values, weights = [fit.g(x) for x in grid], [fit.weight(x) for x in grid]
    # Monomials of the scaled variable keep the linear system well conditioned.
    centre, half = (high + fit.low) / 2, (high - fit.low) / 2
    scaled = [(x - centre) / half for x in grid]
    chosen = [round(i * (nodes - 1) / (degree + 1)) for i in range(degree + 2)]
    for _ in range(12):
        rows = [[scaled[i] ** j for j in range(degree + 1)] + [(-1) ** n / weights[i]] for n, i in enumerate(chosen)]
        solution = list(mp.lu_solve(mp.matrix(rows), mp.matrix([values[i] for i in chosen])))
        coefficients, level = solution[:-1], abs(solution[-1])
        errors = [w * (mp.polyval(coefficients[::-1], t) - v) for t, v, w in zip(scaled, values, weights, strict=True)]
        worst = max(abs(e) for e in errors)
        if worst <= level * mpf("1.02"):
            break
        chosen = _extrema(errors, degree + 2)
    return _unscaled(coefficients, centre, half), worst


def _extrema(errors: list[mpf], count: int) -> list[int]:
    """Indices of `count` alternating extrema, dropping the smaller end where there are too many."""
    extrema: list[int] = []
    for i, error in enumerate(errors):
        if extrema and (error > 0) == (errors[extrema[-1]] > 0):
            if abs(error) > abs(errors[extrema[-1]]):
                extrema[-1] = i
        else:
            extrema.append(i)
    while len(extrema) > count:
        extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
    if len(extrema) < count:
        raise ArithmeticError("too few alternations: the degree is too high for the working precision")
    return extrema


def _unscaled(coefficients: list[mpf], centre: mpf, half: mpf) -> list[mpf]:
    """The polynomial in t = (x - centre)/half as one in x, by Horner's scheme on polynomials."""
    result = [mpf(0)]
    for c in reversed(coefficients):
        shifted = [mpf(0), *result]
        result = [s / half - centre / half * r for s, r in zip(shifted, [*result, mpf(0)], strict=True)]
        result[0] += c
    return result[: len(coefficients)]


def fits() -> dict[str, Fit]:
    """Every polynomial, under the name that the formulas use."""
    ln2, root = mp.log(2), mp.sqrt(2)
    reduced = mpf("1.002") * ln2 / 2
    z_log = ((root - 1) / (root + 1)) ** 2 * mpf("1.001")
    c1 = 2 / ln2
    quarter = mpf("0.2501")
    # doubles are reduced only beyond 1, floats to 9/8 of pi/4
    z_trig = {"f4": mpf("0.782"), "wide": mpf("0.782"), "f8": mpf(1)}
    trig_targets = only("f8", f4=mpf(2) ** -26, wide=mpf(2) ** -35)

    def erfc_scaled(t: mpf) -> mpf:
        a = 4 * (1 + t) / (1 - t)
        return (1 + 2 * a) * mp.exp(a * a) * mp.erfc(a)

    def arctanh_series(z: mpf) -> mpf:
        return 2 * series(mp.atanh)(z)

    def high_arctanh(z: mpf) -> mpf:
        with mp.workdps(110):
            s = mp.sqrt(z)
            return c1 * (mp.atanh(s) / s - 1 - z / 3) / z**2

    def coth_half(z: mpf) -> mpf:
        return mp.sqrt(z) * mp.coth(mp.sqrt(z) / 2)

    def tanh_rest(z: mpf) -> mpf:
        return 1 / series(mp.tanh)(z)

    floats = only("f4", "f8")
    precise = mpf(2) ** -70
    return {
        "exp": Fit(
            lambda r: (mp.expm1(r) - r) / r**2,
            -reduced,
            reduced,
            lambda r: abs(r),
            only("wide", f4=mpf(2) ** -26, f8=mpf(2) ** -55),
        ),
        "exp_quotient": Fit(coth_half, mpf(0), reduced**2, lambda z: 2 * mp.sqrt(z) / (coth_half(z) ** 2 - z), floats),
        "exp2": Fit(lambda r: mp.expm1(r * ln2) / r, mpf("-0.501"), mpf("0.501"), lambda r: abs(r)),
        "sinh": Fit(series(mp.sinh), mpf(0), reduced**2, identity, floats),
        "cosh": Fit(lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z, mpf(0), reduced**2, identity, floats),
        "tanh": Fit(tanh_rest, mpf(0), mpf("0.391"), lambda z: z / tanh_rest(z) ** 2, floats),
        "log": Fit(
            lambda g: (mp.log1p(g) - g) / g**2, 1 / root - 1, root - 1, lambda g: abs(g), {"f4": mpf(2) ** -24.9}
        ),
        "log_quotient": Fit(arctanh_series, mpf(0), z_log, identity, only("f8")),
        "log2_quotient": Fit(
            lambda z: c1 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z), mpf(0), z_log, one, {"wide": mpf(2) ** -39}
        ),
        "log2_precise": Fit(high_arctanh, mpf(0), z_log, lambda z: z * z, {"f8": precise}),
        "arctanh": Fit(series(mp.atanh), mpf(0), mpf("0.08"), identity, floats),
        "arctan": Fit(series(mp.atan), mpf(0), quarter, identity, floats),
        "arcsin": Fit(series(mp.asin), mpf(0), quarter, identity, floats),
        "arcsinh": Fit(series(mp.asinh), mpf(0), quarter, identity, floats),
        "sin": Fit(series(mp.sin), mpf(0), z_trig, identity, trig_targets),
        "cos": Fit(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, mpf(0), z_trig, lambda z: z * z, trig_targets),
        "cbrt": Fit(lambda m: m ** (mpf(-1) / 3), mpf(1), mpf(2), one, {"f4": mpf(2) ** -9.5, "f8": mpf(2) ** -18.5}),
        "erf": Fit(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, mpf(0), mpf("1.0002"), one),
        "erf_exponent": Fit(lambda a: -mp.log(mp.erfc(a)), mpf(1), {"f4": mpf(4), "f8": mpf(6)}, mp.erfc, floats),
        "erfc": Fit(
            erfc_scaled,
            (mpf("0.45") - 4) / (mpf("0.45") + 4),
            {"wide": mpf(6) / 14 + mpf("0.05"), "f8": mpf(24) / 32},
            one,
            {"wide": mpf(2) ** -31, "f8": mpf(2) ** -58},
        ),
    }


def main() -> None:
    print('"""Which coefficients do the polynomials have?  Written by tools/fit_polynomials.py; lowest power first.')
    print("\nA comment states the interval and the weighted error; the script says what is approximated.\n" + '"""\n')
    print("from __future__ import annotations\n\nCOEFFICIENTS: dict[tuple[str, str], tuple[float, ...]] = {")
    for name, fit in fits().items():
        for precision, target in fit.targets.items():
            high = fit.high[precision] if isinstance(fit.high, dict) else fit.high
            degree, error = 0, mpf(1)
            while error > target:
                degree += 1
                coefficients, error = remez(fit, high, degree)
            print(f"    # [{mp.nstr(fit.low, 4)}, {mp.nstr(high, 4)}], 2**{mp.nstr(mp.log(error, 2), 4)}")
            print(f'    ("{name}", "{precision}"): (')
            print("\n".join(f"        {float(c)!r}," for c in coefficients))
            print("    ),")
    print("}")


if __name__ == "__main__":
    main()
