"""What do packs of instructions cost?  Instructions, to choose them; and cycles, to see whether they pay."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

from funcgrad.compile import cpus
from funcgrad.compile.packs import FLOATS, SLOW, Memory, Plain, neighbours
from funcgrad.lower.loops import INDEX, Constant, Load, Op, Operand, Store

CYCLES = {"div": 14, "sqrt": 19, "select": 2, "neg": 1, "abs": 1}  # until there is a result; ...
USUAL, MOVE = 4, 3  # ... of others, and for lanes to move
BUSY = 5  # instructions of the length that a division or root keeps its unit busy
FOUND = {"f8": 3.5, "f4": 5.0}  # instructions in a cycle, with the pairs and fours that LLVM finds (measured)
AT_ONCE = 2.8  # packs and shuffles in a cycle (measured) ...
MOVED, READ = 2, 0.5  # ... but only one shuffle, and two loads instead of one
CONSTANT = -1  # stands for every constant; numbers below for what is made elsewhere
LANES = 64  # more than there are in a vector
SLOW_SINGLE, SLOW_LANE = 4, 2  # instructions as long as a division, and as one lane of a division of vectors

Members = tuple[int, ...]  # instructions, by their numbers


class Costs:
    """The packs of each group, of which there are none at first, and what they cost.

    Attributes
    ----------
    operands
        What each instruction of the run needs: numbers of others, `CONSTANT`, or other numbers below 0.
    groups
        Operations that do the same, then neighbours in memory, whose packs stay as they are.
    cuts
        The packs of each group.
    mixing
        The instructions that take lanes of one vector more.
    lanes
        Where each result lies: a number of its pack times `LANES`, and its lane; 0 where it is not packed.
    group_of
        The group of each instruction that is in one.
    carried
        Buffers by which iterations depend on each other.
    readers, makers
        Who reads each group, and whom it reads: the numbers of groups, and of the reader's operands.
    """

    def __init__(
        self, run: Sequence[Plain], groups: list[list[int]], vector: int, memory: Memory, carried: Container[int]
    ) -> None:
        self.run, self.vector, self.carried = run, vector, carried
        self.mixing = 1 if cpus.permutes_two() else 2
        self.operands = _numbered(run)
        self.in_memory = {
            k: memory.places[i.result] for k, i in enumerate(run) if isinstance(i, Load) and i.result in memory.places
        }
        self.changeable = len(groups)
        self.groups = groups + [line for line in neighbours(run) if len(line) > 1 and dtype_of(run[line[0]]) in FLOATS]
        self.lanes = [0] * len(run)
        self.cuts: list[list[Members]] = [[] for _ in self.groups]
        self.fresh = 0
        self.group_of = {i: number for number, group in enumerate(self.groups) for i in group}
        self.readers: list[set[tuple[int, int]]] = [set() for _ in self.groups]
        self.makers: list[set[tuple[int, int]]] = [set() for _ in self.groups]
        for number, group in enumerate(self.groups):
            for i in group:
                for position, x in enumerate(self.operands[i]):
                    if x in self.group_of:
                        self.readers[self.group_of[x]].add((number, position))
                        self.makers[number].add((self.group_of[x], position))

    def place(self, number: int, cuts: list[Members]) -> None:
        """Let a group have these packs."""
        for i in self.groups[number]:
            self.lanes[i] = 0
        self.cuts[number] = cuts
        for members in cuts:
            self.fresh += 1
            for lane, i in enumerate(members):
                self.lanes[i] = self.fresh * LANES + lane

    def cycles_alone(self) -> float:
        """How long an iteration takes without packs, but with those that LLVM finds."""
        chain = self.chain([(k,) for k in range(len(self.run))])
        work = sum(BUSY if i.name in SLOW else 1 for i in self.run if isinstance(i, Op) and i.result.dtype != INDEX)
        return max(chain, work / FOUND[dtype_of(self.run[self.groups[0][0]])])

    def cycles(self, order: Iterable[Members]) -> float:
        """How long an iteration takes in packs."""
        rest = (i for k, i in enumerate(self.run) if k not in self.group_of)
        work = sum(isinstance(i, Op) and i.result.dtype != INDEX for i in rest)
        work += sum(map(self.work, range(len(self.groups))))
        moves = sum(map(self.moves, range(len(self.groups))))
        return max(self.chain(order), moves, (work + moves) / AT_ONCE)

    def chain(self, order: Iterable[Members]) -> int:
        """The cycles between what one iteration reads of the last one and what it writes for the next one."""
        run, lanes, operands = self.run, self.lanes, self.operands
        at: dict[int, int] = {}
        longest = 0
        for members in order:
            first = run[members[0]]
            if isinstance(first, Load):
                if first.buffer in self.carried:
                    at.update(dict.fromkeys(members, 0))
                continue
            if len(members) == 1:
                ready = [at[x] + (MOVE if lanes[x] % LANES else 0) for x in operands[members[0]] if x in at]
            else:
                vectors = zip(*[operands[i] for i in members], strict=True)
                ready = [
                    max([at[x] for x in vector if x in at]) + MOVE * math.ceil(self.assembly(vector)).bit_length()
                    for vector in vectors
                    if not at.keys().isdisjoint(vector)
                ]
            if ready and isinstance(first, Op):
                at.update(dict.fromkeys(members, max(ready) + CYCLES.get(first.name, USUAL)))
            elif ready and isinstance(first, Store) and first.buffer in self.carried:
                longest = max(longest, *ready)
        return longest

    def weight(self, i: int) -> int:
        instruction = self.run[i]
        return SLOW_SINGLE if isinstance(instruction, Op) and instruction.name in SLOW else 1

    def cost(self, number: int) -> float:
        """What a group costs; a unit that moves lanes is busy as long as those that compute with two instructions."""
        return self.work(number) + MOVED * self.moves(number)

    def work(self, number: int) -> int:
        """The instructions that compute."""
        cuts, group = self.cuts[number], self.groups[number]
        slow = self.weight(group[0]) > 1
        work = sum(SLOW_LANE * len(members) for members in cuts) if slow else len(cuts)
        return work + self.weight(group[0]) * (len(group) - sum(map(len, cuts)))

    def moves(self, number: int) -> float:
        """The instructions that put operands together, or take them apart."""
        cuts, group = self.cuts[number], self.groups[number]
        moves = sum(self.reading(number, position) for position in range(len(self.operands[group[0]])))
        if sum(map(len, cuts)) < len(group):
            packed = {i for members in cuts for i in members}
            rest = {x for i in group if i not in packed for x in self.operands[i]}
            moves += sum(x >= 0 and self.lanes[x] % LANES > 0 for x in rest)
        return moves

    def reading(self, number: int, position: int) -> float:
        """What it takes to put one operand of a group together."""
        operands = self.operands
        return sum(map(self.assembly, {tuple([operands[i][position] for i in cut]) for cut in self.cuts[number]}))

    def assembly(self, vector: Members) -> float:
        """How many instructions put a vector together; one that reads memory is none that moves lanes."""
        lanes, straight = self.lanes, True
        owners: set[int] = set()
        loose: set[int] = set()
        for k, x in enumerate(vector):
            if x >= 0 and (at := lanes[x]):
                owners.add(at // LANES)
                straight = straight and at % LANES == k
            elif x != CONSTANT:
                loose.add(x)
        if len(owners) < 2:
            return len(loose) + (len(owners) if loose or not straight or CONSTANT in vector else 0)
        places = self.in_memory
        first = places.get(vector[0])
        if first is not None and all(places.get(x) == first + k for k, x in enumerate(vector)):
            return READ
        return self.mixing * (len(owners) - 1) + len(loose)


def _numbered(run: Sequence[Plain]) -> list[Members]:
    """The operands of each instruction (but indices of memory), as numbers."""
    numbers: dict[Operand, int] = {}

    def number(x: Operand) -> int:
        return CONSTANT if isinstance(x, Constant) else numbers.setdefault(x, CONSTANT - 1 - len(numbers))

    operands: list[Members] = []
    for k, i in enumerate(run):
        if isinstance(i, Load):
            operands.append(())
        else:
            operands.append(tuple(map(number, i.operands)) if isinstance(i, Op) else (number(i.value),))
        if not isinstance(i, Store):
            numbers[i.result] = k
    return operands


def dtype_of(i: Plain) -> str:
    """The type of the numbers that an instruction reads or writes: how many fill a vector."""
    if isinstance(i, Op):
        return i.operands[-1].dtype
    return i.result.dtype if isinstance(i, Load) else i.value.dtype
