"""The command line: reads flags and files, calls the planner, writes text or JSON. It computes nothing itself.

Start-up is a feature: a command's module is imported when that command runs.
"""

import gc


def main() -> None:
    """Run the command that sys.argv names, and exit with its code."""
    # a short run leaves no cycles worth a walk through every module and tape, which took a tenth of its time
    gc.set_threshold(50_000, 50, 100)
    from planner.cli.root import tunebudget

    tunebudget()
