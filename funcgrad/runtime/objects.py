"""How does a program get to those who have no Python?  As an object file or shared library, with a header for C."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from funcgrad import tree
from funcgrad.compile import cpus
from funcgrad.compile.cpus import is_cpu
from funcgrad.compile.engine import NameTaken
from funcgrad.compile.native.objects import BLAS, object_code
from funcgrad.compile.native.standalone import OUT_OF_MEMORY, STACK_BYTES
from funcgrad.errors import at_line
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Program
from funcgrad.lower.structured import TapeTooLong
from funcgrad.runtime.c_names import (
    LIBRARY,
    Parameter,
    identifier,
    numbered,
    parameter_names,
    parameters_of,
    results_of,
)
from funcgrad.runtime.executable import Executable

MOST_OF_CBLAS = 1 << 31
OBJECTS, LIBRARIES = (".o", ".obj"), (".so", ".dylib")

_PAIRS = {"float _Complex": "float", "double _Complex": "double"}
_BITS = {"_Float16": "uint16_t"}  # C++ has no such types


class Face(NamedTuple):
    """A program as C sees it: its name, what it takes and what it writes."""

    name: str
    parameters: tuple[Parameter, ...]
    results: tuple[Parameter, ...]

    @property
    def declaration(self) -> str:
        """The function's."""
        given = [f"{p.c_type} {p.name}" if p.by_value else f"const {p.c_type} *{p.name}" for p in self.parameters]
        return f"int64_t {self.name}({', '.join([*given, *(f'{r.c_type} *{r.name}' for r in self.results)]) or 'void'})"


def export(
    executable: Executable,
    parts: tuple[Sequence[str], tree.TreeDef, tree.TreeDef],
    path: str | os.PathLike[str],
    header: str | os.PathLike[str] | None,
    *,
    name: str | None,
    cpu: str,
    blas: str,
) -> None:
    """Write the files; `parts` are the names of the arguments, and the structures of arguments and results."""
    target = Path(path)
    if target.suffix not in OBJECTS + LIBRARIES:
        raise ValueError(
            f"export_object: a name ends in {', '.join(OBJECTS + LIBRARIES)}, which says what to write; "
            f"not {target.name!r}{at_line()}"
        )
    if blas not in BLAS:
        raise ValueError(f"export_object: blas must be one of {', '.join(map(repr, BLAS))}, not {blas!r}{at_line()}")
    if not isinstance(cpu, str) or not cpu or "\0" in cpu or not (cpu == "host" or is_cpu(cpu)):
        raise ValueError(
            f"export_object: cpu must be 'generic', 'host', or a CPU that LLVM knows of the family of "
            f"{cpus.platform()}, not {cpu!r}{at_line()}"
        )
    if blas == "cblas" and max(_elements(executable.program), default=0) >= MOST_OF_CBLAS:
        raise ValueError(
            f"export_object: the integers of a CBLAS have 32 bits, and some array has {MOST_OF_CBLAS:,} elements or "
            f"more: use blas='own'{at_line()}"
        )
    name = _function_name(target, name)
    face = _face(executable.program, parts, name)
    messages = dict(_messages(executable))
    with cpus.compiling_for(cpu):
        layout = executable.layout("export_object", portable=True)
        code = _named(name, lambda: object_code(layout, name, messages, blas))
        machine = f"{cpus.platform()}, CPU {cpus.target()[0]}"
    if target.suffix in LIBRARIES:
        _link_library(code, target, blas)
    else:
        target.write_bytes(code)
    if header is not None:
        memory = executable.plan.arena_bytes
        text = "\n".join(_header(face, target.name, Path(header).name, messages, memory, machine, blas))
        Path(header).write_text(text, encoding="utf-8")


def _elements(program: Program) -> Iterator[int]:
    """Of each array of a program, and of those in its loops and branches."""
    yield from (t.size for t in program.input_types)
    for equation in program.equations:
        yield from (v.type.size for v in equation.outputs)
        for _, _, inner in inner_programs(equation.params):
            yield from _elements(inner)


def _function_name(target: Path, name: str | None) -> str:
    if name is None:
        return identifier(target.stem.removeprefix("lib") if target.suffix in LIBRARIES else target.stem)
    if identifier(name) != name:
        raise ValueError(f"export_object: {name!r} is no name of a function in C{at_line()}")
    return name


def _named(name: str, code: Callable[[], bytes]) -> bytes:
    """The code, if no other function has its name."""
    if name not in LIBRARY:
        with contextlib.suppress(NameTaken):
            return code()
    raise ValueError(
        f"export_object: {name} is the name of another function, of C's library or of the code itself: pass "
        f"another name, as in name={name + '_of_mine'!r}{at_line()}"
    )


def _face(program: Program, parts: tuple[Sequence[str], tree.TreeDef, tree.TreeDef], name: str) -> Face:
    known, in_structure, out_structure = parts
    names = parameter_names(known, in_structure)
    parameters = [_plain(p) for p in parameters_of(names, program.input_types)]
    results = [_plain(r) for r in results_of(program.output_types, out_structure, parameters)]
    return Face(name, tuple(parameters), tuple(results))


def _plain(p: Parameter) -> Parameter:
    """A parameter of a type that C++ has too."""
    if p.c_type in _PAIRS:
        return p._replace(c_type=_PAIRS[p.c_type], shape=(*p.shape, 2))
    return p._replace(c_type=_BITS.get(p.c_type, p.c_type))


def _messages(executable: Executable) -> Iterator[tuple[int, str]]:
    """What each status means, with the name and line of the user's file."""
    yield 0, "the results are written"
    yield OUT_OF_MEMORY, "there was no memory for temporaries"
    for k, (error, line) in enumerate(executable.plan.failures, executable.plan.first_status):
        if error is not None:
            kind = "MemoryError" if isinstance(error, TapeTooLong) else type(error).__name__
            place = f" ({os.path.basename(line.code.co_filename)}:{line.line})" if line else ""
            text = f"{kind}: {error}{place}"
            yield k, text.encode(errors="backslashreplace").decode()  # names of files may be no text


# The header -----------------------------------------------------------------------------------------------------------


def _header(
    face: Face, file: str, header: str, messages: dict[int, str], memory: int, machine: str, blas: str
) -> Iterator[str]:
    guard = identifier(header).upper()
    about = [
        f"{face.name}: a function compiled by funcgrad, in {file} ({machine}).",
        *_table(face),
        *_LAYOUT,
        *_needs(face, memory, blas),
        "",
        f"It returns 0, or a status, which {face.name}_message explains; the results are undefined then:",
        *(f"  {status:3d}  {message}" for status, message in messages.items()),
    ]
    yield "/* " + "\n * ".join(line.replace("*/", "* /") for line in about).replace("\n * \n", "\n *\n")
    yield f" */\n#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n"
    arrays = [p for p in (*face.parameters, *face.results) if not p.by_value]
    for p, macro in zip(arrays, numbered([f"{face.name}_{p.name}" for p in arrays]), strict=True):
        yield f"#define {macro}_SIZE {math.prod(p.shape)}"
    yield '\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
    yield f"{face.declaration};"
    yield f"const char *{face.name}_message(int64_t status);"
    yield f"\n#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */\n"


def _table(face: Face) -> Iterator[str]:
    rows = [("parameter", "type", "shape", "")]
    for p in face.parameters:
        rows.append((p.name, p.c_type, "by value", "read") if p.by_value else (*_pointed_at(p), "read"))
    rows += [(*_pointed_at(r), "written") for r in face.results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""


def _pointed_at(p: Parameter) -> tuple[str, str, str]:
    return p.name, f"{p.c_type} *", "".join(f"[{n}]" for n in p.shape) or "one number"


_LAYOUT = (
    "Arrays lie in C order (the last index runs fastest), aligned as their elements are. A truth value is a byte, 0 or",
    "1; a complex number is its real and its imaginary part; half precision is its bits. Results may overlap neither",
    "arguments nor each other.",
    "",
)


def _needs(face: Face, memory: int, blas: str) -> Iterator[str]:
    yield "It runs on the thread that calls it and keeps nothing between calls: threads may call it at the same time."
    if memory > STACK_BYTES:
        yield f"Each call takes {memory:,} bytes from malloc for its temporaries, and gives them back."
    else:
        yield f"Its temporaries are {memory:,} bytes on the stack."
    library = " and of a CBLAS with 32-bit integers" if blas == "cblas" else ""
    yield f"It needs functions of C's library (link with -lm){library}, and nothing of Python's."


# Shared libraries -----------------------------------------------------------------------------------------------------


def _link_library(code: bytes, target: Path, blas: str) -> None:
    compiler = shlex.split(os.environ.get("CC", "")) or [c for c in ("cc", "gcc", "clang") if shutil.which(c)][:1]
    if not compiler:
        raise RuntimeError(
            "export_object: a shared library is linked by the system's C compiler, and there is none (CC names one): "
            f"write an object file, whose name ends in .o{at_line()}"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "code.o")
        source.write_bytes(code)
        undefined = ["-Wl,-undefined,dynamic_lookup"] if target.suffix == ".dylib" and blas == "cblas" else []
        command = [*compiler, "-shared", "-o", str(target), str(source), *undefined, "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise RuntimeError(f"export_object: {command[0]} cannot be run: {error}{at_line()}") from error
    if done.returncode:
        raise RuntimeError(f"export_object: {shlex.join(command)} failed: {done.stderr.strip()}{at_line()}")
