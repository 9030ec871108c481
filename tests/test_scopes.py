"""Do scopes name operations, and do the switches switch what they say?"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.printer import print_program


def test_scopes() -> None:
    def f(x: Any) -> Any:
        with fg.named_scope("outer"):
            y = np.sin(x)
            with fg.named_scope("inner"):
                y = np.cos(y)
        return y * x

    program = fg.make_jaxpr(f)(1.0)
    scopes = [e.source.scope for e in program.equations if e.source is not None]
    assert scopes[0] == "outer"
    assert "outer/inner" in scopes
    assert scopes[-1] == ""
    assert "[outer/inner]" in print_program(program, source=True)
    with pytest.raises(fg.errors.TracerBoolConversionError, match=r"test_scopes.py.* \[net/layer\]"):
        fg.jit(fg.named_call(fg.named_scope("layer")(lambda x: 1 if x else 2), name="net"))(1.0)
    with pytest.raises(TypeError, match="named_scope takes a string"), fg.named_scope(3):  # type: ignore[arg-type]
        pass

    def named(x: Any) -> Any:
        return np.sin(x)

    assert fg.make_jaxpr(fg.named_call(named))(1.0).equations[0].source.scope == "named"  # type: ignore[union-attr]


def test_disable_jit() -> None:
    seen: list[type] = []

    @fg.jit
    def f(x: Any) -> Any:
        seen.append(type(x))
        return x * 2 if x > 0 else x

    with fg.disable_jit():
        assert f(3.0) == 6
        assert fg.grad(f)(3.0) == 2
        with fg.disable_jit(False), pytest.raises(fg.errors.TracerBoolConversionError):
            f(3.0)
        errors: list[BaseException] = []

        def elsewhere() -> None:
            try:
                f(3.0)
            except fg.errors.TracerBoolConversionError as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(errors) == 1  # other threads go on as before
    assert seen[0] is float
    with pytest.raises(fg.errors.TracerBoolConversionError):
        f(3.0)
    assert fg.jit(np.sin)(0.0) == 0


def test_compile_time_eval_and_jit_with_arguments() -> None:
    @fg.jit(static_argnames="n")
    def f(x: Any, n: int) -> Any:
        with fg.ensure_compile_time_eval():
            weights = fg.numpy.arange(n) + 1.0
            total = float(np.sum(weights))
        return x * total

    assert f(2.0, n=3) == 12
    assert fg.jit(static_argnums=(1,))(lambda x, k: x * len(k))(2.0, "abc") == 6
