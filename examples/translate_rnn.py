"""How does a network translate?  It reads numbers in English words and writes them in French ones.

    python examples/translate_rnn.py [--epochs 12] [--pairs FILE.tsv] [--figure translate_rnn.png]

It spells 5,000 numbers below a million in both languages with num2words, holds a thousand out, and trains on the
others: gated recurrent units read the English words in both directions, others write the French ones, one after the
other, and before each word look back at the English ones (attention; Luong, Pham and Manning 2015).

French counts differently: 97 is "quatre-vingt-dix-sept", 80 "quatre-vingts" but 80,000 "quatre-vingt mille", and
1,000 is no "un mille".

Expected: at least 95 % of the held-out numbers without a single mistake.
The figure shows the course of the training, and where the network looks for each word that it writes.

With ``--pairs`` it learns from a file of your own instead: lines of a sentence, a tabulator and its translation.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from num2words import num2words
from options import Parser, parser, whole

import funcgrad as fg
from funcgrad import losses, optim, training
from funcgrad.nn import layers

BATCH, EMBEDDED, HIDDEN = 64, 48, 96
PAD, BEGIN, END, UNKNOWN = range(4)  # what stands in a vocabulary before the words
NUMBERS, HELD_OUT = 5000, 1000
LONGEST, MOST_WORDS, FEWEST_PAIRS = 40, 10_000, 20

Pair = tuple[str, str]
Data = dict[str, np.ndarray]  # "source" and "target": numbers of words, (sentences, longest), padded with PAD


# The network ----------------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """The layers of the translator."""

    read: layers.Layer  # what the words of the source mean, each among its neighbours: the memory
    embed: layers.Layer  # of the words of the target
    write: layers.Layer  # from each word to the next
    ask: layers.Layer  # what the writer looks for in the memory
    choose: layers.Layer  # the next word, by the writer's state and what it has found

    def init(self, key: Any) -> dict[str, Any]:
        """Parameters, under the names of the layers."""
        shapes = ((1, 8), (1, 8), (1, 8, EMBEDDED), (1, 8, HIDDEN), (1, 8, 2 * HIDDEN))
        keys = fg.random.split(key, len(self))
        return {n: part.init(k, s) for n, part, k, s in zip(self._fields, self, keys, shapes, strict=True)}


def network(source_words: int, target_words: int) -> Network:
    return Network(
        read=layers.serial(
            layers.embedding(source_words, EMBEDDED), layers.bidirectional(layers.gru(HIDDEN // 2)), name="read"
        ),
        embed=layers.embedding(target_words, EMBEDDED),
        write=layers.gru(HIDDEN, name="write"),
        ask=layers.dense(HIDDEN, bias=False, name="ask"),
        choose=layers.serial(layers.dense(HIDDEN), layers.tanh, layers.dense(target_words), name="choose"),
    )


def remember(net: Network, params: Any, source: Any) -> tuple[Any, Any]:
    """The memory of source sentences, (sentences, length, hidden), and the state in which the writer begins."""
    memory = net.read.apply(params["read"], source, mask=source != PAD)
    return memory, {"hidden": memory[:, 0]}  # there the backward direction has read the whole sentence


def write(net: Network, params: Any, state: Any, words: Any, memory: Any, there: Any) -> tuple[Any, Any, Any]:
    """Scores of the words that follow `words`, where in the memory it looked for each, and the writer's new state."""
    hidden, state = net.write.apply(params["write"], net.embed.apply(params["embed"], words), state=state)
    match = net.ask.apply(params["ask"], hidden) @ memory.transpose(0, 2, 1)
    looks = fg.nn.softmax(match, where=there[:, None, :])
    scores = net.choose.apply(params["choose"], fg.numpy.concatenate([hidden, looks @ memory], axis=-1))
    return scores, looks, state


def loss(net: Network, params: Any, batch: Any) -> Any:
    """The cross-entropy of each right word, the writer having been told those before it; padding does not count."""
    source, target = batch["source"], batch["target"]
    memory, state = remember(net, params, source)
    told = fg.numpy.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)
    scores, _, _ = write(net, params, state, told, memory, source != PAD)
    each = losses.softmax_cross_entropy_with_integer_labels(scores, target)
    return losses.weighted_mean(each, target != PAD)


def translate(net: Network, params: Any, source: Any, longest: int) -> tuple[Any, Any]:
    """The likeliest word at each step, told its own words, PAD after the end; and where it looked: both have
    (sentences, longest, ...).
    """
    memory, state = remember(net, params, source)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        state, word, ended = carry
        scores, looks, state = write(net, params, state, word[:, None], memory, source != PAD)
        word = fg.numpy.where(ended, PAD, fg.numpy.argmax(scores[:, 0], axis=-1))
        return (state, word, ended | (word == END)), (word, looks[:, 0])

    begin = fg.numpy.full(len(source), BEGIN)
    _, (words, looks) = fg.lax.scan(step, (state, begin, begin == END), None, longest)
    return words.T, looks.transpose(1, 0, 2)


# The data -------------------------------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """Words and marks; what follows a hyphen is a word with one: dix, -sept."""
    return re.findall(r"-?\w+|[^\w\s]", text)


def joined(words: Iterable[str]) -> str:
    return re.sub(r" (?=[-.,;:!?])", "", " ".join(words))


class Vocabulary(NamedTuple):
    """The words of a language, by number, and their numbers."""

    words: list[str]
    numbers: dict[str, int]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        counts = Counter(word for text in texts for word in words_of(text))
        words = ["", "<s>", "</s>", "<?>", *(word for word, _ in counts.most_common(MOST_WORDS))]
        return cls(words, {word: number for number, word in enumerate(words)})

    def encoded(self, texts: Iterable[str]) -> np.ndarray:
        """A row for each text: its words' numbers and END, padded with PAD."""
        rows = [[*(self.numbers.get(word, UNKNOWN) for word in words_of(text)), END] for text in texts]
        padded = np.full((len(rows), max(map(len, rows))), PAD, np.int32)
        for line, row in zip(padded, rows, strict=True):
            line[: len(row)] = row
        return padded

    def decoded(self, row: np.ndarray) -> list[str]:
        return [self.words[number] for number in row if number > END]


def spelt_numbers(count: int, rng: np.random.Generator) -> list[Pair]:
    """Numbers of one to six digits, in English and in French; no two alike."""
    found: dict[int, None] = {}
    while len(found) < count:
        found[int(10 ** rng.uniform(0, 6)) - 1] = None
    return [(num2words(number, lang="en"), num2words(number, lang="fr")) for number in found]


def read_pairs(path: Path, options: Parser) -> list[Pair]:
    """The first two columns of a file, without sentences that are too long."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        options.error(f"--pairs {path}: cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        options.error(f"--pairs {path}: is no text in UTF-8: {error.reason} at byte {error.start}")
    pairs = []
    for number, line in enumerate(lines, 1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) < 2 or not all(columns[:2]):
            if not line.strip():
                continue
            options.error(f"--pairs {path}: line {number} has no sentence, tabulator and translation")
        if max(len(words_of(text)) for text in columns[:2]) <= LONGEST:
            pairs.append((columns[0], columns[1]))
    pairs = list(dict.fromkeys(pairs))
    if len(pairs) < FEWEST_PAIRS:
        options.error(
            f"--pairs {path}: has {len(pairs)} different pairs of at most {LONGEST} words, {FEWEST_PAIRS} are needed"
        )
    return pairs


# The training ---------------------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """The mean loss of each epoch, and the share of held-out sentences that were translated without a mistake."""

    losses: list[float]
    exact: list[float]


def train(net: Network, data: Data, held_out: Data, epochs: int, seed: int) -> tuple[Any, Course]:
    """Parameters after the training, and its course."""
    first, order = fg.random.split(fg.random.key(seed))
    steps = epochs * (1 + (len(data["source"]) - 1) // BATCH)
    rate = optim.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 20 + 1, steps + 1)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(rate))
    epoch = training.fit_epoch(lambda params, batch: loss(net, params, batch), optimizer, BATCH)
    params, course = net.init(first), Course([], [])
    state = optimizer.init(params)
    expected = np.where(held_out["target"] == UNKNOWN, -1, held_out["target"])  # no answer is right
    answer = fg.jit(lambda params, source: translate(net, params, source, held_out["target"].shape[1])[0])
    with training.progress(range(epochs), description="training", unit="epoch") as bar:
        for number in bar:
            params, state, values = epoch(params, state, data, fg.random.fold_in(order, number))
            right = (answer(params, held_out["source"]) == expected).all(axis=1)
            course.losses.append(float(values.mean()))
            course.exact.append(float(right.mean()))
            bar.show(loss=course.losses[-1], exact=course.exact[-1])
    return params, course


# The figure -----------------------------------------------------------------------------------------------------------

INK, BLUE, ORANGE, GRID = "#22313f", "#2f6f9f", "#d9722e", "#d8dde2"
MAPS, MOST_SHOWN = 4, 14  # sentences in the figure, and the words of one


def draw_course(panel: Any, course: Course) -> None:
    above, below = panel.subplots(2, 1, sharex=True)
    epochs = range(1, len(course.losses) + 1)
    style = {"linewidth": 1.8, "marker": "o", "markersize": 3.5}
    above.plot(epochs, course.losses, color=INK, **style)
    above.set_title("Training loss", loc="left", fontweight="bold", color=INK)
    above.set_yscale("log")
    below.plot(epochs, course.exact, color=ORANGE, **style)
    below.set_title("Held-out sentences without a mistake", loc="left", fontweight="bold", color=INK)
    below.set(xlabel="epoch", ylim=(0, 1.03))
    below.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    below.annotate(
        f"{course.exact[-1]:.1%}",
        (epochs[-1], course.exact[-1]),
        (0, -16),
        textcoords="offset points",
        ha="right",
        color=ORANGE,
        fontweight="bold",
    )
    for axes in (above, below):
        axes.grid(color=GRID, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)


def draw_looks(axes: Any, source: list[str], target: list[str], looks: np.ndarray) -> None:
    """Where it looked (columns) for each word that it wrote (rows)."""
    axes.imshow(looks[: len(target), : len(source)], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(len(source)) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(target)) + 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.7)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color(GRID)


def shown(lengths: np.ndarray) -> np.ndarray:
    """Which sentences to draw: from the longest that can be read to those of half the length."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] <= MOST_SHOWN] if (lengths <= MOST_SHOWN).any() else order[-1:]
    return order[np.linspace(0, len(order) // 2, MAPS).astype(int)]


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "translate_rnn.png")
    reader.add_argument("--epochs", type=whole(1, 10_000), default=12, help="passes over the pairs (%(default)s)")
    reader.add_argument("--pairs", type=Path, metavar="FILE.tsv", help="sentences and translations to learn instead")
    options = reader.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    pairs = read_pairs(options.pairs, reader) if options.pairs else spelt_numbers(300 if options.fast else NUMBERS, rng)
    rng.shuffle(pairs)
    cut = min(HELD_OUT, len(pairs) // 5)
    source, target = (Vocabulary.of(pair[side] for pair in pairs[cut:]) for side in (0, 1))
    x, y = (words.encoded(pair[side] for pair in pairs) for side, words in enumerate((source, target)))
    held_out, data = {"source": x[:cut], "target": y[:cut]}, {"source": x[cut:], "target": y[cut:]}
    net = network(len(source.words), len(target.words))
    print(
        f"{len(pairs) - cut} pairs to learn from and {cut} held out; {len(source.words) - UNKNOWN - 1} words are "
        f"translated into {len(target.words) - UNKNOWN - 1}"
    )
    params, course = train(net, data, held_out, 1 if options.fast else options.epochs, options.seed)
    answers, looks = fg.jit(lambda params, x: translate(net, params, x, y.shape[1]))(params, held_out["source"])

    wrong = np.flatnonzero((answers != held_out["target"]).any(axis=1))
    for number in wrong[:5]:
        said = joined(target.decoded(answers[number]))
        print(f"wrong: {pairs[number][0]!r} became {said!r}, not {pairs[number][1]!r}")
    figure = Figure(figsize=(15, 9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.6))
    draw_course(left, course)
    right.suptitle("Where it looks for each word that it writes", x=0.01, ha="left", fontweight="bold", color=INK)
    longest = np.maximum((held_out["source"] > END).sum(axis=1), (answers > END).sum(axis=1))
    for axes, number in zip(right.subplots(2, 2).flat, shown(longest), strict=False):
        draw_looks(axes, source.decoded(x[number]), target.decoded(answers[number]), looks[number])
    figure.savefig(options.figure, dpi=120)
    print(
        f"{course.exact[-1]:.1%} of {cut} held-out sentences without a mistake after "
        f"{time.perf_counter() - start:.0f} s; figure in {options.figure}"
    )


if __name__ == "__main__":
    main()
