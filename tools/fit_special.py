"""Where do the coefficients of the special functions come from?  This script computes them, as `fit_polynomials` does.

    python tools/fit_special.py > funcgrad/compile/vecmath/special_coefficients.py

The names of polynomials for single precision have `single` in them; where there is none, float results are computed in
double.
"""

from __future__ import annotations

import sys

from fit_polynomials import Fit, Function, remez
from mpmath import mp, mpf

mp.dps = 50
TARGET, SINGLE = mpf(2) ** -57, mpf(2) ** -28
ROOT = mp.findroot(mp.digamma, mpf("1.4616321449683623"))  # the positive zero of digamma


def erf_inv(w: mpf) -> mpf:
    """|erfinv(x)| for w = -log(1 - x**2), by Newton's method on the logarithm of erfc."""
    if w < mpf("0.5"):
        x = mp.sqrt(-mp.expm1(-w))
        return mp.erfinv(x)
    tail = -mp.expm1(mp.log1p(-mp.exp(-w)) / 2)  # 1 - x
    y = mp.sqrt(w)
    for _ in range(200):
        value = mp.erfc(y)
        step = value * mp.log(value / tail) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
        y += step
        if abs(step) < mpf(10) ** -45 * y:
            break
    return y


def size_of(w: mpf) -> mpf:
    """|x| for w = -log(1 - x**2)."""
    return mp.sqrt(-mp.expm1(-w))


def over_size(w: mpf) -> mpf:
    """erfinv(x) / x for w = -log(1 - x**2)."""
    return erf_inv(w) / size_of(w)


def tail(s: mpf) -> mpf:
    """erfinv(x) / x for w = s²."""
    return over_size(s * s)


def stirling(w: mpf) -> mpf:
    """z (log Γ(z) - (z - 1/2) log z + z - log √2π) for w = 1/z²."""
    z = 1 / mp.sqrt(w)
    with mp.workdps(80):
        return z * (mp.loggamma(z) - (z - mpf("0.5")) * mp.log(z) + z - mp.log(2 * mp.pi) / 2)


def digamma_rest(w: mpf) -> mpf:
    """(log z - 1/(2z) - ψ(z)) z² for w = 1/z²."""
    z = 1 / mp.sqrt(w)
    with mp.workdps(80):
        return (mp.log(z) - 1 / (2 * z) - mp.digamma(z)) / w


def trigamma_rest(w: mpf) -> mpf:
    """(ψ'(z) - 1/z - 1/(2z²)) z³ for w = 1/z²."""
    z = 1 / mp.sqrt(w)
    with mp.workdps(80):
        return (mp.psi(1, z) - 1 / z - w / 2) * z / w


def cotangent_rest(w: mpf) -> mpf:
    """(π cot(πr) - 1/r - 2r/(r² - 1)) / r for w = r²."""
    r = mp.sqrt(w)
    return (mp.pi * mp.cot(mp.pi * r) - 1 / r - 2 * r / (w - 1)) / r


def scaled_bessel(order: int) -> Function:
    """√x e**-x I(x) for v = 1/x."""
    return lambda v: mp.besseli(order, 1 / v) * mp.exp(-1 / v) / mp.sqrt(v)


def bessel_single(order: int) -> dict[str, Fit]:
    """e**-a I(a), for order 1 over a, for a = 1/2 + t; by itself for a = 2 + t; and times √a for 1/a = 0.15 + t."""

    def near(a: mpf) -> mpf:
        return mp.besseli(order, a) * mp.exp(-a)

    def over_power(a: mpf) -> mpf:
        return near(a) / a**order

    def around(g: Function, centre: mpf, low: mpf, high: mpf) -> Fit:
        return Fit(lambda t: g(centre + t), low - centre, high - centre, lambda t: 1 / g(centre + t))

    tiny, centre, far = mpf(10) ** -12, mpf("0.15"), scaled_bessel(order)
    return {
        f"i{order}_single": around(over_power, mpf("0.5"), tiny, mpf(1)),
        f"i{order}_single_middle": around(near, mpf(2), mpf(1), mpf("3.25")),
        f"i{order}_single_far": Fit(lambda t: far(t + centre), tiny - centre, mpf("0.1578"), lambda t: mpf(2)),
    }


def erfcx_scaled(t: mpf) -> mpf:
    """erfcx(a) (a + 1/2) for a = 4 (1 + t) / (1 - t)."""
    a = 4 * (1 + t) / (1 - t)
    return (a + mpf("0.5")) * mp.exp(a * a) * mp.erfc(a)


def fits() -> dict[str, Fit]:
    """Every polynomial, under the name that the formulas use."""
    tiny, half = mpf(10) ** -12, mpf("0.501")
    return {
        # log Γ(2 + t) / t
        "lgamma": Fit(lambda t: mp.loggamma(2 + t) / t, -half, half, lambda t: 1 / (mp.loggamma(2 + t) / t)),
        "stirling": Fit(stirling, tiny, mpf(1) / mpf("8.4") ** 2, lambda w: mpf(1) / 256),
        # ψ(x) / (x - root) for s = x - 3/2
        "digamma": Fit(lambda s: mp.digamma(s + 1.5) / (s + 1.5 - ROOT), -half, half),
        "digamma_rest": Fit(digamma_rest, tiny, mpf(1) / mpf("9.9") ** 2, lambda w: mpf(1) / 100),
        "trigamma_rest": Fit(trigamma_rest, tiny, mpf(1) / mpf("7.9") ** 2, lambda w: mpf(1) / 62),
        "cotangent": Fit(cotangent_rest, tiny, mpf("0.2501")),
        "sine": Fit(lambda w: mp.sin(mp.pi * mp.sqrt(w)) / mp.sqrt(w) / mp.pi, tiny, mpf("0.2501")),
        # erfinv(x) / x
        "erf_inv": Fit(over_size, tiny, mpf("6.26")),
        # likewise, from the middle of an interval of s = √w, and of 1/s
        "erf_inv_middle": Fit(lambda t: tail(mpf("3.25") + t), mpf("-0.76"), mpf("0.76"), lambda t: mpf("0.3")),
        "erf_inv_high": Fit(lambda t: tail(6 + t), mpf("-2.01"), mpf("2.01"), lambda t: mpf("0.2")),
        "erf_inv_end": Fit(lambda t: tail(1 / (mpf("0.08") + t)) * (mpf("0.08") + t), mpf("-0.0436"), mpf("0.0452")),
        # and of w
        "erf_inv_single": Fit(lambda t: over_size(mpf("1.5") + t), tiny - mpf("1.5"), mpf("3.51")),
        "erf_inv_single_tail": Fit(lambda t: tail(mpf("3.125") + t), mpf("-0.9"), mpf("0.96")),
        "erf_inv_single_high": Fit(lambda t: tail(mpf("5.25") + t), mpf("-1.27"), mpf("5.0"), lambda t: mpf("0.2")),
        # erfcx(a) (a + 1/2) for a = 4 (1 + t) / (1 - t)
        "erfcx_single": Fit(erfcx_scaled, tiny - 1, mpf("0.999")),
        "i0": Fit(lambda z: mp.besseli(0, mp.sqrt(z)), tiny, mpf(60), lambda z: 1 / mp.besseli(0, mp.sqrt(z))),
        "i1": Fit(
            lambda z: mp.besseli(1, mp.sqrt(z)) / mp.sqrt(z),
            tiny,
            mpf(60),
            lambda z: mp.sqrt(z) / mp.besseli(1, mp.sqrt(z)),
        ),
        **bessel_single(0),
        **bessel_single(1),
        "i0_far": Fit(scaled_bessel(0), tiny, 1 / mpf("7.74")),
        "i1_far": Fit(scaled_bessel(1), tiny, 1 / mpf("7.74")),
    }


def main() -> None:
    """Print the table, or the rows that the command names."""
    print('"""Which coefficients do special functions have?  Written by tools/fit_special.py; lowest power first."""\n')
    print("from __future__ import annotations\n\nSPECIAL: dict[str, tuple[float, ...]] = {")
    for name, fit in fits().items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        assert isinstance(fit.high, mpf)
        for degree in range(4, 32):
            coefficients, error = remez(fit, fit.high, degree)
            if error < (SINGLE if "single" in name else TARGET):
                break
        print(f"    # [{mp.nstr(fit.low, 4)}, {mp.nstr(fit.high, 4)}], 2**{mp.nstr(mp.log(error, 2), 4)}")
        print(f'    "{name}": (')
        print("".join(f"        {float(c)!r},\n" for c in coefficients) + "    ),", flush=True)
    print("}")


if __name__ == "__main__":
    main()
