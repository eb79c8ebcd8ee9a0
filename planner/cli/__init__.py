"""The command line: reads flags and files, calls the planner, writes text or JSON. It computes nothing itself.

Start-up is a feature: a command's module is imported when that command runs.
"""


def main() -> None:
    """Run the command that sys.argv names, and exit with its code."""
    from planner.cli.root import tunebudget

    tunebudget()
