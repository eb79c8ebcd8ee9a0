"""NVIDIA's own counters through nvidia-ml-py, where it is installed; every question may go unanswered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _nvml() -> Iterator[Any]:
    """The library, initialised; None where it or the driver is missing."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no package, no driver, no permission: NVML has an error class for each
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def driver_version() -> str | None:
    """The version of NVIDIA's driver."""
    return _ask(lambda nvml: _text(nvml.nvmlSystemGetDriverVersion()))


def device_memory(uuid: str) -> tuple[int, int] | None:
    """(used, total) bytes of a card as the driver counts them, all processes together: what nvidia-smi shows."""

    def ask(nvml: Any) -> tuple[int, int]:
        memory = nvml.nvmlDeviceGetMemoryInfo(_handle(nvml, uuid))
        return int(memory.used), int(memory.total)

    return _ask(ask)


def process_memory(uuid: str, pid: int) -> int | None:
    """Bytes of one process on a card, its context included."""

    def ask(nvml: Any) -> int | None:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(_handle(nvml, uuid))
        return next((int(p.usedGpuMemory) for p in running if p.pid == pid and p.usedGpuMemory), None)

    return _ask(ask)


def _ask(question: Callable[[Any], Any]) -> Any:
    with _nvml() as nvml:
        if nvml is None:
            return None
        try:
            return question(nvml)
        except Exception:  # a card or driver that does not tell
            return None


def _handle(nvml: Any, uuid: str) -> Any:
    return nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
