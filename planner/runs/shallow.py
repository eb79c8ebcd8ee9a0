"""The same model with fewer layers, as fields of its config."""

from collections.abc import Mapping
from typing import Any

from planner.errors import RequestError

#: How the configs of all families of transformers spell their depth.
DEPTH_NAMES = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
Config = dict[str, Any]


def depth_of(config: Mapping[str, Any]) -> int:
    """Layers of the (text) model.

    Raises RequestError where the config does not say.
    """
    return int(_text(config)[_depth_name(_text(config))])


def cut_layers(config: Mapping[str, Any], num_layers: int) -> Config:
    """The config with only the first layers: its depth, and each list with one entry a layer.

    Raises RequestError where there are not that many.
    """
    depth = depth_of(config)
    if not 1 <= num_layers <= depth:
        raise RequestError(f"num_layers {num_layers}: this model has {depth} layers: use 1 to {depth}", "num_layers")
    if isinstance(config.get("text_config"), Mapping):
        return dict(config) | {"text_config": cut_layers(config["text_config"], num_layers)}
    lists = {k: v[:num_layers] for k, v in config.items() if isinstance(v, list) and len(v) == depth}
    return dict(config) | lists | {_depth_name(config): num_layers}


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _depth_name(config: Mapping[str, Any]) -> str:
    for name in DEPTH_NAMES:
        if isinstance(config.get(name), int):
            return name
    raise RequestError("model: its config states no number of layers, so it cannot be cut to fewer", "model")
