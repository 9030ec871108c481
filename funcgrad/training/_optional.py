"""What does a user see where a package that only some need is missing?  What to install."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.errors import at_line


@contextlib.contextmanager
def needed(package: str, function: str) -> Iterator[None]:
    """Around a late import of `package`: where it is missing, the error says who needs it and how it is installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"training.{function} needs the package {package}, which is not installed: pip install {package}, or "
            f"everything that training can use: pip install 'funcgrad[training]'{at_line()}",
            name=package,
        ) from None
