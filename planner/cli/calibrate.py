"""``calibrate``: fits what a plan assumes to what was measured.

By itself it fits this machine's constants to the runs of its history; --published fits the bands of data/bands/ to the
runs of data/measurements/.
"""

from datetime import date

import click

from planner.catalog.bands import write_bands
from planner.cli.options import json_option
from planner.cli.output import note, print_json, print_report
from planner.errors import RequestError
from planner.evidence.band_runs import band_runs
from planner.evidence.refit import Refit, refit
from planner.evidence.score import score_own, score_published


@click.command("calibrate")
@click.option("--published", is_flag=True, help="Fit the 90% bands to the published runs and our own.")
@click.option("--throughput", is_flag=True, help="Fit the constants of the step's time to the published speeds.")
@click.option("--write", is_flag=True, help="Keep the fit; without it, it is only shown.")
@json_option
def command(published: bool, throughput: bool, write: bool, as_json: bool) -> None:
    """Fit this machine's runtime overhead, allocator's slack and share of its matrix speed to its own measured runs.

    With --published: fit how far measured runs lie from their estimates, and say how well the fit holds where it was
    not fitted. With --throughput: the same for the time of a step, whose few constants are fitted too.
    """
    if published and throughput:
        raise RequestError("--published with --throughput: fit the one, then the other")
    if throughput:
        return _throughput(write, as_json)
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


def _throughput(write: bool, as_json: bool) -> None:
    from planner.catalog.measurements import list_speeds
    from planner.catalog.throughput import list_constants, write_speed_fit
    from planner.evidence.speed_fit import cases_of
    from planner.evidence.speed_refit import refit_speeds
    from planner.report_speeds import speed_fit_report

    before = list_constants()
    speeds = list_speeds()
    found = refit_speeds(cases_of(speeds), cases_of(speeds, name_stack=True), before, date.today())
    if write:
        write_speed_fit(found.constants, found.bands, found.runs, found.summary)
    if as_json:
        print_json(
            {
                "fit": found.summary.model_dump(mode="json"),
                "constants": [row.model_dump(mode="json") for row in found.constants],
                "bands": [row.model_dump(mode="json") for row in found.bands],
                "left_out": {one.source: one.median_error for one in found.left_out},
            }
        )
        return
    print_report(speed_fit_report(found, before))
    note("written to data/throughput/" if write else "not written: --write keeps it in data/throughput/")


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
