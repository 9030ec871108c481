"""How is native support code written?  As structured Python that prints LLVM IR text.

A `Function` has values with operators, variables, ``if``/``while`` as context managers, loads and stores at byte
offsets, and atomics; a `Module` collects functions, declares what they call, and prints itself.  Variables are
stack slots.

    >>> module = Module()
    >>> with module.function("triangle", "i64", n="i64") as f:
    ...     total, i = f.variable("i64", 0), f.variable("i64", 0)
    ...     with f.while_(lambda: i.get() < f.n):
    ...         i.set(i.get() + 1)
    ...         total.set(total.get() + i.get())
    ...     f.ret(total.get())
    >>> str(module).splitlines()[0]
    '; effort: least'
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from funcgrad.compile.aside import cores
from funcgrad.compile.passes import Effort

_ATTRIBUTES = {
    Effort.LEAST: "nounwind noinline optnone",  # in object files, too, whose modules are emitted together
    Effort.REGISTERS: "nounwind noinline",
    Effort.ALL: "nounwind noinline",
}


@dataclass(slots=True, eq=False)
class Value:
    """An LLVM value of a function under construction; Python integers mix with it freely."""

    function: Function
    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def __add__(self, other: Value | int) -> Value:
        if self.type == "ptr":
            return self.function.emit("ptr", f"getelementptr i8, {self}, {self.function.cast_int(other, 'i64')}")
        return self._binary("add", other)

    def __sub__(self, other: Value | int) -> Value:
        return self._binary("sub", other)

    def __mul__(self, other: Value | int) -> Value:
        return self._binary("mul", other)

    def __and__(self, other: Value | int) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | int) -> Value:
        return self._binary("or", other)

    def __lshift__(self, other: Value | int) -> Value:
        return self._binary("shl", other)

    def __rshift__(self, other: Value | int) -> Value:
        """Shift right, filling with zeros."""
        return self._binary("lshr", other)

    def __floordiv__(self, other: Value | int) -> Value:
        """Unsigned division: every size and count here is non-negative."""
        return self._binary("udiv", other)

    def __lt__(self, other: Value | int) -> Value:
        return self._compare("slt", other)

    def __le__(self, other: Value | int) -> Value:
        return self._compare("sle", other)

    def __gt__(self, other: Value | int) -> Value:
        return self._compare("sgt", other)

    def __ge__(self, other: Value | int) -> Value:
        return self._compare("sge", other)

    def is_(self, other: Value | int) -> Value:
        """Equality as an instruction (``==`` keeps Python's meaning)."""
        return self._compare("eq", other)

    def is_not(self, other: Value | int) -> Value:
        return self._compare("ne", other)

    def _binary(self, name: str, other: Value | int) -> Value:
        return self.function.emit(self.type, f"{name} {self}, {self._plain(other)}")

    def _compare(self, predicate: str, other: Value | int) -> Value:
        return self.function.emit("i1", f"icmp {predicate} {self}, {self._plain(other)}")

    def _plain(self, other: Value | int) -> str:
        if isinstance(other, Value):
            if other.type != self.type:
                raise TypeError(f"operands of types {self.type} and {other.type}")
            return other.name
        return "null" if self.type == "ptr" and other == 0 else str(int(other))


@dataclass(slots=True, eq=False)
class Variable:
    """A mutable local."""

    place: Value
    type: str

    def get(self) -> Value:
        return self.place.function.load(self.place, 0, self.type)

    def set(self, value: Value | int) -> None:
        f = self.place.function
        f.store(f.opaque(value) if isinstance(value, Value) else value, self.place, 0, self.type)


class Function:
    """One function under construction; parameters are attributes."""

    def __init__(self, module: Module, name: str, returns: str, parameters: dict[str, str]) -> None:
        self.module, self.name, self.returns, self.parameters = module, name, returns, parameters
        self.effort = module.effort
        self._lines: list[str] = []
        self._allocas: list[str] = []
        self._count = 0
        self._loops: list[str] = []
        self._closed = False

    def __getattr__(self, name: str) -> Value:
        parameters = self.__dict__.get("parameters", {})
        if name not in parameters:
            raise AttributeError(name)
        return Value(self, parameters[name], f"%{name}")

    def __str__(self) -> str:
        signature = ", ".join(f"{type_} %{name}" for name, type_ in self.parameters.items())
        head = f"define {self.returns} @{self.name}({signature}) {_ATTRIBUTES[self.effort]} {{"
        body = [head, "entry:", *self._allocas, *self._lines]
        return "\n".join([*body, "  unreachable" if not self._closed else "", "}"])

    @property
    def declaration(self) -> str:
        """What another module has to know of it."""
        return f"declare {self.returns} @{self.name}({', '.join(self.parameters.values())}) nounwind"

    # Instructions -----------------------------------------------------------------------------------------------

    def emit(self, type_: str, instruction: str) -> Value:
        """Append ``%new = instruction`` (or the bare instruction when `type_` is ``"void"``)."""
        if self._closed:
            self._label(self._fresh("dead"))
        if type_ == "void":
            self._lines.append(f"  {instruction}")
            return Value(self, "void", "")
        self._count += 1  # every first call waits for this: it calls nothing
        name = f"%v.{self._count}"
        self._lines.append(f"  {name} = {instruction}")
        return Value(self, type_, name)

    def constant(self, type_: str, value: int | str) -> Value:
        return Value(self, type_, "null" if type_ == "ptr" and value == 0 else str(value))

    def cast_int(self, value: Value | int, type_: str) -> Value:
        """`value` as the integer type `type_`: sign-extended or truncated."""
        if isinstance(value, int):
            return self.constant(type_, value)
        if value.type == type_:
            return value
        if value.type == "ptr":
            return self.emit(type_, f"ptrtoint {value} to {type_}")
        widens = int(value.type[1:]) < int(type_[1:])
        extend = "zext" if value.type == "i1" else "sext"
        return self.emit(type_, f"{extend if widens else 'trunc'} {value} to {type_}")

    def pointer(self, value: Value) -> Value:
        return self.emit("ptr", f"inttoptr {value} to ptr")

    def convert(self, operation: str, value: Value, type_: str) -> Value:
        """Any of LLVM's conversions by name, as in ``f.convert("sitofp", n, "double")``."""
        return self.emit(type_, f"{operation} {value} to {type_}")

    def select(self, condition: Value, then: Value, other: Value) -> Value:
        return self.emit(then.type, f"select {condition}, {then}, {other}")

    def opaque(self, value: Value) -> Value:
        """A count or an address of a loop, which LLVM does not see as one where the module's loops are `plain`."""
        if not self.module.plain or self.effort is Effort.LEAST or value.type not in ("i64", "ptr"):
            return value
        return self.emit(value.type, f"freeze {value}")

    def repeated(self, number: Value, lanes: int) -> Value:
        """A vector with a number in every lane."""
        kind = f"<{lanes} x {number.type}>"
        one = self.emit(kind, f"insertelement {kind} poison, {number}, i64 0")
        return self.emit(kind, f"shufflevector {one}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def load(self, place: Value, offset: Value | int = 0, type_: str = "i64") -> Value:
        return self.emit(type_, f"load {type_}, {self._address(place, offset)}")

    def store(self, value: Value | int, place: Value, offset: Value | int = 0, type_: str | None = None) -> None:
        value = value if isinstance(value, Value) else self.constant(type_ or "i64", value)
        self.emit("void", f"store {value}, {self._address(place, offset)}")

    def variable(self, type_: str, initial: Value | int | None = None, count: int = 1) -> Variable:
        """A local variable; with `count` > 1, room for that many (use `.place`)."""
        name = f"%{self._fresh('x')}"
        self._allocas.append(f"  {name} = alloca {type_}, i64 {count}, align 8")
        variable = Variable(Value(self, "ptr", name), type_)
        if initial is not None:
            variable.set(initial)
        return variable

    def call(self, target: str | Value, *arguments: Value | int, returns: str = "i64") -> Value:
        """Call a symbol (declared when this module does not define it) or a function pointer."""
        values = [a if isinstance(a, Value) else self.constant("i64", a) for a in arguments]
        if isinstance(target, str):
            self.module.declare(target, returns, [v.type for v in values])
        callee = f"@{target}" if isinstance(target, str) else target.name
        return self.emit(returns, f"call {returns} {callee}({', '.join(map(str, values))})")

    # Atomics: sequentially consistent, which costs nothing extra where it matters here ----------------------------

    def atomic_load(self, place: Value, offset: int = 0, type_: str = "i64") -> Value:
        return self.emit(type_, f"load atomic {type_}, {self._address(place, offset)} seq_cst, align 8")

    def atomic_store(self, value: Value | int, place: Value, offset: int = 0) -> None:
        value = value if isinstance(value, Value) else self.constant("i64", value)
        self.emit("void", f"store atomic {value}, {self._address(place, offset)} seq_cst, align 8")

    def atomic(self, operation: str, place: Value, offset: int, value: Value | int) -> Value:
        """``old = *p; *p = operation(old, value)``: ``"add"``, ``"sub"``, ``"xchg"``, ...; returns `old`."""
        value = value if isinstance(value, Value) else self.constant("i64", value)
        return self.emit("i64", f"atomicrmw {operation} {self._address(place, offset)}, {value} seq_cst, align 8")

    def compare_exchange(self, place: Value, offset: int, old: Value | int, new: Value | int) -> Value:
        """Set ``*p = new`` where it equals `old`; whether it did."""
        old = old if isinstance(old, Value) else self.constant("i64", old)
        new = new if isinstance(new, Value) else self.constant("i64", new)
        pair = self.emit("{i64, i1}", f"cmpxchg {self._address(place, offset)}, {old}, {new} seq_cst seq_cst, align 8")
        return self.emit("i1", f"extractvalue {pair}, 1")

    # Control ----------------------------------------------------------------------------------------------------

    def ret(self, value: Value | int | None = None) -> None:
        if isinstance(value, int):
            value = self.constant(self.returns, value)
        self._close(f"ret {value}" if value is not None else "ret void")

    def break_(self) -> None:
        """Leave the innermost loop."""
        self._close(f"br label %{self._loops[-1]}")

    @contextmanager
    def if_(self, condition: Value) -> Iterator[None]:
        then, after = self._fresh("then"), self._fresh("after")
        self._close(f"br {condition}, label %{then}, label %{after}")
        self._label(then)
        yield
        self._jump(after)
        self._label(after)

    def choose(self, condition: Value, then: Callable[[], object], otherwise: Callable[[], object]) -> None:
        """If-else, each side given as a function that emits it."""
        first, second, after = self._fresh("then"), self._fresh("else"), self._fresh("after")
        self._close(f"br {condition}, label %{first}, label %{second}")
        for label, body in ((first, then), (second, otherwise)):
            self._label(label)
            body()
            self._jump(after)
        self._label(after)

    @contextmanager
    def while_(self, condition: Callable[[], Value]) -> Iterator[None]:
        with self.loop() as end:
            body = self._fresh("body")
            self._close(f"br {condition()}, label %{body}, label %{end}")
            self._label(body)
            yield

    @contextmanager
    def loop(self) -> Iterator[str]:
        """Repeat until `break_` or `ret`."""
        head, end = self._fresh("head"), self._fresh("end")
        self._jump(head)
        self._label(head)
        self._loops.append(end)
        yield end
        self._loops.pop()
        self._jump(head)
        self._label(end)

    @contextmanager
    def range(self, count: Value) -> Iterator[Value]:
        """``for i in range(count)``."""
        counter = self.variable("i64", 0)
        with self.while_(lambda: counter.get() < count):
            index = counter.get()
            yield index
            counter.set(index + 1)

    @contextmanager
    def folding(self, count: Value, state: list[Value]) -> Iterator[Value]:
        """Repeat so many times; an iteration finds in `state` what the one before has left there, and so do others
        behind the last one. Values stay values, which is less text, and less work, than variables are.
        """
        start, head, body, again, end = map(self._fresh, ("start", "head", "body", "again", "end"))
        for label in (start, head):
            self._jump(label)
            self._label(label)
        place, before = len(self._lines), [self.constant("i64", 0), *state]
        index, *state[:] = found = [Value(self, value.type, f"%{self._fresh('p')}") for value in before]
        self._close(f"br {index < count}, label %{body}, label %{end}")
        self._label(body)
        yield index
        after = [self.opaque(value) for value in (index + 1, *state)]
        self._jump(again)
        self._label(again)
        self._jump(head)
        self._lines[place:place] = [
            f"  {phi.name} = phi {phi.type} [{first.name}, %{start}], [{following.name}, %{again}]"
            for phi, first, following in zip(found, before, after, strict=True)
        ]
        self._label(end)
        state[:] = found[1:]

    @contextmanager
    def in_parts(self, count: Value, most: Value) -> Iterator[tuple[Value, Value]]:
        """For each part of ``range(count)``, of at most so many: where it begins, and its length."""
        with self.range((count + most - 1) // most) as number:
            first = number * most
            rest = count - first
            yield first, self.select(rest < most, rest, most)

    def _address(self, place: Value, offset: Value | int) -> Value:
        return place if isinstance(offset, int) and offset == 0 else place + offset

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}.{self._count}"

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")
        self._closed = False

    def _close(self, terminator: str) -> None:
        self.emit("void", terminator)
        self._closed = True

    def _jump(self, label: str) -> None:
        if not self._closed:
            self._close(f"br label %{label}")


class Module:
    """LLVM IR text under construction, on which LLVM shall spend so much effort.

    With `plain` it chooses no other counts and addresses for loops (strength reduction): that took it a fifth of its
    time for tiles, whose own are as good.  Loops that multiply their counts by strides are better off without.
    """

    def __init__(self, effort: Effort = Effort.LEAST, plain: bool = False) -> None:
        self.effort, self.plain = effort, plain
        self._functions: dict[str, Function] = {}
        self._globals: dict[str, str] = {}
        self._declared: dict[str, str] = {}

    @contextmanager
    def function(self, name: str, returns: str, **parameters: str) -> Iterator[Function]:
        """Define an exported function."""
        self._functions[name] = function = Function(self, name, returns, parameters)
        yield function

    def zeros(self, function: Function, name: str, size: int) -> Value:
        """The address, in `function`, of the private block `name` of `size` zero bytes."""
        self._globals[name] = f"@{name} = internal global [{size} x i8] zeroinitializer, align 64"
        return Value(function, "ptr", f"@{name}")

    def outside(self, function: Function, name: str) -> Value:
        """The address, in `function`, of a block that the module does not define."""
        self._globals[name] = f"@{name} = external global i64, align 8"
        return Value(function, "ptr", f"@{name}")

    def note(self, node: str) -> str:
        """The name of a node of metadata."""
        name = next((name for name, line in self._globals.items() if line == f"{name} = {node}"), None)
        name = name or f"!{len(self._globals)}"
        self._globals[name] = f"{name} = {node}"
        return name

    def reference(self, function: Function, name: str) -> Value:
        """The address, in `function`, of the function `name` of this module."""
        return Value(function, "ptr", f"@{name}")

    def declare(self, name: str, returns: str, types: list[str]) -> None:
        line = f"declare {returns} @{name}({', '.join(types)}) nounwind"
        if self._declared.setdefault(name, line) != line:
            raise TypeError(f"{name} is called in two ways: {self._declared[name]!r} and {line!r}")

    def defined(self) -> list[str]:
        """The functions that the text defines."""
        return list(self._functions)

    def external(self) -> list[str]:
        """What the text calls and does not define, intrinsics excepted."""
        return [n for n in self._declared if n not in self._functions and not n.startswith("llvm.")]

    def __str__(self) -> str:
        declared = [line for name, line in self._declared.items() if name not in self._functions]
        return "\n".join(
            [self.effort.value, *map(str, self._functions.values()), *self._globals.values(), *declared, ""]
        )

    def parts(self, names: Container[str] = ()) -> list[str]:
        """The text as modules, to be linked to one library: the functions of these names, and the others, but together
        where one core would compile both; and those that need less effort than the module, which in a module of theirs
        take a fifth of the time.
        """
        apart = cores() > 1
        groups: dict[tuple[str, bool], list[Function]] = {}
        for f in self._functions.values():
            groups.setdefault((f.effort.value, apart and f.name in names), []).append(f)
        if len(groups) == 1:
            return [str(self)]
        assert not self._globals, "a private block is a module's own"
        return [self._part(effort, group) for (effort, _), group in groups.items()]

    def _part(self, effort: str, functions: list[Function]) -> str:
        declared = [line for name, line in self._declared.items() if name not in self._functions]
        others = [f.declaration for f in self._functions.values() if f not in functions]
        return "\n".join([effort, *map(str, functions), *declared, *others, ""])
