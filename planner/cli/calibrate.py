"""``calibrate``: fits how sure an answer is.

--published fits the bands of data/bands/ to the runs of data/measurements/.
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
@click.option("--write", is_flag=True, help="Keep the fit in data/bands/; without it, it is only shown.")
@json_option
def command(published: bool, write: bool, as_json: bool) -> None:
    """Fit how far measured runs lie from their estimates, and say how well the fit holds where it was not fitted."""
    if not published:
        raise RequestError("nothing to fit: give --published to fit the bands to the published runs")
    fitted = refit(tuple(band_runs([*score_published(), *score_own()])), date.today())
    if write:
        write_bands(fitted.bands, fitted.runs, fitted.summaries)
    if as_json:
        print_json(_as_json(fitted))
        return
    from planner.report_bands import bands_report

    print_report(bands_report(fitted.summaries, fitted.bands, fitted.fits["cuda"]))
    note("written to data/bands/" if write else "not written: --write keeps it in data/bands/")


def _as_json(fitted: Refit) -> dict[str, object]:
    return {
        "fits": [row.model_dump(mode="json") for row in fitted.summaries],
        "bands": [row.model_dump(mode="json") for row in fitted.bands],
        "runs": [row.model_dump(mode="json") for row in fitted.runs],
    }
