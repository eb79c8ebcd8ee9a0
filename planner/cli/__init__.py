"""The command line: reads flags and files, calls the planner, writes text or JSON. It computes nothing itself.

Start-up is a feature: a command's module is imported when that command runs.
"""

import gc
import os
import sys


def main() -> None:
    """Run the command that sys.argv names, and exit with its code."""
    # a short run leaves no cycles worth a walk through every module and tape, which took a tenth of its time
    gc.set_threshold(50_000, 50, 100)
    _open_closed_streams()
    from planner.cli.root import tunebudget

    tunebudget()


def _open_closed_streams() -> None:
    """A stream that the caller has closed (``>&-``) is None in Python: what is written there goes nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
