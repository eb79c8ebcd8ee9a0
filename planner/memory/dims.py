"""Symbols and their values: what the letters in a formula stand for in one model, method and batch."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from planner.architecture.blocks import Architecture, Block, Linear, Moe, Tensor
from planner.identity import Same
from planner.memory.live import Monomial
from planner.memory.reach import executed_blocks, reads_text
from planner.memory.structure import OWN_INPUTS, BlockShape, Roles

#: A whole number, or a numpy array of them.
Number = Any
Dims = dict[str, Number]


def model_dims(architecture: Architecture, batch: Number, length: Number, rank: int) -> Dims:
    """Symbols that every part knows: B, S, hidden, vocab, r, and the rotary tables'."""
    tokens = batch * length
    return _widths(Same(architecture)) | {
        "B": batch,
        "S": length,
        "r": rank,
        "S_and_sink": length + 1,
        "tokens": tokens,
        "chunk": at_most(tokens, batch * CHUNK_TOKENS),
        "head_chunks": -(-length // CHUNK_TOKENS),
        "eighth_tokens": -(-tokens // 8),
        "liger_tokens": liger_tokens(tokens, architecture.vocab_size, architecture.hidden_size),
        "loss_tokens": batch * (length - 1),
        "tile_tokens": at_most(batch * (length - 1), TILE_TOKENS),
    }


@lru_cache(maxsize=1024)
def _widths(its_architecture: Same[Architecture]) -> Dims:
    """Those that depend on neither batch nor length nor rank."""
    architecture = its_architecture.of
    found = [b.attention for b in executed_blocks(architecture) if b.attention is not None]
    attention = next((a for a in found if a.rotary_dim), found[0] if found else None)
    rotary = attention.rotary_dim if attention else 0
    return {
        "hidden": architecture.hidden_size,
        "vocab": architecture.vocab_size,
        "rotary_dim": rotary,
        "half_rotary_dim": rotary // 2,
        "layers": architecture.num_layers,
        "embed_rows": next((t.shape[0] for t in architecture.tensors if t.name.endswith("embed_tokens.weight")), 0),
        "layer_rows": next((t.shape[0] for t in architecture.tensors if "embed_tokens_per_layer" in t.name), 0),
        **own_inputs(architecture),
        "embed_width": architecture.head.in_features if architecture.head else 0,
        "heads": attention.num_heads if attention else 0,
        "head_dim": attention.head_dim if attention else 0,
        "full_rotary_dim": rotary_width(architecture, sliding=False),
        "sliding_rotary_dim": rotary_width(architecture, sliding=True),
        "positions": next((t.shape[0] for t in architecture.tensors if t.role == "position"), 0),
        "max_length": config_length(architecture),
        "types": next((t.shape[0] for t in architecture.tensors if "token_type" in t.name), 0),
        "tile_columns": min(architecture.vocab_size, TILE_COLUMNS),
        **{f"{linear.leaf}.in": linear.in_features for linear in linears_beside(architecture)},
        **{f"{linear.leaf}.out": linear.out_features for linear in linears_beside(architecture)},
    }


def own_inputs(architecture: Architecture) -> Dims:
    """How wide the input of each layer's own is, and how many layers have one (gemma4); none where there are none."""
    norm = next((t for t in architecture.tensors if "per_layer_projection_norm" in t.name), None)
    made = next((linear for linear in architecture.linears if linear.leaf == OWN_INPUTS), None)
    if norm is None or made is None:
        return {}
    return {"layer_input": norm.shape[0], "text_layers": made.out_features // norm.shape[0]}


def rotary_width(architecture: Architecture, sliding: bool) -> int:
    """How wide the rotary tables are of layers with a window, or of those without one; 0 where there are none."""
    attentions = [b.attention for b in executed_blocks(architecture) if b.attention is not None]
    return next((a.rotary_dim for a in attentions if (a.sliding_window is not None) == sliding), 0)


#: Tokens of a sequence in one chunk of LitGPT's loss (litgpt 0.5 finetune/lora.py lm_head_chunk_size).
CHUNK_TOKENS = 128
#: Tokens and columns of one tile of TRL's fused head (trl 1.16 kernels/chunked_logprob.py, trainer/utils.py).
TILE_TOKENS, TILE_COLUMNS = 4096, 32768


def at_most(number: Number, limit: Number) -> Number:
    """The number, or the limit where that is less; element by element for arrays."""
    return min(number, limit) if isinstance(number, int) else number.clip(max=limit)


def liger_tokens(tokens: Number, vocab: int, hidden: int) -> Number:
    """Tokens of one chunk of Liger's fused loss (liger-kernel 0.8 ops/fused_linear_cross_entropy.py).

    About as many logits as hidden states: tokens / ceil(vocab / hidden), rounded up to a power of two.
    """
    factor = max(-(-vocab // max(hidden, 1)), 1)
    share = -(-tokens // factor)
    if isinstance(share, int):
        return min(1 << max(share - 1, 0).bit_length(), tokens)
    power = share * 0 + 1
    while (power < share).any():
        power = power + power * (power < share)
    return power.clip(max=tokens)


def config_length(architecture: Architecture) -> int:
    """Tokens for which a model makes its tables whatever the batch is: MPT's max_seq_len, GPT-J's n_positions."""
    length = architecture.config.get("max_seq_len") or architecture.config.get("n_positions")
    return length if isinstance(length, int) else 0


def block_dims(block: Block, named: bool = False) -> Dims:
    """Symbols of one kind of layer; `named`: widths of each linear and other tensor too, under its name."""
    dims: Dims = {}
    if named:
        dims |= {f"{x.name}.in": x.in_features for x in block.linears}
        dims |= {f"{x.name}.out": x.out_features for x in block.linears}
        for tensor in block.tensors:
            dims |= tensor_dims(tensor)
    if block.attention is not None:
        a = block.attention
        dims |= {
            "heads": a.num_heads,
            "kv_heads": a.num_key_value_heads,
            "head_dim": a.head_dim,
            "v_head_dim": a.v_head_dim,
            "rotary_dim": a.rotary_dim,
            "half_rotary_dim": a.rotary_dim // 2,
            "rest_dim": a.head_dim - a.rotary_dim,
            "q_lora_rank": a.q_lora_rank,
            "kv_lora_rank": a.kv_lora_rank,
            "kv_a_width": a.kv_lora_rank + a.rotary_dim,
            "nope_v_dim": a.head_dim - a.rotary_dim + a.v_head_dim,
            "qkv_width": (a.num_heads + 2 * a.num_key_value_heads) * a.head_dim,
            "q_and_kv_width": (a.num_heads + a.num_key_value_heads) * a.head_dim,
            "kv_width": 2 * a.num_key_value_heads * a.head_dim,
            "window": a.sliding_window or 0,
            "causal": int(a.kind != "bidirectional"),
        }
    dims["buckets"] = next((t.shape[0] for t in block.tensors if t.role == "position"), 0)
    if block.mlp is not None:
        dims["intermediate"] = block.mlp.intermediate_size
    if isinstance(block.mlp, Moe):
        dims |= {
            "experts": block.mlp.num_experts,
            "top_k": block.mlp.num_experts_per_tok,
            "experts_and_none": block.mlp.num_experts + 1,
            "expert_groups": block.mlp.num_groups,
            "chosen_groups": block.mlp.num_chosen_groups,
            "shared_intermediate": block.mlp.shared_intermediate_size,
        }
    return dims


def tensor_dims(tensor: Tensor) -> Dims:
    """Elements of a tensor that is no linear; of a matrix or a stack of them, its sides too."""
    dims: Dims = {f"{tensor.name}.numel": tensor.numel}
    if len(tensor.shape) in (2, 3):
        experts, out, inner = (1, *tensor.shape)[-3:]
        dims |= {f"{tensor.name}.experts": experts, f"{tensor.name}.out": out, f"{tensor.name}.in": inner}
    return dims


def has_norm_bias(tensors: Iterable[Tensor]) -> bool:
    """Whether the norms among these have biases, or there are none."""
    norms = [tensor.name for tensor in tensors if tensor.role == "norm"]
    return not norms or any(name.endswith(".bias") for name in norms)


def block_shape(block: Block) -> BlockShape:
    """The switches of a block's layer code."""
    a, mlp = block.attention, block.mlp
    biased = frozenset(linear.name for linear in block.linears if linear.bias)
    common = {"parallel": block.parallel, "residual_dropout": block.residual_dropout > 0, "biased": biased}
    common |= {"num_norms": block.num_norms, "post_norm": block.norm_order == "post"}
    common["matmul_linears"] = bool(block.linears) and all(linear.cls == "subclass" for linear in block.linears)
    common["own_input"] = any(linear.name == "per_layer_input_gate" for linear in block.linears)
    common["earlier_keys"] = block.reads_earlier_keys
    common["shares"] = common["own_input"] or block.reads_earlier_keys or (a is not None and a.position == "relative")
    common["cross"] = block.cross_attention is not None
    common["norm_bias"] = has_norm_bias(block.tensors)
    common["conv_bias"] = any(tensor.name.endswith("conv1d.bias") for tensor in block.tensors)
    common["position_bias"] = any(tensor.role == "position" for tensor in block.tensors)
    if mlp is not None:
        common |= {"activation": mlp.activation, "gated": mlp.gated, "moe": isinstance(mlp, Moe)}
    if isinstance(mlp, Moe):
        common |= {"shared_expert": mlp.shared_intermediate_size > 0, "expert_groups": mlp.num_groups > 1}
        common["float32_router"] = any(t.role == "router" and t.dtype == "float32" for t in block.tensors)
        common["looped_experts"] = mlp.num_experts if mlp.looped else 0
    if a is None:
        return BlockShape(mixer="none", **common)  # type: ignore[arg-type]
    return BlockShape(
        mixer=a.kind if a.kind in ("linear", "mamba") else "attention",
        grouped=a.num_heads != a.num_key_value_heads,
        multi_query=a.num_key_value_heads == 1,
        wide_heads=a.head_dim > 256,
        uneven_heads=a.v_head_dim != a.head_dim,
        q_lora=a.q_lora_rank > 0,
        keys_are_values=not any(linear.leaf in ("v_proj", "qkv_proj") for linear in block.linears),
        qk_norm=a.qk_norm,
        position=a.position,
        partial_rotary=a.rotary_dim < a.head_dim,
        softcap=a.softcap,
        sliding=a.sliding_window is not None,
        full=a.sliding_window is None,
        attention_dropout=a.dropout > 0,
        bidirectional=a.kind == "bidirectional",
        **common,  # type: ignore[arg-type]
    )


_MIXER_WORDS = ("attn", "attention", "mixer", "mamba", "temporal")


def block_roles(block: Block, hidden_size: int) -> Roles:
    """What each linear of a block is for, by the words in its name (layers/generic.py)."""
    mixer = tuple(x.name for x in block.linears if any(w in x.name.lower() for w in _MIXER_WORDS))
    rest = tuple(x.name for x in block.linears if x.name not in mixer and x.out_features > 1)
    kind = block.attention.kind if block.attention is not None else None
    return Roles(
        mixer=mixer if block.attention is not None else (),
        attention=kind not in ("linear", "mamba"),
        mlp=_parts(block, rest if block.attention is not None else rest or mixer, hidden_size),
        from_hidden=frozenset(x.name for x in block.linears if x.in_features == hidden_size),
        experts=tuple(
            t.name for t in block.tensors if t.role == "experts" and len(t.shape) > 1 and "bias" not in t.name
        ),
        parameters=tuple(t.name for t in block.tensors if t.role not in ("norm", "experts")),
    )


def _parts(block: Block, names: tuple[str, ...], hidden_size: int) -> tuple[tuple[str, ...], ...]:
    """Linears in order, cut after each that leads back to the hidden size."""
    found: list[list[str]] = [[]]
    sizes = {x.name: (x.in_features, x.out_features) for x in block.linears}
    for name in names:
        found[-1].append(name)
        inner, out = sizes[name]
        if out == hidden_size and inner != hidden_size:
            found.append([])
    return tuple(tuple(part) for part in found if part)


def linears_beside(architecture: Architecture) -> tuple[Linear, ...]:
    """Linears around the layers that a batch of text runs through."""
    return tuple(linear for linear in architecture.linears if reads_text(linear.name))


def model_shape(architecture: Architecture) -> BlockShape:
    """What the code around the layers branches on: whether any layer has a window, and any has none."""
    blocks = executed_blocks(architecture)
    windows = [b.attention.sliding_window for b in blocks if b.attention is not None]
    return BlockShape(
        sliding=any(w is not None for w in windows),
        full=any(w is None for w in windows),
        projected_embeddings=any(linear.leaf == "project_in" for linear in architecture.linears),
        post_norm=any(b.norm_order == "post" for b in blocks),
        position=blocks[0].attention.position if blocks[0].attention else "none",
        norm_bias=has_norm_bias(architecture.tensors),
        biased=frozenset(linear.leaf for linear in architecture.linears if linear.bias),
        bidirectional=all(b.attention is not None and b.attention.kind == "bidirectional" for b in blocks),
        activation=blocks[0].mlp.activation if blocks[0].mlp is not None else "silu",
        shares=any(b.attention is not None and b.attention.position == "relative" for b in blocks),
        own_input=any(linear.leaf == OWN_INPUTS for linear in architecture.linears),
    )


#: Symbols that divide, rounded up: by 64, by 8, by the number of experts.
DIVISORS = {"per_64": 64, "per_8": 8, "per_expert": "experts"}


def value(monomial: Monomial, dims: Dims) -> Number:
    """The product of a monomial's symbols, divided by what those of DIVISORS stand for.

    Where devices share a sequence (`sequence_split`), each has its part of what is as wide as the hidden states.
    """
    product: Number = 1
    if DIVISORS.keys().isdisjoint(monomial):
        for symbol in monomial:
            product = product * dims[symbol]
        if "sequence_split" not in dims:
            return product
    else:
        for symbol in monomial:
            if symbol not in DIVISORS:
                product = product * dims[symbol]
    if "sequence_split" in dims and "hidden" in monomial and "S" in monomial:
        product = -(-product // dims["sequence_split"])
    for symbol in monomial:
        if symbol in DIVISORS:
            divisor = DIVISORS[symbol]
            product = -(-product // (dims[divisor] if isinstance(divisor, str) else divisor))
    return product


def truncated(number: Number) -> Number:
    """A float without its fraction, as an integer; element by element for arrays."""
    return int(number) if isinstance(number, int | float) else number.astype("int64")


def smaller(a: Number, b: Number) -> Number:
    """The smaller of two numbers, element by element for arrays."""
    return -larger(-a, -b)


def larger(a: Number, b: Number) -> Number:
    """The larger of two numbers, element by element for arrays."""
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a if a >= b else b
    import numpy as np

    return np.maximum(a, b)
