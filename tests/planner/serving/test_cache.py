"""The cache against transformers' own: storages counted after a prompt and two more tokens, family by family."""

from copy import deepcopy
from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.errors import RequestError
from planner.serving.cache import cache_bytes, check_cache, layer_states
from planner.serving.request import ServeRequest, parse_serve_request
from tests.installed import fails_in_forward
from tests.planner.architecture.test_architecture_oracle import CLASSES, STAND_INS, TINY

torch = pytest.importorskip("torch", reason="the real caches are torch's")
transformers = pytest.importorskip("transformers", reason="the real caches are transformers'")

#: Not models that generate; multi-dimensional rotary parts and norms that the tiny sizes do not divide.
LEFT_OUT = {"bert", "roberta", "vit", "qwen2_vl", "qwen2_5_vl", "olmoe"}
FAMILIES = {name.partition(":")[0]: name for name in reversed(TINY) if name.partition(":")[0] not in LEFT_OUT}
#: Other layouts of the same family: falcon's new architecture, gemma4 without shared keys and values.
FAMILIES |= {f"{x}, another": next(n for n in reversed(TINY) if n.startswith(f"{x}:")) for x in ("falcon", "gemma4")}
NUM_SEQS = 3


def real_model(name: str) -> Any:
    """The real model of a tiny config."""
    fields = deepcopy(TINY[name])
    model_type = fields.pop("model_type")
    config = transformers.AutoConfig.for_model(STAND_INS.get(model_type, model_type), **fields)
    auto = getattr(transformers, CLASSES.get(model_type, "AutoModelForCausalLM"))
    return auto.from_config(config, dtype=torch.bfloat16).eval()


def _caches(outputs: Any) -> list[Any]:
    """The one cache, or that of the answer and that of the input."""
    cache = getattr(outputs, "past_key_values", None)
    cache = outputs.cache_params if cache is None else cache
    both = hasattr(cache, "self_attention_cache")
    return [cache.self_attention_cache, cache.cross_attention_cache] if both else [cache]


def _storages(layer: Any) -> list[Any]:
    """The tensors of one layer's cache."""
    found = [layer.keys, layer.values] if hasattr(layer, "keys") else []
    for states in (getattr(layer, "conv_states", {}), getattr(layer, "recurrent_states", {})):
        found += list(states.values())
    return [tensor for tensor in found if isinstance(tensor, torch.Tensor)]


def _num_bytes(caches: list[Any]) -> int:
    tensors = [tensor for cache in caches for layer in cache.layers for tensor in _storages(layer)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if t.numel()}.values())


@torch.no_grad()
def _generated(model: Any, length: int) -> list[Any]:
    """The caches after a prompt and two tokens more, `length` tokens in all."""
    ids = torch.randint(1, 90, (NUM_SEQS, length))
    if model.config.is_encoder_decoder:
        whole = {"input_ids": ids, "decoder_input_ids": ids[:, :-2]}
        name, key = "decoder_input_ids", "past_key_values"
    else:
        whole, name = {"input_ids": ids[:, :-2]}, "input_ids"
        key = "cache_params" if model.config.model_type == "mamba" else "past_key_values"
    outputs = model(**whole, use_cache=True)
    for at in (-2, -1):
        rest = {"encoder_outputs": (outputs.encoder_last_hidden_state,)} if name != "input_ids" else {}
        token = ids[:, at : at + 1] if at == -2 else ids[:, at:]
        outputs = model(**{name: token, key: getattr(outputs, key)}, **rest, use_cache=True)
    return _caches(outputs)


def _planned(name: str, length: int, **fields: Any) -> int:
    architecture = read_architecture(TINY[name])
    request = parse_serve_request({"model": TINY[name], **fields})
    return cache_bytes(layer_states(architecture, request.engine), request, NUM_SEQS, length)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_is_the_real_one(family: str) -> None:
    name = FAMILIES[family]
    model = real_model(name)
    if family in fails_in_forward():
        with pytest.raises(AttributeError, match="image_outputs"):
            _generated(model, 9)
        return
    for length in (9, 40):
        assert _planned(name, length) == _num_bytes(_generated(model, length)), length


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss"])
def test_a_static_cache_is_no_larger(family: str) -> None:
    """StaticCache lays down what a sequence of this length will need, window by window."""
    model, length = real_model(FAMILIES[family]), 40
    cache = transformers.StaticCache(model.config, max_cache_len=length)
    with torch.no_grad():
        model(input_ids=torch.randint(1, 90, (NUM_SEQS, 5)), past_key_values=cache)

    assert _planned(FAMILIES[family], length) == _num_bytes([cache])


def test_the_fp8_cache_is_the_real_one() -> None:
    model, length = real_model(FAMILIES["llama"]), 40
    cache = transformers.QuantizedCache("fp8", model.config)
    with torch.no_grad():
        model(input_ids=torch.randint(1, 90, (NUM_SEQS, length - 1)), past_key_values=cache)
        model(input_ids=torch.randint(1, 90, (NUM_SEQS, 1)), past_key_values=cache)
    pairs = [pair for layer in cache.layers for pair in (layer._quantized_keys, layer._quantized_values)]

    assert _planned(FAMILIES["llama"], length, kv_cache_dtype="fp8") == sum(t.nbytes for pair in pairs for t in pair)


def _llama(**fields: Any) -> tuple[Any, ServeRequest]:
    config = {"model_type": "llama", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    request = parse_serve_request({"model": {**config, "hidden_size": 4096}, **fields})
    return layer_states(read_architecture(dict(request.model)), request.engine), request  # type: ignore[arg-type]


def test_an_8b_takes_128_kib_a_token() -> None:
    states, request = _llama()
    assert cache_bytes(states, request, 1, 1) == 2 * 32 * 8 * 128 * 2 == 128 * 1024


def test_four_bits_carry_scales_and_a_tail_in_16_bits() -> None:
    states, request = _llama(kv_cache_dtype="int4")
    tail, rest = 127 * 2048 * 2, (1000 - 127) * 2048
    assert cache_bytes(states, request, 1, 1000) == 32 * (tail + rest // 2 + rest // 64 * 4)


def test_vllm_fills_blocks_of_16_tokens() -> None:
    states, request = _llama(engine="vllm")
    assert cache_bytes(states, request, 2, 17) == 2 * 32 * 32 * 8 * 2 * 128 * 2


def test_vllm_keeps_the_window_and_a_block() -> None:
    name = FAMILIES["gemma2"]
    full = 3 * NUM_SEQS * 48 * 2 * 2 * 24 * 2
    sliding = 3 * NUM_SEQS * 32 * 2 * 2 * 24 * 2
    assert _planned(name, 40, engine="vllm") == full + sliding


def test_a_quantized_cache_of_windows_is_refused() -> None:
    request = parse_serve_request({"model": "google/gemma-2-9b", "kv_cache_dtype": "int4"})
    states = layer_states(read_architecture(TINY[FAMILIES["gemma2"]]), request.engine)
    with pytest.raises(RequestError, match="transformers quantizes no cache of a model with sliding attention"):
        check_cache(states, request)


def test_what_does_not_generate_is_refused() -> None:
    with pytest.raises(RequestError, match="does not generate text"):
        layer_states(read_architecture({"model_type": "bert"}), "transformers")
