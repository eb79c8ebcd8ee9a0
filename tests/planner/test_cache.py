"""The user's cache: what is kept is found again; what is broken is as if it were not there, and says so."""

import json
from pathlib import Path

import pytest

from planner.cache import VARIABLE, cache_dir, cache_file, read_cached, write_cached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_the_systems_folder_for_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert cache_dir().parts[-1] == "tunebudget" or cache_dir().parts[-2] == "tunebudget"


def test_a_kept_answer_is_found_by_its_question(folder: Path) -> None:
    file = cache_file("traces", {"b": 1, "a": [2]})
    assert file == cache_file("traces", {"a": [2], "b": 1}) != cache_file("traces", {"a": [3], "b": 1})
    assert read_cached(file) == (None, None)
    assert write_cached(file, {"x": 1}) is None
    assert read_cached(file) == ({"x": 1}, None)
    assert [path.name for path in (folder / "traces").iterdir()] == [file.name]


@pytest.mark.parametrize("content", [b"", b'{"x": 1', b"[1]", b"\xff\xfe\x00"])
def test_a_broken_file_is_ignored_and_said(folder: Path, content: bytes) -> None:
    file = cache_file("traces", {})
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    kept, note = read_cached(file)
    assert kept is None and note is not None and "is ignored" in note and "\n" not in note
    assert write_cached(file, {"x": 2}) is None
    assert json.loads(file.read_text()) == {"x": 2}


def test_a_folder_that_cannot_be_written_is_said(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    note = write_cached(cache_file("traces", {}), {"x": 1})
    assert note is not None and note.startswith("the answer is not kept")
    assert read_cached(cache_file("traces", {}))[0] is None


def test_a_failed_write_leaves_no_half_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("planner.cache.os.replace", full)
    note = write_cached(cache_file("traces", {}), {"x": 1})
    assert note is not None and "No space left" in note
    assert list((folder / "traces").iterdir()) == []
