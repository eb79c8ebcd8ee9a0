"""How figures are written where room is narrow: on cards of figures, in tables."""

from planner.units import COUNTS, GB, TB, format_gib, gib


def short(value: float, digits: int = 3) -> str:
    """A large figure where room is narrow: so many digits, and k, M, B or T."""
    size, unit = next(((size, unit) for unit, size in COUNTS.items() if value >= size), (1, ""))
    scaled = value / size
    return f"{scaled:,.0f}{unit}" if scaled >= 10 ** (digits - 1) else f"{scaled:.{digits}g}{unit}"


def short_gib(num_bytes: int) -> str:
    """Bytes for a card of figures, which cuts off on a phone what is longer than "123.4 GiB"; a sentence has it all."""
    value = gib(num_bytes)
    return format_gib(num_bytes) if value < 1000 else f"{short(value, 2)} GiB"


def none_or(value: int | None, unit: str = "") -> str:
    """A count with its unit, or that there is none."""
    return "None fits" if value is None else f"{value:,}{unit}"


def on_disk(num_bytes: int) -> str:
    """The size of a file, as file systems and the Hub write it."""
    if num_bytes >= GB:
        return f"{num_bytes / TB:,.3g} TB" if num_bytes >= TB else f"{num_bytes / GB:,.3g} GB"
    return f"{num_bytes / 10**6:,.3g} MB"


def probability(value: float | None) -> str:
    """A probability in percent, never a false certainty."""
    if value is None:
        return "unknown"
    if value < 0.01:
        return "<1%"
    return ">99%" if value > 0.99 else f"{value:.0%}"


def number(value: float | str) -> str:
    """A value as people write it."""
    return f"{value:,}" if isinstance(value, (int, float)) else value
