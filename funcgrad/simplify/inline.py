"""How do inner programs go away?  Calls are replaced by the equations of what they call."""

from __future__ import annotations

from collections.abc import Iterator

from funcgrad.ir.program import Atom, Equation, Program, Var

# Their parameter `program` is what they compute; rules that they carry have done their work when a program is compiled.
CALLS = frozenset("jit custom_jvp_call custom_vjp_call custom_vmap_call custom_linear_solve checkpoint".split())


def inline(program: Program) -> Program:
    """`program` with every call (``jit`` and other `CALLS`) replaced by the inner program's equations, at any depth."""
    if not any(equation.primitive.name in CALLS for equation in program.equations):
        return program
    equations: list[Equation] = []
    constants = dict(program.constants)
    top: dict[Var, Atom] = {}
    stack: list[tuple[Iterator[Equation], dict[Var, Atom], Equation | None]] = [(iter(program.equations), top, None)]
    while stack:
        pending, env, call = stack[-1]
        equation = next(pending, None)
        if equation is None:
            stack.pop()
            if call is not None:
                outer = stack[-1][1]
                inner_outputs = call.params["program"].outputs
                outer.update((v, _read(env, a)) for v, a in zip(call.outputs, inner_outputs, strict=True))
            continue
        inputs = tuple(_read(env, a) for a in equation.inputs)
        if equation.primitive.name in CALLS:
            inner: Program = equation.params["program"]
            constants |= inner.constants
            stack.append((iter(inner.equations), dict(zip(inner.inputs, inputs, strict=True)), equation))
        else:
            fresh = tuple(Var(v.type) for v in equation.outputs)
            env.update(zip(equation.outputs, fresh, strict=True))
            equations.append(equation.replace(inputs=inputs, outputs=fresh))
    return Program(program.inputs, tuple(equations), tuple(_read(top, a) for a in program.outputs), constants)


def _read(env: dict[Var, Atom], atom: Atom) -> Atom:
    return env.get(atom, atom) if isinstance(atom, Var) else atom
