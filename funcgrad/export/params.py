"""Which operations may an exported program hold, and which parameters do they take?

A closed table: what stands neither in `PLAIN` nor in `PARAMETERS` is refused, when a program is written and when one is
read. A kind of parameter knows how a value is written as JSON, and takes nothing from a file but what it would write.
Whether the parameters fit the operands is for the primitive's own type rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from funcgrad.ad_checkpoint import checkpoint_policies
from funcgrad.control.linear_solve import Part, Solvers
from funcgrad.export.container import MOST_AXES, MOST_BYTES, dtype_code, dtype_of, refuse
from funcgrad.ir.program import Program
from funcgrad.nn._blocks import How

LONGEST = 1 << 16  # texts, and tuples of numbers


class Programs(Protocol):
    """Where the programs that parameters hold are written to, or read from, by number."""

    def number(self, program: Program) -> int: ...

    def program(self, number: Any) -> Program: ...


@dataclass(frozen=True)
class Kind:
    """A kind of parameter: ``write(value, programs) -> JSON`` and back."""

    write: Callable[[Any, Programs], Any]
    read: Callable[[Any, Programs], Any]
    optional: bool = False


def _plain(read: Callable[[Any], Any], write: Callable[[Any], Any] = lambda value: value) -> Kind:
    return Kind(lambda value, _: write(value), lambda data, _: read(data))


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(data: Any) -> int:
        if type(data) is not int or not low <= data <= high:
            refuse(f"{data!r:.40} is not an integer from {low} to {high}")
        return data

    return read


def _tuple(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_all(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list) or len(data) > LONGEST:
            refuse(f"{data!r:.40} is no list of parameters")
        return tuple(map(read, data))

    return read_all


def _lists(value: Any) -> Any:
    """Nested tuples of integers as lists."""
    return [_lists(x) for x in value] if isinstance(value, tuple | list) else int(value)


def _bool(data: Any) -> bool:
    if type(data) is not bool:
        refuse(f"{data!r:.40} is no truth value")
    return data


def _text(data: Any) -> str:
    if not isinstance(data, str) or len(data) > LONGEST:
        refuse(f"{data!r:.40} is no text")
    return data


def integers(low: int, high: int) -> Kind:
    """A tuple of integers within limits."""
    return _plain(_tuple(_integer(low, high)), _lists)


def integer(low: int, high: int, optional: bool = False) -> Kind:
    """An integer within limits."""
    return Kind(lambda value, _: int(value), lambda data, _: _integer(low, high)(data), optional)


def groups(length: int, low: int, high: int) -> Kind:
    """A tuple of tuples of so many integers."""

    def read(data: Any) -> Any:
        found = _tuple(_tuple(_integer(low, high)))(data)
        if any(len(group) != length for group in found):
            refuse(f"{data!r:.40} is no list of {length} integers each")
        return found

    return _plain(read, _lists)


def choice(*names: str) -> Kind:
    """One of some texts."""

    def read(data: Any) -> str:
        if data not in names:
            refuse(f"{data!r:.40} is none of {', '.join(names)}")
        return str(data)

    return _plain(read)


def _numbers(data: Any) -> Any:
    """The axes of a product: ``((left, right), (left, right))`` contracted and batched."""
    axes = _tuple(_tuple(_tuple(_integer(0, MOST_AXES))))(data)
    if len(axes) != 2 or any(len(pair) != 2 or len(pair[0]) != len(pair[1]) for pair in axes):
        refuse(f"{data!r:.40} are no axes of a product")
    for left, right in zip(*axes, strict=True):
        if len(set(left)) != len(left) or len(set(right)) != len(right):
            refuse(f"{data!r:.40} names an axis of a product twice")
    for side in (0, 1):
        both = (*axes[0][side], *axes[1][side])
        if len(set(both)) != len(both):
            refuse(f"{data!r:.40} names an axis of a product twice")
    return axes


def _weak(data: Any) -> bool | None:
    return None if data is None else _bool(data)


# Parameters that are more than numbers --------------------------------------------------------------------------------


def _write_programs(value: Sequence[Program], programs: Programs) -> list[int]:
    return [programs.number(p) for p in value]


def _read_programs(data: Any, programs: Programs) -> tuple[Program, ...]:
    found = _tuple(lambda number: number)(data)
    if not found:
        refuse("a choice without branches")
    return tuple(map(programs.program, found))


def _write_policy(value: Any, programs: Programs) -> str | None:
    """Its name; what a policy of the user's keeps does not change results, so that it counts as none."""
    return next((name for name in POLICIES if getattr(checkpoint_policies, name) is value), None)


def _read_policy(data: Any, programs: Programs) -> Any:
    if data is not None and data not in POLICIES:
        refuse(f"{data!r:.40} is no policy")
    return None if data is None else getattr(checkpoint_policies, data)


POLICIES = ("everything_saveable", "nothing_saveable", "dots_saveable", "dots_with_no_batch_dims_saveable")


def _write_how(value: How, programs: Programs) -> list[Any]:
    return [float(value.scale).hex(), value.left, value.right, value.masks, bool(value.bias)]


def _read_how(data: Any, programs: Programs) -> How:
    if not isinstance(data, list) or len(data) != 5 or not isinstance(data[0], str):
        refuse("the parameters of attention are damaged")
    try:
        scale = float.fromhex(data[0])
    except (ValueError, OverflowError):
        refuse("the scale of attention is no number")
    bounds = [None if x is None else _integer(-MOST_BYTES, MOST_BYTES)(x) for x in data[1:3]]
    return How(scale, bounds[0], bounds[1], _integer(0, 8)(data[3]), _bool(data[4]))


def _write_solvers(value: Solvers, programs: Programs) -> list[Any]:
    parts = [None if p is None else [programs.number(p.program), p.consts] for p in value.parts]
    return [parts, value.size]


def _read_solvers(data: Any, programs: Programs) -> Solvers:
    if not isinstance(data, list) or len(data) != 2 or not isinstance(data[0], list) or len(data[0]) != 4:
        refuse("the parameters of a linear solver are damaged")
    matvec, solve, vecmat = (_read_part(entry, programs) for entry in data[0][:3])
    turned = None if data[0][3] is None else _read_part(data[0][3], programs)
    solvers = Solvers(matvec, solve, vecmat, turned, _integer(0, LONGEST)(data[1]))
    _check_solvers(solvers)
    return solvers


def _read_part(data: Any, programs: Programs) -> Part:
    if not isinstance(data, list) or len(data) != 2:
        refuse("a function of a linear solver is damaged")
    program = programs.program(data[0])
    return Part(program, _integer(0, len(program.inputs))(data[1]))


def _check_solvers(solvers: Solvers) -> None:
    """Every function maps as many unknowns as there are to as many, of the same types."""

    def kinds(types: Any) -> Any:
        return [(t.shape, t.dtype) for t in types]

    unknowns = kinds(solvers.matvec.program.input_types[solvers.matvec.consts :])
    for part in solvers.parts:
        if part is not None:
            taken, given = kinds(part.program.input_types[part.consts :]), kinds(part.program.output_types)
            if len(taken) != solvers.size or taken != unknowns or given[: solvers.size] != unknowns:
                refuse("the functions of a linear solver do not fit each other")


# The table ------------------------------------------------------------------------------------------------------------

BOOL, TEXT, DTYPE = _plain(_bool), _plain(_text), _plain(dtype_of, dtype_code)
AXIS, SIZE = integer(0, MOST_AXES), integer(0, MOST_BYTES)
AXES, SIZES = integers(0, MOST_AXES), integers(0, MOST_BYTES)
STEPS, PADS = integers(1, MOST_BYTES), groups(2, -MOST_BYTES, MOST_BYTES)
COUNT = integer(0, LONGEST)
PROGRAM = Kind(lambda value, programs: programs.number(value), lambda data, programs: programs.program(data))

_LOOP = {"cond": PROGRAM, "body": PROGRAM, "cond_consts": COUNT, "body_consts": COUNT}
_SNAPSHOTS = {"snapshots": integer(0, MOST_BYTES, optional=True)}
_WINDOW = {
    "window_dimensions": STEPS,
    "window_strides": STEPS,
    "padding": PADS,
    "base_dilation": STEPS,
    "window_dilation": STEPS,
}
_EXTREMUM = {"kind": choice("max", "min")}
_RUNNING = {"axis": AXIS, "reverse": BOOL}
_REDUCED = {"axes": AXES}
_PLACE = {"axis": AXIS, "index_dtype": DTYPE}
_SORTED = {"dimension": AXIS, "descending": BOOL}
_PARTS = {"dimension": AXIS, "kth": SIZES}
_ORDERS = {"orders": integers(0, 8)}
_VECTORS = {"compute_vectors": BOOL}
_MESSAGE = {"message": TEXT}
_ATTENTION = {"how": Kind(_write_how, _read_how)}

PARAMETERS: dict[str, dict[str, Kind]] = {
    **dict.fromkeys(("argmax", "argmin"), _PLACE),
    **dict.fromkeys(("argpartition", "partition"), _PARTS),
    **dict.fromkeys(("argsort", "sort"), _SORTED),
    "arrange": {"dimension": AXIS},
    "top_places": _SORTED | {"k": SIZE},
    **dict.fromkeys(("attention", "attention_backward"), _ATTENTION),
    "bessel_jn": {"v": integer(-(1 << 15), 1 << 15)},
    **dict.fromkeys(
        ("betainc_derivative", "hyp1f1_derivative", "hyp2f1_derivative", "igamma_derivative", "zeta_derivative"),
        _ORDERS,
    ),
    "bitcast_convert_type": {"new_dtype": DTYPE},
    "broadcast_in_dim": {"shape": SIZES, "broadcast_dimensions": AXES},
    "check_entry": {"size": SIZE} | _MESSAGE,
    "check_index": {"size": SIZE},
    "check_label": {"size": SIZE, "least": integer(-(1 << 62), 0), "of": TEXT},
    **dict.fromkeys(("check_nonzero", "check_positive"), _MESSAGE),
    "checkpoint": {"program": PROGRAM, "policy": Kind(_write_policy, _read_policy), "prevent_cse": BOOL},
    "concatenate": {"dimension": AXIS},
    "cond": {"branches": Kind(_write_programs, _read_programs)},
    "conv_general_dilated": {
        "window_strides": STEPS,
        "padding": PADS,
        "lhs_dilation": STEPS,
        "rhs_dilation": STEPS,
    },
    "convert_element_type": {"dtype": DTYPE, "weak": Kind(lambda v, _: v, lambda d, _: _weak(d), optional=True)},
    **dict.fromkeys(("cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "linear_recurrence"), _RUNNING),
    "custom_linear_solve": {"program": PROGRAM, "solvers": Kind(_write_solvers, _read_solvers)},
    "dot_general": {"dimension_numbers": _plain(_numbers, _lists)},
    "dynamic_slice": {"slice_sizes": SIZES},
    **dict.fromkeys(("eig", "eigh"), _VECTORS),
    "fft": {"kind": choice("fftn", "ifftn", "rfftn", "irfftn"), "axes": AXES, "length": SIZE},
    **dict.fromkeys(("gather", "scatter_add", "scatter_max", "scatter_min"), _REDUCED),
    "integer_pow": {"y": integer(-(1 << 31), 1 << 31)},
    "iota": {"dtype": DTYPE, "shape": SIZES, "dimension": AXIS},
    "jit": {"program": PROGRAM, "name": TEXT},
    "lu_pivots_to_permutation": {"size": SIZE},
    "name": {"name": TEXT},
    "pad": {"padding_config": groups(3, -MOST_BYTES, MOST_BYTES)},
    "pinv": {"hermitian": BOOL},
    "qr": {"full_matrices": BOOL},
    **dict.fromkeys(
        ("reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum"),
        _REDUCED,
    ),
    "reduce_precision": {"exponent_bits": integer(1, 11), "mantissa_bits": integer(0, 52)},
    **dict.fromkeys(("reduce_window_max", "reduce_window_min", "reduce_window_sum"), _WINDOW),
    **dict.fromkeys(("window_gather", "window_scatter"), _WINDOW | _EXTREMUM),
    "reshape": {"shape": SIZES},
    "rev": {"dimensions": AXES},
    "scan": {"program": PROGRAM, "consts": COUNT, "carry": COUNT, "length": SIZE, "reverse": BOOL} | _SNAPSHOTS,
    "scatter": _REDUCED | {"unique": BOOL, "drop": BOOL},
    "scatter_mul": _REDUCED | {"unique": BOOL},
    "searchsorted": {"side": choice("left", "right"), "batch_ndim": AXIS},
    "slice": {"start_indices": SIZES, "limit_indices": SIZES, "strides": STEPS},
    "svd": {"full_matrices": BOOL, "compute_uv": BOOL},
    "transpose": {"permutation": AXES},
    "triangular_solve": dict.fromkeys(("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal"), BOOL),
    "tridiagonal": {"lower": BOOL},
    "while": _LOOP | _SNAPSHOTS,
    "while_pull": _LOOP,
}

PLAIN = frozenset(
    """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e beta binom cbrt ceil cholesky clz
    cofactors complex complex_from_parts complex_to_parts conj cos cosh cosine_integral dawsn det digamma div
    dynamic_update_slice eq erf erf_inv erfc erfcx exp exp2 expi expm expm1 expn floor fresnel_cos fresnel_sin gamma
    gcd ge geqrf gt hessenberg householder_product hyp1f1 hyp2f1 igamma igammac imag integer_power inv is_finite lbeta
    lcm le lgamma log log10 log1p log2 log_ndtr loggamma logistic logit lt lu max min mul ndtri ne neg nextafter not
    optimization_barrier or owens_t poch polygamma population_count pow random_gamma_grad real
    regularized_incomplete_beta rem round rsf2csf rsqrt schur select shift_left shift_right sign sin sine_integral sinh
    slogdet solve spence sph_legendre sqrt sqrtm square stop_gradient sub sylvester tan tanh threefry2x32
    tridiagonal_solve trigamma trunc wofz xlog1py xlogy xor zeta
    """.split()
)

# Their rules are Python code: what they compute is exported as a call, and derivatives with the rules beside it.
DISSOLVED = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vmap_call"})

# Python code, what has a meaning only inside a vmap with a named axis, and what lowering alone makes (of `attention`).
LEFT_OUT = frozenset(
    "all_gather attend attend_backward axis_index check debug_callback io_callback numba_call ppermute psum "
    "pure_callback".split()
)


def write_params(name: str, params: Any, programs: Programs) -> dict[str, Any]:
    """An equation's parameters as JSON."""
    kinds = PARAMETERS.get(name, {})
    return {key: kinds[key].write(value, programs) for key, value in params.items()}


def read_params(name: str, data: Any, programs: Programs) -> dict[str, Any]:
    """An equation's parameters."""
    kinds = PARAMETERS.get(name, {})
    if not isinstance(data, dict) or not data.keys() <= kinds.keys():
        refuse(f"the parameters of {name} are damaged")
    missing = [key for key, kind in kinds.items() if key not in data and not kind.optional]
    if missing:
        refuse(f"{name} lacks the parameter {missing[0]}")
    return {key: kinds[key].read(value, programs) for key, value in data.items()}
