"""The page served for a benchmark: as `make app` serves it, on a port of its own, with a data folder of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from planner.cli.app import streamlit_command

ROOT = Path(__file__).parents[1]
_STARTS_WITHIN_SECONDS = 60
MIB = 2**20


@dataclass(frozen=True)
class Served:
    """A server under way: its address, its process, when it was started (time.perf_counter)."""

    address: str
    port: int
    process: subprocess.Popen[bytes]
    started: float

    def memory_mib(self) -> float:
        """Resident memory of the server's process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB


@contextmanager
def served() -> Iterator[Served]:
    """A server that is starting; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "TUNEBUDGET_DATA_DIR": folder, "HF_HUB_OFFLINE": "1"}
        command = streamlit_command(ROOT / "app.py", port, browser=False)
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield Served(f"http://127.0.0.1:{port}/", port, process, started)
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_until_up(server: Served) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise SystemExit("the server ended")
        try:
            with urlopen(f"{server.address}_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server did not start")


def load() -> str:
    """What else this machine does: a figure of a busy one says little."""
    return "load average " + ", ".join(f"{value:.1f}" for value in os.getloadavg()) + f" on {os.cpu_count()} processors"
