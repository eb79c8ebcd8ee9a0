"""What holds for every test: nobody's own history and calibration are touched, and no test asks the Hub by itself."""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # as many workers as processors: one's torch threads would wait for those of another (read as torch is imported)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own; child processes inherit it."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("TUNEBUDGET_DATA_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is not asked; tests of the lookup have a stand-in for it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
