"""``plan --batch``: one answer a line for each request a line, in order, as they come."""

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from planner.cli.boundary import FITS, unexpected_text
from planner.cli.files import open_input, parse_json
from planner.cli.output import note
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import parse_request

_CHUNK_BYTES = 2**16


def run_batch(path: str) -> int:
    """Answer every line; a line that cannot be answered gives an error line, and the rest goes on."""
    lines = refused = 0
    with open_input(path, "--batch") as handle:
        for chunk in _chunks(handle):
            answers = [_answer(line) for line in chunk]
            lines += len(answers)
            refused += sum(1 for _, answered in answers if not answered)
            sys.stdout.write("".join(f"{text}\n" for text, _ in answers))
            sys.stdout.flush()
    if refused:
        note(f"{refused:,} of {lines:,} requests were refused: their lines have `error`")
    return FITS


def _chunks(handle: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines as far as they have arrived, so that their answers leave before more is waited for."""
    read = getattr(handle, "read1", handle.read)
    rest: list[bytes] = []
    while content := read(_CHUNK_BYTES):
        whole, newline, tail = content.rpartition(b"\n")
        if newline:
            yield _lines(b"".join((*rest, whole)))
            rest = [tail]
        else:
            rest.append(content)
    yield _lines(b"".join(rest))


def _lines(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if line.strip()]


def _answer(line: bytes) -> tuple[str, bool]:
    """The line's answer, and whether it is a plan."""
    request_id: object = None
    try:
        data = parse_json(line)
        request_id = data.get("id")
        return estimate(parse_request(data)).model_dump_json(), True
    except PlannerError as error:
        return _error(request_id, error.message, error.field), False
    except Exception as error:
        return _error(request_id, unexpected_text(error), None), False


def _error(request_id: object, message: str, field: str | None) -> str:
    echoed = request_id if isinstance(request_id, (str, int)) else None
    return json.dumps({"id": echoed, "error": {"message": message, "field": field}}, separators=(",", ":"))
