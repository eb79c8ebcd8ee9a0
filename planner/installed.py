"""Whether a package is there: asked without importing it."""

from importlib.util import find_spec


def is_installed(name: str) -> bool:
    """Whether the package can be found; one whose import is blocked counts as absent."""
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
