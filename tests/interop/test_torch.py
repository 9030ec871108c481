"""Do compiled functions of tensors have PyTorch's values and derivatives, of any order, by every one of its ways?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.interop import torch_function

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, of its own code
gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck


def tensor(*shape: int, seed: int = 0, dtype: Any = torch.float64, grad: bool = True) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype, requires_grad=grad)


@fg.to_torch_function
def loss(params: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ params["w"] + params["b"]) ** 2)


def loss_of_torch(params: Any, x: Any) -> Any:
    return torch.sum(torch.tanh(x @ params["w"] + params["b"]) ** 2)


def parameters() -> dict[str, Any]:
    return {"w": tensor(3, 2), "b": tensor(2, seed=1)}


@fg.to_torch_function
def several(x: Any, scale: Any) -> Any:
    return np.sin(x) * scale, {"place": np.argmax(x), "product": x.T @ x}


def test_a_loss() -> None:
    params, x = parameters(), tensor(5, 3, seed=2, grad=False)
    value, expected = loss(params, x), loss_of_torch(params, x)
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float64
    torch.testing.assert_close(value, expected)
    value.backward()
    found = {name: p.grad for name, p in params.items()}
    wanted = dict(zip(params, torch.autograd.grad(expected, params.values()), strict=True))
    torch.testing.assert_close(found, wanted)
    assert x.grad is None


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a loss": (lambda w, b, x: loss({"w": w, "b": b}, x), (tensor(3, 2), tensor(2), tensor(4, 3))),
    "an array": (lambda x: several(x, 2.0)[0], (tensor(3, 2),)),
    "an array in a dict": (lambda x: several(x, 2.0)[1]["product"], (tensor(3, 2),)),
    "a factor": (lambda x, k: several(x, k)[0], (tensor(2, 2), tensor(1)[0].detach().requires_grad_())),
    "complex": (fg.to_torch_function(lambda z: np.exp(z) * np.conj(z)), (tensor(3, dtype=torch.complex128),)),
    "real of complex": (
        fg.to_torch_function(lambda z: np.sum(np.abs(z) ** 2 * np.real(z))),
        (tensor(3, dtype=torch.complex128),),
    ),
    "complex of real": (fg.to_torch_function(lambda x: np.exp(1j * x)), (tensor(3),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(name: str) -> None:
    function, inputs = FUNCTIONS[name]
    assert gradcheck(function, inputs, check_forward_ad=True)
    assert gradgradcheck(function, inputs)


def test_third_order() -> None:
    cube = fg.to_torch_function(lambda x: x**3)
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = cube(x)
    for expected in (12.0, 12.0, 6.0):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert float(y.detach()) == pytest.approx(expected)


def test_create_graph_through_a_loss() -> None:
    params, x = parameters(), tensor(4, 3, seed=3)

    def penalty(function: Any) -> Any:
        (slope,) = torch.autograd.grad(function(params, x), x, create_graph=True)
        return torch.autograd.grad((slope**2).sum(), list(params.values()))

    torch.testing.assert_close(penalty(loss), penalty(loss_of_torch))


def test_outputs() -> None:
    x = tensor(3, 2)
    first, others = several(x, 2.0)
    assert first.requires_grad
    assert others["product"].requires_grad
    assert not others["place"].requires_grad
    assert others["place"].dtype == torch.int64
    with torch.no_grad():
        assert not several(x, 2.0)[0].requires_grad
    assert not several(x.detach(), 2.0)[0].requires_grad
    first.add_(1)  # results are the caller's own
    torch.testing.assert_close(several(x, 2.0)[0], first - 1)
    assert fg.to_torch_function(lambda x: None)(x) is None
    assert fg.to_torch_function(lambda x: (x, x))(x)[0].data_ptr() != x.data_ptr()


def test_only_what_requires_a_gradient_gets_one() -> None:
    a, b = tensor(3), tensor(3, grad=False)
    product = fg.to_torch_function(lambda a, b, n: a * b * n)
    product(a, b, torch.tensor(2)).sum().backward()
    torch.testing.assert_close(a.grad, 2 * b)
    assert b.grad is None
    assert not a.grad.requires_grad


def test_a_module() -> None:
    layer = torch.nn.Linear(3, 2).double()
    function = fg.to_torch_function(lambda p, x: np.sum((x @ p["weight"].T + p["bias"]) ** 2))
    x = tensor(8, 3, grad=False)
    function(dict(layer.named_parameters()), x).backward()
    expected = torch.autograd.grad((layer(x) ** 2).sum(), list(layer.parameters()))
    torch.testing.assert_close([p.grad for p in layer.parameters()], list(expected))


LAYOUTS: dict[str, Any] = {
    "transposed": lambda x: x.T,
    "every second": lambda x: x[:, ::2],
    "expanded": lambda x: x[:, :1].expand(4, 6),
    "0-d": lambda x: x[1, 2],
    "empty": lambda x: x[:0],
    "conjugate": lambda x: torch.complex(x, x).conj().imag,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    x = tensor(4, 6)
    function = fg.to_torch_function(lambda x: np.sin(x) * 2)
    view = LAYOUTS[layout](x)
    torch.testing.assert_close(function(view), torch.sin(view) * 2)
    (found,) = torch.autograd.grad(function(LAYOUTS[layout](x)).sum(), x)
    (expected,) = torch.autograd.grad((torch.sin(LAYOUTS[layout](x)) * 2).sum(), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_dtypes(name: str) -> None:
    dtype = getattr(torch, name)
    x = tensor(3, dtype=dtype)
    y = fg.to_torch_function(lambda x: x * x)(x)
    assert y.dtype == dtype
    y.backward(torch.ones(3, dtype=dtype))
    assert x.grad is not None
    assert x.grad.dtype == dtype
    torch.testing.assert_close(x.grad, 2 * x.detach().conj())


def test_integers_and_booleans() -> None:
    function = fg.to_torch_function(lambda i, m: (i + 1, ~m))
    integers, truths = function(torch.arange(3, dtype=torch.int32), torch.tensor([True, False]))
    assert (integers.dtype, truths.dtype) == (torch.int32, torch.bool)
    assert truths.tolist() == [False, True]


def test_function_transforms() -> None:
    transforms = torch.func
    f = fg.to_torch_function(lambda w, x: np.sum(np.tanh(x @ w)))
    w, x = tensor(3, grad=False), tensor(4, 3, seed=4, grad=False)

    def of_torch(w: Any, x: Any) -> Any:
        return torch.tanh(x @ w).sum()

    ways: dict[str, Callable[[Any], Any]] = {
        "grad": lambda f: transforms.grad(f)(w, x),
        "vmap": lambda f: transforms.vmap(f, (None, 0))(w, x),
        "another axis": lambda f: transforms.vmap(f, (None, 1))(w, x.T),
        "gradients of each example": lambda f: transforms.vmap(transforms.grad(f), (None, 0))(w, x),
        "gradient of a batch": lambda f: transforms.grad(lambda w: transforms.vmap(f, (None, 0))(w, x).sum())(w),
        "jvp": lambda f: transforms.jvp(lambda w: f(w, x), (w,), (w,)),
        "vjp": lambda f: transforms.vjp(lambda w: f(w, x), w)[1](torch.ones((), dtype=torch.float64)),
        "jacrev": lambda f: transforms.jacrev(f)(w, x),
        "jacfwd": lambda f: transforms.jacfwd(f)(w, x),
        "hessian": lambda f: transforms.hessian(f)(w, x),
    }
    for name, way in ways.items():
        torch.testing.assert_close(way(f), way(of_torch), msg=name)


def test_mistakes() -> None:
    function = fg.to_torch_function(np.sin)
    with pytest.raises(TypeError, match=r"sin takes dense tensors on the CPU.* on meta.*\n  at .*test_torch.py"):
        function(torch.ones(2, device="meta"))
    with pytest.raises(TypeError, match=r"layout torch.sparse_coo.*x\.to_dense\(\)"):
        function(torch.eye(2).to_sparse())
    with pytest.raises(TypeError, match="to_torch_function takes a function, not 3"):
        fg.to_torch_function(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'text' of type str is not an array or a number"):
        function("text")
    with pytest.raises(IndexError):
        fg.to_torch_function(lambda x, i: x[i])(torch.ones(2), torch.tensor(5))


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_function._bridge.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match="to_torch_function needs PyTorch: install torch"):
        fg.to_torch_function(np.sin)
    torch_function._bridge.cache_clear()


def test_saved_tensors_that_changed_are_noticed() -> None:
    x = tensor(3)
    y = x * 1
    z = fg.to_torch_function(lambda x: x * x)(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_the_package_does_not_import_torch() -> None:
    assert "torch" in sys.modules
    assert not hasattr(torch_function, "torch")
