"""Families without layer code of their own: norms, projections, attention and MLP in the order the block lists them.

Modelled, not mirrored: every linear saves and returns what linears do (adapters and 4-bit weights included), between
them stand the usual steps of a transformer layer. State-space and linear-attention mixers are taken as elementwise
steps of their projections' width. Plans say so in their certainty.
"""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm
from planner.memory.structure import Roles

HIDDEN: Shape = ("hidden",)


def embed(c: Context) -> Value:
    """Token embedding, mask and rotary tables."""
    embeddings = head.token_embedding(c)
    head.causal_mask(c)
    head.rotary_tables(c)
    for name in c.structure.block.roles.beside:
        embeddings = handed_beside(c, embeddings, linear(c, embeddings, name, (f"{name}.out",), HIDDEN))
    return embeddings


def handed_beside(c: Context, embeddings: Value, projected: Value) -> Value:
    """What all layers are given besides the hidden states, a part each, and its gradient in backward."""
    t, shape, dtype = c.tape, projected.shape, projected.dtype
    c.tables.append(projected)

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad), t.allocate(shape, dtype, "gradient beside the hidden states"))

    return t.op("view", embeddings.shape, embeddings.dtype, [embeddings, projected], backward, view=embeddings)


def loss(c: Context, hidden_states: Value) -> Value:
    """Final norm, head, loss."""
    hidden_states = rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    return head.causal_lm_loss(c, head.lm_head(c, hidden_states))


def layer(c: Context, hidden_states: Value) -> Value:
    """Pre-norm attention and MLP with residuals; one norm for both where the block is parallel."""
    t, roles = c.tape, c.structure.block.roles
    if roles.mixer:
        residual = hidden_states
        mixed = mixer(c, rms_norm(c, hidden_states, "input_norm"))
        hidden_states = ops.add(t, residual, mixed, "hidden states")
        del residual, mixed
    if roles.mlp or roles.experts:
        residual = hidden_states
        out = feed_forward(c, rms_norm(c, hidden_states, "mlp_norm"))
        hidden_states = ops.add(t, residual, out, "hidden states")
    for names in roles.mlp[1:]:
        residual = hidden_states
        hidden_states = ops.add(t, residual, bottleneck(c, hidden_states, names), "hidden states")
    return hidden_states


def mixer(c: Context, x: Value) -> Value:
    """Attention, or a recurrent mixer: projections of the input, the mix, the output projection."""
    roles: Roles = c.structure.block.roles
    *inputs, output = roles.mixer
    projected = [project(c, x, name) for name in inputs]
    projected = [own_parameters(c, projected[0]), *projected[1:]]
    if roles.attention:
        query = combine(c, projected, ("B", "heads", "S", "head_dim"), "queries")
        key = combine(c, projected, ("B", "kv_heads", "S", "head_dim"), "keys")
        value = combine(c, projected, ("B", "kv_heads", "S", "v_head_dim"), "values")
        del projected
        mixed, _ = attend(c, query, key, value, c.structure.block.grouped)
    else:
        mixed = combine(
            c, [ops.unary(c.tape, p, "conv and gate") for p in projected], ("B", "S", f"{output}.in"), "scan"
        )
    return project(c, ops.view(c.tape, mixed, ("B", "S", f"{output}.in")), output)


def project(c: Context, x: Value, name: str) -> Value:
    """One linear of the block; its input is adjusted first where it does not read the hidden states."""
    inner: Shape = (f"{name}.in",)
    if name not in c.structure.block.roles.from_hidden and x.shape[2:] != inner:
        x = combine(c, [x], ("B", "S", *inner), f"{name}: input")
    return linear(c, x, name, (f"{name}.out",), inner)


def combine(c: Context, inputs: list[Value], shape: Shape, label: str) -> Value:
    """A new tensor made from `inputs` without saving them (rotary embedding, splits, reshapes with a copy)."""
    t = c.tape
    shapes, dtype = [v.shape for v in inputs], inputs[0].dtype

    def backward(grad: Value) -> ops.Grads:
        return tuple(t.allocate(s, dtype, "projection grad") for s in shapes)

    return t.op(label, shape, dtype, inputs, backward)


def own_parameters(c: Context, x: Value) -> Value:
    """Parameters of the block that are no linears or norms: their gradients are made here."""
    for name in c.structure.block.roles.parameters:
        x = with_parameter(c, x, name)
    return x


def with_parameter(c: Context, x: Value, name: str) -> Value:
    t = c.tape
    weight = own_weight(c, name)
    shape, dtype, trains = weight.shape, weight.dtype, weight.requires_grad

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad), t.allocate(shape, dtype, "parameter grad") if trains else None)

    return t.op("with parameter", x.shape, x.dtype, [x, weight], backward, view=x)


def feed_forward(c: Context, x: Value) -> Value:
    """The dense MLP or the shared expert, and the routed experts."""
    roles = c.structure.block.roles
    if not roles.experts:
        return dense_mlp(c, x)
    routed = experts(c, x)
    return ops.add(c.tape, dense_mlp(c, x), routed, "experts") if roles.mlp else routed


def bottleneck(c: Context, x: Value, names: tuple[str, ...]) -> Value:
    """``project(act(gate(x)) * given)`` and its norm, as Gemma 4's input of each layer's own."""
    t = c.tape
    *inputs, output = names
    for name in inputs:
        x = ops.unary(t, project(c, x, name), "activation")
        x = ops.mul(t, x, t.external(x.shape, x.dtype), "gated")
    return rms_norm(c, project(c, x, output), "bottleneck_norm")


def dense_mlp(c: Context, x: Value) -> Value:
    """``down(act(gate(x)) * up(x))``, or ``down(act(up(x)))``; fused projections are split."""
    t = c.tape
    *inputs, output = c.structure.block.roles.mlp[0]
    projected = [project(c, x, name) for name in inputs]
    inner: Shape = ("B", "S", f"{output}.in")
    gated = c.structure.block.gated
    if not projected:
        return project(c, x, output)
    if gated and len(projected) > 1:
        hidden = ops.mul(t, ops.unary(t, projected[0], "activation"), projected[1], "gated")
    elif gated:
        gate, up = ops.split(t, projected[0], [inner, inner])
        hidden = ops.mul(t, ops.unary(t, gate, "activation"), up, "gated")
    else:
        hidden = ops.unary(t, projected[0], "activation")
    return project(c, hidden, output)


def experts(c: Context, x: Value) -> Value:
    """Routed experts as grouped matrix products over tokens x top_k rows (transformers 5.23 integrations/moe.py)."""
    t, gated = c.tape, c.structure.block.gated
    names = c.structure.block.roles.experts
    rows: Shape = ("B", "S", "top_k")
    routed = combine(c, [x], (*rows, "hidden"), "tokens by expert")
    up = grouped_product(c, routed, names[:1], (*rows, 2 if gated else 1, "intermediate"))
    if gated:
        gate, rest = ops.split(t, up, [(*rows, "intermediate")] * 2)
        hidden = ops.mul(t, ops.unary(t, gate, "expert activation"), rest, "expert gated")
    else:
        hidden = ops.unary(t, up, "expert activation")
    down = grouped_product(c, hidden, names[1:], (*rows, "hidden"))
    weighted = ops.scale(t, down, "weighted experts")
    return combine(c, [weighted], ("B", "S", "hidden"), "expert sum")


def grouped_product(c: Context, x: Value, names: tuple[str, ...], shape: Shape) -> Value:
    """x times each token's expert: saves x where the experts train, and their sum with adapters, which is new."""
    t = c.tape
    weights = [own_weight(c, name) for name in names]
    wanted = [(w.shape, w.dtype) if w.requires_grad else None for w in weights]
    saves = [x] if any(wanted) else []
    saves += [w for w in weights if w.storage is not None]
    before = x.shape

    rows, inner, out, dtype, x_grad = x.shape[:3], x.shape[3:], shape[3:], x.dtype, x.requires_grad
    stack: Shape = ("experts", *out, *inner)

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        given = (grad.shape, grad.dtype)
        if x_grad:
            t.work.product(dtype, (given, (stack, dtype), (before, dtype)), (), rows, inner, out)
        if any(wanted):
            t.work.product(dtype, (given, (before, dtype), (stack, dtype)), (), out, inner, rows)
        grads = [t.allocate(*of, "expert grad") if of else None for of in wanted]
        return (t.allocate(before, grad.dtype, "expert input grad"), *grads)

    products = (((), rows, out, inner),)
    moved = ((before, dtype), (stack, dtype), (shape, dtype))
    return t.op(
        "expert product", shape, dtype, [x, *weights], backward, saves, kind="matmul", products=products, moved=moved
    )


def own_weight(c: Context, name: str) -> Value:
    """A weight that is no linear's; with LoRA the whole sum of it and its update (peft 0.21 ParamWrapper, baddbmm)."""
    t, s = c.tape, c.structure
    shape: Shape = (f"{name}.numel",)
    if name not in s.adapted:
        return c.parameter(name, shape)
    width: Shape = (f"{name}.experts", "r", 2 if name.endswith("gate_up_proj") else 1)
    sides: list[Shape] = [(*width, f"{name}.in"), (f"{name}.out", *width)]
    dtype = s.stack_adapter_dtype
    factors = [c.parameter(f"{name}.lora_{part}", side, True, dtype) for part, side in zip("AB", sides, strict=True)]
    factors = [ops.to(t, factor, s.kept_dtype, "adapter") for factor in factors]

    experts, rank, out, inner = width[:1], width[1:], sides[1][:1], sides[0][3:]
    moved = (*whole(*factors), (shape, s.kept_dtype), (shape, s.kept_dtype))

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        t.work.product(s.kept_dtype, moved, experts, out, rank, inner)
        t.work.product(s.kept_dtype, moved, experts, rank, inner, out)
        return tuple(t.allocate(side, s.kept_dtype, "adapter grad") for side in sides)

    products = ((experts, out, inner, rank),)
    inputs = ("adapted expert weights", shape, s.kept_dtype, factors, backward, factors)
    return t.op(*inputs, kind="matmul", products=products, moved=moved)
