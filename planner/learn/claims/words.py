"""What is said of each claim beside its verdict, from words.md: a paragraph a claim, which starts with its id."""

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "words.md"
_PARAGRAPH = re.compile(r"^(c\d+): (.+)$", re.MULTILINE)


@cache
def words_of_claims() -> dict[str, str]:
    """By the claim's id, with slots for its facts."""
    return dict(_PARAGRAPH.findall(_FILE.read_text(encoding="utf-8")))
