"""Tiny configs of every family: the catalogue's own configs with their sizes shrunk. A helper, not a test."""

from typing import Any

from planner.catalog import list_models, load_config

Config = dict[str, Any]

#: Families that transformers 5.23 knows by another name, or by remote code of equal shape.
STAND_INS = {"kimi_k2": "deepseek_v3", "internlm2": "llama"}

#: Small values of the fields that set sizes; heads, experts and patches divide what they must.
SMALL: Config = {
    **{"vocab_size": 96, "vocab_size_per_layer_input": 96, "max_position_embeddings": 64, "n_positions": 64},
    **{"max_seq_len": 64, "hidden_size": 64, "n_embd": 64, "d_model": 64, "embed_dim": 64, "intermediate_size": 48},
    **{"num_hidden_layers": 6, "n_layer": 3, "n_layers": 3, "num_layers": 4, "num_decoder_layers": 3, "depth": 2},
    **{"num_global_layers": 2, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4},
    **{"attention_heads": 4, "num_key_value_heads": 2, "num_kv_heads": 2, "kv_n_heads": 2},
    **{"num_global_key_value_heads": 1, "head_dim": 24, "global_head_dim": 40, "d_kv": 12, "d_ff": 48},
    **{"n_inner": 80, "ffn_dim": 48, "ffn_hidden_size": 48, "moe_intermediate_size": 24, "rotary_dim": 8},
    **{"intermediate_size_mlp": 80, "shared_expert_intermediate_size": 40, "word_embed_proj_dim": 32},
    **{"moe_shared_expert_intermediate_size": 40, "num_local_experts": 8, "num_experts": 8, "n_routed_experts": 8},
    **{"moe_num_experts": 8, "num_experts_per_tok": 2, "moe_top_k": 2, "top_k_experts": 2, "n_group": 1},
    **{"topk_group": 1, "kv_lora_rank": 16, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 20},
    **{"sliding_window": 16, "attention_chunk_size": 16, "window_size": 16, "image_size": 28, "patch_size": 7},
    **{"out_hidden_size": 64, "num_position_embeddings": 16, "position_embedding_size": 16, "mamba_num_heads": 4},
    **{"mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 8, "mamba_d_state": 8, "state_size": 8},
    **{"time_step_rank": 5, "mamba_dt_rank": 5, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 12, "hidden_size_per_layer_input": 8},
    **{"num_kv_shared_layers": 2, "vision_output_dim": 56, "projector_input_dim": 40, "projector_output_dim": 32},
    **{"output_proj_dims": 48, "relative_attention_num_buckets": 8, "num_labels": 5, "q_lora_rank": 16},
    **{"sliding_window_pattern": 3, "hybrid_override_pattern": "ME*E-M", "no_rope_layer_interval": 2},
    **{"attn_layer_period": 3, "attn_layer_offset": 1, "full_attention_interval": 3, "pad_token_id": 0},
    **{"deepstack_visual_indexes": [0, 1], "fullatt_block_indexes": [0], "intermediate_layers_indices": [0, 1]},
    **{"cross_attention_layers": [1, 4], "attention_types": [[["global", "local"], 2]]},
}
ALWAYS = ("pad_token_id",)
#: Read as they are where the catalogue says 0 or nothing: these switch a part of the model off.
SWITCHES = ("num_kv_shared_layers", "hidden_size_per_layer_input", "q_lora_rank", "sliding_window", "num_experts")


def shrink(config: Config) -> Config:
    """The config with small sizes, nested configs included; what it lacks stays absent."""
    small: Config = {name: SMALL[name] for name in ALWAYS if "vocab_size" in config}
    for name, value in config.items():
        if isinstance(value, dict) and name in ("text_config", "vision_config", "audio_config"):
            small[name] = shrink(value)
        elif isinstance(value, dict):
            small[name] = {**value, **{inner: SMALL[inner] for inner in value if inner in SMALL}}
        elif name in SMALL and not (name in SWITCHES and not value) and value is not None:
            small[name] = SMALL[name]
        elif name == "layer_types":
            small[name] = [value[0], value[-1]] * (SMALL["num_hidden_layers"] // 2)
        else:
            small[name] = value
    return small


def tiny_configs() -> dict[str, Config]:
    """Two configs of each model_type, its first and its last in the catalogue, as "model_type: id"."""
    found: dict[str, list[tuple[str, Config]]] = {}
    for row in list_models():
        config = load_config(row)
        if config.get("no_bias", True):
            found.setdefault(row.model_type, []).append((row.id, config))
    named = (
        (kind, *pair) for kind, pairs in found.items() for pair in {id(p): p for p in (pairs[0], pairs[-1])}.values()
    )
    return {f"{kind}: {name}": shrink(config) for kind, name, config in named}
