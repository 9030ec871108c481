"""What is a transformer made of?  Blocks of attention and dense layers, each around a norm and beside a shortcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import nn
from funcgrad.errors import at_line
from funcgrad.nn.layers._attention import cross_attention, multi_head_attention
from funcgrad.nn.layers._combinators import residual, serial
from funcgrad.nn.layers._core import FLOAT, Layer
from funcgrad.nn.layers._dense import feed_forward
from funcgrad.nn.layers._functions import dropout as dropout_layer
from funcgrad.nn.layers._normalization import layer_norm


def transformer_block(
    heads: int,
    hidden: int,
    *,
    norm: str = "pre",
    norm_layer: Callable[..., Layer] = layer_norm,
    activation: Callable[[Any], Any] = nn.gelu,
    gated: bool = False,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    causal: bool = False,
    cross: bool = False,
    head_features: int | None = None,
    key_value_heads: int | None = None,
    rotary: bool | float = False,
    bias: bool = True,
    dtype: Any = FLOAT,
    name: str = "transformer_block",
) -> Layer:
    """Attention, then two dense layers, each with a norm and a shortcut (Vaswani et al. 2017).

    Parameters
    ----------
    heads, causal, head_features, key_value_heads, rotary
        Of `multi_head_attention`.
    hidden, activation, gated
        Of `feed_forward`; usually 4 times the features.
    norm
        ``"pre"``: x + f(norm(x)), which trains without warm-up (Xiong et al. 2020); ``"post"``: norm(x + f(x)), as
        first published.
    norm_layer
        `layer_norm` or `rms_norm`.
    dropout
        The rate of dropout of what each part adds, and of the hidden features.
    attention_dropout
        The rate of dropout of the attentions' weights (PyTorch's blocks take one rate for all of these).
    cross
        Whether there is a `cross_attention` between the two, as in decoders: `apply` then needs `memory`.
    bias
        Whether products have one.
    dtype
        Of the parameters.

    Returns
    -------
    Layer
        Input and output ``(batch, time, features)``; further inputs and state of its attentions. Parameters for
        ``norm="pre"``: ``0_attention`` (with ``0_layer_norm`` and ``1_attention``), ``1_feed_forward`` likewise, and
        ``1_cross_attention`` between them if there is one; for ``norm="post"`` the norms stand between the parts:
        ``0_attention``, ``1_layer_norm``, ``2_feed_forward``, ``3_layer_norm``.

    Raises
    ------
    ValueError
        `norm` is something else.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> gpt = layers.serial(
    ...     layers.embedding(65, 32), layers.transformer_block(4, 128, causal=True, rotary=True), layers.dense(65)
    ... )
    >>> params = gpt.init(fg.random.key(0), (1, 16))
    >>> gpt.apply(params, fg.numpy.zeros((2, 16), int)).shape
    (2, 16, 65)
    """
    if norm not in ("pre", "post"):
        raise ValueError(f"{name}: norm must be 'pre' or 'post', not {norm!r}{at_line()}")
    shared: dict[str, Any] = {
        "head_features": head_features,
        "key_value_heads": key_value_heads,
        "bias": bias,
        "dtype": dtype,
    }
    attending = {"dropout": attention_dropout, **shared}
    parts = [multi_head_attention(heads, causal=causal, rotary=rotary, **attending)]
    if cross:
        parts.append(cross_attention(heads, **attending))
    parts.append(feed_forward(hidden, activation=activation, gated=gated, bias=bias, dropout=dropout, dtype=dtype))
    dropped = [dropout_layer(dropout)] if dropout else []
    blocks: list[Layer] = []
    for part in parts:
        if norm == "pre":
            blocks.append(residual(norm_layer(dtype=dtype), part, *dropped, name=part.name))
        else:
            blocks += [residual(part, *dropped, name=part.name), norm_layer(dtype=dtype)]
    return serial(*blocks, name=name)
