"""Whether this copy serves others: then it neither measures its host nor lends its owner's token."""

import os

VARIABLE = "TUNEBUDGET_HOSTED"


def is_hosted() -> bool:
    """Whether TUNEBUDGET_HOSTED is set to anything but 0."""
    return os.environ.get(VARIABLE, "").strip() not in ("", "0")
