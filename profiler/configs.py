"""transformers' config of a request's model, at its own depth or cut to fewer layers."""

from typing import Any

from planner.errors import RequestError
from planner.schema import PlanRequest

Fields = dict[str, Any]


def build_config(request: PlanRequest, num_layers: int | None = None) -> Any:
    """The config object; with num_layers, that of a model with only the first layers."""
    if isinstance(request.model, str):
        raise RequestError(f"model={request.model!r}: the profiler needs the config itself as an object", "model")
    config = _from_fields(request.model)
    return config if num_layers is None else _from_fields(_cut(dict(request.model), config, num_layers))


def cut_fields(fields: Fields, num_layers: int) -> Fields:
    """The fields of a config cut to its first layers."""
    return _cut(dict(fields), _from_fields(fields), num_layers)


def num_layers_of(config: Any) -> int:
    """Depth of the (text) model."""
    return int(config.get_text_config().num_hidden_layers)


def _from_fields(fields: Fields) -> Any:
    from transformers import CONFIG_MAPPING, AutoConfig

    if "model_type" not in fields:
        raise RequestError("model: a config needs its model_type", "model")
    if fields["model_type"] not in CONFIG_MAPPING:
        raise RequestError(f"model_type {fields['model_type']!r} is not in the installed transformers", "model")
    rest = {key: value for key, value in fields.items() if key != "model_type"}
    config = AutoConfig.for_model(fields["model_type"], **rest)
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = config.pad_token_id or 0  # labels are shifted right from it
    return config


def _cut(fields: Fields, config: Any, num_layers: int) -> Fields:
    """The fields of the shallower model: its depth, and lists with one entry a layer cut to it."""
    if isinstance(fields.get("text_config"), dict):
        return fields | {"text_config": _cut(dict(fields["text_config"]), config.get_text_config(), num_layers)}
    depth = num_layers_of(config)
    name = type(config).attribute_map.get("num_hidden_layers", "num_hidden_layers")
    lists = {k: v[:num_layers] for k, v in fields.items() if isinstance(v, list | tuple) and len(v) == depth}
    decoders = {k: num_layers for k in ("num_decoder_layers", "decoder_layers") if k in fields}
    fields.pop("num_hidden_layers", None)
    return fields | lists | decoders | {name: num_layers}
