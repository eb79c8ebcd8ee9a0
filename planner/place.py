"""Where a user's own data lives: the platform's data folder, or TUNEBUDGET_DATA_DIR."""

import os
from functools import cache
from pathlib import Path

VARIABLE = "TUNEBUDGET_DATA_DIR"


def data_dir() -> Path:
    """The folder, which need not exist yet."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return _of_the_platform()


@cache
def _of_the_platform() -> Path:
    from platformdirs import user_data_path

    return user_data_path("tunebudget", appauthor=False)
