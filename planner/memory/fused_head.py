"""TRL's fused LM head: per-token log-probabilities in tiles of the vocabulary, without the logits.

Source: trl 1.16 kernels/chunked_logprob.py (ChunkedLogProbFunction) and trainer/utils.py (add_fused_lm_head), which
SFTTrainer's compute_loss calls. On CUDA Triton folds a tile in place; elsewhere torch operations do, with temporaries.
"""

from planner.memory import ops
from planner.memory.dims import TILE_COLUMNS
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.losses import summed
from planner.memory.modules import Context
from planner.memory.tape import Tape

#: Tokens that are scored: each but the last of a sequence has a next one.
SCORED: Shape = ("loss_tokens",)
BUFFER: Shape = ("tile_tokens", TILE_COLUMNS)
TILE: Shape = ("tile_tokens", "tile_columns")
STATISTICS = 7


def tiled_head_loss(c: Context, hidden: Value) -> Value:
    """_fused_forward and the sum of SFTTrainer.compute_loss over what it returns."""
    t = c.tape
    weight = c.parameter("head.weight", ("vocab", *hidden.shape[2:]), "head" in c.structure.saved or None)
    mask = t.allocate(SCORED, "bool", "label mask")
    scored = _scored(c, hidden)
    labels = t.allocate(SCORED, "int64", "labels")
    log_probs = _log_probs(c, scored, weight, labels)
    per_token = ops.scale(t, log_probs, "log-probabilities")
    del hidden, scored, labels, log_probs
    loss = summed(t, ops.scale(t, per_token, "negative log-probabilities"))
    del mask
    return loss


def _scored(c: Context, hidden: Value) -> Value:
    """hidden_states[:, :-1]: rows picked by a mask on CUDA; elsewhere reshaped, a view of one sequence."""
    t, flat = c.tape, (*SCORED, *hidden.shape[2:])
    hidden = ops.narrow(t, hidden, flat)
    if c.structure.device == "cpu":
        return ops.view(t, hidden, flat) if c.structure.single_sequence else ops.copy(t, hidden, flat, "scored tokens")
    indices = t.allocate(SCORED, "int64", "indices of scored tokens")

    def backward(grad: Value, indices: Value) -> ops.Grads:
        return (t.allocate(flat, grad.dtype, "index grad"),)

    return t.op("scored tokens", flat, hidden.dtype, [hidden], backward, [indices])


def _log_probs(c: Context, hidden: Value, weight: Value, labels: Value) -> Value:
    """ChunkedLogProbFunction.forward."""
    t = c.tape
    compute = t.autocast or hidden.dtype
    statistics = [t.allocate(SCORED, "float32", "running statistics") for _ in range(STATISTICS)]
    buffer = t.allocate(BUFFER, compute, "tile of logits")
    rows = _cast(t, hidden, ("tile_tokens", *hidden.shape[1:]), compute)
    columns = _cast(t, weight, ("tile_columns", *hidden.shape[1:]), compute)
    del columns  # a temporary of the product
    if c.structure.device == "cpu":
        _fold_forward(t)
    log_z = t.allocate(SCORED, "float32", "log-sum-exp")
    entropy = t.allocate(SCORED, "float32", "entropy")
    _note_logits(t, hidden, weight, compute)
    node = t.record([hidden, weight], _backward(c, hidden, weight, compute), [hidden, labels, log_z, entropy])
    out = t.allocate(SCORED, "float32", "log-probabilities")
    if node is not None:
        out.requires_grad, out.node = True, node
    del statistics, buffer, rows
    return out


def _backward(c: Context, hidden: Value, weight: Value, compute: str) -> ops.BackwardFunction:
    """ChunkedLogProbFunction.backward: sums in float32, the gradient of each tile written over it."""
    t, wanted = c.tape, (hidden.requires_grad, weight.requires_grad)
    shapes, dtypes = (hidden.shape, weight.shape), (hidden.dtype, weight.dtype)
    rows_shape: Shape = ("tile_tokens", *hidden.shape[1:])
    columns_shape: Shape = ("tile_columns", *hidden.shape[1:])

    def backward(grad: Value, hidden: Value, *saved: Value) -> ops.Grads:
        sums = [
            t.allocate(s, "float32", "float32 sum of gradients") if w else None
            for s, w in zip(shapes, wanted, strict=True)
        ]
        buffer = t.allocate(BUFFER, compute, "tile of logits")
        _note_logits(t, hidden, Value(None, shapes[1], dtypes[1]), compute)
        _note_gradients(t, shapes, wanted, compute)
        rows = _cast(t, hidden, rows_shape, compute)
        columns = _cast(t, Value(None, columns_shape, dtypes[1]), columns_shape, compute)
        if c.structure.device == "cpu":
            _fold_backward(t)
            _products(t, rows_shape, columns_shape, wanted)
        elif compute == "float32":
            pass  # addmm_ reads float32 operands as they are
        del buffer, rows, columns
        grads: list[Value | None] = []
        for at, (total, dtype) in enumerate(zip(sums, dtypes, strict=True)):
            grads.append(None if total is None else ops.to(t, total, dtype))
            del total
            del at
        return (grads[0], grads[1])

    return backward


def _note_logits(t: Tape, hidden: Value, weight: Value, dtype: str) -> None:
    """All tiles of logits, and their loss; backward makes them again."""
    logits = ((*SCORED, "vocab"), dtype)
    t.work.product(dtype, (*whole(hidden, weight), logits), (), SCORED, ("vocab",), hidden.shape[1:])
    t.work.note("loss", dtype, (logits, logits))


def _note_gradients(t: Tape, shapes: tuple[Shape, Shape], wanted: tuple[bool, bool], dtype: str) -> None:
    """The products of all tiles with the gradient of their logits."""
    hidden, weight = shapes
    moved = (((*SCORED, "vocab"), dtype), (hidden, dtype), (weight, dtype))
    if wanted[0]:
        t.work.product(dtype, moved, (), SCORED, hidden[1:], ("vocab",))
    if wanted[1]:
        t.work.product(dtype, moved, (), ("vocab",), hidden[1:], SCORED)


def _products(t: Tape, rows: Shape, columns: Shape, wanted: tuple[bool, bool]) -> None:
    """_addmm_fp32 off CUDA: float32 copies of both operands of each product."""
    for operand, needed in zip((columns, rows), wanted, strict=True):
        if needed:
            pair = [t.allocate(TILE, "float32", "tile of logits"), t.allocate(operand, "float32", "operand")]
            del pair


def _cast(t: Tape, x: Value, shape: Shape, dtype: str) -> Value:
    """A slice of x in `dtype`: a view, or a copy where that is another one."""
    if x.dtype == dtype:
        return Value(x.storage, shape, dtype)
    return t.allocate(shape, dtype, "cast slice")


def _tiles(t: Tape, count: int, dtype: str = "float32") -> list[Value]:
    return [t.allocate(TILE, dtype, "tile of the loss") for _ in range(count)]


def _fold_forward(t: Tape) -> None:
    """_forward_tile: z, z - max and its exponential, beside a bool; no moment holds more."""
    before_target = _tiles(t, 1, "bool")
    z, difference, exponential = _tiles(t, 3)
    del before_target, z, difference, exponential


def _fold_backward(t: Tape) -> None:
    """_backward_tile: y, z, log_p, p, grad, and of `grad += g * (is_target.float() - p)` two more, beside a bool."""
    is_target = _tiles(t, 1, "bool")
    held = _tiles(t, 7)
    del is_target, held
