"""Small models and recipes that touch each way the libraries have of using memory; a step takes about a second."""

from typing import Any

from planner.schema import PlanRequest, parse_request

LLAMA = {
    "model_type": "llama", "hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000,
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_embd": 128, "n_layer": 2, "n_head": 4, "vocab_size": 1000}
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
GEMMA3 = LLAMA | {"model_type": "gemma3_text", "head_dim": 32, "sliding_window": 16, "num_hidden_layers": 6}
NEOX = {
    "model_type": "gpt_neox", "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2,
    "num_attention_heads": 4, "vocab_size": 1000,
}  # fmt: skip
WIDTHS = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000}
#: One small model of each of these families, for steps that need nothing but the family's own code.
FAMILIES: dict[str, dict[str, Any]] = {
    "opt": WIDTHS | {"ffn_dim": 256, "max_position_embeddings": 64, "word_embed_proj_dim": 128},
    "falcon": WIDTHS,
    "bloom": {"hidden_size": 128, "n_layer": 2, "n_head": 4, "vocab_size": 1000},
    "phi": WIDTHS | {"intermediate_size": 256},
    "cohere": LLAMA | {"logit_scale": 0.1},
    "qwen3_moe": LLAMA | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 32},
    "olmo2": LLAMA,
    "t5": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4, "vocab_size": 1000},
}


def request(model: dict[str, Any] = LLAMA, method: str = "full", **fields: Any) -> PlanRequest:
    """A small request for the CPU."""
    defaults = {"per_device_train_batch_size": 2, "max_length": 48, "device": "cpu"}
    return parse_request({"model": model, "method": method} | defaults | fields)


RECIPES: dict[str, PlanRequest] = {
    "full": request(),
    "full float32, checkpointed, sgd": request(dtype="float32", gradient_checkpointing=True, optim="sgd"),
    "full, autocast over float32": request(dtype="float32", mixed_precision="bf16"),
    "full, adafactor, accumulation": request(optim="adafactor", gradient_accumulation_steps=2),
    "full, 8-bit Adam, eager, padded": request(optim="adamw_bnb_8bit", attn_implementation="eager", padding="padded"),
    "lora with dropout": request(method="lora", lora={"lora_dropout": 0.1}),
    "lora, reentrant": request(
        method="lora", gradient_checkpointing=True, gradient_checkpointing_kwargs={"use_reentrant": True}
    ),
    "lora of float16, padded": request(method="lora", dtype="float16", padding="padded", optim="adamw_torch"),
    "qlora, checkpointed": request(method="qlora", gradient_checkpointing=True),
    "qlora, no upcast, fp4, constants not quantized": request(
        method="qlora",
        quantization={"upcast_unquantized": False, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False},
    ),
    "gpt2 qlora: Conv1D, biases, dropout": request(GPT2, "qlora"),
    "gpt_neox lora: fused qkv": request(NEOX, "lora", lora={"lora_dropout": 0.05}),
    "gemma3: sliding window": request(GEMMA3),
    "mixtral lora: experts": request(MIXTRAL, "lora"),
    "mixtral qlora: float32 experts": request(MIXTRAL, "qlora", gradient_checkpointing=True),
}
RECIPES |= {
    f"{name}, {method}": request(config | {"model_type": name}, method)
    for (name, config), method in zip(FAMILIES.items(), ("lora", "full") * len(FAMILIES), strict=False)
}
