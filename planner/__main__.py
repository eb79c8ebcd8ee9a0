"""``python -m planner COMMAND``: the command line from a checkout."""

from planner.cli import main

main()
