"""``calibrate``: fits what a plan assumes to what was measured.

By itself it fits this machine's constants to the runs of its history; --published fits the bands of data/bands/ to the
runs of data/measurements/.
"""

from datetime import date

import click

from planner.catalog.bands import write_bands
from planner.cli.options import json_option
from planner.cli.output import note, print_json, print_report
from planner.evidence.band_runs import band_runs
from planner.evidence.refit import Refit, refit
from planner.evidence.score import score_own, score_published


@click.command("calibrate")
@click.option("--published", is_flag=True, help="Fit the 90% bands to the published runs and our own.")
@click.option("--write", is_flag=True, help="Keep the fit; without it, it is only shown.")
@json_option
def command(published: bool, write: bool, as_json: bool) -> None:
    """Fit this machine's runtime overhead, allocator's slack and share of its matrix speed to its own measured runs.

    With --published: fit how far measured runs lie from their estimates, and say how well the fit holds where it was
    not fitted.
    """
    if not published:
        return _this_machine(write, as_json)
    runs = band_runs([*score_published(), *score_own()], score_published(name_stack=False))
    fitted = refit(tuple(runs), date.today())
    if write:
        write_bands(fitted.bands, fitted.runs, fitted.summaries)
    if as_json:
        print_json(_as_json(fitted))
        return
    from planner.report_bands import bands_report

    print_report(bands_report(fitted.summaries, fitted.bands, fitted.fits))
    note("written to data/bands/" if write else "not written: --write keeps it in data/bands/")


def _this_machine(keep: bool, as_json: bool) -> None:
    from planner.report_calibration import calibration_report
    from planner.runs import calibration
    from planner.runs.history import History

    history = History()
    fitted = calibration.fit(history.records())
    for said in history.said:
        note(said)
    path = calibration.write(fitted) if keep else None
    if as_json:
        print_json({"calibrations": [one.model_dump() for one in fitted], "file": path and str(path)})
        return
    print_report(calibration_report(fitted))
    note(f"written to {path}" if path else "not written: --write keeps it for `plan --calibrated`")


def _as_json(fitted: Refit) -> dict[str, object]:
    return {
        "fits": [row.model_dump(mode="json") for row in fitted.summaries],
        "bands": [row.model_dump(mode="json") for row in fitted.bands],
        "runs": [row.model_dump(mode="json") for row in fitted.runs],
    }
