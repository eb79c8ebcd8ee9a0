"""A config.json a person points at: refused with one line if it is not one."""

import json
from pathlib import Path
from typing import Any, NoReturn

from planner.catalog.names import shown
from planner.errors import UnknownModelError
from planner.units import MIB

#: Largest config.json read: real ones have some kilobytes, and weights must not be read by mistake.
MAX_CONFIG_BYTES = MIB

_WHAT_TO_DO = "give a path to a model's config.json or to the folder that holds it"


def is_path(text: str) -> bool:
    """Whether the text is meant as a path, or something lies there."""
    return text.startswith(("/", "./", "../", "~")) or text.lower().endswith(".json") or _find(text) is not None


def read_config(text: str) -> dict[str, Any]:
    """Read the config a path points at.

    Raises UnknownModelError with one line: no such file, too large, not JSON, not an object.
    """
    path = _find(text)
    if path is None:
        _refuse(text, "no such file or folder")
    return parse_config(text, _read(text, path))


def parse_config(text: str, content: bytes) -> dict[str, Any]:
    """The config that a file holds; `text` is what it is called.

    Raises UnknownModelError with one line: too large, not JSON, not an object.
    """
    if len(content) > MAX_CONFIG_BYTES:
        _refuse(text, "larger than 1 MiB, so not a config.json")
    config = _parse(text, content)
    if not isinstance(config, dict):
        _refuse(text, "not a config: its JSON is not an object")
    return config


def _find(text: str) -> Path | None:
    """The config.json the text points at; None if no file or folder is there."""
    try:
        path = Path(text).expanduser()
        if text and path.is_dir():
            return path / "config.json"
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _read(text: str, path: Path) -> bytes:
    if not path.is_file():
        _refuse(text, "the folder has no config.json" if path.name == "config.json" else "not a file")
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        _refuse(text, f"cannot be read ({error.strerror})")
    return content


def _parse(text: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        _refuse(text, f"not valid JSON (line {error.lineno}, column {error.colno}: {error.msg})")
    except UnicodeDecodeError:
        _refuse(text, "not text in UTF-8, so not a config.json")
    except (RecursionError, ValueError):
        _refuse(text, "not a config: its JSON is nested too deeply or holds too long a number")


def _refuse(text: str, reason: str) -> NoReturn:
    raise UnknownModelError(f"model {shown(text)}: {reason}; {_WHAT_TO_DO}", "model") from None
