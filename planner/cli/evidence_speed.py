"""``evidence --speed``: what the planner says of a step's time beside the speeds that others published."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from planner.catalog.throughput import speed_fit
from planner.cli.output import print_json, print_report
from planner.errors import RequestError
from planner.evidence.speed_score import SpeedEvidence, score_speeds
from planner.evidence.summary import errors_of
from planner.report_speeds import SPEED_GROUPS, speed_report, worst_first

_GROUPS = ("card", "method", "devices", "framework")


def show_speeds(by: Sequence[str], only: dict[str, str | None], worst: int, as_json: bool) -> None:
    """Print them: by the groups that speeds are told apart by, and only those that match.

    Raises RequestError for a group or a filter that speeds do not have, and where nothing matches.
    """
    unknown = [name for name in by if name not in SPEED_GROUPS]
    unknown += [name for name, text in only.items() if text is not None and name not in ("model", "method")]
    if unknown:
        raise RequestError(f"--speed with {unknown[0]!r}: speeds have {', '.join(SPEED_GROUPS)} and --model, --method")
    found = [one for one in score_speeds() if _matches(one, only)]
    if not found:
        raise RequestError("no measured speed matches: `tunebudget evidence --speed` shows what there is")
    if as_json:
        print_json(_as_json(found))
        return
    print_report(speed_report(found, by or _GROUPS, worst, speed_fit()))


def _matches(one: SpeedEvidence, only: dict[str, str | None]) -> bool:
    model, method = only["model"], only["method"]
    fits_model = model is None or model.casefold() in one.row.model.casefold()
    return fits_model and (method is None or method.casefold() == one.row.method.casefold())


def _as_json(found: Sequence[SpeedEvidence]) -> dict[str, Any]:
    refused = [one for one in found if one.time is None]
    return {
        "errors": asdict(errors_of("all", found)),
        "fit": speed_fit().model_dump(mode="json"),
        "rows": [_row(one) for one in (*worst_first(found), *refused)],
    }


def _row(one: SpeedEvidence) -> dict[str, Any]:
    predicted = None if one.time is None else one.time.tokens_per_second
    figures = {"predicted_tokens_per_second": predicted, "error": one.error, "in_band": one.in_band}
    return (
        one.row.model_dump(mode="json") | {"gpu": one.gpu, "source": one.row.source, "refusal": one.refusal} | figures
    )
