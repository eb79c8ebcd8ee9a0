"""Files are put in place whole, a stop leaves a valid one, and memory does not grow with the table."""

import gc
import os
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from planner.errors import RequestError
from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS
from planner.sweep.target import replacing
from planner.sweep.writers import Sheet, parquet
from planner.sweep.writing import write_file
from tests.planner.sweep.tables import block_of

SHEET = Sheet(COLUMNS, (("what this is", "a test"),))
FULL = Path("/dev/full")


def many(number: int, size: int) -> Iterator[Block]:
    for _ in range(number):
        yield block_of({"model": ["a"] * size, "verdict": ["fits", "does not fit"] * (size // 2)}, size)


@pytest.mark.parametrize("ending", ["csv", "json", "md", "html", "xlsx", "parquet"])
def test_a_stopped_table_is_a_valid_file(ending: str, tmp_path: Path) -> None:
    path, told = tmp_path / f"table.{ending}", list[int]()
    written = write_file(path, many(5, 10), SHEET, 50, lambda: len(told) == 2, told.append)
    assert (written.rows, written.fitting, written.stopped, told) == (20, 10, True, [10, 20])
    read = {"csv": pd.read_csv, "xlsx": pd.read_excel, "parquet": pd.read_parquet}
    if ending in read:
        assert len(read[ending](path)) == 20
    elif ending == "json":
        assert len(pd.read_json(path, typ="series")["rows"]) == 20
    else:
        assert path.read_text().partition("</thead>")[2 if ending == "html" else 0].count("does not fit") == 10
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_stood_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "old")]
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("ending", ["csv", "json", "md", "html", "xlsx", "parquet"])
def test_a_full_disk_is_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"full.{ending}"
    path.symlink_to(FULL)
    with pytest.raises(RequestError, match="No space left on device: give a file") as error:
        write_file(path, many(3, 1000), SHEET, 3000, lambda: False, lambda rows: None)
    assert "\n" not in error.value.message


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file or directory"):
        write_file(tmp_path / "nix" / "a.csv", many(1, 2), SHEET, 2, lambda: False, lambda rows: None)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_file(path, many(1, 2), SHEET, 2, lambda: False, lambda rows: None)
    assert os.read(reader, 2000).startswith(b"model,method")
    os.close(reader)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_memory_does_not_grow_with_the_table(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 1000)

    def most_bytes(blocks: int) -> int:
        tracemalloc.start()
        write_file(tmp_path / f"a.{ending}", many(blocks, 500), SHEET, 0, lambda: False, lambda rows: None)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    most_bytes(2)
    assert most_bytes(24) < 1.3 * most_bytes(6)


@pytest.mark.parametrize("ending", ["csv", "json", "md", "html", "xlsx", "parquet"])
def test_a_table_that_fails_leaves_nothing_and_says_its_own_fault(
    ending: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    def failing() -> Iterator[Block]:
        yield from many(1, 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_file(tmp_path / f"a.{ending}", failing(), SHEET, 20, lambda: False, lambda rows: None)
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert [str(warning.message) for warning in recwarn if "Unraisable" in warning.category.__name__] == []
