"""A visit's drills: the question at hand, the marks so far, the clock. Nothing here imports streamlit."""

from dataclasses import dataclass, field

from planner.drills.draw import check_topics, drawn
from planner.drills.drill import Drill, Topic
from planner.drills.marking import Mark
from planner.drills.score import Score

#: A mock interview.
MOCK_COUNT, MOCK_SECONDS = 10, 20 * 60


@dataclass
class Session:
    """One run through the questions of a seed. marks: of the questions asked before; current: of the one at hand."""

    seed: int
    topics: tuple[Topic, ...]
    mock: bool
    started: float
    number: int = 0
    current: Mark | None = None
    score: Score = field(default_factory=Score)
    marks: list[tuple[Drill, Mark]] = field(default_factory=list)

    def is_of(self, seed: int, topics: list[str], mock: bool) -> bool:
        """Whether the inputs still ask for this session."""
        return (self.seed, self.topics, self.mock) == (seed, check_topics(topics), mock)

    @property
    def question(self) -> Drill:
        return drawn(self.seed, self.number + 1, self.topics)[-1]

    def answer(self, drill: Drill, mark: Mark) -> None:
        """Keep the mark of the question at hand; a mock interview goes straight on."""
        self.score.add(drill, mark)
        self.marks.append((drill, mark))
        self.current = mark
        if self.mock:
            self.go_on()

    def go_on(self) -> None:
        """The next question."""
        self.number, self.current = self.number + 1, None

    def seconds_left(self, now: float) -> float:
        return max(0.0, self.started + MOCK_SECONDS - now)

    def is_over(self, now: float) -> bool:
        """Whether a mock interview has ended, by its questions or by the clock."""
        return self.mock and (self.number >= MOCK_COUNT or self.seconds_left(now) == 0)


def begin(seed: int, topics: list[str], mock: bool, now: float) -> Session:
    """A session from its first question. Raises RequestError for a name that is no topic."""
    return Session(seed, check_topics(topics), mock, now)
