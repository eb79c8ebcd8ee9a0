"""The account of a tape: storages as they come and go, in sections with their local maxima marked."""

from planner.memory.graph import Storage, Value
from planner.memory.kernels import Recorder, product_of
from planner.memory.live import ITEMSIZE, Category, Key, Live, Monomial, Section, Shape


class LiveBytes:
    """Live bytes by label, and the notes of kernels; new storages get the scope and category in force."""

    def __init__(self, phase: str):
        self.live: dict[Key, int] = {}
        self.section = Section()
        self.work = Recorder()
        self.phase = phase
        self.scope = ""
        self.category: Category = "workspace"
        self.carried = Live()
        self._carried: set[int] = set()
        self._rising = False
        self._shapes: dict[Shape, tuple[Monomial, int]] = {}

    def born(self, key: Key, coefficient: int) -> None:
        self.live[key] = self.live.get(key, 0) + coefficient
        self.section.events.append((key, coefficient))
        self._rising = True

    def died(self, key: Key, coefficient: int) -> None:
        if self._rising:
            self.mark()
        left = self.live.get(key, 0) - coefficient
        if left:
            self.live[key] = left
        else:
            del self.live[key]
        self.section.events.append((key, -coefficient))

    def change(self, key: Key, coefficient: int) -> None:
        live = self.live
        left = live.get(key, 0) + coefficient
        if left:
            live[key] = left
        else:
            del live[key]
        self.section.events.append((key, coefficient))

    def mark(self) -> None:
        """Keep this moment as a candidate for the peak."""
        self._rising = False
        self.section.marks.append((self.phase, len(self.section.events)))

    def carry(self, value: Value) -> None:
        """The graph holds this besides what it saves, and a loop that keeps the graph into its next forward does."""
        storage = value.storage
        if storage is None or self.phase != "forward" or id(storage) in self._carried:
            return
        self._carried.add(id(storage))
        label, category, monomial = storage.key
        key: Key = (f"of the step before: {label}", "logits" if category == "logits" else "activations", monomial)
        self.carried[key] = self.carried.get(key, 0) + storage.coefficient

    def cut(self) -> Section:
        """The section written so far; a new one begins."""
        done, self.section = self.section, Section(Live(self.live))
        return done

    def allocate(self, shape: Shape, dtype: str, label: str = "", category: Category | None = None) -> Value:
        """A new tensor of `shape`."""
        monomial, factor = self._monomial(shape)
        key = (f"{self.scope}{label}", category or self.category, monomial)
        self.work.made.append((shape, dtype))
        return Value(Storage(self, key, factor * ITEMSIZE[dtype]), shape, dtype)

    def _monomial(self, shape: Shape) -> tuple[Monomial, int]:
        found = self._shapes.get(shape)
        if found is None:
            found = self._shapes[shape] = product_of(shape)
        return found

    def external(self, shape: Shape, dtype: str, requires_grad: bool = False, leaf: str | None = None) -> Value:
        """A tensor accounted elsewhere: a parameter, a shared mask, the batch."""
        return Value(None, shape, dtype, requires_grad, leaf=leaf)
