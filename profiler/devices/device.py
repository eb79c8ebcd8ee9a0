"""One device that steps can run on: the facts, without how they were found."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Platform = Literal["cuda", "rocm", "xpu", "mps", "cpu"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device under torch's name for it; bytes, None where nobody tells.

    device: what torch.device takes ("cuda:0", "cpu").  free_bytes: what a new process can really get: of the card as
    its driver counts, of the host what is available inside its cgroup.
    """

    device: str
    platform: Platform
    name: str
    total_bytes: int | None
    free_bytes: int | None
    compute_capability: str | None = None
    driver: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """torch's device type: "cuda" also on ROCm."""
        return self.device.partition(":")[0]

    def as_dict(self) -> dict[str, Any]:
        """The facts as JSON."""
        return asdict(self)
