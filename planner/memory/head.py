"""The model around its layers on tape: token embedding, shared tables, head and causal-LM loss."""

from planner.memory import ops
from planner.memory.modules import Context, dense
from planner.memory.tape import Shape, Value

HIDDEN: Shape = ("hidden",)
LOGITS: Shape = ("B", "S", "vocab")


def token_embedding(
    c: Context,
    name: str = "embed_tokens.weight",
    width: Shape = HIDDEN,
    scaled: bool = False,
    rows: str = "vocab",
) -> Value:
    """nn.Embedding: saves the ids (the batch); backward makes a dense gradient of the whole table.

    scaled: the module itself multiplies what it looked up (GemmaTextScaledWordEmbedding). rows: "embed_rows" where the
    table has more than the head has.
    """
    t = c.tape
    weight = c.parameter("head.weight" if c.structure.tied else name, (rows, *width))

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate((rows, *width), weight.dtype, "embedding grad"),)

    out = t.op("embeddings", ("B", "S", *width), weight.dtype, [weight], backward)
    if scaled:
        out = ops.scale(t, out, "scaled embeddings")
    if c.structure.hooked_embeddings:
        out.requires_grad, out.leaf = True, "embeddings"
        c.tables.append(out)
    return out


def rotary_tables(c: Context, dtype: str | None = None) -> None:
    """Position ids and the rotary embedding's cos and sin, made once a forward and shared by all layers."""
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    cos_and_sin(c, dtype)


def cos_and_sin(c: Context, dtype: str | None = None, batched: bool = False) -> None:
    """The rotary embedding's forward; batched: position ids have a row for each sequence."""
    t, dtype = c.tape, dtype or c.hidden_dtype
    shape: Shape = ("B", "S", "rotary_dim") if batched else ("S", "rotary_dim")
    before, t.scope = t.scope, f"{t.scope}rotary_emb: "
    c.tables += [
        t.allocate(shape, dtype, "cos", "activations"),
        t.allocate(shape, dtype, "sin", "activations"),
    ]
    t.scope = before


def causal_mask(c: Context) -> None:
    """The mask of create_causal_mask, where one is materialised: eager always, sdpa when padding is passed."""
    t, s = c.tape, c.structure
    if s.attention == "eager":
        c.forward_only.append(t.allocate(("B", "S", "S"), c.hidden_dtype, "attention mask"))
    elif s.mask == "padded":
        c.forward_only.append(t.allocate(("B", "S", "S"), "bool", "attention mask"))


def lm_head(c: Context, hidden: Value) -> Value:
    """The projection to the vocabulary, after the base model's forward has returned and let go of its locals."""
    t = c.tape
    c.leave_stack()
    if c.structure.loss == "fused":
        return hidden
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]))
    bias = c.parameter("head.bias", ("vocab",)) if c.structure.head_bias else None
    return dense(t, hidden, weight, bias, ("vocab",))


def causal_lm_loss(c: Context, logits: Value) -> Value:
    """ForCausalLMLoss (transformers 5.23 loss/loss_utils.py): float32 logits, log-softmax, negative log-likelihood."""
    t = c.tape
    t.phase = "loss"
    if c.structure.loss == "fused":
        return fused_linear_loss(c, logits)
    if c.structure.loss == "chunked":
        return chunked_loss(c, logits)
    logits = ops.to(t, logits, "float32", "logits")
    labels = t.allocate(("B", "S"), "int64", "padded labels")
    # labels[..., 1:].contiguous() is a view where there is one sequence
    shift_labels = labels if c.structure.single_sequence else t.allocate(("B", "S"), "int64", "shifted labels")
    loss = cross_entropy(c, logits, shift_labels)
    del labels  # a local of the loss function, alive until it returns
    return loss


def chunked_loss(c: Context, logits: Value) -> Value:
    """Cross-entropy chunk by chunk (torchtune's CEWithChunkedOutputLoss, LitGPT's chunked_cross_entropy).

    The logits stay in the model's dtype; float32 copies, log-softmax and its gradient exist for one chunk of tokens.
    """
    t = c.tape
    chunk: Shape = ("chunk", "vocab")

    def backward(grad: Value, saved: Value) -> ops.Grads:
        work = [t.allocate(chunk, "float32", "chunk of the loss") for _ in range(3)]
        out = t.allocate(LOGITS, saved.dtype, "logits grad")
        del work
        return (out,)

    work = [t.allocate(chunk, "float32", "chunk of the loss") for _ in range(2)]
    loss = t.op("loss", (1,), "float32", [logits], backward, [logits])
    del work
    return loss


def fused_linear_loss(c: Context, hidden: Value) -> Value:
    """Head and loss in one kernel (liger-kernel fused_linear_cross_entropy): gradients made in forward, by chunks.

    A chunk holds about as many logits as the hidden states have elements (chunk size: tokens x hidden / vocab,
    rounded up to a power of two), once in the model's dtype and once in float32.
    """
    t = c.tape
    weight = c.parameter("head.weight", ("vocab", "hidden"))
    grads = [t.allocate(hidden.shape, hidden.dtype, "hidden states grad")]
    if weight.requires_grad:
        grads.append(t.allocate(weight.shape, weight.dtype, "head grad"))

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        handed: list[Value | None] = [ops.same(value) for value in saved]
        return (handed[0], handed[1] if len(handed) > 1 else None)

    chunk = [
        t.allocate(hidden.shape, hidden.dtype, "chunk of logits"),
        t.allocate(hidden.shape, "float32", "chunk of logits"),
    ]
    loss = t.op("loss", (1,), "float32", [hidden, weight], backward, grads)
    del chunk
    return loss


def cross_entropy(c: Context, source: Value, target: Value) -> Value:
    """F.cross_entropy: log_softmax saves its result; nll_loss saves the same tensor and the targets."""
    t = c.tape

    def softmax_backward(grad: Value, result: Value) -> ops.Grads:
        return (t.allocate(result.shape, "float32", "log-softmax grad"),)

    log_probs = t.op("log-softmax", source.shape, "float32", [source], softmax_backward, save_output=True)

    def nll_backward(grad: Value, log_probs: Value, target: Value, weight: Value) -> ops.Grads:
        return (t.allocate(log_probs.shape, "float32", "nll grad"),)

    total_weight = t.allocate((1,), "float32", "total weight")
    return t.op("loss", (1,), "float32", [log_probs], nll_backward, [log_probs, target, total_weight])
