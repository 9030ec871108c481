"""How does a network learn to write?  A small GPT reads Python's documentation and continues it, letter by letter.

    python examples/char_transformer.py [--rounds 20] [--temperature 0.7] [--figure char_transformer.png]

The text ships with Python: what `help("for")` and its like show, 370,000 characters with each paragraph once, the
last tenth held out.  Three transformer blocks (Vaswani et al. 2017) with rotary positions (Su et al. 2021) are told
64 characters and trained to say after each which one follows: 20 rounds of 20 steps of AdamW, 32 windows a step, the
rate warmed up and lowered along a cosine.

Expected, in a minute and a half: some 2.5 bits for a held-out character, where counts of one, two and three characters
in a row need 4.8, 3.8 and 3.1; and lines that look like documentation, with words that do not exist.
The figure shows the course of the training, what the network gains from each further character before, and which
characters of held-out lines surprise it.

At the end it continues held-out lines.  Keys and values of what it has read are kept (`init_cache`), so that a new
character costs one step and not a pass over all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from options import parser, real, whole

import funcgrad as fg
from funcgrad import losses, optim, training
from funcgrad.nn import layers


class Size(NamedTuple):
    """How large the network and its batches are."""

    width: int
    blocks: int
    heads: int
    context: int  # characters that it sees at once
    batch: int


FULL, FAST = Size(96, 3, 4, 64, 32), Size(32, 1, 2, 32, 16)
ROUND, RATE = 20, 4e-3  # steps of a round, the highest rate
LINES, TURNS = 3, 5  # held-out lines that are continued, by so many halves of the context


# The network ----------------------------------------------------------------------------------------------------------


def network(size: Size, symbols: int) -> layers.Layer:
    """From characters, (batch, time), to scores of those that follow, (batch, time, symbols)."""
    block = partial(layers.transformer_block, size.heads, 4 * size.width, causal=True, rotary=True, bias=False)
    return layers.serial(
        layers.embedding(symbols, size.width),
        *(block() for _ in range(size.blocks)),
        layers.layer_norm(),
        layers.dense(symbols),
        name="gpt",
    )


def surprise(net: layers.Layer, params: Any, windows: Any) -> Any:
    """The bits that each character of `windows` but the first costs, those before it in its window being known."""
    nats = losses.softmax_cross_entropy_with_integer_labels(net.apply(params, windows[:, :-1]), windows[:, 1:])
    return nats / np.log(2)


def continued(net: layers.Layer, params: Any, prompts: Any, count: int, key: Any, temperature: float) -> Any:
    """`count` characters that the network draws after each prompt."""
    batch, known = prompts.shape

    def drawn(key: Any, scores: Any) -> Any:
        return fg.random.categorical(key, scores[:, -1] / temperature)

    def step(carry: Any, key: Any) -> tuple[Any, Any]:
        state, last = carry
        scores, state = net.apply(params, last[:, None], state=state)
        following = drawn(key, scores)
        return (state, following), following

    first, *others = fg.random.split(key, count)
    scores, state = net.apply(params, prompts, state=net.init_cache((batch, known + count)))
    start = drawn(first, scores)
    _, rest = fg.lax.scan(step, (state, start), fg.numpy.stack(others))
    return fg.numpy.concatenate([start[:, None], rest.T], axis=1)


# The data -------------------------------------------------------------------------------------------------------------


class Text(NamedTuple):
    """Characters as numbers, and which number is which."""

    symbols: str
    train: np.ndarray
    held_out: np.ndarray

    def spelt(self, numbers: np.ndarray) -> str:
        return "".join(self.symbols[number] for number in numbers)


def documentation(rng: np.random.Generator) -> Text:
    """The topics of `help` in a drawn order, in ASCII.  Some share paragraphs: each counts once, or the network would
    be asked for what it has read.
    """
    paragraphs = [part for name in rng.permutation(sorted(topics)) for part in topics[name].split("\n\n")]
    once = {" ".join(part.split()): part.strip("\n") for part in paragraphs}
    plain = "\n\n".join(once.values()).translate(str.maketrans("‘’“”–—", "''\"\"--"))
    codes, numbers = np.unique(np.frombuffer(plain.encode("ascii", "replace"), np.uint8), return_inverse=True)
    train, held_out = np.split(numbers.astype(np.int32), [len(numbers) * 9 // 10])
    return Text(codes.tobytes().decode("ascii"), train, held_out)


def windows(text: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    return text[starts[:, None] + np.arange(length)]


def counted(text: Text, longest: int) -> list[float]:
    """Bits for a held-out character by counts of 1, 2, ... `longest` characters in a row.  The counts of each length
    are added to what the shorter ones say, as if that had been seen twice (Dirichlet's prior).
    """
    symbols, prior, found = len(text.symbols), 2.0, []
    p = np.full(symbols, 1 / symbols)
    for length in range(1, longest + 1):
        seen, asked = (
            tuple(part[k : len(part) - length + 1 + k] for k in range(length)) for part in (text.train, text.held_out)
        )
        shape = (symbols,) * length
        counts = np.bincount(np.ravel_multi_index(seen, shape), minlength=symbols**length).reshape(shape)
        p = (counts + prior * p) / (counts.sum(axis=-1, keepdims=True) + prior)
        found.append(float(-np.log2(p[asked]).mean()))
    return found


# The training ---------------------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """Bits for a character: in each step's batch, and after each round in the held-out text."""

    steps: list[float]
    held_out: list[float]


def train(
    net: layers.Layer, text: Text, size: Size, rounds: int, seed: int, rng: np.random.Generator
) -> tuple[Any, Course, np.ndarray]:
    """Parameters after the training, its course, and in the end the bits of each character of held-out windows."""
    length, steps = size.context + 1, rounds * ROUND
    rate = optim.warmup_cosine_decay_schedule(0.0, RATE, steps // 10 + 1, steps + 1)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate, b2=0.98, weight_decay=0.1))
    fit = training.fit_epoch(lambda params, batch: surprise(net, params, batch).mean(), optimizer, size.batch)
    examine = fg.jit(lambda params, held_out: surprise(net, params, held_out))
    held_out = windows(text.held_out, np.arange(0, len(text.held_out) - length, 3 * length), length)
    params, course = net.init(fg.random.key(seed), (1, size.context)), Course([], [])
    state = optimizer.init(params)
    with training.progress(range(rounds), description="training", unit="round") as bar:
        for _ in bar:
            starts = rng.integers(0, len(text.train) - length, ROUND * size.batch)
            params, state, bits = fit(params, state, windows(text.train, starts, length))
            each = examine(params, held_out)
            course.steps.extend(bits.tolist())
            course.held_out.append(float(each.mean()))
            bar.show(train=float(bits.mean()), held_out=course.held_out[-1])
    everything = windows(text.held_out, np.arange(0, len(text.held_out) - length, length), length)
    return params, course, np.asarray(examine(params, everything))


def samples(
    net: layers.Layer, params: Any, prompts: np.ndarray, turns: int, key: Any, temperature: float
) -> np.ndarray:
    """What follows the prompts, of half a context each.  Whenever the context is full, the last half is read again."""
    half, parts = prompts.shape[1], [prompts]
    go_on = fg.jit(lambda params, known, key: continued(net, params, known, half, key, temperature))
    for turn in fg.random.split(key, turns):
        parts.append(np.asarray(go_on(params, parts[-1], turn), np.int32))
    return np.concatenate(parts[1:], axis=1)


# The figure -----------------------------------------------------------------------------------------------------------

INK, BLUE, ORANGE, GREY, GRID = "#22313f", "#2f6f9f", "#d9722e", "#7d8a96", "#d8dde2"
SHOWN, MOST_BITS = 8, 8.0  # lines of surprises, and the end of their scale
NAMES = ("one", "two", "three")


def styled(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", color=INK)
    axes.grid(color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)


def draw_course(axes: Any, course: Course, baselines: list[float]) -> None:
    steps = np.arange(1, len(course.steps) + 1)
    axes.plot(steps, course.steps, color=BLUE, linewidth=0.9, alpha=0.6, label="batches")
    ends = np.arange(1, len(course.held_out) + 1) * ROUND
    axes.plot(ends, course.held_out, color=ORANGE, linewidth=1.8, marker="o", markersize=4, label="held out")
    for name, bits in zip(NAMES, baselines, strict=True):
        axes.axhline(bits, color=GREY, linewidth=1, linestyle="--")
        axes.text(steps[-1], bits + 0.04, f"counts of {name}", ha="right", va="bottom", color=GREY, fontsize=9)
    last = course.held_out[-1]
    axes.text(ends[-1], last - 0.12, f"{last:.2f}", ha="right", va="top", color=ORANGE, fontweight="bold")
    axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
    axes.legend(frameon=False, loc="lower left")
    styled(axes, "Course of the training")


def draw_gain(axes: Any, bits: np.ndarray) -> None:
    axes.plot(np.arange(1, bits.shape[1] + 1), bits.mean(axis=0), color=ORANGE, linewidth=1.8)
    axes.set(xlabel="characters known before", ylabel="bits per character", ylim=(0, None))
    styled(axes, "Held-out bits by what is known")


def draw_surprises(axes: Any, lines: list[str], bits: np.ndarray) -> Any:
    """Characters of windows, coloured by their bits."""
    image = axes.imshow(bits, cmap="Oranges", vmin=0, vmax=MOST_BITS, aspect="auto")
    for row, line in enumerate(lines):
        for column, symbol in enumerate(line.replace("\n", "↵")):
            ink = "white" if bits[row, column] > 0.75 * MOST_BITS else INK
            axes.text(column, row, symbol, ha="center", va="center", family="monospace", fontsize=10, color=ink)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title("Bits of each character in held-out windows", loc="left", fontweight="bold", color=INK)
    return image


def draw(path: Any, text: Text, course: Course, baselines: list[float], bits: np.ndarray) -> None:
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    left, right = above.subplots(1, 2, width_ratios=(1.7, 1))
    draw_course(left, course, baselines)
    draw_gain(right, bits)
    rows = np.linspace(0, len(bits) - 1, SHOWN).astype(int)
    length = bits.shape[1] + 1
    lines = [text.spelt(row[1:]) for row in windows(text.held_out, rows * length, length)]
    panel = below.subplots()
    below.colorbar(draw_surprises(panel, lines, bits[rows]), ax=panel, label="bits", fraction=0.03, pad=0.01)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "char_transformer.png")
    reader.add_argument("--rounds", type=whole(1, 10_000), default=20, help="of 20 steps each (%(default)s)")
    reader.add_argument(
        "--temperature", type=real(0.01, 10), default=0.7, help="of the samples: lower is surer (%(default)s)"
    )
    options = reader.parse_args(arguments)
    size, rounds = (FAST, 12) if options.fast else (FULL, options.rounds)
    rng = np.random.default_rng(options.seed)
    text = documentation(rng)
    baselines = counted(text, len(NAMES))
    net = network(size, len(text.symbols))
    print(
        f"{len(text.train):,} characters to learn from, {len(text.held_out):,} held out, {len(text.symbols)} different "
        f"ones; counts of one, two and three in a row: {', '.join(f'{bits:.2f}' for bits in baselines)} bits"
    )
    params, course, bits = train(net, text, size, rounds, options.seed, rng)
    half = size.context // 2
    prompts = windows(text.held_out, np.linspace(0, len(text.held_out) - half, LINES).astype(int), half)
    key = fg.random.fold_in(fg.random.key(options.seed), 1)
    for prompt, answer in zip(prompts, samples(net, params, prompts, TURNS, key, options.temperature), strict=True):
        print(f"\n--- {text.spelt(prompt)!r} goes on:\n{text.spelt(answer)}")
    draw(options.figure, text, course, baselines, bits)
    print(
        f"\n{bits.mean():.2f} bits for a held-out character after {time.perf_counter() - start:.0f} s; "
        f"figure in {options.figure}"
    )


if __name__ == "__main__":
    main()
