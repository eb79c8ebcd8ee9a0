"""Faults of the history: full disk, locked, corrupt, two at once, killed while writing; no earlier run is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from planner.runs import exchange
from planner.runs.history import FILE_NAME, History, HistoryError
from planner.runs.keep import keep
from tests.planner.runs.samples import record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def history(data_folder: Path) -> History:
    found = History(wait_seconds=0.3)
    found.add(record())
    return found


def python(script: str, *args: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *args]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def one_line(said: list[str], *words: str) -> None:
    assert len(said) == 1 and "\n" not in said[0]
    assert all(word in said[0] for word in words), said


def intact(history: History, *runs: str) -> None:
    assert {row.run for row in History(history.path).rows()} == set(runs)
    assert history.find("a" * 32) == record()


def test_a_full_disk_keeps_what_was_there(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = History._connect

    def small(self: History) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute(f"PRAGMA max_page_count = {self.path.stat().st_size // 4096}")
        return connection

    monkeypatch.setattr(History, "_connect", small)
    one_line(keep(record("b" * 32, notes=["x" * 2**20]), history), "was not kept", "the disk is full")
    monkeypatch.undo()
    intact(history, "a" * 32)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_that_may_not_grow(history: History) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from planner.runs.history import History
from planner.runs.keep import keep
from tests.planner.runs.samples import record
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, path.stat().st_size))
print(*keep(record("b" * 32, notes=["x" * 2**20]), History(path)), sep="\\n")
"""
    out, errors = python(script, str(history.path)).communicate(timeout=60)
    assert "Traceback" not in errors
    one_line(out.strip().splitlines(), "was not kept")
    intact(history, "a" * 32)


def test_locked_by_another_process(history: History) -> None:
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(history.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        one_line(keep(record("b" * 32), history), "locked by another process for 0.3 seconds; try again")
        with pytest.raises(HistoryError, match="locked"):
            history.rows()
        other.kill()
    intact(history, "a" * 32)


def test_a_file_that_is_no_database_is_set_aside(history: History) -> None:
    history.path.write_bytes(b"not a database at all" * 500)
    one_line(keep(record("b" * 32), history), "set aside as", "a new one was begun")
    assert [row.run for row in History().rows()] == ["b" * 32]
    aside = list(history.path.parent.glob(f"{FILE_NAME}.broken-*"))
    assert len(aside) == 1 and aside[0].read_bytes().startswith(b"not a database")


def test_a_database_with_a_broken_page_is_set_aside(history: History) -> None:
    history.add(*(record(f"{number:032x}", notes=["x" * 3000]) for number in range(40)))
    size = history.path.stat().st_size
    with history.path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 8192)
    assert history.rows() == []
    one_line(history.said, "set aside as")
    assert len(list(history.path.parent.glob(f"{FILE_NAME}.broken-*"))) == 1


def test_two_processes_write_at_once(history: History) -> None:
    script = """
import sys
from planner.runs.history import History
from tests.planner.runs.samples import record
for number in range(20):
    History().add(record(f"{sys.argv[1]}{number:031x}"))
"""
    writers = [python(script, letter) for letter in "bc"]
    assert [(writer.wait(60), writer.stderr and writer.stderr.read()) for writer in writers] == [(0, "")] * 2
    intact(history, "a" * 32, *(f"{letter}{number:031x}" for letter in "bc" for number in range(20)))


def test_two_processes_begin_a_history_at_once(data_folder: Path) -> None:
    script = """
import sys
from planner.runs.history import History
from tests.planner.runs.samples import record
History().add(record(sys.argv[1] * 32))
"""
    writers = [python(script, letter) for letter in "abcd"]
    assert [(writer.wait(60), writer.stderr and writer.stderr.read()) for writer in writers] == [(0, "")] * 4
    assert {row.run[0] for row in History().rows()} == set("abcd")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_in_the_middle_of_a_transaction(history: History) -> None:
    script = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for number in range(200):
    connection.execute("INSERT INTO runs SELECT ?, created_at, level, status, model, method, device, peak_bytes, "
                       "peak_ratio, step_seconds, record FROM runs WHERE run = ?", (str(number), "a" * 32))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python(script, str(history.path)).wait(60) == -signal.SIGKILL
    assert history.path.with_name(f"{FILE_NAME}-journal").exists()
    intact(history, "a" * 32)


def test_a_history_of_a_newer_program_is_left_alone(history: History) -> None:
    with sqlite3.connect(history.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    one_line(keep(record("b" * 32), history), "newer tunebudget (layout 99)")
    with sqlite3.connect(history.path) as connection:
        connection.execute("PRAGMA user_version = 1")
    intact(history, "a" * 32)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    one_line(keep(record(), History(tmp_path / "file" / FILE_NAME)), "was not kept")


def test_an_export_onto_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str) -> int:
        raise OSError(28, "No space left on device")

    target = tmp_path / "runs.json"
    target.write_text("old")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ValueError, match="No space left on device; nothing was written"):
        exchange.write([record()], target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ("[]", "not a history of runs"),
        ('{"format": "tunebudget-runs", "runs": [{"run": "x"}]}', "run 1 lacks created_at"),
    ],
)
def test_an_import_of_rubbish_changes_nothing(history: History, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "runs.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        history.add(*exchange.read(path))
    intact(history, "a" * 32)
