"""Worked examples: counts by hand, the grouping of layers, the descriptors, transformers' names and defaults."""

import subprocess
import sys
from typing import Any

import pytest

from planner.architecture.blocks import Architecture, Block, Mlp, Moe
from planner.architecture.read import FAMILIES, read_architecture


def _read(model_type: str, **fields: Any) -> Architecture:
    return read_architecture({"model_type": model_type, **fields})


def _layout(architecture: Architecture) -> list[tuple[str, tuple[int, ...]]]:
    return [(block.attention.kind if block.attention else "none", block.indices) for block in architecture.blocks]


def _block(architecture: Architecture, index: int) -> Block:
    return next(block for block in architecture.blocks if index in block.indices)


def test_a_tiny_llama_by_hand() -> None:
    architecture = _read(
        "llama", hidden_size=8, intermediate_size=12, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=10,
    )  # fmt: skip
    attention = 8 * 8 + 2 * (4 * 8) + 8 * 8
    layer = attention + 3 * 8 * 12 + 2 * 8

    assert architecture.num_params == 10 * 8 + 3 * layer + 8 + 10 * 8
    assert [x.name for x in architecture.blocks[0].linears] == [
        *(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")),
        *(f"mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj")),
    ]
    assert architecture.blocks[0].prefix == "model.layers"
    assert [(t.name, t.shape, t.dtype) for t in architecture.buffers] == [
        ("model.rotary_emb.inv_freq", (1,), "float32"),
        ("model.rotary_emb.original_inv_freq", (1,), "float32"),
    ]


def test_a_tied_head_is_counted_once() -> None:
    tied, untied = (_read("llama", tie_word_embeddings=tied) for tied in (True, False))

    assert tied.tied and not untied.tied
    assert untied.num_params - tied.num_params == 32000 * 4096


def test_absent_fields_take_the_defaults_of_the_model_type() -> None:
    assert _read("llama").num_params == 6_738_415_616
    assert _read("gpt2").num_params == 124_439_808
    assert _read("mistral").num_params == 7_241_732_096
    assert _read("llama", num_attention_heads=64).blocks[0].attention.num_key_value_heads == 64  # type: ignore[union-attr]
    assert _read("mistral", num_attention_heads=64).blocks[0].attention.num_key_value_heads == 8  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("model_type", "alias", "name", "value"),
    [
        ("gpt2", "hidden_size", "n_embd", 96),
        ("gpt2", "num_hidden_layers", "n_layer", 5),
        ("bloom", "num_attention_heads", "n_head", 4),
        ("bloom", "n_embed", "hidden_size", 96),
        ("mixtral", "num_experts", "num_local_experts", 4),
        ("qwen3_moe", "num_local_experts", "num_experts", 16),
        ("t5", "num_hidden_layers", "num_layers", 3),
    ],
)
def test_both_names_of_a_field_are_read(model_type: str, alias: str, name: str, value: int) -> None:
    by_alias, by_name = _read(model_type, **{alias: value}), _read(model_type, **{name: value})

    assert by_alias.num_params == by_name.num_params
    assert by_alias.blocks == by_name.blocks
    assert by_alias.config[name] == value


def test_the_config_has_the_defaults_filled_in() -> None:
    config = _read("llama", hidden_size=384, num_attention_heads=6).config

    assert config["hidden_size"] == 384
    assert config["vocab_size"] == 32000


def test_layers_of_different_kinds_are_blocks_of_their_own() -> None:
    assert _layout(_read("gemma2", num_hidden_layers=4)) == [("sliding", (0, 2)), ("full", (1, 3))]
    assert _layout(_read("olmo3", num_hidden_layers=4)) == [("sliding", (0, 1, 2)), ("full", (3,))]
    assert _layout(_read("qwen3_next", num_hidden_layers=4)) == [("linear", (0, 1, 2)), ("full", (3,))]
    assert _layout(_read("jamba", num_hidden_layers=6)) == [("mamba", (0, 2)), ("mamba", (1, 3, 5)), ("full", (4,))]
    assert _layout(_read("llama", num_hidden_layers=4)) == [("full", (0, 1, 2, 3))]


def test_dense_layers_come_before_the_experts() -> None:
    architecture = _read("deepseek_v3", num_hidden_layers=5)
    dense, sparse = architecture.blocks

    assert (dense.indices, sparse.indices) == ((0, 1, 2), (3, 4))
    assert isinstance(dense.mlp, Mlp)
    assert sparse.mlp == Moe(256, 8, 2048, True, "silu", 2048, num_groups=8, num_chosen_groups=4)
    assert dense.attention is not None
    assert (dense.attention.kind, dense.attention.head_dim, dense.attention.v_head_dim) == ("mla", 192, 128)
    assert (dense.attention.kv_lora_rank, dense.attention.q_lora_rank, dense.attention.rotary_dim) == (512, 1536, 64)


def test_interleaved_experts_and_layers_without_rope() -> None:
    vision = {"num_hidden_layers": 1}
    text = {"num_hidden_layers": 8, "interleave_moe_layer_step": 2}
    architecture = _read("llama4", text_config=text, vision_config=vision)
    layers = [_block(architecture, i) for i in range(1, 8)]

    assert [isinstance(block.mlp, Moe) for block in layers] == [True, False, True, False, True, False, True]
    assert [block.attention.position for block in layers if block.attention] == [
        *("rope", "rope", "none", "rope", "rope", "rope", "none")
    ]


def test_descriptors_of_well_known_families() -> None:
    gpt2 = _read("gpt2").blocks[0]
    assert gpt2.attention is not None
    assert (gpt2.attention.fused, gpt2.attention.position, gpt2.attention.dropout) == ("qkv", "learned", 0.1)
    assert gpt2.mlp == Mlp(3072, False, "gelu_new")
    assert (gpt2.norm, gpt2.residual_dropout, _read("gpt2").embedding_dropout) == ("layer", 0.1, 0.1)

    gemma2 = _read("gemma2")
    assert gemma2.final_softcap
    assert all(b.attention is not None and b.attention.softcap and b.num_norms == 4 for b in gemma2.blocks)

    phi = _read("phi").blocks[0]
    assert phi.attention is not None
    assert (phi.parallel, phi.num_norms, phi.attention.rotary_dim) == (True, 1, 32)

    norms = {kind: _read(kind).blocks[0].attention for kind in ("llama", "qwen3", "olmo2")}
    assert [a.qk_norm for a in norms.values() if a is not None] == ["none", "head", "whole"]


def test_grouped_heads_of_falcon() -> None:
    seven = _read("falcon").blocks[0]
    forty = _read(
        "falcon", hidden_size=8192, num_attention_heads=128, num_kv_heads=8, new_decoder_architecture=True
    ).blocks[0]
    assert seven.attention is not None and forty.attention is not None

    assert (seven.attention.num_key_value_heads, seven.linears[0].out_features) == (1, 4544 + 2 * 64)
    assert (forty.attention.num_key_value_heads, forty.linears[0].out_features) == (8, 8192 + 2 * 8 * 64)
    assert {x.cls for x in seven.linears} == {"subclass"}


def test_encoder_decoder_has_cross_attention() -> None:
    architecture = _read("t5", num_layers=2)
    encoder = [b for b in architecture.blocks if b.prefix == "encoder.block"]
    decoder = [b for b in architecture.blocks if b.prefix == "decoder.block"]

    assert [b.attention.kind for b in encoder if b.attention] == ["bidirectional", "bidirectional"]
    assert [b.cross_attention.kind for b in decoder if b.cross_attention] == ["cross", "cross"]
    assert [x.quantizable for x in decoder[0].linears if x.leaf == "wo"] == [False]


def test_a_checkpoint_of_t5_with_its_own_head_is_untied() -> None:
    assert _read("t5").tied
    assert not _read("t5", tie_word_embeddings=False).tied


def test_layers_that_share_keys_have_no_projections_for_them() -> None:
    architecture = _read("gemma4_text", num_hidden_layers=12, num_kv_shared_layers=5)

    assert {x.leaf for x in _block(architecture, 0).linears} >= {"k_proj", "v_proj"}
    assert not {x.leaf for x in _block(architecture, 11).linears} & {"k_proj", "v_proj"}


def test_reading_imports_the_family_it_needs_and_nothing_heavy() -> None:
    code = (
        "import sys; from planner.architecture.read import read_architecture; "
        "read_architecture({'model_type': 'llama'}); print(*sys.modules)"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    assert not loaded & {"torch", "transformers", "numpy", "pandas", "pydantic", "streamlit"}
    families = {name.rpartition(".")[2] for name in loaded if name.startswith("planner.architecture.families.")}
    assert families == {"llama_like", "shared"}


@pytest.mark.parametrize("model_type", sorted(set(FAMILIES) - {"deepseek_v2", "glm4_moe"}))
def test_every_family_reads_its_defaults(model_type: str) -> None:
    architecture = _read(model_type)

    assert architecture.model_type == model_type
    assert architecture.num_params > 10**5
