"""Jamba (transformers 5.23 models/jamba): Mamba's mixer or attention without positions, a gated MLP or experts."""

from planner.memory import head, masks, moe_modules, ops, selective_scan
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, WIDE
from planner.memory.modules import Context, linear, rms_norm
from planner.memory.structure import FULL


def layer(c: Context, hidden_states: Value) -> Value:
    """JambaMambaDecoderLayer.forward and JambaAttentionDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "input_layernorm")
    hidden_states = mixed(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "pre_ff_layernorm")
    hidden_states = feed_forward(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def mixed(c: Context, hidden_states: Value) -> Value:
    """The layer's mixer."""
    if c.structure.block.mixer == "mamba":
        return selective_scan.mixer(c, hidden_states, "mamba", rms_norm)
    attn_output, _ = attention(c, hidden_states)
    return attn_output


def attention(c: Context, hidden_states: Value, name: str = "self_attn") -> tuple[Value, Value | None]:
    """JambaAttention.forward and NemotronHAttention.forward."""
    query_states = llama.heads(c, linear(c, hidden_states, f"{name}.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, f"{name}.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, f"{name}.v_proj", KEYS, HIDDEN), KEYS)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    return linear(c, attn_output, f"{name}.o_proj", HIDDEN, QUERIES), attn_weights


def feed_forward(c: Context, hidden_states: Value) -> Value:
    """JambaMLP.forward or JambaSparseMoeBlock.forward."""
    if not c.structure.block.moe:
        return llama.gated_mlp(c, hidden_states, "feed_forward", WIDE)
    name = "feed_forward.router.weight"
    _, weights, index = moe_modules.router(c, hidden_states, norm=False, keep_dtype=True, name=name)
    return moe_modules.experts(c, hidden_states, index, weights, module="feed_forward.experts")


def embed(c: Context) -> Value:
    """JambaModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    with masks.for_layers(c, FULL):
        head.causal_mask(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = rms_norm(c, hidden_states, "final_layernorm")
    c.tape.category = "logits"
    return head.causal_lm_loss(c, head.lm_head(c, hidden_states))
