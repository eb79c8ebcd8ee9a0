"""Real steps of settings that few use together: `python -m tests.golden.corners` measures them and writes its table.

Each was found by drawing requests at random, measuring them and planning them: the plan was wrong there.
tests/planner/memory/test_golden_corners.py holds it against these.
"""

import json
from pathlib import Path
from typing import Any

from planner.schema import parse_request

TABLE = Path(__file__).parent / "corners.jsonl"

_SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 1000}
LLAMA = _SIZES | {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0}
QWEN3_5 = LLAMA | {
    **{"model_type": "qwen3_5_text", "head_dim": 32, "num_hidden_layers": 4},
    **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16},
}
DROPS = {"attention_dropout": 0.1}
WIDE = {"hidden_size": 64, "intermediate_size": 512, "vocab_size": 100}
BOTH = {"modules_to_save": ["embed_tokens", "lm_head"]}
AS_COMPUTED = {
    "lora": {"autocast_adapter_dtype": False},
    "quantization": {"bnb_4bit_compute_dtype": "float16", "upcast_unquantized": False},
}
CHECKPOINTED = {"gradient_checkpointing": True}

#: name -> model and fields.
CORNERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "attention dropout, sdpa": (LLAMA | DROPS, {"method": "full"}),
    "attention dropout, sdpa, grouped and padded": (LLAMA | DROPS, {"method": "lora", "padding": "padded"}),
    "attention dropout, eager": (LLAMA | DROPS, {"method": "lora", "attn_implementation": "eager"}),
    "attention dropout, eager, gemma2": (LLAMA | DROPS | {"model_type": "gemma2", "head_dim": 32}, {"method": "full"}),
    "4-bit adapters in their compute dtype": (LLAMA, {"method": "qlora", "dtype": "float32"} | AS_COMPUTED),
    "dora, checkpointed": (LLAMA, {"method": "dora"} | CHECKPOINTED),
    "dora, checkpointed, 4 bits": (LLAMA, {"method": "qlora", "lora": {"use_dora": True}} | CHECKPOINTED),
    "dora, autocast, short": (LLAMA | WIDE, {"method": "dora", "mixed_precision": "bf16", "max_length": 16}),
    "tied weights saved apart, accumulated": (
        LLAMA | {"tie_word_embeddings": True, "vocab_size": 5000},
        {"method": "lora", "lora": BOTH, "gradient_accumulation_steps": 2, "max_length": 8},
    ),
    "qwen3_5_text, full": (QWEN3_5, {"method": "full"}),
    "qwen3_5_text, lora, checkpointed": (QWEN3_5, {"method": "lora"} | CHECKPOINTED),
    "ia3 in 16 bits, checkpointed": (LLAMA | WIDE, {"method": "ia3"} | CHECKPOINTED),
    "gpt2, padded": (
        {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 500},
        {"method": "lora", "padding": "padded"},
    ),
    "gated delta rule, autocast": (QWEN3_5, {"method": "full", "mixed_precision": "bf16"}),
    "gated delta rule, autocast, five chunks": (
        QWEN3_5,
        {"method": "full", "mixed_precision": "bf16", "dtype": "float32", "max_length": 320},
    ),
}


def request_of(name: str) -> dict[str, Any]:
    """The request of a corner."""
    model, fields = CORNERS[name]
    sizes = {"per_device_train_batch_size": 2, "max_length": 96, "device": "cpu"}
    return {"id": name, "model": model} | sizes | fields


def main() -> None:
    from profiler.measure import measure

    with TABLE.open("w") as table:
        for name in CORNERS:
            request = request_of(name)
            measured = measure(parse_request(request))
            figures = ("weights_bytes", "peak_bytes", "steady_bytes", "trainable_params")
            facts = {figure: getattr(measured, figure) for figure in figures}
            table.write(json.dumps({"request": request, "measured": facts}) + "\n")


if __name__ == "__main__":
    main()
