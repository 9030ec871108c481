"""How much memory has this process had at its peak?"""

from __future__ import annotations


def peak_rss() -> int:
    """Bytes.  Linux's VmHWM starts afresh at exec; getrusage's figure would still hold the parent's peak."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
