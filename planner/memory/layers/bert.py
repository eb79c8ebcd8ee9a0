"""BERT and RoBERTa with their language-modelling head (transformers 5.23 models/bert, models/roberta).

Each half ends in a norm, tokens attend both ways, and the loss is that of a causal model (BertLMHeadModel).
"""

from planner.memory import head, ops
from planner.memory.attention_modules import attend, split_heads
from planner.memory.graph import Value
from planner.memory.layernorm_modules import (
    HIDDEN,
    WIDE,
    activation,
    dropout,
    layer_norm,
    loss_of,
    position_embedding,
    residual_dropout,
    table_embedding,
)
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """BertLayer.forward."""
    self_attention_output = attention(c, hidden_states)
    intermediate_output = intermediate(c, self_attention_output)
    return output(c, intermediate_output, self_attention_output, "output", WIDE)


def attention(c: Context, hidden_states: Value) -> Value:
    """BertAttention.forward."""
    attention_output, _ = self_attention(c, hidden_states)
    return output(c, attention_output, hidden_states, "attention.output", HIDDEN)


def self_attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """BertSelfAttention.forward."""
    query_layer = split_heads(c, linear(c, hidden_states, "attention.self.query", HIDDEN, HIDDEN), HEADS)
    key_layer = linear(c, hidden_states, "attention.self.key", HIDDEN, HIDDEN)
    key_layer = split_heads(c, key_layer, HEADS, unrotated_key=True)
    value_layer = split_heads(c, linear(c, hidden_states, "attention.self.value", HIDDEN, HIDDEN), HEADS)
    attn_output, attn_weights = attend(c, query_layer, key_layer, value_layer, softmax_dtype=None, casts=False)
    return ops.view(c.tape, attn_output, TOKENS), attn_weights


def output(c: Context, hidden_states: Value, input_tensor: Value, name: str, inner: Shape) -> Value:
    """BertSelfOutput.forward and BertOutput.forward: the sum lives until the norm returns."""
    hidden_states = linear(c, hidden_states, f"{name}.dense", HIDDEN, inner)
    hidden_states = residual_dropout(c, hidden_states)
    total = ops.add(c.tape, hidden_states, input_tensor, "hidden states")
    hidden_states = layer_norm(c, total, f"{name}.LayerNorm")
    return hidden_states


def intermediate(c: Context, hidden_states: Value) -> Value:
    """BertIntermediate.forward."""
    hidden_states = linear(c, hidden_states, "intermediate.dense", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    return hidden_states


def embed(c: Context) -> Value:
    """BertEmbeddings.forward and the mask, which only padding brings."""
    s = c.structure
    embedding_output = embeddings(c)
    c.model_locals.append(embedding_output)
    if s.mask == "padded":
        dtype = c.hidden_dtype if s.attention == "eager" else "bool"
        c.forward_only.append(c.tape.allocate(("B", "S", "S"), dtype, "attention mask"))
    return embedding_output


def embeddings(c: Context) -> Value:
    """Words, segments and positions; RoBERTa counts positions from the ids, one row a sequence."""
    t, roberta = c.tape, c.structure.family == "roberta"
    rows: Shape = ("B", "S") if roberta else ("S",)
    position_ids = t.allocate(rows, "int64", "position ids") if roberta else t.external(rows, "int64")
    token_type_ids = t.allocate(rows, "int64", "segment ids")
    inputs_embeds = head.token_embedding(c)
    token_type_embeddings = table_embedding(c, "token_type_embeddings.weight", ("B", "S"), "types", token_type_ids)
    summed = ops.add(t, inputs_embeds, token_type_embeddings, "embeddings")
    position_embeddings = position_embedding(c, "position_embeddings.weight", position_ids)
    summed = ops.add(t, summed, position_embeddings, "embeddings")
    summed = layer_norm(c, summed, "embeddings.LayerNorm")
    return dropout(c, summed, c.structure.embedding_dropout)


def loss(c: Context, hidden_states: Value) -> Value:
    """The head's transform (dense, activation, norm), the decoder and the loss."""
    hidden_states = transformed(c, hidden_states)
    return loss_of(c, hidden_states)


def transformed(c: Context, hidden_states: Value) -> Value:
    """BertPredictionHeadTransform.forward, RobertaLMHead.forward."""
    c.leave_stack()
    hidden_states = linear(c, hidden_states, "dense", HIDDEN, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = layer_norm(c, hidden_states, "transform.LayerNorm")
    return hidden_states
