"""Does code written for the Array API standard trace?  SciPy's, compiled and differentiated, in a process of its own:
SciPy looks at its variable when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import numpy as np
import scipy.integrate, scipy.optimize, scipy.spatial.transform, scipy.special, scipy.stats

import funcgrad as fg

x = np.array([[0.3, 1.2, 0.7], [2.0, 0.1, 0.4]])
FUNCTIONS = [
    lambda x: scipy.special.softmax(x, axis=1),
    lambda x: scipy.special.xlogy(x, x * x),
    lambda x: scipy.integrate.trapezoid(x, axis=1),
    lambda x: scipy.integrate.cumulative_trapezoid(x, axis=1),
    lambda x: scipy.stats.skew(x, axis=1),
    lambda x: scipy.stats.gmean(x, axis=1),
    lambda x: scipy.optimize.rosen(x),
    lambda x: scipy.spatial.transform.Rotation.from_rotvec(x).as_matrix(),
]
for function in FUNCTIONS:
    want = np.asarray(function(x))
    got = fg.jit(function)(x)
    assert isinstance(got, fg.Array) and got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    weights = np.cos(np.arange(want.size)).reshape(want.shape)
    gradient = fg.grad(lambda x: np.sum(function(x) * weights))(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        slope = np.sum((function(x + step) - function(x - step)) * weights) / 2e-6
        np.testing.assert_allclose(gradient[place], slope, rtol=1e-5, atol=1e-8)
print("traced", len(FUNCTIONS))
"""


def test_scipy_traces() -> None:
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "traced 8\n"
