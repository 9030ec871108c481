"""The names of `funcgrad.lax`, which are put together at run time, for type checkers."""

from typing import Any

from funcgrad.lax import linalg
from funcgrad.lax._associative import associative_scan
from funcgrad.lax._branches import cond, switch
from funcgrad.lax._collectives import (
    all_gather,
    all_to_all,
    axis_index,
    axis_size,
    pmax,
    pmean,
    pmin,
    ppermute,
    pshuffle,
    psum,
    psum_scatter,
    pswapaxes,
)
from funcgrad.lax._control import fori_loop, map, scan, while_loop
from funcgrad.lax._convolution import (
    conv,
    conv_general_dilated,
    conv_general_dilated_local,
    conv_general_dilated_patches,
    conv_transpose,
    conv_with_general_padding,
)
from funcgrad.lax._cumulative import cumlogsumexp, cummax, cummin, cumprod, cumsum
from funcgrad.lax._dtypes import bitcast_convert_type, convert_element_type, dtype, reduce_precision, stop_gradient
from funcgrad.lax._elementwise import (
    RoundingMethod,
    abs,
    betainc,
    clamp,
    conj,
    integer_pow,
    mulhi,
    polygamma,
    pow,
    reciprocal,
    round,
    select,
    select_n,
    shift_right_logical,
    sign,
)
from funcgrad.lax._fft import FftType, fft
from funcgrad.lax._gather import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    gather,
    scatter,
    scatter_add,
    scatter_apply,
    scatter_max,
    scatter_min,
    scatter_mul,
    scatter_sub,
)
from funcgrad.lax._layouts import ConvDimensionNumbers, conv_dimension_numbers, padtype_to_pads
from funcgrad.lax._others import Precision, igamma_grad_a, optimization_barrier
from funcgrad.lax._reductions import (
    argmax,
    argmin,
    batch_matmul,
    dot,
    dot_general,
    reduce,
    reduce_and,
    reduce_max,
    reduce_min,
    reduce_or,
    reduce_prod,
    reduce_sum,
    reduce_xor,
)
from funcgrad.lax._segments import segment_max, segment_min, segment_prod, segment_sum
from funcgrad.lax._shapes import (
    broadcast,
    broadcast_in_dim,
    broadcast_like,
    broadcast_shapes,
    broadcast_to_rank,
    broadcasted_iota,
    collapse,
    concatenate,
    empty,
    expand_dims,
    full,
    full_like,
    iota,
    pad,
    reshape,
    rev,
    shape_as_value,
    split,
    squeeze,
    stack,
    tile,
    transpose,
    unstack,
)
from funcgrad.lax._slicing import (
    dynamic_index_in_dim,
    dynamic_slice,
    dynamic_slice_in_dim,
    dynamic_update_index_in_dim,
    dynamic_update_slice,
    dynamic_update_slice_in_dim,
    index_in_dim,
    index_take,
    slice,
    slice_in_dim,
)
from funcgrad.lax._solves import custom_linear_solve, custom_root
from funcgrad.lax._sorting import approx_max_k, approx_min_k, sort, sort_key_val, top_k
from funcgrad.lax._windows import reduce_window, reduce_window_shape_tuple

def acos(x: Any, *, accuracy: Any = ...) -> Any: ...
def acosh(x: Any, *, accuracy: Any = ...) -> Any: ...
def add(x: Any, y: Any) -> Any: ...
def asin(x: Any, *, accuracy: Any = ...) -> Any: ...
def asinh(x: Any, *, accuracy: Any = ...) -> Any: ...
def atan(x: Any, *, accuracy: Any = ...) -> Any: ...
def atan2(x: Any, y: Any) -> Any: ...
def atanh(x: Any, *, accuracy: Any = ...) -> Any: ...
def bessel_i0e(x: Any, *, accuracy: Any = ...) -> Any: ...
def bessel_i1e(x: Any, *, accuracy: Any = ...) -> Any: ...
def bitwise_and(x: Any, y: Any) -> Any: ...
def bitwise_not(x: Any, *, accuracy: Any = ...) -> Any: ...
def bitwise_or(x: Any, y: Any) -> Any: ...
def bitwise_xor(x: Any, y: Any) -> Any: ...
def cbrt(x: Any, *, accuracy: Any = ...) -> Any: ...
def ceil(x: Any, *, accuracy: Any = ...) -> Any: ...
def clz(x: Any, *, accuracy: Any = ...) -> Any: ...
def complex(x: Any, y: Any) -> Any: ...
def cos(x: Any, *, accuracy: Any = ...) -> Any: ...
def cosh(x: Any, *, accuracy: Any = ...) -> Any: ...
def digamma(x: Any, *, accuracy: Any = ...) -> Any: ...
def div(x: Any, y: Any) -> Any: ...
def eq(x: Any, y: Any) -> Any: ...
def erf(x: Any, *, accuracy: Any = ...) -> Any: ...
def erf_inv(x: Any, *, accuracy: Any = ...) -> Any: ...
def erfc(x: Any, *, accuracy: Any = ...) -> Any: ...
def exp(x: Any, *, accuracy: Any = ...) -> Any: ...
def exp2(x: Any, *, accuracy: Any = ...) -> Any: ...
def expm1(x: Any, *, accuracy: Any = ...) -> Any: ...
def floor(x: Any, *, accuracy: Any = ...) -> Any: ...
def ge(x: Any, y: Any) -> Any: ...
def gt(x: Any, y: Any) -> Any: ...
def igamma(x: Any, y: Any) -> Any: ...
def igammac(x: Any, y: Any) -> Any: ...
def imag(x: Any, *, accuracy: Any = ...) -> Any: ...
def is_finite(x: Any, *, accuracy: Any = ...) -> Any: ...
def le(x: Any, y: Any) -> Any: ...
def lgamma(x: Any, *, accuracy: Any = ...) -> Any: ...
def log(x: Any, *, accuracy: Any = ...) -> Any: ...
def log1p(x: Any, *, accuracy: Any = ...) -> Any: ...
def logistic(x: Any, *, accuracy: Any = ...) -> Any: ...
def lt(x: Any, y: Any) -> Any: ...
def max(x: Any, y: Any) -> Any: ...
def min(x: Any, y: Any) -> Any: ...
def mul(x: Any, y: Any) -> Any: ...
def ne(x: Any, y: Any) -> Any: ...
def neg(x: Any, *, accuracy: Any = ...) -> Any: ...
def nextafter(x: Any, y: Any) -> Any: ...
def population_count(x: Any, *, accuracy: Any = ...) -> Any: ...
def random_gamma_grad(x: Any, y: Any) -> Any: ...
def real(x: Any, *, accuracy: Any = ...) -> Any: ...
def rem(x: Any, y: Any) -> Any: ...
def rsqrt(x: Any, *, accuracy: Any = ...) -> Any: ...
def shift_left(x: Any, y: Any) -> Any: ...
def shift_right_arithmetic(x: Any, y: Any) -> Any: ...
def sin(x: Any, *, accuracy: Any = ...) -> Any: ...
def sinh(x: Any, *, accuracy: Any = ...) -> Any: ...
def sqrt(x: Any, *, accuracy: Any = ...) -> Any: ...
def square(x: Any, *, accuracy: Any = ...) -> Any: ...
def sub(x: Any, y: Any) -> Any: ...
def tan(x: Any, *, accuracy: Any = ...) -> Any: ...
def tanh(x: Any, *, accuracy: Any = ...) -> Any: ...
def zeta(x: Any, y: Any) -> Any: ...

__all__ = [
    "ConvDimensionNumbers",
    "FftType",
    "GatherDimensionNumbers",
    "GatherScatterMode",
    "Precision",
    "RoundingMethod",
    "ScatterDimensionNumbers",
    "abs",
    "acos",
    "acosh",
    "add",
    "all_gather",
    "all_to_all",
    "approx_max_k",
    "approx_min_k",
    "argmax",
    "argmin",
    "asin",
    "asinh",
    "associative_scan",
    "atan",
    "atan2",
    "atanh",
    "axis_index",
    "axis_size",
    "batch_matmul",
    "bessel_i0e",
    "bessel_i1e",
    "betainc",
    "bitcast_convert_type",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "broadcast",
    "broadcast_in_dim",
    "broadcast_like",
    "broadcast_shapes",
    "broadcast_to_rank",
    "broadcasted_iota",
    "cbrt",
    "ceil",
    "clamp",
    "clz",
    "collapse",
    "complex",
    "concatenate",
    "cond",
    "conj",
    "conv",
    "conv_dimension_numbers",
    "conv_general_dilated",
    "conv_general_dilated_local",
    "conv_general_dilated_patches",
    "conv_transpose",
    "conv_with_general_padding",
    "convert_element_type",
    "cos",
    "cosh",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "custom_linear_solve",
    "custom_root",
    "digamma",
    "div",
    "dot",
    "dot_general",
    "dtype",
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
    "empty",
    "eq",
    "erf",
    "erf_inv",
    "erfc",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "fft",
    "floor",
    "fori_loop",
    "full",
    "full_like",
    "gather",
    "ge",
    "gt",
    "igamma",
    "igamma_grad_a",
    "igammac",
    "imag",
    "index_in_dim",
    "index_take",
    "integer_pow",
    "iota",
    "is_finite",
    "le",
    "lgamma",
    "linalg",
    "log",
    "log1p",
    "logistic",
    "lt",
    "map",
    "max",
    "min",
    "mul",
    "mulhi",
    "ne",
    "neg",
    "nextafter",
    "optimization_barrier",
    "pad",
    "padtype_to_pads",
    "pmax",
    "pmean",
    "pmin",
    "polygamma",
    "population_count",
    "pow",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
    "random_gamma_grad",
    "real",
    "reciprocal",
    "reduce",
    "reduce_and",
    "reduce_max",
    "reduce_min",
    "reduce_or",
    "reduce_precision",
    "reduce_prod",
    "reduce_sum",
    "reduce_window",
    "reduce_window_shape_tuple",
    "reduce_xor",
    "rem",
    "reshape",
    "rev",
    "round",
    "rsqrt",
    "scan",
    "scatter",
    "scatter_add",
    "scatter_apply",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_sub",
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "select",
    "select_n",
    "shape_as_value",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "sign",
    "sin",
    "sinh",
    "slice",
    "slice_in_dim",
    "sort",
    "sort_key_val",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stop_gradient",
    "sub",
    "switch",
    "tan",
    "tanh",
    "tile",
    "top_k",
    "transpose",
    "unstack",
    "while_loop",
    "zeta",
]
