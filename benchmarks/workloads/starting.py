"""What does it cost to start?  Import time, import to the first result of a trivial gradient, and installed size."""

from __future__ import annotations

from textwrap import dedent

from benchmarks.workload import Goal, InstalledSize, Startup


def _source(text: str) -> str:
    return dedent(text).strip()


IMPORTS = {
    "funcgrad": "import funcgrad, funcgrad.numpy",
    "jax": "import jax, jax.numpy",
    "torch": "import torch",
    "autograd": "import autograd, autograd.numpy",
    "numpy": "import numpy",
    "numba": "import numba",
}

_TRACED = """
    import numpy as np
    import {api} as api, {api}.numpy as xnp
    function = api.jit(api.grad(lambda x: xnp.sum(xnp.tanh(x) * x)))
    result = function(np.linspace(-2, 2, 1000, dtype=np.float32))
"""

_BY_HAND = """
    import numpy as np
    x = np.linspace(-2, 2, 1000, dtype=np.{dtype})
    t = np.tanh(x)
    result = t + x * (1 - t * t)
"""

TRIVIAL = {
    "funcgrad": _source(_TRACED.format(api="funcgrad")),
    "jax": _source(_TRACED.format(api="jax") + "    result.block_until_ready()\n"),
    "torch": _source("""
        import torch
        x = torch.linspace(-2, 2, 1000, requires_grad=True)
        torch.sum(torch.tanh(x) * x).backward()
        result = x.grad
    """),
    "autograd": _source("""
        import numpy
        import autograd, autograd.numpy as np
        function = autograd.grad(lambda x: np.sum(np.tanh(x) * x))
        result = function(numpy.linspace(-2, 2, 1000, dtype=numpy.float32))
    """),
    "numpy": _source(_BY_HAND.format(dtype="float32")),
}

WORKLOADS = (
    Startup("import", "import", IMPORTS, goals=(Goal("cold", 0.5, ("jax",)),)),
    Startup(
        "trivial",
        "import to the first result of jit(grad(sum(tanh(x)·x))) of 1,000 numbers, and the peak memory of that program",
        TRIVIAL,
        reference=_source(_BY_HAND.format(dtype="float64")),
        tolerance=1e-5,
        cached=True,
        goals=(Goal("cold", 0.5, ("jax",)), Goal("warm", 0.5, ("jax",)), Goal("rss", 0.8, ("jax",))),
    ),
    InstalledSize(
        "installed_size",
        "files of the distribution and of everything it requires",
        {name: name for name in ("funcgrad", "jax", "torch", "autograd", "numpy", "numba")},
        goals=(Goal("size", 0.8, ("jax",)),),
    ),
)
