"""What is a peer?  How it is imported, held to a number of threads, waited for, and read as NumPy arrays."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call


@dataclass(frozen=True)
class Peer:
    """One library to compare with.

    Attributes
    ----------
    module
        What must be importable for the peer to take part.
    load
        Imports it for a number of threads and returns what builders use: see the functions below.
    cache
        Environment variables that send its disk cache to a folder (``{cache}``); empty if it keeps none.
    environment
        Other environment variables of its processes.
    interpreter
        The environment variable that names a Python which has the peer, where it cannot live in this one.
    """

    name: str
    module: str
    load: Callable[[int], SimpleNamespace]
    cache: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    interpreter: str = ""

    @property
    def python(self) -> str:
        """The Python that runs it."""
        return os.environ.get(self.interpreter) or sys.executable

    @property
    def installed(self) -> bool:
        """Whether its module can be found (nothing is imported), or a Python is named that has it."""
        if self.python != sys.executable:
            return True
        spec = importlib.util.find_spec(self.module)
        return spec is not None and spec.origin is not None


def _synchronous(call: Call) -> Call:
    return call


def _identity(value: Any) -> Any:
    return value


def _funcgrad(threads: int) -> SimpleNamespace:
    # Its threads and JAX's come from the environment and from the cores: see benchmarks.processes.
    api, numpy = (importlib.import_module(name) for name in ("funcgrad", "funcgrad.numpy"))
    return SimpleNamespace(api=api, np=numpy, nn=api.nn, own=numpy.asarray, waiting=_synchronous, to_numpy=np.asarray)


def _jax(threads: int) -> SimpleNamespace:
    api, numpy = (importlib.import_module(name) for name in ("jax", "jax.numpy"))

    def waiting(call: Call) -> Call:
        block = api.block_until_ready
        return lambda: block(call())

    return SimpleNamespace(api=api, np=numpy, nn=api.nn, own=numpy.asarray, waiting=waiting, to_numpy=np.asarray)


def _torch(threads: int) -> SimpleNamespace:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)

    def to_numpy(value: Any) -> np.ndarray:
        return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)

    return SimpleNamespace(torch=torch, compiled=_identity, own=torch.tensor, waiting=_synchronous, to_numpy=to_numpy)


def _compiled_torch(threads: int) -> SimpleNamespace:
    library = _torch(threads)
    library.compiled = library.torch.compile
    return library


def _autograd(threads: int) -> SimpleNamespace:
    api, numpy = (importlib.import_module(name) for name in ("autograd", "autograd.numpy"))
    return SimpleNamespace(api=api, np=numpy, own=_identity, waiting=_synchronous, to_numpy=np.asarray)


def _numpy(threads: int) -> SimpleNamespace:
    return SimpleNamespace(own=_identity, waiting=_synchronous, to_numpy=np.asarray)


def _numba(threads: int) -> SimpleNamespace:
    numba = importlib.import_module("numba")
    numba.set_num_threads(threads)
    return SimpleNamespace(numba=numba, threads=threads, own=_identity, waiting=_synchronous, to_numpy=np.asarray)


def _pytensor(threads: int) -> SimpleNamespace:
    pytensor, tensor = (importlib.import_module(name) for name in ("pytensor", "pytensor.tensor"))
    return SimpleNamespace(pytensor=pytensor, tensor=tensor, own=_identity, waiting=_synchronous, to_numpy=np.asarray)


JAX_CACHE = {
    "JAX_COMPILATION_CACHE_DIR": "{cache}",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# PyTorch's OpenMP workers spin between calls by default and starve each other where cores are shared.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("funcgrad", "funcgrad", _funcgrad, cache={"FUNCGRAD_CACHE_DIR": "{cache}"}),
        Peer("jax", "jax", _jax, cache=JAX_CACHE, environment={"JAX_PLATFORMS": "cpu"}),
        Peer("torch", "torch", _torch, environment=PASSIVE),
        Peer("tcompile", "torch", _compiled_torch, cache={"TORCHINDUCTOR_CACHE_DIR": "{cache}"}, environment=PASSIVE),
        Peer("autograd", "autograd", _autograd),
        Peer("numpy", "numpy", _numpy),
        Peer("numba", "numba", _numba),
        Peer(
            "pytensor",
            "pytensor",
            _pytensor,
            cache={"PYTENSOR_FLAGS": "cxx=,base_compiledir={cache}", "NUMBA_CACHE_DIR": "{cache}"},
            interpreter="BENCHMARKS_PYTENSOR",
        ),
        # funcgrad again: what a derivative costs beside its function
        Peer("forward", "funcgrad", _funcgrad, cache={"FUNCGRAD_CACHE_DIR": "{cache}"}),
        # without the caller's threads
        Peer("one", "funcgrad", _funcgrad, cache={"FUNCGRAD_CACHE_DIR": "{cache}"}),
        # and once more: what a network costs without layers and optimisers
        Peer("hand", "funcgrad", _funcgrad, cache={"FUNCGRAD_CACHE_DIR": "{cache}"}),
    )
}
