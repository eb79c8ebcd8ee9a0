"""Layers shaped like Llama's: RMSNorm, rotary grouped-query attention, gated MLP (transformers 5.23 models/llama)."""

from planner.memory import foak_lora, head, ops
from planner.memory.foak_lora import attention_projections, output_projection
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm, rotary

HIDDEN = ("hidden",)
WIDE = ("intermediate",)
QUERIES = ("heads", "head_dim")
KEYS = ("kv_heads", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """LlamaDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """LlamaAttention.forward."""
    query_states, key_states, value_states = attention_projections(c, hidden_states, (QUERIES, KEYS, KEYS), HIDDEN)
    query_states, key_states = heads(c, query_states, QUERIES), heads(c, key_states, KEYS)
    value_states = heads(c, value_states, KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = output_projection(c, attn_output, HIDDEN, QUERIES)
    return attn_output, attn_weights


def heads(c: Context, x: Value, split: Shape) -> Value:
    """view(..., heads, head_dim).transpose(1, 2)."""
    return ops.view(c.tape, x, ("B", split[0], "S", split[1]), contiguous=False)


def mlp(c: Context, x: Value) -> Value:
    """LlamaMLP.forward."""
    if foak_lora.fuses(c, *foak_lora.MLP):
        return foak_lora.gated_mlp(c, x, WIDE, HIDDEN)
    return gated_mlp(c, x, "mlp", WIDE)


def gated_mlp(c: Context, x: Value, name: str, width: Shape) -> Value:
    """``down_proj(act_fn(gate_proj(x)) * up_proj(x))`` of the module `name`."""
    t = c.tape
    down_proj = linear(
        c,
        ops.mul(
            t,
            ops.unary(t, linear(c, x, f"{name}.gate_proj", width, HIDDEN), "act_fn"),
            linear(c, x, f"{name}.up_proj", width, HIDDEN),
            "act*up",
        ),
        f"{name}.down_proj",
        HIDDEN,
        width,
    )
    return down_proj


def embed(c: Context) -> Value:
    """LlamaModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
