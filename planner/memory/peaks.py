"""Where a taped part is largest: its local maxima as differences from one to the next, evaluated for any sizes.

What was live at a maximum, label by label, is put together again only where it is asked for.
"""

from collections.abc import Mapping
from functools import cached_property, reduce

from planner.memory.dims import Number, larger
from planner.memory.live import Key, Live, Monomial, Section

#: (index into monomials, change of the coefficient) pairs from one maximum to the next.
Change = tuple[tuple[int, int], ...]


class Peaks:
    """Candidates for the largest sum of one phase, in the order of the run; those next to a larger one left out.

    Found where they are first asked for: a tape that is only timed has none.
    """

    def __init__(self, section: Section, wanted: list[int]):
        self.section, self._wanted = section, wanted
        self._lives: dict[int, Live] = {}

    @classmethod
    def of(cls, section: Section, phase: str | None = None) -> "Peaks":
        """The maxima of a section of a tape, of one phase or of all."""
        return cls(section, [position for name, position in section.marks if phase in (None, name)])

    @cached_property
    def _found(self) -> tuple[tuple[Monomial, ...], tuple[Change, ...], tuple[int, ...]]:
        positions, sums = _turning_points(self.section, self._wanted)
        index: dict[Monomial, int] = {}
        changes = [tuple([(index.setdefault(m, len(index)), c) for m, c in change.items()]) for change in sums]
        return tuple(index), tuple(changes), tuple(positions)

    @property
    def monomials(self) -> tuple[Monomial, ...]:
        """The products of symbols that sums are made of."""
        return self._found[0]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Of each candidate against the one before it, the first against nothing."""
        return self._found[1]

    @property
    def positions(self) -> tuple[int, ...]:
        """Each candidate's place in the section's events."""
        return self._found[2]

    def highest(self, sizes_of: Mapping[Monomial, Number]) -> tuple[Number, int | None]:
        """The largest sum, and which candidate it is (None where sizes are arrays, or there is none)."""
        monomials, changes, _ = self._found
        sizes = [sizes_of[monomial] for monomial in monomials]
        totals = _totals(changes, sizes)
        if not {int}.issuperset(map(type, sizes)):
            return reduce(larger, totals), None
        best = max(totals, default=0)
        return best, totals.index(best) if totals else None

    def live(self, candidate: int) -> Live:
        """Bytes per (label, category, monomial) at a candidate."""
        if candidate not in self._lives:
            self._lives[candidate] = self.section.live_at(self.positions[candidate])
        return self._lives[candidate]


def _totals(changes: tuple[Change, ...], sizes: list[Number]) -> list[Number]:
    """The sum at each candidate."""
    total: Number = 0
    totals = []
    for change in changes:
        for index, coefficient in change:
            total = total + coefficient * sizes[index]
        totals.append(total)
    return totals


def _turning_points(section: Section, wanted: list[int]) -> tuple[list[int], list[dict[Monomial, int]]]:
    """The wanted positions and the sums' changes between them, without those that a neighbour always exceeds."""
    positions: list[int] = []
    changes: list[dict[Monomial, int]] = []
    pending = _sums(section.start)
    done = 0
    for position in wanted:
        for (_, _, monomial), coefficient in section.events[done:position]:
            pending[monomial] = pending.get(monomial, 0) + coefficient
        done = position
        change = {monomial: c for monomial, c in pending.items() if c}
        if positions and max(change.values(), default=-1) < 0:
            pending = change  # smaller than the last candidate: not one itself, its change is carried on
            continue
        if positions and min(change.values()) > 0:
            positions.pop()  # larger than the last candidate, and takes its place
            for monomial, c in changes.pop().items():
                change[monomial] = change.get(monomial, 0) + c
        positions.append(position)
        changes.append(change)
        pending = {}
    return positions, changes


def _sums(live: dict[Key, int]) -> dict[Monomial, int]:
    total: dict[Monomial, int] = {}
    for (_, _, monomial), coefficient in live.items():
        total[monomial] = total.get(monomial, 0) + coefficient
    return total
