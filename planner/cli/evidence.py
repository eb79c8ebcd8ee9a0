"""``evidence``: what the planner says beside what was measured."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

import click

from planner.catalog.bands import list_band_fits, list_band_runs
from planner.catalog.measurements import explanations
from planner.catalog.rows.band import UNNAMED
from planner.cli.options import json_option
from planner.cli.output import note, print_json, print_report
from planner.errors import RequestError
from planner.evidence.band_runs import band_runs, moved
from planner.evidence.score import Evidence, score_own, score_published
from planner.evidence.summary import GroupName, errors_by, errors_of, reliability_of, verdicts_of, worst_first

#: Groups shown where none is asked for.
_GROUPS: tuple[GroupName, ...] = ("metric", "stack", "method", "gpus")
_WORST = 15
#: Groups that only speeds have.
_OF_SPEEDS = ("card", "devices")
_BY = (*get_args(GroupName), *_OF_SPEEDS)


@click.command("evidence")
@click.option(
    "--by",
    type=click.Choice((*get_args(GroupName), *_OF_SPEEDS)),
    multiple=True,
    help="Errors by this; may be repeated.",
)
@click.option("--stack", metavar="TEXT", help="Only runs of this stack.")
@click.option("--method", metavar="TEXT", help="Only runs of this method.")
@click.option("--model", metavar="TEXT", help="Only models whose name contains this.")
@click.option("--metric", metavar="TEXT", help="Only figures of this metric.")
@click.option("--speed", is_flag=True, help="Training speeds instead of memory.")
@click.option("--worst", type=click.IntRange(0), default=_WORST, show_default=True, help="How many of the worst rows.")
@json_option
def command(by: tuple[GroupName, ...], speed: bool, worst: int, as_json: bool, **only: str | None) -> None:
    """Predicted memory beside what others measured and published, and beside our own measured runs.

    Nothing is left out: the figures furthest off stand first, and what is refused is listed with the refusal. With
    --speed: predicted against published tokens a second, by card, method, devices and framework.
    """
    if speed:
        from planner.cli.evidence_speed import show_speeds

        return show_speeds(by, only, worst, as_json)
    of_speeds = [name for name in by if name in _OF_SPEEDS]
    if of_speeds:
        raise RequestError(f"--by {of_speeds[0]}: only speeds are told apart by it: add --speed")
    published = _matching(list(score_published()), only)
    own = _matching(list(score_own()), only)
    if not published and not own:
        raise RequestError(f"no measured run matches {_asked(only)}: `tunebudget evidence` shows what there is")
    if as_json:
        print_json(_as_json(published, own))
        return
    _show(published, own, by or _GROUPS, worst)


def _show(published: Sequence[Evidence], own: Sequence[Evidence], groups: Sequence[GroupName], worst: int) -> None:
    from planner.report_evidence import evidence_report

    fit = next((fit for fit in list_band_fits() if fit.asked == "named"), None)
    print_report(evidence_report(published, own, groups, worst, explanations(), fit))
    note(_state_of_band([*published, *own]))


def _state_of_band(found: Sequence[Evidence]) -> str:
    shown = {one.id for one in found}
    kept = (run for run in list_band_runs() if run.id in shown and (run.device == "cpu" or run.stack != UNNAMED))
    count = moved(kept, band_runs(found))
    if not count:
        return "the band was fitted to these estimates"
    return f"{count} estimates moved since the band was fitted: `tunebudget calibrate --published` fits it anew"


def _matching(found: list[Evidence], only: dict[str, str | None]) -> list[Evidence]:
    """Those that match every filter that is given."""
    return [
        one
        for one in found
        if all(text is None or _matches(name, getattr(one, name) or "", text) for name, text in only.items())
    ]


def _matches(name: str, value: str, text: str) -> bool:
    if name == "model":
        return text.casefold() in value.casefold()
    return text.casefold() in (value.casefold(), value.partition("@")[0].casefold())


def _asked(only: dict[str, str | None]) -> str:
    return ", ".join(f"--{name} {text!r}" for name, text in only.items() if text is not None)


def _as_json(published: Sequence[Evidence], own: Sequence[Evidence]) -> dict[str, Any]:
    full = [one for one in published if one.full]
    verdicts = verdicts_of(full)
    return {
        "errors": asdict(errors_of("all", full)),
        "errors_own": asdict(errors_of("own", own)),
        "errors_by": {name: list(map(asdict, errors_by(name, full))) for name in get_args(GroupName)},
        "verdicts": {
            "ran": verdicts.ran,
            "ran_out": verdicts.ran_out,
            "false_alarm_share": verdicts.false_alarm_share,
            "caught_share": verdicts.caught_share,
        },
        "reliability": list(map(asdict, reliability_of(full))),
        "band": [fit.model_dump(mode="json") for fit in list_band_fits()],
        "rows": [_row(one) for one in (*worst_first(published), *worst_first(own))],
    }


def _row(one: Evidence) -> dict[str, Any]:
    known = explanations().get(one.id)
    return one.as_dict() | {
        "error": one.error,
        "in_band": one.in_band,
        "explanation": known.explanation if known else None,
        "checked_by": known.checked_by if known else None,
    }
