"""Layers on cards in a row: what transformers itself decides for device_map="auto", without weights and cards."""

import re
from collections import Counter
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.catalog import resolve_config  # noqa: E402
from planner.memory.layer_split import Placement, loaded_sizes, place  # noqa: E402
from planner.prepare import prepare  # noqa: E402
from planner.schema import parse_request  # noqa: E402
from profiler.configs import build_config  # noqa: E402

pytestmark = pytest.mark.torch


def put(name: str, cards: int, quantized: bool) -> Placement:
    """The library's own placement, on cards with room for everything."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.integrations.accelerate import _get_device_map
    from transformers.quantizers.auto import AutoHfQuantizer

    with torch.device("meta"):
        config = build_config(parse_request({"model": resolve_config(name)[1], "method": "full"}))
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    quantizer = None
    if quantized:
        settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
        quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=False)
        quantizer.preprocess_model(model=model, dtype=torch.bfloat16, device_map="auto")
    found: dict[str, Any] = _get_device_map(model, "auto", {card: 10**13 for card in range(cards)}, quantizer)
    layers = Counter(card for module, card in found.items() if re.search(r"\.(layers|h)\.\d+$", module))
    return Placement(tuple(layers[card] for card in range(cards)), found["lm_head"])


@pytest.mark.parametrize("cards", [2, 3, 4])
@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("name", ["llama-3.1-8b", "google/gemma-2-9b", "mixtral-8x7b", "microsoft/phi-2"])
def test_the_plan_puts_layers_where_transformers_does(name: str, method: str, cards: int) -> None:
    _, prepared = prepare(parse_request({"model": name, "method": method}))
    architecture = prepared.model.architecture
    sizes = loaded_sizes(prepared.static.items, prepared.setup, architecture.num_layers, architecture.tied)
    placed = place(sizes, architecture.num_layers, cards, method == "qlora", architecture.tied)
    assert placed == put(name, cards, method == "qlora")
