"""Do arrays cross to PyTorch and JAX and back in the same memory, whatever their dtype, strides and size?"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import capsules, dtypes
from funcgrad.errors import DonatedBufferError

DTYPES = sorted(map(str, dtypes.ALL))
LAYOUTS: dict[str, Any] = {
    "plain": lambda x: x,
    "transposed": lambda x: x.T,
    "every second": lambda x: x[:, ::2],
    "0-d": lambda x: x[1, 2],
    "empty": lambda x: x[:0],
    "without elements": lambda x: x[:, :0].T,
    "a column": lambda x: x[:, 1:2],
}


def made(dtype: str) -> fg.Array:
    x = np.arange(12).reshape(3, 4).astype(dtype)
    return x.view(fg.Array)


def address(x: np.ndarray) -> int:
    return int(x.ctypes.data)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_to_torch_and_back(dtype: str, layout: str) -> None:
    torch = pytest.importorskip("torch")
    x = LAYOUTS[layout](made(dtype))
    x = np.asarray(x)[...].view(fg.Array)
    tensor = torch.from_dlpack(x)
    assert tensor.shape == x.shape
    assert str(tensor.dtype) == f"torch.{dtype}"
    back = fg.dlpack.from_dlpack(tensor)
    assert type(back) is fg.Array
    assert (back.dtype, back.shape) == (x.dtype, x.shape)
    np.testing.assert_array_equal(back, x)
    if x.size:
        assert tensor.data_ptr() == address(x) == address(back)
        back[...] = 1
        assert bool((tensor == 1).all())
        assert (x == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_to_jax_and_back(dtype: str) -> None:
    jax = pytest.importorskip("jax")
    if dtype in ("int64", "uint64", "float64", "complex128"):
        pytest.skip("JAX has 64 bits with a flag only")
    back = fg.dlpack.from_dlpack(jax.numpy.from_dlpack(made(dtype)))
    np.testing.assert_array_equal(back, made(dtype))
    theirs = jax.numpy.arange(5).astype(dtype)
    ours = fg.dlpack.from_dlpack(theirs)
    assert str(ours.dtype) == dtype
    assert address(ours) == theirs.unsafe_buffer_pointer()
    assert not ours.flags.writeable  # JAX's arrays do not change
    np.testing.assert_array_equal(ours, np.asarray(theirs))
    copied = fg.dlpack.from_dlpack(theirs, copy=True)
    assert copied.flags.writeable
    assert address(copied) != address(ours)


def test_what_a_compiled_function_takes_and_gives() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(2, 3).T
    result = fg.jit(lambda x: 2 * x)(fg.dlpack.from_dlpack(tensor))
    assert bool((torch.from_dlpack(result) == 2 * tensor).all())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_outlives_its_first_owner(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    y = fg.dlpack.from_dlpack(torch.full((1000,), 3.0, dtype=getattr(torch, dtype)))
    z = torch.from_dlpack((y + y).view(fg.Array))
    kept = torch.from_dlpack(fg.jit(lambda x: x * 2)(y))
    del y
    assert float(z.float().sum()) == float(kept.float().sum()) == 6000


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_versions_of_the_protocol(dtype: str) -> None:
    x = made(dtype)
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(x.__dlpack__())
    assert x.__dlpack_device__() == (1, 0)
    x.flags.writeable = False
    with pytest.raises(BufferError, match="readonly"):
        x.__dlpack__()
    assert not fg.dlpack.from_dlpack(x).flags.writeable
    assert fg.dlpack.from_dlpack(x, copy=True).flags.writeable


class Old:
    """A producer of the protocol before versions, which takes no options."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self) -> Any:
        return capsules.exported(self.array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class Elsewhere(Old):
    """An array on a GPU."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 1


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_old_producers_and_capsules(dtype: str) -> None:
    x = made(dtype)
    for source in (Old(x), fg.dlpack.to_dlpack(x), fg.dlpack.to_dlpack(x, max_version=(1, 0))):
        y = fg.dlpack.from_dlpack(source)
        assert y.dtype == x.dtype
        assert address(y) == address(x)
    capsule = fg.dlpack.to_dlpack(x)
    fg.dlpack.from_dlpack(capsule)
    with pytest.raises(ValueError, match="was read before"):
        fg.dlpack.from_dlpack(capsule)


def test_capsules_of_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(3, dtype=torch.bfloat16)
    y = fg.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(tensor))
    assert address(y) == tensor.data_ptr()
    assert torch.utils.dlpack.from_dlpack(fg.dlpack.to_dlpack(y, max_version=(1, 0))).data_ptr() == tensor.data_ptr()


def test_a_capsule_that_nobody_reads_is_freed() -> None:
    x = made("bfloat16")
    capsule = x.__dlpack__()
    del x, capsule
    capsule = made("bfloat16").__dlpack__(copy=True)
    y = fg.dlpack.from_dlpack(capsule)
    assert y[1, 1] == 5


def test_devices() -> None:
    with pytest.raises(BufferError, match=r"lies on CUDA \(number 1\); copy it to the CPU first"):
        fg.dlpack.from_dlpack(Elsewhere(made("float64")))
    with pytest.raises(ValueError, match='unsupported device "gpu"'):
        fg.dlpack.from_dlpack(made("float64"), device="gpu")
    with pytest.raises(ValueError, match='unsupported device "gpu"'):
        fg.dlpack.to_dlpack(made("float64"), src_device="gpu")
    with pytest.raises(ValueError, match="device"):
        fnp.from_dlpack(made("float64"), device="gpu")
    address_of_device = capsules._tensor(capsule := fg.dlpack.to_dlpack(made("float64"))) + 8
    ctypes.c_int32.from_address(address_of_device).value = 10
    with pytest.raises(BufferError, match="ROCm"):
        fg.dlpack.from_dlpack(capsule)
    ctypes.c_int32.from_address(address_of_device).value = 1  # as its destructor expects


def test_mistakes() -> None:
    with pytest.raises(TypeError, match="not list: it has no __dlpack__"):
        fg.dlpack.from_dlpack([1.0])
    with pytest.raises(TypeError, match=r"to_dlpack takes an array, not 1\.0 of type float"):
        fg.dlpack.to_dlpack(1.0)
    with pytest.raises(BufferError, match=r"numpy\.ascontiguousarray"):
        fnp.arange(3.0)[::-1].__dlpack__()
    assert fg.dlpack.from_dlpack(fg.dlpack.to_dlpack(fnp.arange(3.0)[::-1], copy=True))[0] == 2
    with pytest.raises(BufferError, match="DLPack only supports"):
        fg.dlpack.to_dlpack(np.array([None]))
    for function in (fg.dlpack.from_dlpack, fg.dlpack.to_dlpack, fnp.from_dlpack, np.from_dlpack):
        with pytest.raises(BufferError, match=r"A traced array of type f64\[2\] has no memory"):
            fg.jit(function)(np.ones(2))
    given = fnp.arange(3.0)
    fg.jit(lambda x: x + 1, donate_argnums=0)(given)
    with pytest.raises(DonatedBufferError):
        given.__dlpack__()


def test_mistakes_with_torch() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(BufferError, match=r"use tensor\.detach"):
        fg.dlpack.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="Tensor has a dtype that NumPy has not"):
        fg.dlpack.from_dlpack(torch.ones(2, dtype=torch.float8_e5m2))
    with pytest.raises(BufferError, match="A traced array"):
        fg.jit(torch.from_dlpack)(np.ones(2))


def test_others_arrays_as_arguments_are_told_how_to_come_in() -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    for x in (torch.ones(2), jax.numpy.ones(2)):
        for call in (fg.jit(np.sin), fg.grad(np.sum), fg.vmap(np.sin), fg.make_jaxpr(np.sin)):
            with pytest.raises(TypeError, match=r"fg\.dlpack\.from_dlpack\(x\), which shares its memory"):
                call(x)
    with pytest.raises(TypeError, match="to_torch_function"):
        fg.jit(np.sin)(torch.ones(2))


def test_names() -> None:
    assert fg.dlpack.is_supported_dtype("bfloat16")
    assert fg.dlpack.is_supported_dtype(np.float16)
    assert not fg.dlpack.is_supported_dtype(object)
    assert not fg.dlpack.is_supported_dtype("no dtype")
    assert type(fnp.from_dlpack(np.ones(2))) is fg.Array
