"""From the request's model to an architecture, and the rules that need one."""

from dataclasses import dataclass
from functools import lru_cache

from planner.architecture.blocks import Architecture
from planner.architecture.read import read_architecture
from planner.catalog import resolve_config
from planner.errors import RequestError
from planner.hub import looked_up
from planner.parallel.check import check_spread
from planner.schema import PlanRequest


@dataclass(frozen=True, slots=True)
class Model:
    """The model a request names: its display name and architecture; origin: where its config is from, if looked up."""

    name: str
    architecture: Architecture
    origin: str = ""


@lru_cache(maxsize=512)
def _catalogue_model(model: str) -> Model:
    name, config, _ = resolve_config(model)
    return Model(name, read_architecture(config, name), looked_up(model))


def load_model(request: PlanRequest) -> Model:
    """The request's model, from the catalogue, a file, the Hub, or the config it carries.

    Raises UnknownModelError or ArchitectureError, naming the field.
    """
    if isinstance(request.model, str):
        return _catalogue_model(request.model)
    config = dict(request.model)
    return Model(str(config.get("_name_or_path") or config.get("model_type")), read_architecture(config))


def check(request: PlanRequest, architecture: Architecture) -> None:
    """Rules that need the architecture.

    Raises RequestError for a sequence longer than a table of learned positions, and for sizes that do not divide.
    """
    check_spread(request, architecture)
    limit = learned_positions(architecture)
    if limit is not None and request.max_length > limit:
        raise RequestError(
            f"max_length {request.max_length}: this {architecture.model_type} has learned positions for "
            f"{limit} tokens: use max_length <= {limit}",
            "max_length",
        )


#: Rows of a table of learned positions that no token uses: OPT and RoBERTa count from their padding index.
_POSITION_OFFSETS = {"opt": 2, "roberta": 2}


def learned_positions(architecture: Architecture) -> int | None:
    """Tokens that a table of learned positions has room for; None for models without one (rotary, alibi ...).

    None too where a run sets it: llm-foundry makes MPT's table as long as its sequences (max_seq_len of its configs).
    """
    if architecture.model_type == "mpt":
        return None
    tables = [
        t for t in architecture.tensors if t.role == "position" and "vision" not in t.name and "visual" not in t.name
    ]
    if not tables:
        return None
    return tables[0].shape[-2] - _POSITION_OFFSETS.get(architecture.model_type, 0)
