"""What stands in a template's braces?  Numbers, axes, shapes and indices that fit the first value."""

from __future__ import annotations

import re
from typing import Any

import numpy as np


class Pick:
    """Draws what stands in a template's braces."""

    def __init__(self, rng: np.random.Generator, value: Any) -> None:
        self.rng, self.value = rng, np.asarray(value)

    def fill(self, template: str, operands: list[str], **names: str) -> str:
        """The template with everything in its place."""

        def found(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.isdigit():
                return operands[int(name)]
            return names[name] if name in names else str(getattr(self, name)())

        return re.sub(r"\{(\w+)\}", found, template)

    def one(self, *choices: Any) -> Any:
        """One of several."""
        return choices[int(self.rng.integers(len(choices)))]

    def number(self) -> float:
        """A positive number."""
        return float(self.one(0.5, 1.0, 0.1, 2.0, 0.7, 3.0, 1.5))

    def whole(self) -> int:
        """A whole number."""
        return int(self.one(0, 1, 2, 3, 5))

    def positive(self) -> int:
        """A positive whole number."""
        return int(self.one(1, 2, 3, 7))

    def small(self) -> int:
        """A power."""
        return int(self.one(0, 1, 2, 3, 4)) if self.value.dtype.kind in "iu" else int(self.one(0, 1, 2, 3, -1))

    def digits(self) -> int:
        """A number of digits."""
        return int(self.one(0, 1, 2))

    def bit(self) -> int:
        """0 or 1."""
        return int(self.one(0, 1))

    def trips(self) -> int:
        """Iterations."""
        return int(self.one(0, 1, 2, 3, 4, 5, 7))

    def count(self) -> int:
        """Repetitions."""
        return int(self.one(1, 2, 3))

    def zero(self) -> str:
        """A zero of the value's dtype."""
        return f"np.zeros((), {self.dtype0()})[()]"

    def dtype(self) -> str:
        """Any dtype."""
        names = "bool int8 int32 int64 uint8 uint32 float16 float32 float64 complex64 complex128 bfloat16"
        return repr(str(self.one(*names.split(), "float32", "float64")))

    def dtype0(self) -> str:
        """The dtype of the first value."""
        return repr(self.value.dtype.name)

    def floating(self) -> str:
        """A dtype that linear algebra takes: the first value's if possible."""
        name = self.value.dtype.name
        return repr(name if name in ("float32", "float64", "complex64", "complex128") else "float32")

    def same_size(self) -> str:
        """An integer dtype as wide as the first value's."""
        return repr(f"int{self.value.dtype.itemsize * 8}")

    def axis(self) -> int:
        """An axis."""
        return int(self.rng.integers(-self.value.ndim, self.value.ndim))

    def new_axis(self) -> int:
        """A place for an axis."""
        return int(self.rng.integers(0, self.value.ndim + 1))

    def axes(self) -> Any:
        """All axes, or some."""
        n = self.value.ndim
        return self.one(None, tuple(range(n)), *((int(self.rng.integers(n)), (0,)) if n else ()))

    def permutation(self) -> tuple[int, ...]:
        """An order of the axes."""
        return tuple(map(int, self.rng.permutation(self.value.ndim)))

    def shift(self) -> int:
        """A step in either direction."""
        return int(self.rng.integers(-3, 4))

    def regrouped(self) -> tuple[int, ...]:
        """Another shape of the same size."""
        size, shape = self.value.size, self.value.shape
        divisors = [d for d in range(1, 13) if size and size % d == 0]
        if not divisors:
            return tuple(reversed(shape))
        first = int(self.one(*divisors))
        return tuple(self.one((first, size // first), (size // first, first), (-1,), (*shape, 1), (1, *shape)))

    def wider(self) -> tuple[int, ...]:
        """A shape that the value can be repeated to."""
        first = int(self.one(1, 2, 3))
        return (first, *(n if n != 1 or self.rng.random() < 0.5 else 4 for n in self.value.shape))

    def padding(self) -> tuple[int, int]:
        """How much on each side."""
        return (int(self.rng.integers(0, 3)), int(self.rng.integers(0, 3)))

    def padding_mode(self) -> str:
        """How to pad."""
        return repr(self.one("edge", "reflect", "symmetric", "wrap"))

    def conv_padding(self) -> str:
        """Padding of a convolution."""
        return str(self.one("'SAME'", "'VALID'", "[(2, 1)]"))

    def config(self) -> tuple[tuple[int, int, int], ...]:
        """Padding, or cutting, and holes."""
        return tuple(
            (int(self.rng.integers(-1, 3)), int(self.rng.integers(-1, 3)), int(self.one(0, 0, 1, 2)))
            for _ in self.value.shape
        )

    def slices(self) -> str:
        """A basic index."""
        parts = []
        for n in self.value.shape:
            first = int(self.rng.integers(0, max(n, 1)))
            parts.append(
                str(
                    self.one(
                        ":",
                        f"{first}:",
                        "::-1",
                        "::2",
                        f":{first}",
                        f"{first}::3",
                        "...",
                        str(first) if n else ":",
                        "None",
                        f"{first}::-2",
                        "-1:",
                    )
                )
            )
        if parts.count("...") > 1:
            parts = [p if p != "..." else ":" for p in parts]
        return f"[{', '.join(parts)}]"

    def fancy(self) -> str:
        """An index with arrays."""
        n = self.value.shape[0]
        places = [int(k) for k in self.rng.integers(-n, n, 3)] if n else []
        table = f"np.array({places}, int)"
        return str(
            self.one(
                f"[{table}]",
                f"[{table}, ..., ::-1]" if self.value.ndim > 1 else f"[{table}]",
                f"[np.array({[places]}, int)]",
            )
        )

    def place(self) -> str:
        """Where to write along the first axis."""
        n = self.value.shape[0]
        return str(
            self.one(
                "0",
                "-1",
                "1:",
                "::2",
                ":",
                f"np.array({[int(k) for k in self.rng.integers(-n, n, 2)] if n else []}, int)",
            )
        )

    def window(self) -> tuple[int, ...]:
        """Extents of a window."""
        return tuple(int(self.rng.integers(1, min(n, 3) + 1)) if n else 1 for n in self.value.shape)

    def strides(self) -> tuple[int, ...]:
        """Steps of a window."""
        return tuple(int(self.one(1, 1, 2)) for _ in self.value.shape)

    def squares(self) -> tuple[int, ...]:
        """The shape of square matrices."""
        self._squares = self.one((2, 2), (3, 3), (5, 5), (2, 4, 4), (9, 9))
        return self._squares  # type: ignore[no-any-return]

    def columns(self) -> tuple[int, ...]:
        """A right-hand side for the square matrices drawn last."""
        shape = self._squares
        return (*shape[:-1], 2)
