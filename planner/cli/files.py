"""Reads what a flag names: a file, or "-" for standard input."""

import json
import sys
from typing import Any, BinaryIO

from planner.errors import RequestError


def open_input(path: str, flag: str) -> BinaryIO:
    """The bytes of a file or of standard input."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{flag} {path!r}: {reason}: give a readable file, or - for standard input") from None


def read_request(path: str) -> dict[str, Any]:
    """The JSON object of a request file."""
    with open_input(path, "--request") as handle:
        try:
            data = parse_json(handle.read())
        except OSError as error:
            raise RequestError(f"--request {path!r}: {error.strerror}: give a readable file") from None
        except RequestError as error:
            raise RequestError(f"--request {path!r}: {error.message}") from None
    return data


def parse_json(content: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8.

    Raises RequestError with one line that says what it is instead.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise RequestError(f"not valid JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except UnicodeDecodeError:
        raise RequestError("not text in UTF-8: a request is a JSON object in UTF-8") from None
    except (RecursionError, ValueError):
        raise RequestError("its JSON is nested too deeply, or holds a number that is too long") from None
    if not isinstance(data, dict):
        raise RequestError(f"a request is a JSON object, not {_json_type(data)}")
    return data


def _json_type(data: object) -> str:
    names = {list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(data), "a number")
