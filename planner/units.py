"""The units of the domain: bytes inside, GiB at the edge.

The literals 1024**3 and 10**9 appear here and nowhere else.
"""

KIB = 1024
MIB = 1024**2
GIB = 1024**3
MB = 10**6
GB = 10**9
TB = 10**12

#: Bytes of one element of each dtype a request can name.
ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}


def gib(num_bytes: float) -> float:
    """Bytes as GiB (1024**3)."""
    return num_bytes / GIB


def format_gib(num_bytes: float, digits: int = 1) -> str:
    """Bytes as text in GiB, with enough digits for small figures: ``52.6 GiB``, ``0.031 GiB``."""
    value = num_bytes / GIB
    if value and abs(value) < 0.1:
        return f"{value:.3g} GiB"
    return f"{value:,.{digits}f} GiB"


#: How counts are shortened, the largest first.
COUNTS = {"T": 10**12, "B": 10**9, "M": 10**6, "k": 10**3}


def format_count(count: int) -> str:
    """A count as people say it: ``70.6B``, ``11.3M``."""
    for suffix, size in COUNTS.items():
        if abs(count) >= size:
            return f"{count / size:.4g}{suffix}"
    return str(count)
