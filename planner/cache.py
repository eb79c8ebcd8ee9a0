"""The user's cache: answers that cost seconds to find and that anyone could find again.

One JSON file an answer, named by what it answers. A file that cannot be read is as if it were not there; one that
cannot be written is not kept; each is said in one line. Files are put in place whole, so that two processes never see
half of one.
"""

import json
import os
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

VARIABLE = "TUNEBUDGET_CACHE_DIR"


def cache_dir() -> Path:
    """The platform's folder for caches, or TUNEBUDGET_CACHE_DIR; it need not exist."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("tunebudget", appauthor=False)


def cache_file(kind: str, question: Any) -> Path:
    """The file of an answer to this question (anything JSON can say)."""
    text = json.dumps(question, sort_keys=True, default=str)
    return cache_dir() / kind / f"{sha256(text.encode()).hexdigest()}.json"


def read_cached(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """(what is kept, None), (None, None) where nothing is, (None, a note) where it cannot be read."""
    try:
        kept = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as error:
        return None, f"the cached file {path} is ignored: {_said(error)}"
    if not isinstance(kept, dict):
        return None, f"the cached file {path} is ignored: it holds no object"
    return kept, None


def write_cached(path: Path, answer: dict[str, Any]) -> str | None:
    """Keep an answer; a note where it cannot be kept."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            temporary = file.name
            json.dump(answer, file)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return f"the answer is not kept for the next time: {_said(error)}"
    return None


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
