"""A model's config.json from the Hugging Face Hub: the one place of the planner that goes to the network.

Only ids of the form ORG/NAME are asked for, only of the Hub (HF_ENDPOINT where it is set), and only config.json and
what the Hub says of the safetensors' headers; no weights. HF_HUB_OFFLINE=1 turns it off. Source: huggingface_hub 2.4
hf_hub_download, get_hf_file_metadata, HfApi.model_info.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from planner.catalog.config_file import MAX_CONFIG_BYTES, parse_config
from planner.errors import UnknownModelError
from planner.hosted import is_hosted

#: How long a lookup may take in all, and how long the Hub may take to answer one of its requests.
TIME_LIMIT_SECONDS = 8.0
_ANSWER_SECONDS = 5.0
#: How long a failed lookup stands before it is tried again, and how many lookups go on at once.
RETRY_SECONDS = 60.0
_SLOTS = threading.BoundedSemaphore(4)
_MAX_KEPT = 256

_ID = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")


class NotOnHubError(Exception):
    """Why the Hub gave no config, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """What the Hub says of a model. stored: elements in its safetensors by dtype; empty where it does not say."""

    id: str
    revision: str
    config: dict[str, Any]
    stored: dict[str, int]

    @property
    def said(self) -> str:
        """Where the config is from, in a line."""
        elements = f"; its safetensors hold {_elements(self.stored)}" if self.stored else ""
        return f"config.json of {self.id} from the Hub, revision {self.revision[:7] or 'unknown'}{elements}"


def _elements(stored: dict[str, int]) -> str:
    return ", ".join(f"{count:,} elements in {dtype}" for dtype, count in sorted(stored.items()))


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a model's id on the Hub, ORG/NAME."""
    return _ID.fullmatch(text) is not None and not text.endswith((".git", ".ipynb", ".json"))


def is_offline() -> bool:
    """Whether the environment says that the Hub is not to be asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")


_found: dict[str, HubModel] = {}
_failed: dict[str, tuple[float, str]] = {}


def find_on_hub(model_id: str) -> HubModel:
    """The model's config from the Hub, within the time limit; kept, as a failure is for a minute.

    Raises NotOnHubError with the reason: offline, no network, gated, no such model, no config.json.
    """
    known = _found.get(model_id)
    if known is not None:
        return known
    assert is_hub_id(model_id)
    if is_offline():
        raise NotOnHubError("the Hub is not asked (HF_HUB_OFFLINE)")
    when, reason = _failed.get(model_id, (-RETRY_SECONDS, ""))
    if time.monotonic() - when < RETRY_SECONDS:
        raise NotOnHubError(reason)
    outcome = _in_time(lambda: _look_up(model_id))
    if isinstance(outcome, str):
        _keep(_failed, model_id, (time.monotonic(), outcome))
        raise NotOnHubError(outcome)
    _keep(_found, model_id, outcome)
    return outcome


def looked_up(model_id: str) -> str:
    """Where the config of a model that was looked up is from, "" for any other."""
    found = _found.get(model_id)
    return "" if found is None else found.said


def _keep(kept: dict[str, Any], key: str, value: object) -> None:
    """Keep a value, and let the oldest go where there are too many."""
    kept[key] = value
    while len(kept) > _MAX_KEPT:
        kept.pop(next(iter(kept)), None)


def _in_time(work: Callable[[], HubModel | str]) -> HubModel | str:
    """What the work gives, or the reason why not; a thread that is late is left to end by itself."""
    outcome: list[HubModel | str] = []
    if not _SLOTS.acquire(timeout=TIME_LIMIT_SECONDS):
        return "too many models are looked up at once"

    def run() -> None:
        try:
            outcome.append(work())
        finally:
            _SLOTS.release()

    thread = threading.Thread(target=run, name="hub", daemon=True)
    thread.start()
    thread.join(TIME_LIMIT_SECONDS)
    return outcome[0] if outcome else f"the Hub did not answer within {TIME_LIMIT_SECONDS:g} seconds"


def _look_up(model_id: str) -> HubModel | str:
    """The model, or why there is none."""
    try:
        import huggingface_hub as hub
    except ImportError:
        return "huggingface_hub is not installed, with which the Hub is asked"
    try:
        return _fetch(hub, model_id)
    except Exception as error:  # whatever a client meets in a network must end as a line
        return _reason(error)


def _fetch(hub: Any, model_id: str) -> HubModel | str:
    endpoint = os.environ.get("HF_ENDPOINT") or None
    token = False if is_hosted() else None
    url = hub.hf_hub_url(model_id, "config.json", endpoint=endpoint)
    head = hub.get_hf_file_metadata(url, token=token, timeout=_ANSWER_SECONDS)
    if head.size is None or head.size > MAX_CONFIG_BYTES:
        return "its config.json on the Hub is larger than 1 MiB, or of no stated size"
    path = hub.hf_hub_download(
        model_id,
        "config.json",
        revision=head.commit_hash,
        endpoint=endpoint,
        token=token,
        etag_timeout=_ANSWER_SECONDS,
    )
    with open(path, "rb") as file:
        config = parse_config(f"{model_id} of the Hub", file.read(MAX_CONFIG_BYTES + 1))
    return HubModel(model_id, head.commit_hash or "", config, _stored(hub, model_id, endpoint, token))


def _stored(hub: Any, model_id: str, endpoint: str | None, token: bool | None) -> dict[str, int]:
    """Elements by dtype, as the Hub reads them off the safetensors' headers; a cross-check, not needed."""
    try:
        api = hub.HfApi(endpoint=endpoint, token=token)
        info = api.model_info(model_id, expand=["safetensors"], timeout=_ANSWER_SECONDS)
        parameters = info.safetensors.parameters if info.safetensors is not None else {}
        return {str(dtype): int(count) for dtype, count in parameters.items()}
    except Exception:
        return {}


def _reason(error: Exception) -> str:
    """Why a lookup failed, by the client's errors."""
    from huggingface_hub import errors

    if isinstance(error, UnknownModelError):
        return f"its config.json on the Hub is {error.message.partition(': ')[2].partition('; ')[0]}"
    if isinstance(error, errors.GatedRepoError):
        return "it is gated on the Hub: accept its terms there and log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the Hub has no model of this id, or it is private"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        return "its repository on the Hub has no config.json"
    if isinstance(error, errors.HFValidationError):
        return "it has not the form of an id of the Hub, ORG/NAME"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the Hub answered with HTTP {status}"
    if "timeout" in type(error).__name__.lower():
        return f"the Hub did not answer within {_ANSWER_SECONDS:g} seconds"
    return "the Hub cannot be reached: is there a network?"
