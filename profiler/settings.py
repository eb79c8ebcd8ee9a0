"""How steps are measured: how many, on which device, from which seed."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from planner.errors import RequestError


@dataclass(frozen=True, slots=True)
class Settings:
    """steps are timed after `warmup` steps that are not; two more, before them, are followed for the bytes.

    slices: measure two shallow depths and extrapolate.  checks: one more step each for the allocator's own count (CPU)
    and for the FLOPs; both take memory of their own.  memory_limit_bytes: what may be taken of an accelerator.
    """

    steps: int = 3
    warmup: int = 1
    seed: int = 0
    device: str | None = None
    slices: bool = False
    checks: bool = True
    memory_limit_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON."""
        return asdict(self)


def read_settings(data: dict[str, Any]) -> Settings:
    """Settings from a task; unknown names are refused."""
    unknown = sorted(data.keys() - {field.name for field in fields(Settings)})
    if unknown:
        raise RequestError(f"settings: no such setting: {', '.join(unknown)}")
    settings = Settings(**data)
    if settings.steps < 1 or settings.warmup < 0:
        raise RequestError(f"steps {settings.steps}, warmup {settings.warmup}: steps must be >= 1, warmup >= 0")
    return settings
