"""One line of a batch to one line of its answer."""

import json
from collections.abc import Sequence

from planner.cli.boundary import unexpected_text
from planner.cli.files import parse_json
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import parse_request

#: The answer as JSON, and whether it is a plan.
Answered = tuple[str, bool]


def answer_lines(lines: Sequence[bytes]) -> list[Answered]:
    """The answers, in order."""
    return [answer_line(line) for line in lines]


def answer_line(line: bytes) -> Answered:
    """A plan, or an error line where the request is refused."""
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
