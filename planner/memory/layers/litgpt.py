"""LitGPT's GPT (litgpt 0.4 model.py, lora.py), which runs the models of several families by one code.

What transformers has as modules of their own is one here (q, k and v), and keys are spread to all heads.
"""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.layernorm_modules import layer_norm
from planner.memory.litgpt_modules import HIDDEN, attention, linear
from planner.memory.live import Shape
from planner.memory.modules import Context, rms_norm

WIDE: Shape = ("intermediate",)


def layer(c: Context, x: Value) -> Value:
    """Block.forward."""
    t, block = c.tape, c.structure.block
    x_normed = norm(c, x, "norm_1")
    attention_output = attention(c, x_normed)
    if block.parallel:
        x_normed = x_normed if block.num_norms == 1 else norm(c, x, "norm_2")
        x = ops.add(t, ops.add(t, mlp(c, x_normed), attention_output), x, "hidden states")
    else:
        x = ops.add(t, attention_output, x, "hidden states")
        x = ops.add(t, mlp(c, norm(c, x, "norm_2")), x, "hidden states")
    return x


def norm(c: Context, x: Value, name: str) -> Value:
    """config.norm_class: torch's LayerNorm, or RMSNorm with its float32 copy."""
    return layer_norm(c, x, name) if c.structure.block.norm_bias else rms_norm(c, x, name)


def mlp(c: Context, x: Value) -> Value:
    """LLaMAMLP.forward and GemmaMLP.forward; GptNeoxMLP.forward where nothing is gated."""
    t, block = c.tape, c.structure.block
    *into, out = block.roles.mlp[0]
    if not block.gated:
        x = linear(c, x, into[0], WIDE, HIDDEN)
        x = ops.unary(t, x, "gelu")
        return linear(c, x, out, HIDDEN, WIDE)
    x_fc_1, x_fc_2 = (linear(c, x, name, WIDE, HIDDEN) for name in into)
    x = ops.mul(t, ops.unary(t, x_fc_1, block.activation), x_fc_2, "gated")
    return linear(c, x, out, HIDDEN, WIDE)


def embed(c: Context) -> Value:
    """GPT.forward up to the blocks; the tables are made once, in float32, and stay."""
    x = head.token_embedding(c)
    head.cos_and_sin(c, "float32")
    c.model_locals.append(x)
    return x


def loss(c: Context, x: Value) -> Value:
    """ln_f, lm_head, and the loss of the training loop."""
    x = norm(c, x, "ln_f")
    c.tape.category = "logits"
    return head.causal_lm_loss(c, head.lm_head(c, x))
