"""The model around its layers on tape: token embedding, shared tables, head and causal-LM loss."""

from collections.abc import Callable

from planner.memory import losses, ops
from planner.memory.fused_head import tiled_head_loss
from planner.memory.graph import Value
from planner.memory.linear_ops import dense
from planner.memory.live import Shape
from planner.memory.modules import Context
from planner.memory.tape import Tape
from planner.switches import LossPath

HIDDEN: Shape = ("hidden",)

#: Losses that are not transformers 5's; all but those of LOGITS_LOSSES take the hidden states.
_OTHERS: dict[LossPath, Callable[[Context, Value], Value]] = {
    "full_4": losses.loss_of_transformers_4,
    "full_4_46": losses.loss_of_transformers_4_46,
    "fused_logits": losses.fused_logits_loss,
    "fused_logits_4": losses.fused_logits_loss_4,
    "in_place_logits": losses.in_place_logits_loss,
    "chunked": losses.chunked_loss,
    "chunked_head": losses.chunked_head_loss,
    "tiled": tiled_head_loss,
    "fused": losses.fused_linear_loss,
    "fused_2024": losses.fused_linear_loss_of_2024,
}

#: Losses over whole logits, which the head makes.
LOGITS_LOSSES: tuple[LossPath, ...] = (
    "full",
    "full_4",
    "full_4_46",
    "fused_logits",
    "fused_logits_4",
    "in_place_logits",
)


def token_embedding(
    c: Context,
    name: str = "embed_tokens.weight",
    width: Shape = HIDDEN,
    scaled: bool = False,
    rows: str = "vocab",
    ids: Value | None = None,
    leaf: str = "embeddings",
) -> Value:
    """nn.Embedding: saves the ids (the batch, or `ids`); backward makes a dense gradient of the whole table.

    scaled: the module itself multiplies what it looked up (GemmaTextScaledWordEmbedding). rows: "embed_rows" where the
    table has more than the head has. leaf: what its output is where enable_input_require_grads makes it require a
    gradient.
    """
    t = c.tape
    saved = "embedding" in c.structure.saved
    weight = c.parameter("head.weight" if c.structure.tied and not saved else name, (rows, *width), saved or None)
    out = looked_up(t, weight, width, rows, [] if ids is None else [ids])
    if scaled:
        out = ops.scale(t, out, "scaled embeddings")
    if c.structure.hooked_embeddings:
        out.requires_grad, out.leaf = True, leaf
        c.tables.append(out)
    return out


def layer_embedding(c: Context, width: Shape) -> Value:
    """Gemma 4's second table, whose rows hold an input for every layer."""
    weight = c.parameter("embed_tokens_per_layer.weight", ("layer_rows", *width))
    return ops.scale(c.tape, looked_up(c.tape, weight, width, "layer_rows", []), "scaled embeddings")


def looked_up(t: Tape, weight: Value, width: Shape, rows: str, ids: list[Value]) -> Value:
    """F.embedding of the batch: backward makes a dense gradient of the whole table."""

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        return (t.allocate((rows, *width), weight.dtype, "embedding grad"),)

    rows_of = (("B", "S", *width), weight.dtype)
    return t.op("embeddings", *rows_of, [weight], backward, ids, kind="embedding", moved=(rows_of, rows_of))


def rotary_tables(c: Context, dtype: str | None = None, saved: bool = True, width: str = "rotary_dim") -> None:
    """Position ids and the rotary embedding's cos and sin, made once a forward and shared by all layers."""
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    cos_and_sin(c, dtype, saved, width)


def cos_and_sin(
    c: Context, dtype: str | None = None, saved: bool = True, width: str = "rotary_dim", batched: bool = False
) -> None:
    """The rotary embedding's forward; batched: position ids have a row for each sequence.

    saved: by the layers' graphs, which else use them in tables of their own.
    """
    t, dtype = c.tape, dtype or c.hidden_dtype
    shape: Shape = ("B", "S", width) if batched else ("S", width)
    before, t.scope = t.scope, f"{t.scope}rotary_emb: "
    tables = c.tables if saved else c.forward_only
    tables += [
        t.allocate(shape, dtype, "cos", "activations"),
        t.allocate(shape, dtype, "sin", "activations"),
    ]
    t.scope = before


def causal_mask(c: Context, padded: bool = True) -> None:
    """The mask of create_causal_mask, where one is materialised: eager always, sdpa when padding is passed.

    padded: whether this stack is given the batch's padding.
    """
    t, s = c.tape, c.structure
    if s.attention == "eager":
        c.forward_only.append(t.allocate(("B", "S", "S"), c.hidden_dtype, "attention mask"))
    elif s.mask == "padded" and padded:
        c.forward_only.append(t.allocate(("B", "S", "S"), "bool", "attention mask"))


def lm_head(c: Context, hidden: Value) -> Value:
    """The projection to the vocabulary, after the base model's forward has returned and let go of its locals."""
    t = c.tape
    c.leave_stack()
    if not keeps_logits(c):
        return hidden
    saved = "head" in c.structure.saved or None
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]), saved)
    bias = c.parameter("head.bias", ("vocab",), saved) if c.structure.head_bias else None
    return dense(t, hidden, weight, bias, ("vocab",))


def keeps_logits(c: Context) -> bool:
    """Whether the head makes logits; a loss that takes the hidden states makes its own, in parts."""
    return c.structure.loss in LOGITS_LOSSES


def causal_lm_loss(c: Context, logits: Value) -> Value:
    """ForCausalLMLoss (transformers 5.23 loss/loss_utils.py): float32 logits, log-softmax, negative log-likelihood."""
    t = c.tape
    t.phase = "loss"
    if c.structure.loss != "full":
        return _OTHERS[c.structure.loss](c, logits)
    logits = ops.to(t, logits, "float32", "logits")
    labels = t.allocate(("B", "S"), "int64", "padded labels")
    # labels[..., 1:].contiguous() is a view where there is one sequence
    shift_labels = labels if c.structure.single_sequence else t.allocate(("B", "S"), "int64", "shifted labels")
    loss = cross_entropy(c, logits, shift_labels)
    del labels  # a local of the loss function, alive until it returns
    return loss


def cross_entropy(c: Context, source: Value, target: Value) -> Value:
    """F.cross_entropy: log_softmax saves its result; nll_loss saves the same tensor and the targets."""
    t = c.tape
    if t.autocast:
        source = ops.to(t, source, "float32", "logits")
    dtype = source.dtype

    def softmax_backward(grad: Value, result: Value) -> ops.Grads:
        return (t.allocate(result.shape, dtype, "log-softmax grad"),)

    log_probs = t.op("log-softmax", source.shape, dtype, [source], softmax_backward, save_output=True, kind="loss")

    def nll_backward(grad: Value, log_probs: Value, target: Value, weight: Value) -> ops.Grads:
        return (t.allocate(log_probs.shape, dtype, "nll grad"),)

    total_weight = t.allocate((1,), dtype, "total weight")
    saves, picked = [log_probs, target, total_weight], ((target.shape, dtype),)
    return t.op("loss", (1,), dtype, [log_probs], nll_backward, saves, kind="loss", moved=picked)
