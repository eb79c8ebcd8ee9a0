"""``profile``: real short training steps on the hardware found, in a child process; and the history of such runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli.options import json_option, request_fields, request_options
from planner.cli.request import request_of
from planner.errors import RequestError
from planner.units import GIB

if TYPE_CHECKING:
    from planner.runs.start import Options

#: What `profile` does instead of measuring one request; one at a time.
MODES = ("list", "show", "export", "import", "delete", "suite")


@click.command("profile")
@click.argument("model", required=False)
@click.option("--request", "request_file", metavar="FILE", help="A request as JSON; - is standard input.")
@click.option("--compare", is_flag=True, help="Put the plan and a trace beside the measurement.")
@click.option("--steps", type=click.IntRange(1, 1000), default=3, help="Timed steps. [default: 3]")
@click.option("--warmup", type=click.IntRange(0, 1000), default=1, help="Steps before them. [default: 1]")
@click.option("--seed", type=int, default=0, help="Seed of weights and tokens. [default: 0]")
@click.option("--num-layers", type=click.IntRange(min=1), help="Measure the first layers only.")
@click.option(
    "--num-processes",
    type=click.IntRange(min=2),
    help="Run on so many processes through torchrun, with --strategy ddp or fsdp: what each rank holds.",
)
@click.option("--memory-limit", type=click.FloatRange(min=0.01), metavar="GIB", help="What the run may take.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=600.0,
    metavar="SECONDS",
    help="Stop the child process after this time. [default: 600]",
)
@click.option("--force", is_flag=True, help="Start even what the plan says will exhaust the machine.")
@click.option("--keep/--no-keep", default=True, help="Keep the record in the history. [default: yes]")
@click.option(
    "--find-batch",
    type=click.Choice(["batch", "length"]),
    is_flag=False,
    flag_value="batch",
    help="Find the largest batch (or length) that really runs here.",
)
@click.option("--suite", metavar="FOLDER", help="Run the standard grid; write report.md and report.html there.")
@click.option("--list", "list_", is_flag=True, help="List the runs of the history.")
@click.option("--show", metavar="RUN", help="Show one run: the first characters of its name, or last.")
@click.option("--export", metavar="FILE", help="Write the history as .json or .csv.")
@click.option("--import", "import_", metavar="FILE", help="Take in runs that --export wrote on another machine.")
@click.option("--delete", metavar="RUN", help="Delete one run of the history.")
@request_options()
@json_option
def command(model: str | None, request_file: str | None, as_json: bool, **flags: Any) -> int:
    """Run real training steps on the hardware found and measure memory and time; or look at earlier runs.

    Random weights of the real architecture, the real PEFT and bitsandbytes, a real optimizer. Two steps are followed
    storage by storage, the timed steps run free. Without --device the first accelerator is taken, else the CPU.
    """
    modes = {mode: flags.pop(f"{mode}_" if mode in ("list", "import") else mode) for mode in MODES}
    own = {name: flags.pop(name) for name in ("find_batch", "compare", "keep", "num_processes")}
    options = _options(flags)
    fields = request_fields(flags) | ({} if model is None else {"model": model})
    chosen = [mode for mode, value in modes.items() if value]
    if chosen:
        _alone(chosen, fields, request_file, own["find_batch"])
        if modes["suite"]:
            from planner.cli.profile_suite import suite

            return suite(Path(modes["suite"]), fields.get("device"), options, own["keep"], as_json)
        return _look(chosen[0], modes[chosen[0]], as_json)
    from planner.cli.profile_run import find_largest, measure, measure_spread

    if own["num_processes"]:
        _several(own)
        request = request_of(request_file, fields | {"num_gpus": own["num_processes"]})
        return measure_spread(request, options, own["keep"], as_json)
    request = request_of(request_file, fields)
    if own["find_batch"]:
        return find_largest(request, options, own["find_batch"], own["keep"], as_json)
    return measure(request, options, own["compare"], own["keep"], as_json)


def _options(flags: dict[str, Any]) -> "Options":
    from planner.runs.start import Options

    limit = flags.pop("memory_limit")
    return Options(
        steps=flags.pop("steps"),
        warmup=flags.pop("warmup"),
        seed=flags.pop("seed"),
        num_layers=flags.pop("num_layers"),
        memory_limit_bytes=None if limit is None else int(limit * GIB),
        time_limit_seconds=flags.pop("time_limit"),
        force=flags.pop("force"),
    )


def _alone(chosen: list[str], fields: dict[str, Any], request_file: str | None, find_batch: str | None) -> None:
    others = [name for name in fields if not (chosen == ["suite"] and name == "device")]
    given = [f"--{mode}" for mode in chosen] + (["--request"] if request_file else []) + others
    given += ["--find-batch"] if find_batch else []
    if len(given) > 1:
        raise RequestError(f"--{chosen[0]} goes alone (given: {', '.join(given)})")


def _several(own: dict[str, Any]) -> None:
    given = [f"--{name.replace('_', '-')}" for name in ("find_batch", "compare") if own[name]]
    if given:
        raise RequestError(f"--num-processes measures what each rank holds, without {', '.join(given)}: leave it out")


def _look(mode: str, value: Any, as_json: bool) -> int:
    from planner.cli import profile_history

    ask = {
        "list": lambda: profile_history.list_runs(as_json),
        "show": lambda: profile_history.show(value, as_json),
        "export": lambda: profile_history.export(Path(value), as_json),
        "import": lambda: profile_history.take_in(Path(value), as_json),
        "delete": lambda: profile_history.delete(value, as_json),
    }
    ask[mode]()
    return 0
