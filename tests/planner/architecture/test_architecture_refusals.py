"""What cannot be a model is refused in one line that names the field, its value and the rule; nothing else escapes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.architecture.blocks import Architecture
from planner.architecture.read import FAMILIES, read_architecture
from planner.catalog import list_models, load_config
from planner.errors import ArchitectureError

CONFIGS = {row.model_type: load_config(row) for row in list_models()}


def _message(config: Any, name: str = "") -> str:
    with pytest.raises(ArchitectureError) as caught:
        read_architecture(config, name)
    assert caught.value.field == "model"
    assert "\n" not in caught.value.message
    return caught.value.message


def _llama(**fields: object) -> dict[str, Any]:
    return {"model_type": "llama", **fields}


REFUSED = [
    (_llama(num_hidden_layers=-1), "num_hidden_layers=-1 is not allowed", "must be an integer from 1 to 10000"),
    (_llama(num_hidden_layers=10_001), "num_hidden_layers=10001 is not allowed", "from 1 to 10000"),
    (_llama(hidden_size=0), "hidden_size=0 is not allowed", "must be an integer from 1 to 16777216"),
    (_llama(hidden_size=4096.0), "hidden_size=4096.0 is not allowed", "must be an integer"),
    (_llama(hidden_size="4096"), "hidden_size='4096' is not allowed", "must be an integer"),
    (_llama(hidden_size=None), "hidden_size=None is not allowed", "must be an integer"),
    (_llama(hidden_size=True), "hidden_size=True is not allowed", "must be an integer"),
    (_llama(hidden_size=[1, 2]), "hidden_size=a list of 2 items is not allowed", "must be an integer"),
    (_llama(vocab_size=10**5000), "vocab_size=an integer of 16610 bits is not allowed", "must be an integer"),
    (
        _llama(hidden_size=4000, num_attention_heads=33),
        "hidden_size=4000",
        "must be a multiple of num_attention_heads=33",
    ),
    (_llama(num_key_value_heads=3), "num_key_value_heads=3", "must divide num_attention_heads=32"),
    (_llama(attention_dropout=float("nan")), "attention_dropout=nan", "must be a number from 0 to 1"),
    (_llama(attention_bias="yes"), "attention_bias='yes'", "must be true or false"),
    (_llama(hidden_act=7), "hidden_act=7", "must be a short text"),
    (_llama(rope_scaling=[1]), "rope_scaling=a list of 1 items", "must be an object"),
    ({"model_type": "phi", "partial_rotary_factor": 1.5}, "partial_rotary_factor=1.5", "from 0 to 1"),
    ({"model_type": "mixtral", "num_experts_per_tok": 9}, "num_experts_per_tok=9", "at most num_local_experts=8"),
    ({"model_type": "deepseek_v2"}, "num_experts_per_tok=None", "must be an integer"),
    ({"model_type": "gemma2", "layer_types": ["full_attention"]}, "layer_types=a list of 1 items", "26 layers"),
    ({"model_type": "gemma2", "layer_types": ["dense"]}, "layer_types", "full_attention, sliding_attention"),
    ({"model_type": "gpt_neo", "attention_types": [[["global"], 3]]}, "attention_types", "spell out 24 layers"),
    ({"model_type": "gpt2", "add_cross_attention": True}, "add_cross_attention=True", "must be false"),
    ({"model_type": "dbrx", "tie_word_embeddings": True}, "tie_word_embeddings=True", "must be false for dbrx"),
    ({"model_type": "jamba", "attn_layer_offset": 8}, "attn_layer_offset=8", "must be less than attn_layer_period=8"),
    ({"model_type": "nemotron_h", "hybrid_override_pattern": "MX"}, "hybrid_override_pattern='MX'", "letters M, E"),
    ({"model_type": "t5", "feed_forward_proj": "a-b"}, "feed_forward_proj='a-b'", '"gated-" and an activation'),
    ({"model_type": "llava", "text_config": {"model_type": "rwkv"}}, "text_config.model_type='rwkv'", "must be one of"),
    ({"model_type": "llava", "vision_config": 5}, "vision_config=5", "must be an object"),
    ({"model_type": "gemma3", "text_config": {"hidden_size": -2}}, "text_config.hidden_size=-2", "must be an integer"),
    (
        _llama(hidden_size=2**24, intermediate_size=2**24, num_hidden_layers=10_000, head_dim=1),
        "parameters",
        "at most 2**47",
    ),
]


@pytest.mark.parametrize(("config", "what", "rule"), REFUSED, ids=[f"{c['model_type']}-{w}" for c, w, _ in REFUSED])
def test_an_impossible_field_is_refused_by_name(config: dict[str, Any], what: str, rule: str) -> None:
    message = _message(config)

    assert what in message
    assert rule in message
    assert len(message) < 400


def test_a_refusal_is_one_full_sentence() -> None:
    assert _message(_llama(num_hidden_layers=0)) == (
        "config.json: num_hidden_layers=0 is not allowed: num_hidden_layers must be an integer from 1 to 10000"
    )


def test_a_refusal_names_the_model_where_it_has_a_name() -> None:
    assert _message(_llama(hidden_size=0), "me/mine").startswith("me/mine: config.json: hidden_size=0")


def test_an_unknown_model_type_is_refused_with_the_known_ones() -> None:
    message = _message({"model_type": "rwkv7"})

    assert "model_type='rwkv7' is not known" in message
    assert "known are " + ", ".join(sorted(FAMILIES)) + ";" in message


@pytest.mark.parametrize("model_type", [[], {}, 5, True, "", "x" * 10**6, ["llama"]])
def test_a_model_type_that_is_no_name_is_refused(model_type: object) -> None:
    assert "is not known" in _message({"model_type": model_type})


def test_a_missing_model_type_is_refused() -> None:
    assert "model_type is missing" in _message({"hidden_size": 8})


@pytest.mark.parametrize("config", [None, [], "llama", 3, [["model_type", "llama"]]])
def test_what_is_not_an_object_is_refused(config: object) -> None:
    assert "must be an object" in _message(config)


_numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 3, 2**24, 2**31, 2**63, 10**400])
_leaves = st.none() | st.booleans() | _numbers | st.text(max_size=20)
_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _reads_or_refuses(config: Any) -> None:
    try:
        assert isinstance(read_architecture(config), Architecture)
    except ArchitectureError as error:
        assert "\n" not in error.message
        assert error.field == "model"


@given(config=_json)
def test_arbitrary_json_is_read_or_refused(config: Any) -> None:
    _reads_or_refuses(config)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_config_with_arbitrary_values_is_read_or_refused(data: st.DataObject) -> None:
    """Up to four fields of a real config, or of one of its nested configs, replaced by anything."""
    config = json.loads(json.dumps(CONFIGS[data.draw(st.sampled_from(sorted(CONFIGS)))]))
    nested = [value for value in config.values() if isinstance(value, dict)]
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from([config, *nested]))
        names = sorted(set(part) - {"model_type"}) or ["hidden_size"]
        part[data.draw(st.sampled_from(names))] = data.draw(_json)
    _reads_or_refuses(config)


@settings(max_examples=200, deadline=None)
@given(model_type=st.sampled_from(sorted(FAMILIES)), fields=st.dictionaries(st.text(max_size=10), _json, max_size=5))
def test_unknown_fields_are_ignored(model_type: str, fields: dict[str, Any]) -> None:
    _reads_or_refuses({**fields, "model_type": model_type})
