"""How does a call cost a microsecond?  A CPython builtin, in native code, that checks, binds, runs and wraps.

``fg_entry(program, leaves)`` is the C function of every entry; `program`, its ``self``, is a tuple that starts with a
capsule of the `Descriptor`'s words (see there).  It returns the list of results, None where a leaf is not what the
program was compiled for (the caller then takes the slow path), or the positive status of a kernel as an int.
"""

from __future__ import annotations

from enum import IntEnum

from funcgrad.compile.native import layout, pool
from funcgrad.compile.native.blocks import LARGE
from funcgrad.compile.native.descriptor import CELL, Header, InputWord, Kind, OutputWord
from funcgrad.compile.native.text import Function, Module, Value


class Object(IntEnum):
    """What the interpreter tells the native code once: addresses of Python objects."""

    NONE = 0
    TRUE = 1
    LIST = 2
    NDARRAY = 3
    START_POOL = 4  # a callable without arguments
    NO_MEMORY = 5  # a callable that takes a number of bytes and raises


_CARRAY = layout.C_CONTIGUOUS | layout.ALIGNED | layout.WRITEABLE


def define(module: Module) -> None:
    """Define ``fg_entry`` and its parts."""
    with module.function("fg_set_objects", "void", words="ptr") as f:
        f.call("llvm.memcpy.p0.p0.i64", _objects(f), f.words, 8 * len(Object), f.constant("i1", 0), returns="void")
        f.ret()
    _define_entry(module)
    _define_bind(module)
    _define_bind_scalar(module)
    _define_frame(module)
    _define_outputs(module)
    _define_no_memory(module)
    _define_destructors(module)


def _objects(f: Function) -> Value:
    return f.module.zeros(f, "fg_objects", 8 * len(Object))


def _object(f: Function, which: Object) -> Value:
    return f.load(_objects(f), 8 * which, "ptr")


def _header(f: Function, descriptor: Value, which: Header) -> Value:
    return f.load(descriptor, 8 * which)


def _table(f: Function, descriptor: Value, which: Header) -> Value:
    return descriptor + _header(f, descriptor, which)


def _type_of(f: Function, value: Value) -> Value:
    return f.load(value, layout.OBJECT_TYPE, "ptr")


def _null(f: Function) -> Value:
    return f.constant("ptr", 0)


def _descriptor(f: Function, capsule: Value) -> Value:
    return f.call("PyCapsule_GetPointer", capsule, _null(f), returns="ptr")


def _define_entry(module: Module) -> None:
    with module.function("fg_entry", "ptr", program="ptr", leaves="ptr") as f:
        descriptor = _descriptor(f, f.call("PyTuple_GetItem", f.program, 0, returns="ptr"))
        with f.if_(_type_of(f, f.leaves).is_not(_object(f, Object.LIST))):
            _return_none(f)
        with f.if_(f.load(f.leaves, layout.LIST_SIZE).is_not(_header(f, descriptor, Header.N_INPUTS))):
            _return_none(f)
        frame = f.variable("ptr", f.pointer(f.atomic("xchg", descriptor, 8 * Header.FRAME, 0)))
        with f.if_(frame.get().is_(0)):
            frame.set(f.call("fg_new_frame", descriptor, returns="ptr"))
            with f.if_(frame.get().is_(0)):
                f.ret(f.call("fg_no_memory", _header(f, descriptor, Header.FRAME_BYTES), returns="ptr"))
        bufs = frame.get()
        items = f.load(f.leaves, layout.LIST_ITEMS, "ptr")
        with f.if_(f.call("fg_bind", descriptor, items, bufs).is_(0)):
            _put_back(f, descriptor, bufs)
            _return_none(f)
        outputs = f.call("fg_outputs", descriptor, bufs, items, returns="ptr")
        with f.if_(outputs.is_(0)):
            _put_back(f, descriptor, bufs)
            f.ret(_null(f))
        status = f.call("fg_run_frame", descriptor, bufs)
        _put_back(f, descriptor, bufs)
        with f.if_(status.is_not(0)):
            f.call("Py_DecRef", outputs, returns="void")
            with f.if_(status < 0):
                f.ret(_null(f))
            f.ret(f.call("PyLong_FromLongLong", status, returns="ptr"))
        f.ret(outputs)
    _define_run(module)


def _define_run(module: Module) -> None:
    """``fg_run_frame``: the status of the run; -1 with a Python exception when the pool could not start."""
    with module.function("fg_run_frame", "i64", descriptor="ptr", bufs="ptr") as f:
        unstarted = f.load(pool.state(f), pool.STARTED).is_(0)
        with f.if_(unstarted & _header(f, f.descriptor, Header.PARALLEL).is_not(0)):
            answer = f.call("PyObject_CallNoArgs", _object(f, Object.START_POOL), returns="ptr")
            with f.if_(answer.is_(0)):
                f.ret(-1)
            f.call("Py_DecRef", answer, returns="void")
        f.store(0, f.bufs, _header(f, f.descriptor, Header.STATUS))
        steps, count = _table(f, f.descriptor, Header.STEPS), _header(f, f.descriptor, Header.N_STEPS)
        with f.if_(_header(f, f.descriptor, Header.RELEASE_GIL).is_(0)):
            f.ret(f.call("fg_run", steps, count, f.bufs))
        thread = f.call("PyEval_SaveThread", returns="ptr")
        status = f.call("fg_run", steps, count, f.bufs)
        f.call("PyEval_RestoreThread", thread, returns="void")
        f.ret(status)


def _return_none(f: Function) -> None:
    none = _object(f, Object.NONE)
    f.call("Py_IncRef", none, returns="void")
    f.ret(none)


def _put_back(f: Function, descriptor: Value, frame: Value) -> None:
    """Keep the frame for the next call; a call that overlapped may have put its own there."""
    other = f.pointer(f.atomic("xchg", descriptor, 8 * Header.FRAME, f.cast_int(frame, "i64")))
    with f.if_(other.is_not(0)):
        f.call("fg_free", other, returns="void")


def _define_bind(module: Module) -> None:
    """``fg_bind``: hold every leaf against its guard and note its data; 0 at the first that differs."""
    with module.function("fg_bind", "i64", descriptor="ptr", items="ptr", bufs="ptr") as f:
        record = f.variable("ptr", _table(f, f.descriptor, Header.INPUTS))
        plain = _object(f, Object.NDARRAY)
        ours = f.load(f.descriptor, 8 * Header.RESULT_TYPE, "ptr")
        cells = f.bufs + _header(f, f.descriptor, Header.CELLS)
        with f.range(_header(f, f.descriptor, Header.N_INPUTS)) as index:
            spec = record.get()
            item = f.load(f.items, index * 8, "ptr")
            kind = _type_of(f, item)

            def array(spec: Value = spec, item: Value = item, kind: Value = kind) -> None:
                with f.if_(kind.is_not(plain) & kind.is_not(ours)):
                    f.ret(0)
                _guard_array(f, spec, item)
                f.store(f.load(item, layout.ARRAY_DATA), f.bufs, f.load(spec, 8 * InputWord.SLOT) * 8)

            def scalar(spec: Value = spec, item: Value = item, kind: Value = kind, index: Value = index) -> None:
                with f.if_(kind.is_not(f.load(spec, 8 * InputWord.GUARD, "ptr"))):
                    f.ret(0)
                with f.if_(f.call("fg_bind_scalar", spec, item, cells + index * CELL).is_(0)):
                    f.ret(0)

            f.choose(f.load(spec, 8 * InputWord.KIND).is_(Kind.ARRAY), array, scalar)
            record.set(spec + 8 * len(InputWord) + f.load(spec, 8 * InputWord.RANK) * 8)
        f.ret(1)


def _guard_array(f: Function, spec: Value, item: Value) -> None:
    needed = layout.C_CONTIGUOUS | layout.ALIGNED
    rank = f.load(spec, 8 * InputWord.RANK)
    wrong_type = f.load(item, layout.ARRAY_DESCR).is_not(f.load(spec, 8 * InputWord.GUARD))
    wrong_rank = f.cast_int(f.load(item, layout.ARRAY_NDIM, "i32"), "i64").is_not(rank)
    wrong_flags = (f.load(item, layout.ARRAY_FLAGS, "i32") & needed).is_not(needed)
    with f.if_(wrong_type | wrong_rank | wrong_flags):
        f.ret(0)
    dims = f.load(item, layout.ARRAY_DIMS, "ptr")
    with f.range(rank) as axis, f.if_(f.load(dims, axis * 8).is_not(f.load(spec + 8 * len(InputWord), axis * 8))):
        f.ret(0)


def _define_bind_scalar(module: Module) -> None:
    """``fg_bind_scalar``: convert a number of the right type into its cell; 0 when it does not fit."""
    with module.function("fg_bind_scalar", "i64", spec="ptr", item="ptr", cell="ptr") as f:
        kind = f.load(f.spec, 8 * InputWord.KIND)
        with f.if_(kind.is_(Kind.COPY)):
            f.store(f.load(f.item, layout.SCALAR_VALUE), f.cell)
            with f.if_(f.load(f.spec, 8 * InputWord.LOW).is_not(0)):
                f.store(f.load(f.item, layout.SCALAR_VALUE + 8), f.cell, 8)
            f.ret(1)
        with f.if_(kind <= Kind.FLOAT_TO_F4):
            _store_number(f, f.load(f.item, layout.FLOAT_VALUE, "double"), kind.is_(Kind.FLOAT_TO_F4))
        number = f.variable("i64", f.cast_int(f.item.is_(_object(f, Object.TRUE)), "i64"))
        with f.if_(kind <= Kind.INT_TO_F4):
            overflow = f.variable("i32", f.constant("i32", 0))
            number.set(f.call("PyLong_AsLongLongAndOverflow", f.item, overflow.place))
            with f.if_(overflow.get().is_not(0)):
                f.ret(0)
            too_far = (number.get() < f.load(f.spec, 8 * InputWord.LOW)) | (
                number.get() > f.load(f.spec, 8 * InputWord.HIGH)
            )
            with f.if_(too_far & kind.is_(Kind.INT_TO_INT)):
                f.ret(0)
        with f.if_(kind.is_(Kind.INT_TO_INT) | kind.is_(Kind.BOOL_TO_INT)):
            f.store(number.get(), f.cell)
            f.ret(1)
        # Through float64, as NumPy converts a Python int to float32.
        narrow = kind.is_(Kind.INT_TO_F4) | kind.is_(Kind.BOOL_TO_F4)
        _store_number(f, f.convert("sitofp", number.get(), "double"), narrow)


def _store_number(f: Function, number: Value, narrow: Value) -> None:
    with f.if_(narrow):
        f.store(f.convert("fptrunc", number, "float"), f.cell)
        f.ret(1)
    f.store(number, f.cell)
    f.ret(1)


def _define_frame(module: Module) -> None:
    """``fg_new_frame``: memory for one call, its table filled from the template; null when there is none."""
    with module.function("fg_new_frame", "ptr", descriptor="ptr") as f:
        frame = f.call("fg_alloc", _header(f, f.descriptor, Header.FRAME_BYTES), returns="ptr")
        with f.if_(frame.is_(0)):
            f.ret(frame)
        template = _table(f, f.descriptor, Header.TEMPLATE)
        base = f.cast_int(frame, "i64")
        with f.range(_header(f, f.descriptor, Header.N_SLOTS)) as slot:
            pair = template + slot * 16
            f.store(f.load(pair) + f.load(pair, 8) * base, frame, slot * 8)
        f.ret(frame)


def _define_outputs(module: Module) -> None:
    """``fg_outputs``: the list of results, their data noted in the frame; null with an exception."""
    with module.function("fg_outputs", "ptr", descriptor="ptr", bufs="ptr", leaves="ptr") as f:
        count = _header(f, f.descriptor, Header.N_OUTPUTS)
        outputs = f.call("PyList_New", count, returns="ptr")
        with f.if_(outputs.is_(0)):
            f.ret(outputs)
        items = f.load(outputs, layout.LIST_ITEMS, "ptr")
        record = f.variable("ptr", _table(f, f.descriptor, Header.OUTPUTS))
        subtype = f.load(f.descriptor, 8 * Header.RESULT_TYPE, "ptr")
        with f.range(count) as index:
            spec = record.get()
            donor = f.load(spec, 8 * OutputWord.DONOR)
            made = f.variable("ptr", _null(f))
            with f.if_(donor.is_(0)):
                made.set(f.call("fg_result", subtype, spec, returns="ptr"))
            with f.if_(donor.is_not(0)):
                made.set(f.call("fg_taken_over", f.descriptor, subtype, spec, f.leaves, donor - 1, returns="ptr"))
            result = made.get()
            with f.if_(result.is_(0)):
                f.call("Py_DecRef", outputs, returns="void")
                f.ret(_null(f))
            f.store(result, items, index * 8)
            f.store(f.load(result, layout.ARRAY_DATA), f.bufs, f.load(spec, 8 * OutputWord.SLOT) * 8)
            record.set(spec + 8 * len(OutputWord) + f.load(spec, 8 * OutputWord.RANK) * 8)
        f.ret(outputs)
    _define_result(module)
    _define_taken_over(module)


def _define_result(module: Module) -> None:
    """``fg_result``: one new array; a large one owns a block of ours through a capsule."""
    with module.function("fg_result", "ptr", subtype="ptr", spec="ptr") as f:
        size = f.load(f.spec, 8 * OutputWord.BYTES)
        with f.if_(size < LARGE):
            f.ret(_new_array(f, _null(f), 0))
        data = f.call("fg_alloc", size, returns="ptr")
        with f.if_(data.is_(0)):
            f.ret(f.call("fg_no_memory", size, returns="ptr"))
        owner = f.call("PyCapsule_New", data, _null(f), module.reference(f, "fg_release_block"), returns="ptr")
        with f.if_(owner.is_(0)):
            f.call("fg_free", data, returns="void")
            f.ret(owner)
        array = _new_array(f, data, _CARRAY)
        with f.if_(array.is_(0)):
            f.call("Py_DecRef", owner, returns="void")
            f.ret(array)
        with f.if_(f.call("fg_numpy_set_base", array, owner, returns="i32").is_not(0)):
            f.call("Py_DecRef", array, returns="void")
            f.ret(_null(f))
        f.ret(array)


def _define_no_memory(module: Module) -> None:
    """``fg_no_memory``: raise the exception for so many bytes; null."""
    with module.function("fg_no_memory", "ptr", bytes="i64") as f:
        number = f.call("PyLong_FromLongLong", f.bytes, returns="ptr")
        with f.if_(number.is_not(0)):
            f.call("PyObject_CallOneArg", _object(f, Object.NO_MEMORY), number, returns="ptr")
            f.call("Py_DecRef", number, returns="void")
        f.ret(_null(f))


def _define_taken_over(module: Module) -> None:
    """``fg_taken_over``: an array in the memory of a leaf that owns a block of ours, which no other leaf lies in; else
    a new one with a copy of the leaf.
    """
    parameters = dict.fromkeys(("descriptor", "subtype", "spec", "leaves"), "ptr") | {"donor": "i64"}
    with module.function("fg_taken_over", "ptr", **parameters) as f:
        leaf = f.load(f.leaves, f.donor * 8, "ptr")
        size, data = f.load(f.spec, 8 * OutputWord.BYTES), f.load(leaf, layout.ARRAY_DATA, "ptr")
        owner = f.load(leaf, layout.ARRAY_BASE, "ptr")
        alone = f.variable("i64", 0)
        writeable = (f.load(leaf, layout.ARRAY_FLAGS, "i32") & layout.WRITEABLE).is_not(0)
        with f.if_(owner.is_not(0) & writeable & _type_of(f, leaf).is_(f.subtype)):
            capsule = f.call("PyCapsule_IsValid", owner, _null(f), returns="i32").is_not(0)
            with f.if_(capsule):
                release = f.call("PyCapsule_GetDestructor", owner, returns="ptr")
                with f.if_(release.is_(module.reference(f, "fg_release_block"))):
                    alone.set(f.call("fg_only_leaf", f.descriptor, f.leaves, f.donor, size))
        with f.if_(alone.get().is_(0)):
            copy = f.call("fg_result", f.subtype, f.spec, returns="ptr")
            with f.if_(copy.is_not(0)):
                target = f.load(copy, layout.ARRAY_DATA, "ptr")
                f.call("llvm.memcpy.p0.p0.i64", target, data, size, f.constant("i1", 0), returns="void")
            f.ret(copy)
        array = _new_array(f, data, _CARRAY)
        with f.if_(array.is_(0)):
            f.ret(array)
        f.call("Py_IncRef", owner, returns="void")
        with f.if_(f.call("fg_numpy_set_base", array, owner, returns="i32").is_not(0)):
            f.call("Py_DecRef", array, returns="void")
            f.ret(_null(f))
        f.ret(array)
    with module.function("fg_only_leaf", "i64", descriptor="ptr", leaves="ptr", donor="i64", size="i64") as f:
        own = f.load(f.load(f.leaves, f.donor * 8, "ptr"), layout.ARRAY_DATA)
        record = f.variable("ptr", _table(f, f.descriptor, Header.INPUTS))
        with f.range(_header(f, f.descriptor, Header.N_INPUTS)) as index:
            spec = record.get()
            with f.if_(f.load(spec, 8 * InputWord.KIND).is_(Kind.ARRAY) & index.is_not(f.donor)):
                other = f.load(f.load(f.leaves, index * 8, "ptr"), layout.ARRAY_DATA)
                with f.if_((other >= own) & (other < own + f.size)):
                    f.ret(0)
            record.set(spec + 8 * len(InputWord) + f.load(spec, 8 * InputWord.RANK) * 8)
        f.ret(1)


def _new_array(f: Function, data: Value, flags: int) -> Value:
    """NumPy's own constructor, which takes over a reference to the dtype."""
    dtype = f.load(f.spec, 8 * OutputWord.DTYPE, "ptr")
    f.call("Py_IncRef", dtype, returns="void")
    rank, dims = f.cast_int(f.load(f.spec, 8 * OutputWord.RANK), "i32"), f.spec + 8 * len(OutputWord)
    arguments = (rank, dims, _null(f), data, f.constant("i32", flags), _null(f))
    return f.call("fg_numpy_new", f.subtype, dtype, *arguments, returns="ptr")


def _define_destructors(module: Module) -> None:
    with module.function("fg_release_block", "void", capsule="ptr") as f:
        f.call("fg_free", _descriptor(f, f.capsule), returns="void")
        f.ret()
    with module.function("fg_release_entry", "void", capsule="ptr") as f:
        # The capsule's context is the array of the words: it owns one reference to it.
        frame = f.pointer(f.atomic("xchg", _descriptor(f, f.capsule), 8 * Header.FRAME, 0))
        with f.if_(frame.is_not(0)):
            f.call("fg_free", frame, returns="void")
        f.call("Py_DecRef", f.call("PyCapsule_GetContext", f.capsule, returns="ptr"), returns="void")
        f.ret()
