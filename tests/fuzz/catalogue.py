"""Which statements are there?  Tables of public functions, by the kinds of the values that they take.

A template's ``{0}``, ``{1}`` are values; what stands in other braces is drawn by a method of `pick.Pick` (an axis of
the first value, a permutation of its axes, ...). ``%(a b c)`` are several templates. A line that is indented goes on
with the one before. A section says the kinds of the first value's dtype, and how many axes it has at least.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

ANY = "biufVc"

_ONE = """
[fV 0]
np.%(sin cos tanh arctan cbrt square negative abs sign floor ceil rint trunc expm1 sinc arcsinh isfinite isnan
    signbit deg2rad rad2deg fabs i0 positive nan_to_num)({0})
np.%(sqrt log log2 log10 log1p reciprocal arccosh)(np.abs({0}) + {number})
np.%(arcsin arccos arctanh)(np.tanh({0}) * 0.9)
nn.%(relu relu6 gelu silu sigmoid softplus elu leaky_relu log_sigmoid hard_tanh selu celu soft_sign mish squareplus
    hard_swish)({0})
special.%(erf erfc expit ndtr log_ndtr i0e i1e i1 entr logit)(tame({0}))
special.%(gammaln digamma gamma)(np.abs(tame({0})) + 0.5)
lax.%(logistic rsqrt erf is_finite neg square stop_gradient)({0})
lax.rsqrt(1 + {0} * {0})
lax.integer_pow(tame({0}), {small})
np.abs({0}) ** {number}
{0} %(+ - * / < <= > >= == !=) {number}
{number} / (1 + {0} * {0})
np.clip({0}, -{number}, {number})
np.round({0}, {digits})
np.where({0} > 0, {0}, {number})
np.%(var std)({0}, axis={axes})
np.linalg.inv(regular(fit({0}, (3, 3), {floating})))
np.linalg.det(regular(fit({0}, {squares}, {floating})))
np.linalg.cholesky(spd(fit({0}, {squares}, {floating})))
np.linalg.eigvalsh(spd(fit({0}, (3, 3), {floating})))
np.linalg.slogdet(regular(fit({0}, {squares}, {floating})))[1]
[fVc 0]
np.%(exp sinh cosh tan sin cos tanh square exp2 conj real imag abs angle)(tame({0}))
tame({0})
np.prod(np.tanh({0}) + 1, axis={axes})
[iu 0]
np.%(negative abs square sign invert bitwise_count positive)({0})
np.prod({0}, axis={axes})
np.bincount(np.ravel(cast({0}, 'int32')) % 5, length=5)
[biufVc 0]
np.%(logical_not ravel squeeze)({0})
cast({0}, {dtype})
np.reshape({0}, {regrouped})
np.expand_dims({0}, {new_axis})
np.broadcast_to({0}, {wider})
np.tile({0}, {count})
np.stack([{0}, {0}], axis={new_axis})
lax.broadcast({0}, (2,))
[b 0]
~np.asarray({0})
[fV 1]
nn.%(softmax log_softmax logsumexp standardize)({0}, axis={axis})
np.gradient({0}, axis={axis})
np.%(sum mean max min var std prod)({0}, axis={axis}, keepdims=True)
np.cumprod(np.tanh({0}) + 1, axis={axis})
{0}.at[{place}].multiply({number})
[iufVc 0]
tame({0}) ** {small}
{0} %(+ - *) {whole}
{whole} - {0}
np.%(sum mean)({0}, axis={axes})
[c 0]
tame({0}) ** {number}
[iufV 0]
{0} %(// %) {positive}
np.%(max min ptp)({0}, axis={axes})
[biufVc 2]
np.transpose({0}, {permutation})
{0}.T
np.swapaxes({0}, 0, -1)
np.rot90({0})
np.%(tril triu diagonal)({0}, {shift})
[biufVc 1]
np.flip({0}, {axis})
np.roll({0}, {shift}, {axis})
np.repeat({0}, {count}, axis={axis})
np.concatenate([{0}, {0}], axis={axis})
np.diag({0})
np.split({0}, 1, axis={axis})[0]
{0}{slices}
{0}{slices}
{0}{fancy}
lax.rev({0}, (0,))
lax.pad({0}, {zero}, {config})
{0}.at[{place}].set({whole})
np.take({0}, np.array([0, -1, 0]), axis={axis})
lax.dynamic_slice_in_dim({0}, {shift}, 1, axis={axis})
[iufVc 1]
np.pad({0}, {padding}, mode={padding_mode})
np.outer({0}, {0})[:5, :7]
np.einsum('i,j->ij', {0}[:6], {0}[:3])
{0}.at[{place}].add({0}[0])
[ifVc 1]
np.pad({0}, {padding}, constant_values={whole})
np.diff({0}, axis={axis})
lax.dynamic_update_slice_in_dim({0}, {0}[:1] * 2, {shift}, 0)
[biufV 1]
np.%(argmax argmin sort any all count_nonzero)({0}, axis={axis})
np.argsort({0}, axis={axis}, stable=True)
[iufV 1]
np.%(cumsum nanmax nansum nanmean median)({0}, axis={axis})
[ifV 1]
lax.%(cummax cummin)({0}, axis={axis})
lax.cumsum({0}, axis={axis}, reverse=True)
lax.top_k({0}, 1)[{bit}]
lax.sort({0}, dimension={axis})
{0}.at[{place}].max({whole})
[f 1]
lax.cumlogsumexp({0}, axis={axis})
np.quantile({0}, 0.3, axis={axis})
lax.reduce_window({0}, {zero}, lax.add, {window}, {strides}, 'VALID')
lax.reduce_window({0}, -np.inf, lax.max, {window}, {strides}, 'SAME')
np.fft.rfft({0}, axis={axis})
[fVc 1]
np.linalg.norm(np.append({0}, np.ones(2, {dtype0})))
{0} @ {0}.T / {0}.shape[-1]
[iufVc 2]
np.trace({0})
[fc 1]
np.vdot({0}, {0})
np.fft.fft({0}, axis={axis})
[if 1]
np.convolve(np.ravel({0})[:9], np.array([1, 2, -1], {0}.dtype))
np.searchsorted(np.sort(np.ravel({0})), np.ravel({0})[:3])
[c 1]
np.fft.irfft({0})
[f 0]
lax.conv_general_dilated(fit({0}, (1, 2, 9), {floating}), fit(tame({0}), (3, 2, 3), {floating}), (1,),
    {conv_padding})
lax.conv_general_dilated(fit({0}, (2, 5, 5, 2), {floating}), fit(tame({0}), (3, 3, 2, 3), {floating}), (2, 1),
    'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
np.interp({0}, np.linspace(-2, 2, 5), np.arange(5.0))
np.digitize({0}, np.array([-1.0, 0.0, 1.0]))
lax.reduce_precision({0}, 8, 7)
lax.bitcast_convert_type({0}, {same_size})
[iufb 0]
nn.one_hot(cast({0}, 'int32') % 4, 4)
"""

# the second value is brought to the dtype of the first one, and to a shape that goes with it
_TWO = """
[iufVc]
{0} %(+ - * + *) {1}
np.dot(np.ravel({0}), np.ravel(fit({1}, np.shape({0}), {dtype0})))
lax.dynamic_slice(np.ravel({0}), (cast(np.ravel({1})[0], 'int32') % 7,), (1,))
[iufV]
{0} %(< <= > >=) {1}
np.where({0} > {1}, {0}, {1})
np.where({0} > 0, {1}, 0)
fit({0}, (6,), {dtype0}).at[cast({1}, 'int32') % 6].max({1})
[biufVc]
{0} %(== !=) {1}
np.concatenate([np.ravel({0}), np.ravel({1})])
np.stack(np.broadcast_arrays({0}, {1}))
np.ravel({0})[cast({1}, 'int32') % np.size({0})]
fit({0}, (6, 3), {dtype0})[np.ravel(cast({1}, 'int32')) % 6]
np.take_along_axis(np.ravel({0}), np.argsort(np.ravel({1}), stable=True) % np.size({0}), 0)
lax.dynamic_update_slice(fit({0}, (6, 5), {dtype0}), fit({1}, (2, 3), {dtype0}), (cast(np.ravel({1})[0], 'int32') %
    6, 1))
[fV]
{0} / (2 + {1} * {1})
np.fmod({0}, np.abs({1}) + 1)
np.%(maximum minimum fmax fmin hypot arctan2 copysign logaddexp logaddexp2 heaviside nextafter)({0}, {1})
(np.abs({0}) + 0.1) ** np.tanh({1})
lax.select(np.sin({0}) > {1}, {0}, {1})
np.clip({0}, -np.abs({1}), np.abs({1}))
special.xlogy({0}, np.abs({1}) + 0.1)
np.linalg.solve(regular(fit({0}, {squares}, {floating})), finite(fit({1}, {columns}, {floating})))
lax.linalg.triangular_solve(regular(fit({0}, (4, 4), {floating})), finite(fit({1}, (4, 2), {floating})),
    left_side=True, lower=True)
nn.softmax(fit({0}, (7, 20), {floating}) @ tame(fit({1}, (20, 20), {floating})))
np.cross(fit({0}, (4, 3), {floating}), fit({1}, (4, 3), {floating}))
[c]
{0} / (2 + np.abs({1}))
[ifV]
{0} // (np.abs({1}) + 1)
{0} % (np.abs({1}) + 1)
[iu]
np.%(maximum minimum bitwise_and bitwise_or bitwise_xor gcd lcm)({0}, {1})
np.power({0}, np.abs({1}) % 4)
{0} << (np.abs({1}) % 6)
{0} >> (np.abs({1}) % 6)
[b]
np.%(logical_and logical_or logical_xor)({0}, {1})
[f]
lax.clamp(-1.0, {0}, 2.0) * {1}
special.gammainc(np.abs(tame({0})) + 0.5, np.abs(tame({1})))
special.betainc(np.abs(tame({0})) + 0.5, np.abs(tame({0})) + 1, nn.sigmoid({1}))
np.tensordot({0}, tame({1}), 0)
np.multiply.outer({0}, {1})
lax.complex({0}, {1})
fit({0}, (6,), {dtype0}).at[cast({1}, 'int32') % 6].mul(1 + {1})
[fVc]
fit({0}, (5, 18), {floating}) @ tame(fit({1}, (18, 3), {floating}))
fit({0}, (2, 3, 4), {floating}) @ tame(fit({1}, (2, 4, 3), {floating}))
np.einsum('ijk,ik->ji', fit({0}, (3, 4, 5), {floating}), fit({1}, (3, 5), {floating}))
fit({0}, (33, 40), {floating}) @ tame(fit({1}, (40, 17), {floating}))
[ifVc]
fit({0}, (6,), {dtype0}).at[cast({1}, 'int32') % 6].add({1})
fit({0}, (6, 4), {dtype0}).at[cast(np.ravel({1})[0], 'int32') % 6].set(np.ravel({1})[-1])
[fc]
np.polyval(np.ravel({0})[:4], tame({1}))
np.isclose({0}, {1})
[iuf]
np.lexsort((np.ravel({1}), np.ravel(fit({0}, np.shape({1}), {dtype0}))))
"""

# {f}: a function of one array that gives one of the same type; what is made of it
_NESTED = """
fg.jit({f})({0})
fg.checkpoint({f})({0})
slope({f}, {0})
push({f}, {0})
pull({f}, {0})
line({f}, {0})
fg.vmap({f})(np.stack([{0}, {0} * 0.5]))
fg.vmap({f})(np.stack([{0}, {0} * 0.5]))[1]
fg.vmap({f}, in_axes=1, out_axes=-1)(np.stack([{0}, {0} * 0.5, {0}], axis=1))
slope(fg.jit({f}), {0})
fg.jit(lambda x: slope({f}, x))({0})
lax.map({f}, np.stack([{0}, {0} * 0.5]))
fg.named_call({f}, name='part')({0})
with_jvp_rule({f})({0})
lax.fori_loop(0, {trips}, lambda i, x: {f}(x), {0})
lax.fori_loop(0, {trips}, lambda i, x: x.at[i % 2].set({f}(x)[0]) if x.ndim and x.shape[0] > 1 else {f}(x), {0})
lax.scan(lambda c, x: ({f}(c) * 0.5 + x, c * 2), {0}, np.stack([{0}] * {trips}))[{bit}]
lax.scan(lambda c, x: (c, {f}(x)), 0.0, np.stack([{0}, {0} + 1, {0} * 0.3]), reverse=True)[1]
lax.scan(lambda c, i: (c + {f}(c * i) * 0.3, None), {0}, np.arange({trips}))[0]
lax.scan(lambda c, x: ((c[1], {f}(c[0]) + x), c[0]), ({0}, {0} * 0.5), np.stack([{0}] * {trips}))[{bit}]
lax.cond(np.sum({0}) > {number}, {f}, lambda x: x * 0.5, {0})
lax.switch({bit}, [{f}, lambda x: x * 2, lambda x: x], {0})
lax.switch(cast(np.sum({0}), 'int32') % 3, [{f}, lambda x: x * 2, {f}], {0})
lax.while_loop(lambda s: s[0] < {trips}, lambda s: (s[0] + 1, {f}(s[1])), (0, {0}))[1]
lax.while_loop(lambda s: (np.sum(s[1]) < 5) & (s[0] < {trips}), lambda s: (s[0] + 1, {f}(s[1]) * 1.5), (0, {0}))[1]
lax.associative_scan(lambda x, y: np.maximum(x, y), {f}({0}))
fg.vmap(lambda x: lax.cond(np.sum(x) > 0, {f}, lambda x: -x, x))(np.stack([{0}, -{0}, {0} * 0.1]))
fg.vmap(lambda x: lax.while_loop(lambda s: (np.sum(s[0] ** 2) < 3) & (s[1] < 9), lambda s: ({f}(s[0]) + s[0] + 1,
    s[1] + 1), (x, 0))[0])(np.stack([{0}, {0} * 0.5]))
lax.scan(lambda c, i: (lax.dynamic_update_index_in_dim(c, {f}(c[i]), i, 0), c[i]), np.stack([{0}] * 3),
    np.arange(3))[{bit}]
fg.vmap(fg.jit({f}))(np.stack([{0}, {0} + 1]))
fg.jacrev(lambda x: np.sum({f}(x)))({0})
fg.grad(lambda x: np.sum(lax.scan(lambda c, _: ({f}(c), None), x, None, length={trips})[0]))({0})
"""


def _expanded(template: str) -> Iterator[str]:
    found = re.search(r"%\(([^)]*)\)", template)
    if found is None:
        yield template
        return
    for name in found.group(1).split():
        yield from _expanded(template[: found.start()] + name + template[found.end() :])


def _parsed(text: str) -> Iterator[tuple[str, str]]:
    """Templates with the headings of their sections."""
    heading = ""
    for line in re.sub(r"\n +", " ", text.strip()).splitlines():
        if line.startswith("["):
            heading = line.strip("[]")
        else:
            yield from ((template, heading) for template in _expanded(line))


ONE = tuple((t, h.split()[0], int(h.split()[1])) for t, h in _parsed(_ONE))
TWO = tuple(_parsed(_TWO))
NESTED = tuple(t for t, _ in _parsed(_NESTED))
CLOSED = ("with_jvp_rule",)  # these may not close over traced values
