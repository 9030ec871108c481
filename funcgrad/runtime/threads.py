"""How many threads does a compiled program use?"""

from __future__ import annotations

import operator

from funcgrad.compile import native
from funcgrad.errors import at_line
from funcgrad.tracebacks import boundary


@boundary
def set_num_threads(n: int) -> None:
    """Let compiled programs use at most `n` threads, from the next call on.

    Results do not depend on this number, to the last bit. Products of matrices are cut into bands that these threads
    share; BLAS itself is asked for one thread there, so that the two never multiply.

    Parameters
    ----------
    n
        At least 1. At first it is ``FUNCGRAD_NUM_THREADS`` where that is set, else the number of cores that the
        process may use.

    Raises
    ------
    ValueError
        If `n` is less than 1.
    TypeError
        `n` is no integer.

    Examples
    --------
    >>> import funcgrad as fg
    >>> before = fg.get_num_threads()
    >>> fg.set_num_threads(1)
    >>> fg.get_num_threads()
    1
    >>> fg.set_num_threads(before)
    """
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"set_num_threads takes an integer, not {n!r}{at_line()}") from None
    if count < 1:
        raise ValueError(f"set_num_threads: at least one thread is needed, not {count}{at_line()}")
    native.set_threads(count)


def get_num_threads() -> int:
    """The most threads that compiled programs use now.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.get_num_threads() >= 1
    True
    """
    return native.threads()
