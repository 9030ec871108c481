"""What does a fresh interpreter need for a piece of source text?  What is imported here is free for every peer."""

from __future__ import annotations

import sys
import time

from benchmarks.memory import peak_rss


def main(out: str, source: str) -> None:
    """Runs ``source`` and writes seconds, peak memory and its ``result`` (an array) to the file ``out`` as JSON."""
    code = compile(source, "<source>", "exec")
    namespace: dict[str, object] = {"__name__": "__main__"}
    start = time.perf_counter()
    exec(code, namespace)
    seconds = time.perf_counter() - start
    rss = peak_rss()
    result = getattr(namespace.get("result"), "tolist", list)()
    with open(out, "w", encoding="ascii") as file:
        file.write(f'{{"first": {seconds!r}, "rss": {rss}, "result": {result!r}}}')


if __name__ == "__main__":
    main(*sys.argv[1:])
