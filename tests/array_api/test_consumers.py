"""Does code written for the Array API standard trace?  SciPy's and scikit-learn's, compiled and differentiated.

In processes of their own: SciPy looks at its variable when it is imported.  What does not trace writes into arrays,
asks for values, or hands arrays to code in C; `docs/differences.md` says so, and here is one of each.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

COMMON = """
import warnings

import numpy as np

import funcgrad as fg

warnings.simplefilter("ignore")  # of the libraries
x = np.array([[0.3, 1.2, 0.7, 0.9], [2.0, 0.1, 0.4, 0.6], [0.8, 0.5, 1.1, 0.2]])
v = np.cos(np.arange(24.0) ** 1.5)


def hold(name, function, x, differentiable=True):
    want = np.asarray(function(x))
    got = fg.jit(function)(x)
    assert isinstance(got, fg.Array) and got.dtype == want.dtype, name
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12, err_msg=name)
    if not differentiable:
        return
    weights = np.cos(np.arange(want.size)).reshape(want.shape)
    gradient = fg.grad(lambda x: np.sum(np.real(function(x)) * weights))(x)
    direction = np.sin(np.arange(x.size) + 1.0).reshape(x.shape)
    up, down = (np.sum(np.real(function(x + h * direction)) * weights) for h in (1e-5, -1e-5))
    np.testing.assert_allclose(np.sum(gradient * direction), (up - down) / 2e-5, rtol=1e-5, atol=1e-7, err_msg=name)
"""

SCIPY = (
    COMMON
    + """
import scipy.constants, scipy.fft, scipy.integrate, scipy.optimize, scipy.signal, scipy.spatial.transform
import scipy.special as sp, scipy.stats as st

TRACED = {
    **{name: getattr(sp, name) for name in "erf erfc expit ndtr log_ndtr gammaln i0 i0e i1 i1e entr exp1".split()},
    **{name: (lambda f: lambda x: f(x / 3))(getattr(sp, name)) for name in "logit ndtri digamma".split()},
    **{
        name: (lambda f: lambda x: f(x, x[::-1] + 1.0))(getattr(sp, name))
        for name in "xlogy rel_entr kl_div betaln beta gammainc gammaincc xlog1py".split()
    },
    "zeta": lambda x: sp.zeta(x + 1.5, 2.0 * x),
    "softmax": lambda x: sp.softmax(x, axis=1),
    **{
        name: (lambda f: lambda x: f(x, axis=1))(getattr(st, name))
        for name in "gmean skew kurtosis sem tmin tmax entropy circmean circvar circstd".split()
    },
    "differential_entropy": lambda x: st.differential_entropy(x, window_length=1, axis=1),
    "moment": lambda x: st.moment(x, 3, axis=1),
    "zmap": lambda x: st.zmap(x, x[::-1], axis=1),
    "describe": lambda x: st.describe(x, axis=1).variance,
    "kstat": lambda x: st.kstat(x, 2, axis=1),
    "kstatvar": lambda x: st.kstatvar(x, 2, axis=1),
    "directional_stats": lambda x: st.directional_stats(x).mean_direction,
    "fftconvolve": lambda x: scipy.signal.fftconvolve(x, x[:, :2], axes=1),
    "freqz": lambda x: np.abs(scipy.signal.freqz(x[0], worN=8)[1]),
    "vectorstrength": lambda x: scipy.signal.vectorstrength(x[0], 1.5)[0],
    "trapezoid": lambda x: scipy.integrate.trapezoid(x, axis=1),
    "cumulative_trapezoid": lambda x: scipy.integrate.cumulative_trapezoid(x, axis=1),
    "romb": lambda x: scipy.integrate.romb(x.reshape(-1)[:9]),
    "fft": lambda x: np.abs(scipy.fft.fft(x)),
    "rfftn": lambda x: np.abs(scipy.fft.rfftn(x)),
    "convert_temperature": lambda x: scipy.constants.convert_temperature(x, "C", "F"),
    "rosen": scipy.optimize.rosen,
    "rotation": lambda x: scipy.spatial.transform.Rotation.from_rotvec(x[:, :3]).as_matrix(),
}
for name, function in TRACED.items():
    hold(name, function, x)

NOT = {
    "written to": lambda x: sp.logsumexp(x, axis=1),
    "known value": st.hmean,
    "real NumPy array": lambda x: scipy.fft.dct(x),
    "Multiple namespaces": lambda x: st.variation(x, axis=1),
    "used as an index": st.tvar,
}
for message, function in NOT.items():
    try:
        fg.jit(function)(x)
    except (TypeError, IndexError) as error:
        assert message in str(error), (message, error)
    else:
        raise AssertionError(f"traces now: {message}")
print("traced", len(TRACED))
"""
)

LEARN = (
    COMMON
    + """
import warnings
from sklearn import config_context, decomposition, metrics, preprocessing

TRACED = {
    "PCA": lambda x: np.abs(decomposition.PCA(2, svd_solver="full").fit_transform(x)),
    "KernelCenterer": lambda x: preprocessing.KernelCenterer().fit_transform(x @ x.T),
    "linear_kernel": metrics.pairwise.linear_kernel,
    "polynomial_kernel": metrics.pairwise.polynomial_kernel,
    "sigmoid_kernel": metrics.pairwise.sigmoid_kernel,
}
with config_context(array_api_dispatch=True, assume_finite=True):
    for name, function in TRACED.items():
        hold(name, function, x)
    known = fg.numpy.asarray(x)
    for estimator in (preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.Normalizer):
        np.testing.assert_allclose(estimator().fit_transform(known), estimator().fit_transform(x))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fg.grad(lambda x: metrics.mean_squared_error(x[0], x[1]) + np.sum(x))(x)
    assert any(issubclass(one.category, fg.errors.LostDerivativeWarning) for one in caught)
    for message, function in {
        "written to": metrics.pairwise.euclidean_distances,
        "used as float": lambda x: metrics.mean_squared_error(x[0], x[1]),
    }.items():
        try:
            fg.jit(function)(x)
        except (TypeError, IndexError) as error:
            assert message in str(error), (message, error)
        else:
            raise AssertionError(f"traces now: {message}")
print("traced", len(TRACED))
"""
)


def run(script: str) -> str:
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scipy_traces() -> None:
    assert run(SCIPY) == "traced 53\n"


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_scikit_learn_traces() -> None:
    assert run(LEARN) == "traced 5\n"
