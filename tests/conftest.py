"""What holds for every test: nobody's own history and calibration are touched, and no test asks the Hub by itself."""

from pathlib import Path

import pytest


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
