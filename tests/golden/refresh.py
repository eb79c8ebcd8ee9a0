"""Rewrite the tables of errors with today's: `python -m tests.golden.refresh`. Review the diff."""

from statistics import median

from tests.golden.measured import NAMES, Row, today, write_table


def main() -> None:
    for name in NAMES:
        rows = today(name)
        write_table(name, rows)
        print(f"{name}: {_summary(rows)}")


def _summary(rows: list[Row]) -> str:
    sizes = sorted(abs(row.error_percent) for row in rows if row.error_percent is not None)
    answered = f"{len(sizes)}/{len(rows)} answered"
    if not sizes:
        return answered
    return f"{answered}, |peak error| median {median(sizes):.3f} %, worst {sizes[-1]:.3f} %"


if __name__ == "__main__":
    main()
