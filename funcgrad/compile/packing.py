"""How is a group of instructions that do the same cut into packs?  So that there is little to shuffle.

The lanes of a pack may be as its operands lie, as its results are read, or in the order of the text. Groups that
compute line by line choose together, one such cluster after the other, what costs least beside what the others have:
there are too many ways to look at all of them, and the first choice made so is as good as those after more rounds.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from funcgrad.compile.emitters import size_of
from funcgrad.compile.packcosts import LANES, MOVED, Costs, Members, dtype_of
from funcgrad.compile.packs import Memory, Pack, Plain, groups_of
from funcgrad.lower.loops import Operand, Store, Value, operands

FEWEST = 24  # instructions that could be saved at most, below which nothing is tried
Cluster = dict[int, list[int]]  # groups; of each the instructions in the order that they have in common


class Plan(NamedTuple):
    """How a run of instructions is printed.

    Attributes
    ----------
    steps
        Packs and single instructions, in order.
    memory
        What may be read once more.
    """

    steps: tuple[Pack | Plain, ...]
    memory: Memory


def plan(
    run: Sequence[Plain],
    vector: int,
    kept: Container[Value],
    only_read: Container[int],
    carried: Container[int],
) -> Plan | None:
    """The packs of a run, or None where too little is gained.

    Parameters
    ----------
    run
        Instructions as `packs.runs` gives them.
    vector
        The bytes of a vector.
    kept
        The results that have to be computed as they stand.
    only_read, carried
        The buffers that the kernel does not write, and those that it writes and reads.
    """
    groups = groups_of(run, kept)
    if sum(len(group) - 1 for group in groups) < FEWEST:
        return None
    memory = Memory(run, only_read)
    choice = _Choice(run, groups, vector, memory, carried)
    alone = choice.cycles_alone()
    choice.improve()
    order = _ordered(run, [members for cuts in choice.cuts for members in cuts])
    if choice.cycles(order) > alone:
        return None
    steps = tuple(
        [Pack(tuple([run[i] for i in members])) if len(members) > 1 else run[members[0]] for members in order]
    )
    return Plan(steps, memory)


def single(plan: Plan, uses: Counter[Operand]) -> frozenset[Value]:
    """The packed values that others than packs need, of how often each value is used in the whole kernel."""
    members = [i for step in plan.steps if isinstance(step, Pack) for i in step.members]
    used = Counter(x for i in members for x in operands(i))
    return frozenset(i.result for i in members if not isinstance(i, Store) and uses[i.result] > used[i.result])


class _Choice(Costs):
    """The packs of each group, which are changed for better ones."""

    def improve(self) -> None:
        """Let each cluster have the best packs beside those that others have, the last ones first."""
        for number, group in enumerate(self.groups):
            self.place(number, self.in_order(group))
        for cluster in reversed(self.clusters()):
            readers = {reader for number in cluster for reader in self.readers[number] if reader[0] not in cluster}
            best = [self.cuts[number] for number in cluster]
            least, seen = self.around(cluster, readers, math.inf), set()
            for number, lines in cluster.items():
                line_of = {i: k for k, i in enumerate(lines)}
                for cuts in self.candidates(number):
                    cut = tuple([tuple([line_of[i] for i in members]) for members in cuts])
                    if cut in seen:
                        continue
                    seen.add(cut)
                    self.place_all(cluster, cut)
                    cost = self.around(cluster, readers, least)
                    if cost < least:
                        best, least = [self.cuts[other] for other in cluster], cost
            for number, cuts in zip(cluster, best, strict=True):
                self.place(number, cuts)

    def place_all(self, cluster: Cluster, cut: tuple[Members, ...]) -> None:
        """Let the groups of a cluster have packs of the same lines."""
        for number, lines in cluster.items():
            self.place(number, [tuple([lines[k] for k in members]) for members in cut])

    def around(self, cluster: Cluster, readers: Iterable[tuple[int, int]], least: float) -> float:
        """What some groups cost, and what others pay to read them; something more than `least` if it is that."""
        cost = 0.0
        for number in cluster:
            cost += self.cost(number)
            if cost >= least:
                return cost
        return cost + MOVED * sum(self.reading(*reader) for reader in readers)

    def clusters(self) -> list[Cluster]:
        """Groups that compute line by line: as many operations, each of which reads one of another group. Their packs
        fit if they are packs of the same lines.
        """
        clusters = []
        left = dict.fromkeys(range(self.changeable))
        while left:
            start = next(iter(left))
            del left[start]
            cluster = {start: self.groups[start]}
            pending = [start]
            while pending:
                number = pending.pop()
                around = [
                    (other, self.read_by(cluster[number], other, position))
                    for other, position in sorted(self.readers[number])
                    if other in left
                ]
                around += [
                    (other, self.made_of(cluster[number], other, position))
                    for other, position in sorted(self.makers[number])
                    if other in left
                ]
                for other, lines in around:
                    if other in left and sorted(lines) == self.groups[other]:
                        del left[other]
                        cluster[other] = lines
                        pending.append(other)
            clusters.append(cluster)
        return clusters

    def read_by(self, lines: Sequence[int], other: int, position: int) -> list[int]:
        """For each line of a group, what reads it in another one."""
        reader = {self.operands[i][position]: i for i in self.groups[other]}
        return [reader.get(i, -1) for i in lines]

    def made_of(self, lines: Sequence[int], other: int, position: int) -> list[int]:
        """For each line of a group, what it reads of another one."""
        return [self.operands[i][position] for i in lines]

    def candidates(self, number: int) -> Iterator[list[Members]]:
        """No packs, in the order of the text, as they are read, and as their operands lie."""
        group = self.groups[number]
        yield []
        yield self.in_order(group)
        for reader, position in sorted(self.readers[number]):
            yield self.as_read(number, reader, position)
        for position in range(len(self.operands[group[0]])):
            yield self.as_made(number, position)

    def in_order(self, group: Sequence[int]) -> list[Members]:
        if not group:
            return []
        width = self.vector // size_of(dtype_of(self.run[group[0]]))
        return [tuple(group[k : k + width]) for k in range(0, len(group) - 1, width)]

    def as_read(self, number: int, reader: int, position: int) -> list[Members]:
        """A pack for each vector that is needed, as far as they have nothing in common; the others in order."""
        left = dict.fromkeys(self.groups[number])
        cuts = []
        for wanted in self.cuts[reader]:
            read = (self.operands[i][position] for i in wanted)
            members = tuple(dict.fromkeys(x for x in read if self.group_of.get(x) == number))
            if len(members) > 1 and all(x in left for x in members):
                cuts.append(members)
                for x in members:
                    del left[x]
        return cuts + self.in_order(list(left))

    def as_made(self, number: int, position: int) -> list[Members]:
        """A pack for each vector that an operand lies in; those that are none in order."""
        vectors: dict[int, dict[int, int]] = defaultdict(dict)
        left = []
        for i in self.groups[number]:
            x = self.operands[i][position]
            at = self.lanes[x] if x >= 0 else 0
            if not at or at % LANES in vectors[at // LANES]:
                left.append(i)
            else:
                vectors[at // LANES][at % LANES] = i
        cuts = []
        for members in vectors.values():
            line = tuple(members[lane] for lane in sorted(members))
            if len(line) > 1:
                cuts.append(line)
            else:
                left += line
        return cuts + self.in_order(left)


def _ordered(run: Sequence[Plain], packs: Iterable[Members]) -> list[Members]:
    """Packs where the first of their members stood, after what they need; packs of stores where the last one stood."""
    steps: list[Members] = [(k,) for k in range(len(run))]
    for members in packs:
        for k in members:
            steps[k] = members
    maker = {i.result: k for k, i in enumerate(run) if not isinstance(i, Store)}
    order: dict[Members, None] = {}
    for k, i in enumerate(run):
        if isinstance(i, Store) and k != max(steps[k]):
            continue
        pending = [k]
        while pending:
            members = steps[pending[-1]]
            waiting = []
            if members not in order:
                needed = (maker[x] for i in members for x in operands(run[i]) if x in maker)
                waiting = [x for x in needed if steps[x] not in order]
            if waiting:
                pending += waiting
            else:
                order[members] = None
                pending.pop()
    return list(order)
