"""The history of runs: one row a run in an SQLite file of the user's data folder.

Each change is one transaction, taken with BEGIN IMMEDIATE, so that two processes wait for each other and a full disk or
a kill leaves what was there. The journal is SQLite's default (rollback), which needs no second file to be kept beside
it and works on network folders. A file that is no database any more is set aside under another name, never deleted.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.place import data_dir
from planner.runs.record import Record, peak_ratio

FILE_NAME = "history.sqlite"
LAYOUT = 1
WAIT_SECONDS = 5.0
_TABLE = """CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, created_at TEXT NOT NULL, level TEXT NOT NULL, status TEXT NOT NULL, model TEXT NOT NULL,
    method TEXT NOT NULL, device TEXT NOT NULL, peak_bytes INTEGER, peak_ratio REAL, step_seconds REAL,
    record TEXT NOT NULL)"""
_COLUMNS = (
    "run",
    "created_at",
    "level",
    "status",
    "model",
    "method",
    "device",
    "peak_bytes",
    "peak_ratio",
    "step_seconds",
)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class HistoryError(PlannerError):
    """The history could not be read or changed; it is as it was."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the list; step_seconds is the median, peak_ratio the plan over the measurement."""

    run: str
    created_at: str
    level: str
    status: str
    model: str
    method: str
    device: str
    peak_bytes: int | None
    peak_ratio: float | None
    step_seconds: float | None


class History:
    """The file, opened anew for each question. `said` collects what a person should know of it."""

    def __init__(self, path: Path | None = None, wait_seconds: float = WAIT_SECONDS):
        self.path = path or data_dir() / FILE_NAME
        self.wait_seconds = wait_seconds
        self.said: list[str] = []

    def add(self, *records: Record) -> int:
        """Keep records in one transaction; how many were new.

        Raises HistoryError where the file cannot be written; then none of them is kept.
        """
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        insert = f"INSERT OR IGNORE INTO runs ({', '.join(_COLUMNS)}, record) VALUES ({marks})"
        rows = [_values(record) for record in records]
        with self._change() as connection:
            return sum(connection.execute(insert, row).rowcount for row in rows)

    def rows(self) -> list[Row]:
        """All runs, the newest first."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM runs ORDER BY created_at DESC, rowid DESC"
        return [Row(*row) for row in self._read(query)]

    def records(self) -> list[Record]:
        """All records, the oldest first."""
        return [json.loads(row[0]) for row in self._read("SELECT record FROM runs ORDER BY created_at, rowid")]

    def find(self, run: str) -> Record:
        """The record whose run begins with these characters; "last" is the newest.

        Raises HistoryError where none or several do.
        """
        return self._one(run)

    def delete(self, run: str) -> Record:
        """Delete one record and return it.

        Raises HistoryError as find does, and where the file cannot be written.
        """
        record = self._one(run)
        with self._change() as connection:
            connection.execute("DELETE FROM runs WHERE run = ?", (record["run"],))
        return record

    def _one(self, run: str) -> Record:
        if run == "last":
            found = self._read("SELECT record FROM runs ORDER BY created_at DESC, rowid DESC LIMIT 1")
        else:
            found = self._read("SELECT record FROM runs WHERE substr(run, 1, ?) = ?", (len(run), run))
        if len(found) != 1 or not run:
            many = "no run" if not found else f"{len(found)} runs"
            raise HistoryError(
                f"run {run!r}: {many} of the history begin with it; `tunebudget profile --list` shows all"
            )
        record: Record = json.loads(found[0][0])
        return record

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        if not self.path.exists():
            return []
        with self._mended() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._mended() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _mended(self) -> Iterator[sqlite3.Connection]:
        """A connection; a broken file was set aside before."""
        try:
            self._set_aside_if_broken()
            with closing(self._connect()) as connection:
                self._prepare(connection)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(self._line(error)) from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self.path, timeout=self.wait_seconds, isolation_level=None)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        layout = connection.execute("PRAGMA user_version").fetchone()[0]
        if layout > LAYOUT:
            raise HistoryError(
                f"history: {self.path} was written by a newer tunebudget (layout {layout}): update this one"
            )
        if layout < LAYOUT:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {LAYOUT}")
            connection.execute("COMMIT")

    def _set_aside_if_broken(self) -> None:
        if not self.path.exists():
            return
        looked_at = self.path.stat().st_ino
        try:
            with closing(self._connect()) as connection:
                answer = connection.execute("PRAGMA quick_check(1)").fetchone()
                broken = answer is None or answer[0] != "ok"
        except sqlite3.DatabaseError as error:
            broken = (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BROKEN
            if not broken:
                raise
        if broken and self.path.stat().st_ino == looked_at:  # not what another process has put there since
            aside = self.path.with_name(f"{self.path.name}.broken-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}")
            self.path.replace(aside)
            self.said.append(f"the history could not be read and was set aside as {aside}; a new one was begun")

    def _line(self, error: sqlite3.Error | OSError) -> str:
        """One line: what failed and what to do."""
        text = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            text = f"locked by another process for {self.wait_seconds:g} seconds; try again"
        elif code == sqlite3.SQLITE_FULL:
            text = "the disk is full; free some space, or set TUNEBUDGET_DATA_DIR to another folder"
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            text = f"{text}; see that the folder can be written, or set TUNEBUDGET_DATA_DIR to another"
        return f"history {self.path}: {text}"


def _values(record: Record) -> tuple[Any, ...]:
    hardware: Mapping[str, Any] = record.get("hardware") or {}
    named = {
        **record,
        "device": str(hardware.get("name") or hardware.get("device") or ""),
        "peak_ratio": peak_ratio(record),
        "step_seconds": record.get("step_seconds_median"),
    }
    return (*(named.get(name) for name in _COLUMNS), json.dumps(record))
