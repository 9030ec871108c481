"""Does every operation survive a file?  Each row of the table of cases: traced, written, read, and run, bit for bit."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

import funcgrad.control.check
import funcgrad.interop.numba_call  # noqa: F401  (both register a primitive)
import tests.ops.cases
from funcgrad.export import container
from funcgrad.export.decode import read_body
from funcgrad.export.encode import Writer, packed
from funcgrad.export.params import DISSOLVED, LEFT_OUT, PARAMETERS, PLAIN
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of

MODULES = sorted(module.name for module in pkgutil.iter_modules(tests.ops.cases.__path__))


def through_a_file(program):
    writer = Writer()
    writer.number(program)
    header, arrays = container.read(memoryview(container.write({"body": packed(writer.body)}, writer.arrays)))
    return read_body(header["body"], arrays)


def checked_row(row, dtype):
    call, operands = row.call(dtype), list(row.draw(dtype))
    program, _ = trace(lambda *xs: [call(*xs)], [type_of(x) for x in operands])
    read = check(through_a_file(program))
    for x, y in zip(interpret(program, operands), interpret(read, operands), strict=True):
        assert (np.shape(x), np.asarray(x).dtype) == (np.shape(y), np.asarray(y).dtype)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), f"{row} {dtype}"
    return program, read


@pytest.mark.parametrize("module", MODULES)
def test_every_operation_survives_a_file(module):
    for number, row in enumerate(importlib.import_module(f"tests.ops.cases.{module}").ROWS):
        codes = row.dtypes.split()
        program, read = checked_row(row, np.dtype(codes[number % len(codes)]))
        if len(read.equations) == len(program.equations) and row.name not in DISSOLVED:
            assert str(read) == str(program)


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_every_operation_survives_a_file_with_every_dtype(module):
    for row in importlib.import_module(f"tests.ops.cases.{module}").ROWS:
        for code in row.dtypes.split():
            checked_row(row, np.dtype(code))


def test_the_table_of_operations_is_closed_and_complete():
    groups = [set(PARAMETERS), set(PLAIN), set(DISSOLVED), set(LEFT_OUT)]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert set().union(*groups) == set(registry)
