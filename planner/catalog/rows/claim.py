"""The rows of data/claims.csv."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from planner.catalog.rows import Row, Text

Range = tuple[float, float]


def _parts(text: object) -> object:
    """``full=60|days=14-28`` as names and ranges; one figure is a range of itself."""
    if not isinstance(text, str):
        return text
    return tuple((name, _range(figures)) for name, _, figures in (part.partition("=") for part in text.split("|")))


def _range(text: str) -> Range:
    low, _, high = text.partition("-")
    return float(low), float(high or low)


class ClaimRow(Row):
    """One common claim: what it says, the figures in it, and what it leaves open."""

    id: Text
    topic: Text
    claim: Text
    quantity: Text
    low: float | None = None
    high: float | None = None
    unit: str = ""
    model_b: float | None = Field(None, description="billions of parameters of the model it is about")
    method: Literal["full", "lora", "qlora", "all", ""] = ""
    parts: Annotated[tuple[tuple[str, Range], ...], BeforeValidator(_parts)] = Field(
        (), description="figures of a claim that states several, each with the range it states"
    )
    leaves_open: str = ""
    source: Text

    def part(self, name: str) -> Range:
        """The range that the claim states for one of its parts."""
        return dict(self.parts)[name]
