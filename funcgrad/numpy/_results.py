"""What do NumPy's functions return, in words of shape and dtype?  `document` appends them."""

from __future__ import annotations

import numpy as np

GONE = "without `axis` (0-d for all axes; with extents of 1 in their places if `keepdims`)"
ROWS = (  # type, words, names
    ("Array", f"Bools, of the shape of `a` {GONE}.", "all any"),
    ("Array", f"In the dtype of `a`, of its shape {GONE}.", "amax amin max min nanmax nanmin ptp"),
    ("Array", f"Floats or complex numbers (float64 for integers), of the shape of `a` {GONE}.", "mean nanmean"),
    ("Array", f"Floats (float64 for integers), of the shape of `a` {GONE}.", "std var nanstd nanvar median nanmedian"),
    ("Array", f"Of the shape of `q` before that of `a` {GONE}; floats (float64 for integers).",
     "quantile percentile nanquantile nanpercentile"),
    ("Array", (f"Of the shape of `a` {GONE}; floats and complex numbers keep their dtype, integers and bools become "
     "64 bits wide; `dtype` overrules."), "sum prod nansum nanprod"),
    ("Array or tuple", "The average as `mean` has it; with `returned` also the sum of weights.", "average"),
    ("Array", ("The shape of `a`, or one axis where there is no `axis`; floats and complex numbers keep their dtype, "
     "integers and bools become 64 bits wide; `dtype` overrules."), "cumsum cumprod nancumsum nancumprod"),
    ("Array", "The shape of `x`, with one element more along the axis if `include_initial`; dtypes as in `cumsum`.",
     "cumulative_sum cumulative_prod"),
    ("Array", f"int64, of the shape of `a` {GONE}.", "argmax argmin nanargmax nanargmin count_nonzero"),
    ("Array", "int64, of the shape of `a` (one axis if `axis` is None).", "argsort argpartition"),
    ("Array", "int64, of the shape of the keys.", "lexsort"),
    ("Array", "In the dtype of `a` and of its shape (one axis if `axis` is None).", "sort partition"),
    ("Array", "Complex, of the shape of `a`.", "sort_complex"),
    ("Array", "int64, of shape (hits, a.ndim).", "argwhere"),
    ("tuple of Array", "int64, as long as there are hits, one for each axis.", "nonzero"),
    ("Array", "int64, as long as there are hits.", "flatnonzero"),
    ("Array", "int64, of the shape of what is looked for.", "searchsorted digitize"),
    ("Array", "int64, as long as `minlength` and the largest element say; with `weights` float64.", "bincount"),
    ("bool", "A Python bool, or a 0-d array where the arguments are traced.", "allclose array_equal array_equiv"),
    ("Array", "Bools, of the operands' broadcast shape.", "isclose"),
    ("Array", "Bools, of the shape of the argument.", "iscomplex isneginf isposinf isreal isin"),
    ("bool", "A Python bool.", "iscomplexobj isrealobj isscalar can_cast"),
    ("Array", "The shape of `z`; floats.", "angle"),
    ("Array", "The shape of the argument; of complex numbers the floats of their parts.", "real imag"),
    ("Array", "The shape of the argument, in its dtype.", "around round nan_to_num"),
    ("Array", "The shape of the argument; floats and complex numbers keep their dtype, integers become float64.",
     "sinc i0 unwrap"),
    ("Array", "The operands' broadcast shape, in their promoted dtype.", "clip where choose select"),
    ("Array", "The shape of `x`, in its dtype.", "piecewise"),
    ("Array", "Of the shape of `x`; float64 or complex128, as `fp` is.", "interp"),
    ("Array", "The elements in the new shape, in the same dtype.",
     ("reshape ravel squeeze expand_dims transpose permute_dims matrix_transpose swapaxes moveaxis rollaxis flip "
     "fliplr flipud rot90 roll resize repeat tile broadcast_to")),
    ("tuple of Array", "The arguments in their common shape, each in its dtype.", "broadcast_arrays meshgrid ix_"),
    ("Array or tuple", "The argument with axes of extent 1 until there are that many; a tuple for several arguments.",
     "atleast_1d atleast_2d atleast_3d"),
    ("Array", "The arrays side by side, in their promoted dtype.",
     "concatenate concat stack hstack vstack dstack column_stack block append insert"),
    ("list of Array", "The parts, in order, each in the dtype of the whole.",
     "split array_split hsplit vsplit dsplit"),
    ("tuple of Array", "The slices along the axis, in the dtype of the whole.", "unstack"),
    ("Array", "The elements that are left, in the dtype of the array.",
     "delete compress extract trim_zeros diagonal diag take take_along_axis"),
    ("Array", "A matrix in the dtype of the argument.", "diagflat"),
    ("Array", "The shape of the argument, in its dtype, zeros outside of the triangle.", "tril triu"),
    ("tuple of Array", "int64, one for each axis.",
     ("diag_indices diag_indices_from tril_indices tril_indices_from triu_indices triu_indices_from mask_indices "
     "unravel_index")),
    ("Array", "int64; with `sparse` a tuple of them.", "indices"),
    ("Array", "int64, of the indices' broadcast shape.", "ravel_multi_index"),
    ("Array", "A new array of `dtype` (default: that of what is given).",
     "array asarray asanyarray ascontiguousarray asfortranarray copy require astype"),
    ("Array", "Of the given shape, in `dtype` (default: float64).", "empty ones zeros eye identity tri"),
    ("Array", "Of the given shape, in `dtype` (default: that of the value).", "full"),
    ("Array", "The shape and dtype of the prototype, unless `shape` or `dtype` say else.",
     "empty_like ones_like zeros_like full_like"),
    ("Array", "One axis; the arguments' promoted dtype, unless `dtype` is given.", "arange"),
    ("Array", ("`num` numbers along a new axis; floats, unless `dtype` is given. `linspace` with `retstep`: a tuple of "
     "it and the step."), "linspace logspace geomspace"),
    ("Array", "float64, `M` of them.", "bartlett blackman hamming hanning kaiser"),
    ("Array", "Of the products' broadcast shape, in the promoted dtype.",
     "matmul dot inner outer vdot vecdot matvec vecmat tensordot einsum kron cross"),
    ("tuple", "The order of the contractions, and a text about it.", "einsum_path"),
    ("Array", "One axis, whose length `mode` says; the promoted dtype.", "convolve correlate"),
    ("Array", "Floats or complex numbers, of shape (variables, variables); 0-d for one variable.", "cov corrcoef"),
    ("Array", "In the dtype of `a` (bools for bools), shorter along the axis.", "diff ediff1d"),
    ("Array or tuple", "Floats of the shape of `f`: one array, or one for each of several axes.", "gradient"),
    ("Array", "The shape of `y` without `axis`; floats (float64 for integers) or complex numbers.", "trapezoid"),
    ("Array", "The sum of the diagonal: the other axes; integers become 64 bits wide.", "trace"),
    ("tuple", "Counts (float64 with weights or `density`, else int64), and the edges of bins.", "histogram"),
    ("tuple", "Counts (float64), and the edges of bins for each axis.", "histogram2d histogramdd"),
    ("Array", "The edges: one more than bins.", "histogram_bin_edges"),
    ("Array", "Sorted, one axis, in the promoted dtype.", "union1d setdiff1d setxor1d unique_values"),
    ("Array or tuple", "Sorted, one axis (or slices along `axis`); a tuple with what `return_...` asks for.",
     "unique intersect1d"),
    ("named tuple of Array", "Sorted values, and what the name says; places and counts are int64.",
     "unique_all unique_counts unique_inverse"),
    ("Array", "Coefficients from the highest power, in the promoted dtype.", "polyadd polysub polymul polyder"),
    ("Array", "Coefficients from the highest power; floats or complex numbers.", "poly polyint roots"),
    ("tuple of Array", "Quotient and remainder, as coefficients.", "polydiv"),
    ("Array or tuple", "float64 coefficients from the highest power; with `full` or `cov` a tuple.", "polyfit"),
    ("Array", "The shape of `x`, in the promoted dtype.", "polyval"),
    ("Array", "Of shape (len(x), N), in the dtype of `x`.", "vander"),
    ("Array", "The given axes padded, in the dtype of the array.", "pad"),
    ("Array", "uint8; eight bits to a byte along the axis.", "packbits unpackbits"),
    ("Array", "What the function returns for each slice, in its dtype.", "apply_along_axis apply_over_axes"),
    ("Array", "What the function returns for the coordinates.", "fromfunction"),
    ("Array", "One axis, in `dtype` (default: float64).", "frombuffer fromiter fromstring"),
    ("Array", "The memory of the other library's array, with its shape and dtype.", "from_dlpack"),
    ("callable", "A function of arrays, element by element; its results are arrays of objects.", "frompyfunc"),
    ("Array", "The changed array, in its shape and dtype.",
     "fill_diagonal place put put_along_axis"),
    ("np.dtype", "The promoted dtype (`common_type`: its type).", "common_type result_type"),
    ("int", "A Python int.", "ndim size"),
    ("tuple of int", "The extents.", "shape"),
)  # fmt: skip
LINALG_ROWS = (
    ("Array", "Of the shape and (float or complex) dtype of `a`; integers count as float64.",
     "cholesky inv"),
    ("Array", "Of the shape of `a`; powers below 0 of integers are float64.", "matrix_power"),
    ("Array", "Floats, the stack's axes.", "cond matrix_norm norm vector_norm"),
    ("Array", "int64, the stack's axes.", "matrix_rank"),
    ("Array", "The stack's axes; floats or complex numbers.", "det"),
    ("Array", "The stack's axes; integers become 64 bits wide.", "trace"),
    ("named tuple of Array", ("Eigenvalues, the stack's axes and one more (complex for `eig`, floats for `eigh`), and "
     "eigenvectors as columns."), "eig eigh"),
    ("Array", "Eigenvalues, the stack's axes and one more; complex for `eigvals`, floats for `eigvalsh`.",
     "eigvals eigvalsh"),
    ("named tuple of Array", "Q and R (or R alone, or LAPACK's form, as `mode` says), in the dtype of `a`.", "qr"),
    ("named tuple of Array", "U, the singular values (floats) and Vh; only the values without `compute_uv`.", "svd"),
    ("Array", "The singular values, floats: the stack's axes and one more.", "svdvals"),
    ("named tuple of Array", "The sign, in the dtype of `a`, and the logarithm, a float: the stack's axes.", "slogdet"),
    ("Array", "x, of the shape of `b`; floats or complex numbers.", "solve tensorsolve"),
    ("tuple", "x, the sums of squared residuals, the rank, and the singular values.", "lstsq"),
    ("Array", "The last two axes exchanged, floats or complex numbers.", "pinv tensorinv"),
    ("Array", "The product, in the promoted dtype.", "multi_dot matmul outer tensordot vecdot cross"),
    ("Array", "The diagonals of a stack of matrices, in its dtype.", "diagonal"),
    ("Array", "The matrices transposed, in their dtype.", "matrix_transpose"),
)  # fmt: skip
FFT_ROWS = (
    ("Array", "Complex, of the shape of `a` but for the lengths asked for; float32 and float16 give complex64.",
     "fft fft2 fftn ifft ifft2 ifftn"),
    ("Array", "Complex; n // 2 + 1 numbers along the last axis transformed.", "rfft rfft2 rfftn ihfft"),
    ("Array", "Floats; `n` numbers along the last axis transformed (default: 2 (m - 1)).",
     "irfft irfft2 irfftn hfft"),
    ("Array", "float64, `n` of them (`rfftfreq`: n // 2 + 1).", "fftfreq rfftfreq"),
    ("Array", "The elements in another order, in their dtype.", "fftshift ifftshift"),
)  # fmt: skip


def _by_name(rows: tuple[tuple[str, str, str], ...]) -> dict[str, tuple[str, str]]:
    return {name: (kind, words) for kind, words, names in rows for name in names.split()}


RESULTS = {"numpy": _by_name(ROWS), "numpy.linalg": _by_name(LINALG_ROWS), "numpy.fft": _by_name(FFT_ROWS)}


def section(kind: str, words: str) -> str:
    """The part of a docstring that says what is returned."""
    return f"\n\nReturns\n-------\n{kind}\n    {words}"


def of_ufunc(ufunc: np.ufunc) -> tuple[str, str]:
    """What a function of elements returns, by its loops' dtypes."""
    if ufunc.nout > 1:
        return "tuple of Array", "Each has an element for each of the broadcast operands."
    outputs = {loop[-1] for loop in ufunc.types} - {"O", "m", "M"}
    dtype = (
        "bools" if outputs == {"?"}
        else "uint8" if outputs == {"B"}
        else "of complex numbers the floats of their parts, else in the operands' dtype" if ufunc is np.absolute
        else "floats or complex numbers" if outputs <= set("efdgFDG") and "F" in outputs
        else "floats" if outputs <= set("efdg")
        else "in the operands' promoted dtype"
    )  # fmt: skip
    return "Array", f"An element for each of the broadcast operands; {dtype}."
