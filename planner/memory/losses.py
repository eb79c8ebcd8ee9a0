"""Losses other than transformers 5's own: in chunks, or in one kernel with the head.

Each stands for one stack's code; planner/switches.py names them, data/stacks.csv says which stack runs which.
"""

from collections.abc import Callable

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.linear_ops import dense
from planner.memory.live import ITEMSIZE, Shape
from planner.memory.modules import Context
from planner.memory.quantized_linear import dequantized
from planner.memory.tape import Tape

#: torchtune's num_output_chunks (torchtune 0.7 modules/loss/cross_entropy_loss.py).
NUM_CHUNKS = 8
TOKENS: Shape = ("B", "S")
VOCAB: Shape = ("vocab",)


def chunked_loss(c: Context, hidden: Value) -> Value:
    """LitGPT's GPT.forward(lm_head_chunk_size) and chunked_cross_entropy.

    Lightning's Fabric hands out what a forward returns in float32 (wrappers.py _FabricModule.forward, convert_output).
    The training loop names this list of logits until the next forward has returned; log-softmax keeps as much again,
    and backward puts the gradients of all chunks in its place before the first of them reaches the head.
    """
    t = c.tape
    t.phase = "forward"
    made = _logits_in_chunks(c, hidden)
    dtype, shape = made.dtype, made.shape
    logits = made.detach() if dtype == "float32" else t.allocate(shape, "float32", "logits")
    c.outputs.append(logits)
    if c.structure.keeps_graph:
        t.carry(logits)
    chunk: Shape = ("chunk", "vocab")

    def backward(grad: Value, place: Value, *rest: Value) -> ops.Grads:
        work = [t.allocate(chunk, "float32", "chunk of the loss") for _ in range(2)]
        t.work.note("loss", dtype, ((shape, "float32"), (shape, dtype)))
        del work
        return (Value(place.storage, shape, dtype),)

    node = t.record([made], backward)
    t.work.note("loss", "float32", whole(logits, Value(None, shape, "float32")))
    del made
    t.phase = "loss"
    # two tensors of half the width: the gradient, in 16 bits, takes the place of one of them
    parts = [t.allocate(shape, dtype, "log-softmax") for _ in range(4 // ITEMSIZE[dtype])]
    loss = t.allocate((1,), "float32", "loss")
    if node is not None:
        loss.requires_grad, loss.node = True, node
        node.saved += [t.pack(part) for part in parts]
    return loss


def _logits_in_chunks(c: Context, hidden: Value) -> Value:
    """lm_head on 128 tokens of each sequence at a time; a quantized one is dequantized for every chunk.

    Autocast casts a frozen head for every chunk, whose backward keeps it: only weights that train are cast once.
    """
    t, s = c.tape, c.structure
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]), "head" in s.saved or None)
    quantized = "head" in s.quantized
    dtype = t.autocast or hidden.dtype
    shape: Shape = (*TOKENS, *VOCAB)
    trains, hidden_grad = weight.requires_grad, hidden.requires_grad
    of_hidden, of_weight = (hidden.shape, hidden.dtype), (weight.shape, weight.dtype)
    inner = hidden.shape[2:]

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        dense_weight = dequantized(c, weight.shape, dtype) if quantized else None
        del dense_weight
        given, out, head = (shape, dtype), None, None
        if hidden_grad:
            t.work.product(dtype, (given, of_weight, of_hidden), (), TOKENS, inner, VOCAB)
            chunks = t.allocate(*of_hidden, "chunks of the hidden states grad")
            out = t.allocate(*of_hidden, "hidden states grad")
            del chunks
        if trains:
            t.work.product(dtype, (given, of_hidden, of_weight), (), VOCAB, inner, TOKENS)
            head = t.allocate(*of_weight, "head grad")
        return (out, head)

    saves = [hidden] if trains else []
    if t.autocast and weight.dtype != t.autocast and not trains:
        saves = [t.allocate(("head_chunks", *weight.shape), t.autocast, "head cast for each chunk")]
    node = t.record([hidden, weight], backward, saves)
    del saves
    if node is not None and quantized and s.holds_4bit_input and s.keeps_graph:
        t.carry(hidden)
    logits = t.allocate(shape, dtype, "logits of the head")
    dense_weight = dequantized(c, weight.shape, dtype) if quantized else None
    del dense_weight
    head_of(t, hidden, weight, dtype)
    if node is not None:
        logits.requires_grad, logits.node = True, node
    return logits


def chunked_head_loss(c: Context, hidden: Value) -> Value:
    """torchtune's LinearCrossEntropyLoss: head and cross-entropy of an eighth of the tokens at a time.

    The float32 log-probabilities of every chunk are saved for backward; no logits outlive their chunk.
    """
    t = c.tape
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]), "head" in c.structure.saved or None)
    rows: Shape = (1, "eighth_tokens", *hidden.shape[2:])
    picked = _picked(c, hidden)
    total: Value | None = None
    for _ in range(NUM_CHUNKS):
        logits = dense(t, ops.narrow(t, picked, rows), weight, None, ("vocab",))
        loss = _cross_entropy(c, logits)
        total = loss if total is None else ops.add(t, total, loss, "loss")
        del logits, loss
    assert total is not None
    return total


def _picked(c: Context, hidden: Value) -> Value:
    """mask_inputs: the scored tokens by their indices."""
    t = c.tape
    flat: Shape = (1, "tokens", *hidden.shape[2:])
    indices = t.allocate(("tokens",), "int64", "indices of scored tokens")

    def backward(grad: Value, indices: Value) -> ops.Grads:
        return (t.allocate(hidden.shape, grad.dtype, "index grad"),)

    return t.op("scored tokens", flat, hidden.dtype, [hidden], backward, [indices])


def _cross_entropy(c: Context, logits: Value) -> Value:
    """F.cross_entropy(logits.float(), reduction="sum"): the float32 copy goes, the log-probabilities stay."""
    t = c.tape

    def softmax_backward(grad: Value, result: Value) -> ops.Grads:
        return (t.allocate(result.shape, result.dtype, "log-softmax grad"),)

    def nll_backward(grad: Value, log_probs: Value) -> ops.Grads:
        return (t.allocate(log_probs.shape, log_probs.dtype, "nll grad"),)

    source = ops.to(t, logits, "float32", "logits")
    log_probs = t.op("log-softmax", source.shape, "float32", [source], softmax_backward, save_output=True, kind="loss")
    picked = ((source.shape[:-1], "float32"),)
    return t.op("loss", (1,), "float32", [log_probs], nll_backward, [log_probs], kind="loss", moved=picked)


def fused_linear_loss(c: Context, hidden: Value) -> Value:
    """Head and loss in one kernel (liger-kernel 0.8 fused_linear_cross_entropy): gradients made in forward, by chunks.

    One chunk of logits in the model's dtype, over which its gradient is written. Sizes of chunks: dims.py.
    """
    return _liger(c, hidden, ("dtype",))


def fused_linear_loss_of_2024(c: Context, hidden: Value) -> Value:
    """The same of liger-kernel 0.3: a float32 copy of each chunk, its cast back and its scaled gradient beside it."""
    return _liger(c, hidden, ("dtype", "dtype", "float32"))


def head_of(t: Tape, hidden: Value, weight: Value, dtype: str) -> None:
    """The products of all chunks that make the logits."""
    moved = (*whole(hidden, weight), ((*TOKENS, *VOCAB), dtype))
    t.work.product(dtype, moved, (), TOKENS, VOCAB, hidden.shape[2:])


def _liger(c: Context, hidden: Value, chunks: tuple[str, ...]) -> Value:
    t = c.tape
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]), "head" in c.structure.saved or None)
    grads = [t.allocate(hidden.shape, hidden.dtype, "hidden states grad")]
    if weight.requires_grad:
        grads.append(t.allocate(weight.shape, weight.dtype, "head grad"))

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        handed: list[Value | None] = [ops.same(value) for value in saved]
        return (handed[0], handed[1] if len(handed) > 1 else None)

    cast = t.allocate(weight.shape, t.autocast, "cast head") if t.autocast and weight.dtype != t.autocast else None
    dtype = t.autocast or hidden.dtype
    shape: Shape = ("liger_tokens", "vocab")
    work = [t.allocate(shape, dtype if name == "dtype" else name, "chunk of logits") for name in chunks]
    head_of(t, hidden, weight, dtype)
    logits = ((*TOKENS, *VOCAB), dtype)
    moved = (logits, logits) * len(chunks)
    if hidden.requires_grad:
        t.work.product(dtype, (logits, *whole(weight, hidden)), (), TOKENS, hidden.shape[2:], VOCAB)
    if weight.requires_grad:
        t.work.product(dtype, (logits, *whole(hidden, weight)), (), VOCAB, hidden.shape[2:], TOKENS)
    loss = t.op("loss", (1,), "float32", [hidden, weight], backward, grads, kind="loss", moved=moved)
    del work, cast
    return loss


def loss_of_transformers_4(c: Context, logits: Value) -> Value:
    """LlamaForCausalLM.forward of transformers 4.44: ``logits.float()`` and a contiguous copy of the shifted logits."""
    return _over_shifted(c, _renamed(c, logits), _cross_entropy)


def loss_of_transformers_4_46(c: Context, logits: Value) -> Value:
    """ForCausalLMLoss of transformers 4.46 to 4.48: the same beside the model's 16-bit logits, which forward names."""
    return _over_shifted(c, ops.to(c.tape, logits, "float32", "logits"), _cross_entropy)


def fused_logits_loss_4(c: Context, logits: Value) -> Value:
    """The loss inside transformers 4's models with FastCrossEntropyLoss in the place of torch's.

    Source: fms-acceleration-foak 0.4 models/llama.py (llama-cross-ent).
    """
    return _over_shifted(c, _renamed(c, logits), _in_place_cross_entropy)


def fused_logits_loss(c: Context, logits: Value) -> Value:
    """FastForCausalLMLoss (fms-acceleration-foak 0.5 kernels/unsloth/cross_entropy_loss.py), from transformers 4.46."""
    return _over_shifted(c, ops.to(c.tape, logits, "float32", "logits"), _in_place_cross_entropy)


def in_place_logits_loss(c: Context, logits: Value) -> Value:
    """fast_cross_entropy_loss on the head's logits in the model's dtype; the labels are shifted, not the logits.

    Source: unsloth 2024.4 and 2026.8 models/llama.py CausalLM_fast_forward. Under autocast the forward's outputs are
    handed out in float32 (accelerate utils/operations.py convert_outputs_to_fp32), logits that nobody reads.
    """
    loss = _in_place_cross_entropy(c, logits, TOKENS)
    if c.tape.autocast:
        handed_out = c.tape.allocate(logits.shape, "float32", "logits handed out")
        del handed_out
    return loss


def _renamed(c: Context, logits: Value) -> Value:
    """``logits = logits.float()`` in the model's forward: the name is taken by the float32 copy."""
    wide = ops.to(c.tape, logits, "float32", "logits")
    if wide is not logits:
        logits.storage = None
    return wide


def _over_shifted(c: Context, wide: Value, cross_entropy: Callable[[Context, Value], Value]) -> Value:
    """The cross-entropy of ``logits[..., :-1, :].contiguous()``; both are locals, alive until the loss is there.

    torch of that time cut along every dimension that an index names, the whole vocabulary too: backward makes zeros of
    the shifted logits before those of all (torch 2.4 ATen/TensorIndexing.h applySlice, where ``:`` ends at the largest
    integer and is equal to no length; torch 2.13 skips it).
    """
    shifted: Shape = ("loss_tokens", "vocab")
    rows = ops.narrow(c.tape, ops.narrow(c.tape, wide, shifted), shifted)
    source = ops.copy(c.tape, rows, shifted, "shifted logits")
    del rows
    return cross_entropy(c, source)


def _in_place_cross_entropy(c: Context, logits: Value, rows: Shape = ("loss_tokens",)) -> Value:
    """Fast_CrossEntropyLoss and the mean over its rows: backward writes the gradient over the logits that it saved.

    Source: unsloth kernels/cross_entropy_loss.py, as fms-acceleration-foak 0.5 carries it. Left out: log-sum-exps of
    parts of a vocabulary over 65,536, four bytes each, gone when forward returns.
    """
    t = c.tape
    labels = t.allocate(rows, "int64", "shifted labels")
    log_sum_exp = t.allocate(rows, "float32", "log-sum-exp")

    def backward(grad: Value, logits: Value, log_sum_exp: Value, labels: Value) -> ops.Grads:
        t.work.note("loss", logits.dtype, whole(logits, logits))
        return (ops.same(logits),)

    saves = [logits, log_sum_exp, labels]
    losses = t.op("losses", rows, "float32", [logits], backward, saves, kind="loss")
    return ops.scale(t, summed(t, losses), "loss")


def summed(t: Tape, x: Value) -> Value:
    """x.sum(): backward expands the gradient, no new tensor."""
    before = x.shape

    def backward(grad: Value) -> ops.Grads:
        return (Value(grad.storage, before, grad.dtype, contiguous=False),)

    return t.op("loss", (1,), x.dtype, [x], backward)
