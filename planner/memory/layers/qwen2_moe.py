"""Qwen2 with experts (transformers 5.23 models/qwen2_moe): Qwen2's attention, and an expert of every token's own."""

from planner.memory import head, masks, moe_modules, ops
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, pre_norm_layer
from planner.memory.modules import Context, linear

loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen2MoeDecoderLayer.forward."""
    mlp = sparse_moe_block if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, llama.attention, mlp)


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """Qwen2MoeSparseMoeBlock.forward."""
    t, norm = c.tape, c.structure.block.norm_top_k
    shared_expert_output = llama.gated_mlp(c, hidden_states, "mlp.shared_expert", ("shared_intermediate",))
    _, routing_weights, selected_experts = moe_modules.router(c, hidden_states, norm, keep_dtype=True)
    expert_output = moe_modules.experts(c, hidden_states, selected_experts, routing_weights)
    shared_expert_output = ops.mul(
        t,
        ops.unary(t, linear(c, hidden_states, "mlp.shared_expert_gate", (1,), HIDDEN), "sigmoid", saves_output=True),
        shared_expert_output,
        "gated shared expert",
        shared_expert_output.shape,
    )
    return ops.add(t, expert_output, shared_expert_output, "experts' output")


def embed(c: Context) -> Value:
    """Qwen2MoeModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c, always=True)
    head.rotary_tables(c)
    return embeddings
