"""Modules of the LayerNorm families on a tape: the norm itself, activations, dropout, learned positions, their head.

GPT-2, GPT-NeoX, OPT, BLOOM, Falcon and Phi (transformers 5.23) put their layers together from these.
"""

from collections.abc import Callable

from planner.memory import head, linear_ops, ops
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.modules import Context
from planner.memory.tape import Tape

HIDDEN: Shape = ("hidden",)
WIDE: Shape = ("intermediate",)


def layer_norm(c: Context, x: Value, name: str, width: Shape = HIDDEN, affine: bool = True) -> Value:
    """torch.nn.LayerNorm: native_layer_norm saves its input, the mean and the reciprocal deviation of each row.

    CUDA: autocast runs it in float32, and the statistics are float32; on the CPU they have the input's dtype.
    """
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    if t.autocast and c.structure.device == "cuda":
        x = ops.to(t, x, "float32")
    out = _native_layer_norm(c, x, name, width, affine)
    t.scope = before
    return out


def _native_layer_norm(c: Context, x: Value, name: str, width: Shape, affine: bool) -> Value:
    t = c.tape
    parts = ("weight", "bias") if c.structure.block.norm_bias else ("weight",)
    parameters = [c.norm_parameter(f"{name}.{part}", width) for part in parts] if affine else []
    inputs = [x, *parameters]
    metadata = [(v.requires_grad, v.shape, v.dtype) for v in inputs]

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        return tuple(t.allocate(s, d, "norm grad") if wanted else None for wanted, s, d in metadata)

    node = t.record(inputs, backward, inputs, "norm")
    t.work.note("norm", x.dtype, whole(*inputs, x))
    out = t.allocate(x.shape, x.dtype, "normalized")
    statistics_dtype = x.dtype if c.structure.device == "cpu" else "float32"
    rows = (*x.shape[: len(x.shape) - len(width)], 1)
    mean, rstd = (t.allocate(rows, statistics_dtype, part) for part in ("mean", "rstd"))
    if node is not None:
        out.requires_grad, out.node = True, node
        node.saved += [t.pack(mean), t.pack(rstd)]
    return out


def norm_per_head(c: Context, x: Value, name: str) -> Value:
    """StableLmLayerNormPerHead: heads are split, each has a norm of its own, and all are joined again."""
    t = c.tape
    per_head = (x.shape[1], x.shape[3])
    weight = c.norm_parameter(f"{name}.weight", per_head)
    metadata = [(v.requires_grad, v.shape, v.dtype) for v in (x, weight)]

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        return tuple(t.allocate(s, d, "norm grad") if wanted else None for wanted, s, d in metadata)

    (heads,) = ops.split(t, x, [x.shape])
    node = t.record([heads, weight], backward, [heads, weight], "norm")
    t.work.note("norm", x.dtype, whole(heads, weight, x))
    out = t.allocate(x.shape, x.dtype, f"{name}: normalized")
    statistics_dtype = x.dtype if c.structure.device == "cpu" else "float32"
    mean, rstd = (t.allocate((*x.shape[:3], 1), statistics_dtype, f"{name}: {part}") for part in ("mean", "rstd"))
    if node is not None:
        out.requires_grad, out.node = True, node
        node.saved += [t.pack(mean), t.pack(rstd)]
    return ops.cat(t, [out], x.shape)


# -- activations -----------------------------------------------------------------------------------------------------


def new_gelu(c: Context, x: Value) -> Value:
    """NewGELUActivation: ``0.5 * x * (1.0 + tanh(sqrt(2 / pi) * (x + 0.044715 * pow(x, 3.0))))``, op by op."""
    t = c.tape
    return ops.mul(
        t,
        ops.scale(t, x, "0.5*x"),
        ops.add_constant(
            t,
            ops.unary(
                t,
                ops.scale(t, ops.add(t, x, ops.scale(t, _cube(c, x), "c*pow"), "x+c*pow"), "c*sum"),
                "tanh",
                saves_output=True,
            ),
            "1+tanh",
        ),
        "gelu_new",
    )


def _cube(c: Context, x: Value) -> Value:
    """torch.pow(x, 3.0), which CUDA's autocast runs in float32; saved and differentiated as a square is."""
    t = c.tape
    if t.autocast and c.structure.device == "cuda":
        x = ops.to(t, x, "float32")
    return ops.square(t, x)


def fast_gelu(c: Context, x: Value) -> Value:
    """FastGELUActivation: ``0.5 * x * (1.0 + tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))``."""
    t = c.tape
    half = ops.scale(t, x, "0.5*x")
    inner = ops.mul(
        t,
        ops.scale(t, x, "x*c"),
        ops.add_constant(t, ops.mul(t, ops.scale(t, x, "c*x"), x, "c*x*x"), "1+c*x*x"),
        "tanh input",
    )
    tanh = ops.add_constant(t, ops.unary(t, inner, "tanh", saves_output=True), "1+tanh")
    del inner
    return ops.mul(t, half, tanh, "gelu_fast")


def quick_gelu(c: Context, x: Value) -> Value:
    """QuickGELUActivation: ``x * sigmoid(1.702 * x)``."""
    t = c.tape
    return ops.mul(t, x, ops.unary(t, ops.scale(t, x, "1.702*x"), "sigmoid", saves_output=True), "quick_gelu")


def _fused(name: str, saves_output: bool = False) -> Callable[[Context, Value], Value]:
    return lambda c, x: ops.unary(c.tape, x, name, saves_output)


#: ACT2FN of transformers 5.23 activations.py: those that are one operator of torch, and those that are many.
ACTIVATIONS: dict[str, Callable[[Context, Value], Value]] = {
    "gelu": _fused("gelu"),
    "gelu_pytorch_tanh": _fused("gelu"),
    "silu": _fused("silu"),
    "swish": _fused("silu"),
    "relu": _fused("relu", saves_output=True),
    "tanh": _fused("tanh", saves_output=True),
    "gelu_new": new_gelu,
    "gelu_fast": fast_gelu,
    "quick_gelu": quick_gelu,
}


def activation(c: Context, x: Value) -> Value:
    """ACT2FN[...]; a name that is not mirrored counts as one operator that saves its input."""
    return ACTIVATIONS.get(c.structure.block.activation, _fused("act_fn"))(c, x)


# -- dropout ---------------------------------------------------------------------------------------------------------


def dropout(c: Context, x: Value, wanted: bool) -> Value:
    """nn.Dropout in training: the tensor itself where the probability is zero."""
    return linear_ops.dropout(c.tape, x, c.structure.device) if wanted else x


def residual_dropout(c: Context, x: Value) -> Value:
    return dropout(c, x, c.structure.block.residual_dropout)


# -- around the layers -----------------------------------------------------------------------------------------------


def position_embedding(c: Context, name: str, position_ids: Value) -> Value:
    """nn.Embedding of positions: saves them; its gradient is dense, of the whole table."""
    rows: Shape = ("B", "S") if c.structure.single_sequence else position_ids.shape
    return table_embedding(c, name, rows, "positions", position_ids)


def table_embedding(c: Context, name: str, shape: Shape, rows: str, ids: Value) -> Value:
    """nn.Embedding of a table with so many `rows`: saves the ids; its gradient is dense."""
    t = c.tape
    weight = c.parameter(name, (rows, *HIDDEN))

    def backward(grad: Value, ids: Value) -> ops.Grads:
        return (t.allocate((rows, *HIDDEN), weight.dtype, "embedding grad"),)

    out = ((*shape, *HIDDEN), weight.dtype)
    return t.op(f"{rows} embeddings", *out, [weight], backward, [ids], kind="embedding", moved=(out, out))


def add_positions(t: Tape, inputs_embeds: Value, position_embeds: Value) -> Value:
    """inputs_embeds + position_embeds, the second broadcast over the batch."""
    return ops.add(t, inputs_embeds, position_embeds, "hidden states")


def norm_and_loss(c: Context, hidden_states: Value, norm: str) -> Value:
    """The final LayerNorm, the head and the causal-LM loss."""
    hidden_states = layer_norm(c, hidden_states, norm)
    return loss_of(c, hidden_states)


def loss_of(c: Context, hidden_states: Value) -> Value:
    """The head and the causal-LM loss."""
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
