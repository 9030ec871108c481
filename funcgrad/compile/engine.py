"""How does LLVM IR become code that runs?  Optimisation, object code, linking: LLVM through llvmlite.

llvmlite guards every call with one lock.  The three calls that take long, parsing, optimising and emitting, go around
it: each compilation has an LLVM context of its own, and a target machine to itself, so that nothing is shared between
threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import threading
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from llvmlite import binding
from llvmlite.binding import ffi

from funcgrad import config, forks
from funcgrad.compile import half
from funcgrad.compile.aside import aside
from funcgrad.compile.cpus import target
from funcgrad.compile.passes import effort_of, run_passes, unlocked, without_called

_numbers, _uses = itertools.count(), itertools.count(1)
forks.around(ffi.lib._lock._lock.acquire, ffi.lib._lock._lock.release)  # llvmlite's own
_linker_lock = forks.held(threading.Lock())
_lock = forks.held(threading.Lock())
_half_lock = forks.held(threading.Lock())
LIBRARIES = 64  # that one linker makes: LLVM keeps 9 KB of each until the linker goes, which takes 1.6 ms to make
_linkers: list[binding.LLJIT] = []  # the one that makes libraries
_dropped: deque[str] = deque()  # libraries that nobody needs; `unload` takes them out of memory
_idle: dict[tuple[str, str, int], list[binding.TargetMachine]] = {}  # for a CPU, its features and a level


class Loaded(NamedTuple):
    """A library in memory: the linker that has it, and what keeps it; dropping any tracker unloads its code."""

    linker: binding.LLJIT
    trackers: dict[str, binding.ResourceTracker]


_loaded: dict[str, Loaded] = {}


class Symbol(NamedTuple):
    """Where code comes from: a module of LLVM IR, and a name in it."""

    text: str
    name: str


class Address(int):
    """A word that is an address. It knows what lies there, so that code can leave the process.

    Attributes
    ----------
    of
        Code, words (with addresses among them), or None for what is another program's.
    """

    of: Symbol | Sequence[int] | None

    def __new__(cls, value: int, of: Symbol | Sequence[int] | None) -> Address:
        self = super().__new__(cls, value)
        self.of = of
        return self


class Library:
    """Machine code in memory, for as long as this object lives; `text` is the module that it was made from."""

    def __init__(self, builder: binding.JITLibraryBuilder, name: str, text: str = "") -> None:
        self._name = name
        self._text = text
        linker = _linker()
        _loaded[name] = Loaded(linker, {"": builder.link(linker, name)})

    def __del__(self, dropped: deque[str] = _dropped) -> None:  # a default: when Python ends, globals go first
        dropped.append(self._name)

    def address(self, symbol: str) -> Address:
        """The address of a symbol that the library defines.

        Raises
        ------
        RuntimeError
            There is no such symbol, or the code refers to one that nobody defines.
        """

        def looked_up() -> binding.ResourceTracker:
            with _lock:
                if symbol not in trackers:
                    trackers[symbol] = linker.lookup(self._name, symbol)
                return trackers[symbol]

        linker, trackers = _loaded[self._name]
        found = trackers.get(symbol) or aside(looked_up)
        return Address(int(found[symbol]), Symbol(self._text, symbol))


def to_object(text: str, verify: bool = False) -> bytes:
    """Compile a module of LLVM IR to object code.

    Parameters
    ----------
    text
        LLVM IR without a target.
    verify
        Have LLVM check the module first; the environment variable ``FUNCGRAD_DEBUG=1`` does so for all.

    Returns
    -------
    bytes
        An object file, for `load`.

    Raises
    ------
    RuntimeError
        LLVM does not accept the text.
    """

    def compiled() -> bytes:
        machine, module = _optimised(text, verify)
        image = _emit(machine, module, 1)
        _idle.setdefault((*target(), effort_of(text).level), []).append(machine)
        return image

    return aside(compiled)


def optimised(text: str) -> str:
    """The module after optimisation, as LLVM IR."""
    return aside(lambda: str(_optimised(text, True)[1]))


def assembly(text: str) -> str:
    """The machine code of the module, as assembly text."""

    def printed() -> str:
        machine, module = _optimised(text, True)
        return _emit(machine, module, 0).decode()

    return aside(printed)


class NameTaken(ValueError):
    """An object cannot export a name that its modules have for something else."""


def to_linked_object(parts: Sequence[tuple[str, Mapping[str, str]]], public: Collection[str]) -> bytes:
    """Compile modules of LLVM IR to one object file, for linkers of other languages.

    Parameters
    ----------
    parts
        For each module its text, and the names in the object of those of its definitions that others refer to.
    public
        The names that the object exports; what they do not need is left out.

    Returns
    -------
    bytes
        The object file.

    Raises
    ------
    NameTaken
        If a module has a public name already, or refers to another function by it.
    """

    def linked() -> bytes:
        image = _emit(*_linked(parts, public), 1)
        if any(symbol.encode() in image for symbol in half.SYMBOLS):  # nobody knows before the code is emitted
            image = _emit(*_linked([*parts, (half.TEXT, {name: name for name in half.SYMBOLS})], public), 1)
        return image

    return aside(linked)


def load(code: bytes | Sequence[bytes], symbols: Mapping[str, int] | None = None, text: str = "") -> Library:
    """Link object code into this process.

    Parameters
    ----------
    code
        What `to_object` returned, in this process or in another one; or several such, which refer to each other.
    symbols
        Addresses for symbols that the code refers to, besides those that the process knows (``memcpy``, ``fmod``, ...).
    text
        The module that the code was made from.

    Returns
    -------
    Library
        The code; it is unloaded with the object.
    """

    def loaded() -> Library:
        known, images = dict(symbols or {}), [code] if isinstance(code, bytes) else code
        asked = (symbol.encode() in image for symbol in half.SYMBOLS for image in images)
        if not known.keys() & half.SYMBOLS and any(asked):
            known |= {symbol: _half().address(symbol) for symbol in half.SYMBOLS}
        builder = binding.JITLibraryBuilder()
        for image in images:
            builder.add_object_img(image)
        builder.add_current_process()
        for name, address in known.items():
            builder.import_symbol(name, address)
        return Library(builder, f"funcgrad{next(_numbers)}", text)

    return aside(loaded)


def unload() -> None:
    """Take code that nobody needs out of memory. Not where and when the last reference goes: that may be on the main
    thread, which signals interrupt, or in a collection of garbage, in the middle of anything.
    """
    while True:
        try:
            loaded = _loaded.pop(_dropped.popleft())
        except IndexError:
            return
        loaded.trackers.clear()  # before the linker goes, if nobody else has libraries of it


@cache
def _initialise() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def _linker() -> binding.LLJIT:
    """What makes the next library."""
    with _linker_lock:
        if not _linkers or next(_uses) % LIBRARIES == 0:
            _linkers[:] = [_made_linker()]
        return _linkers[0]


def _made_linker() -> binding.LLJIT:
    _initialise()
    # The older linker places code and constants each where the system finds room; two gigabytes apart, it aborts.
    return binding.create_lljit_compiler(use_jit_link=True, suppress_errors=True)


def _half() -> Library:
    with _half_lock:  # `cache` alone would let two threads link it, which the linker refuses
        return _linked_half()


@cache
def _linked_half() -> Library:
    """The conversions of half precision, for CPUs (and code for CPUs) without an instruction for them."""
    builder = binding.JITLibraryBuilder().add_object_img(to_object(half.TEXT))
    return Library(builder, "funcgrad.half")


def _linked(
    parts: Sequence[tuple[str, Mapping[str, str]]], public: Collection[str]
) -> tuple[binding.TargetMachine, binding.ModuleRef]:
    """The modules in one, each optimised by itself, so that it computes what it does in memory."""
    context = binding.create_context()
    with contextlib.ExitStack() as modules:
        linked = _linked_in(context, modules, parts, public)
        modules.pop_all()
    return linked


def _linked_in(
    context: binding.ContextRef,
    modules: contextlib.ExitStack,
    parts: Sequence[tuple[str, Mapping[str, str]]],
    public: Collection[str],
) -> tuple[binding.TargetMachine, binding.ModuleRef]:
    """Likewise; `modules` closes them after a failure: the traceback would keep them and their context in a cycle, of
    which Python may take the context apart first.
    """
    whole: binding.ModuleRef | None = None
    for text, names in parts:
        machine, module = _optimised(text, False, context, jit=False)
        modules.callback(module.close)
        taken = {value.name for value in (*module.functions, *module.global_variables)} & set(public)
        if taken:
            raise NameTaken(*taken)
        for value in _definitions(module):
            if value.name in names:
                value.name = names[value.name]
            else:
                value.linkage = "internal"
        if whole is None:
            whole = module
        else:
            whole.link_in(module)
    assert whole is not None
    for value in _definitions(whole):
        if value.name in half.SYMBOLS:  # a program's other objects may have them
            value.linkage, value.visibility = "weak_odr", "hidden"
        elif value.name not in public:
            value.linkage = "internal"
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(whole, binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=1)))
    whole.verify()
    return machine, whole


def _definitions(module: binding.ModuleRef) -> list[binding.ValueRef]:
    values = (*module.functions, *module.global_variables)
    return [value for value in values if not value.is_declaration and value.name]


def _optimised(
    text: str, verify: bool, context: binding.ContextRef | None = None, jit: bool = True
) -> tuple[binding.TargetMachine, binding.ModuleRef]:
    _initialise()
    context = context or binding.create_context()
    main, called = without_called(text)
    module = _parsed(main, context)
    machine = _machine(effort_of(text).level if jit else 1, jit)
    with contextlib.ExitStack() as failed:
        failed.callback(module.close)  # see `_linked_in`
        if verify or config.debug():
            module.verify()
        _set_target(module, machine)
        run_passes(module, machine, main)
        left = {function.name for function in module.functions} if called else set()
        for part in (_parsed(part, context) for name, part in called.items() if name in left):
            _set_target(part, machine)
            module.link_in(part)
        if called and (verify or config.debug()):
            module.verify()
        failed.pop_all()
    return machine, module


def _parsed(text: str, context: binding.ContextRef) -> binding.ModuleRef:
    with ffi.OutputString() as message:
        module = binding.ModuleRef(unlocked("LLVMPY_ParseAssembly")(context, text.encode(), message), context)
        if message:
            module.close()
            raise RuntimeError(f"LLVM does not accept this IR: {message}\n{text}")
    return module


def _set_target(module: binding.ModuleRef, machine: binding.TargetMachine) -> None:
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)


def _machine(level: int, jit: bool) -> binding.TargetMachine:
    """A target machine that nobody uses, new or not: LLVM takes longer to make one than to parse a small kernel."""
    cpu, features = target()
    with contextlib.suppress(KeyError, IndexError):
        if jit:
            return _idle[cpu, features, level].pop()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        cpu, features, opt=level, reloc="pic", codemodel="default", jit=jit
    )


def _emit(machine: binding.TargetMachine, module: binding.ModuleRef, kind: int) -> bytes:
    with ffi.OutputString() as message:
        memory = unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, kind, message)
        if not memory:
            raise RuntimeError(str(message))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)
