"""A session's score: points by topic."""

from dataclasses import dataclass, field

from planner.drills.drill import Drill, Topic
from planner.drills.marking import Mark


@dataclass(slots=True)
class Score:
    """topic -> (points, questions)."""

    by_topic: dict[Topic, tuple[float, int]] = field(default_factory=dict)

    def add(self, drill: Drill, mark: Mark) -> None:
        """Count an answer: one point for a right one, a share for an open one."""
        points, asked = self.by_topic.get(drill.topic, (0.0, 0))
        self.by_topic[drill.topic] = points + mark.share, asked + 1

    @property
    def points(self) -> float:
        return sum(points for points, _ in self.by_topic.values())

    @property
    def asked(self) -> int:
        return sum(asked for _, asked in self.by_topic.values())

    def text(self) -> str:
        """In one line: "7.5 of 10"."""
        return f"{self.points:.3g} of {self.asked}"
