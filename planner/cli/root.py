"""The group of commands: each is imported when it is called."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from planner import __version__
from planner.cli.boundary import exit_code, reader_gone

#: Every command: what it does, in the order of the help. The command NAME is `command` in planner/cli/NAME.py.
COMMANDS = {
    "fit": "Will it fit on this GPU, how much fits, and what to change.",
    "plan": "The whole estimate of one request, or of a stream of them.",
    "trace": "The real libraries' memory for a request, without weights and without a GPU.",
    "profile": "Real training steps on the hardware found, measured; and earlier runs.",
    "compare": "Methods and GPUs side by side for one model.",
    "table": "Tables of models, methods, GPUs, counts and lengths, as csv, xlsx, md, json, html or parquet.",
    "search": "A search over hyperparameters: trials in a row or at once, hours and USD by method.",
    "explain": "Derive every number, step by step, for a model of your own.",
    "serve": "Memory of one base with adapters and a cache, against whole models.",
    "claims": "Common claims about fine-tuning, checked.",
    "drill": "Questions with checked answers, from a seed; a mock interview.",
    "evidence": "What the planner says beside what others measured, the worst first.",
    "calibrate": "Fit how sure an answer is, to measured runs.",
    "models": "The catalogue's models: all, those that match, or one in detail.",
    "gpus": "The catalogue's GPUs: all, or those that match.",
    "prices": "What cards cost, where and when; refreshed prices and your own contracts.",
    "stacks": "What each training stack sets where a request leaves it open.",
    "schema": "JSON Schema of a request, or of the answer.",
    "doctor": "What is installed and found on this machine.",
    "app": "Open the web page on this machine.",
}


class LazyGroup(click.Group):
    """A group that imports a command on use and lets no traceback out."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"planner.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return reader_gone()

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra["standalone_mode"] = False
        run = super().main
        sys.exit(exit_code(lambda: run(arguments, *others, **extra)))


@click.group(
    name="tunebudget",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit code 0: done, and it fits (or is tight); 1: it does not fit; 2: bad input. Sizes are in GiB (1024^3).",
)
@click.version_option(__version__, prog_name="tunebudget")
def tunebudget() -> None:
    """Will a fine-tuning run fit, and what does it need: full, LoRA and QLoRA, before a cent is spent."""
