"""What can be asked from a shell?  ``python -m funcgrad info``, ``cache [info|clear]``, ``bench``, ``explain``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from funcgrad import config
from funcgrad.cli import bench, explain
from funcgrad.cli.info import cache_line, cleared, information, print_rows
from funcgrad.errors import SettingError

EXAMPLE = """\
arguments are written as types, numbers, and tuples, lists and dictionaries of them:
  python -m funcgrad explain model.py:loss "{'w': f32[784,10], 'b': f32[10]}" "f32[100,784]" "i64[100]"
where none are given, the name example_args in the file tells them: a tuple, a function that returns one, or a
dictionary from functions' names to these
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the status of the process: 1 if something is wrong, 2 for a request that is."""
    given = _parser().parse_args(arguments)
    try:
        config.check()
        return _done(given)
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _done(given: argparse.Namespace) -> int:
    if given.command == "info":
        print_rows(information())
    elif given.command == "bench":
        return bench.run(given.quick)
    elif given.command == "explain":
        return explain.run(given)
    elif given.action == "clear":
        print(cleared())
    else:
        print_rows({"cache": cache_line()})
    return 0


def shell() -> int:
    """`main` for a shell, in which a disk is full, a reader goes away (``| head``) and Ctrl-C ends things."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may have letters that the terminal has not
    try:
        status = main()
        if sys.stdout is not None:  # None where it is closed
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"error: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still has to write
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m funcgrad", description="What funcgrad runs on, keeps, and makes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="versions, processor, threads, BLAS, disk cache, settings")
    keeping = commands.add_parser("cache", help="the compiled kernels on disk")
    keeping.add_argument("action", nargs="?", choices=("info", "clear"), default="info")
    checking = commands.add_parser("bench", help="a dozen workloads beside NumPy: do they agree, how fast are they?")
    checking.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    _add_explain(commands)
    return parser


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "explain",
        help="a function's program, kernels and cost",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "function", metavar="FILE.py:function", help="where the function is, or package.module:function"
    )
    command.add_argument("types", nargs="*", metavar="TYPE", help="the types of its arguments, like f32[100,3]")
    command.add_argument("--args", nargs="*", metavar="TYPE", help="likewise, also that there are none")
    command.add_argument("--grad", action="store_true", help="of its value and gradient (by the first argument)")
    command.add_argument("--source", action="store_true", help="with the line behind each equation")
    for flag, says in explain.EXTRAS.items():
        command.add_argument(f"--{flag}", action="store_true", help=f"also {says[0].lower()}{says[1:]}")


if __name__ == "__main__":
    sys.exit(shell())
