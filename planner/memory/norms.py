"""RMSNorms that differ from Llama's: where the weight is applied, and in which dtype."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context


def unit_offset_rms_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",)) -> Value:
    """GemmaRMSNorm.forward (also gemma2, gemma3): ``1 + weight`` applied in float32, then the input's dtype."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", width)
    output = _normalized(c, ops.to(t, x, "float32"))
    output = ops.mul(
        t, output, ops.add_constant(t, ops.to(t, weight, "float32"), "1 + weight"), "normalized and scaled"
    )
    output = ops.to(t, output, x.dtype)
    t.scope = before
    return output


def _normalized(c: Context, x: Value) -> Value:
    """GemmaRMSNorm._norm."""
    t = c.tape
    return ops.mul(t, x, ops.rsqrt(t, ops.add_constant(t, ops.mean_last(t, ops.square(t, x)))), "normalized")


def unweighted_rms_norm(c: Context, x: Value) -> Value:
    """Llama4TextL2Norm.forward, and Gemma4RMSNorm.forward without scale: in float32, then the input's dtype."""
    return ops.to(c.tape, _normalized(c, ops.to(c.tape, x, "float32")), x.dtype, "normalized")


def power_rms_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",), scaled: bool = True) -> Value:
    """Gemma4RMSNorm.forward: ``pow(mean of squares, -0.5)`` saves what it is the power of; no weight unless scaled."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    normed_output = _powered(c, ops.to(t, x, "float32"))
    if scaled:
        weight = ops.to(t, c.norm_parameter(f"{name}.weight", width), "float32")
        normed_output = ops.mul(t, normed_output, weight, "normalized and scaled")
        del weight
    out = ops.to(t, normed_output, x.dtype)
    t.scope = before
    return out


def _powered(c: Context, hidden_states: Value) -> Value:
    """Gemma4RMSNorm._norm."""
    t = c.tape
    mean_squared = ops.add_constant(t, ops.mean_last(t, ops.square(t, hidden_states)))
    return ops.mul(t, hidden_states, ops.unary(t, mean_squared, "power"), "normalized")


def early_cast_rms_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",)) -> Value:
    """Llama4TextRMSNorm.forward: back in the input's dtype before the weight is applied."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", width)
    out = ops.mul(t, unweighted_rms_norm(c, x), weight, "normalized and scaled")
    t.scope = before
    return out


def late_cast_rms_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",)) -> Value:
    """Olmo2RMSNorm.forward: the weight applied in float32, then the input's dtype."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", width)
    hidden_states = ops.to(t, x, "float32")
    variance = ops.mean_last(t, ops.square(t, hidden_states), len(width))
    hidden_states = ops.mul(t, hidden_states, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    out = ops.to(t, ops.mul(t, weight, hidden_states, "normalized and scaled", hidden_states.shape), x.dtype)
    t.scope = before
    return out


def t5_layer_norm(c: Context, x: Value, name: str) -> Value:
    """T5LayerNorm.forward: the variance in float32, the weight applied in its own dtype."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", ("hidden",))
    hidden_states = x
    variance = ops.mean_last(t, ops.square(t, ops.to(t, hidden_states, "float32")))
    hidden_states = ops.mul(t, hidden_states, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    hidden_states = ops.to(t, hidden_states, weight.dtype)
    out = ops.mul(t, weight, hidden_states, "normalized and scaled", hidden_states.shape)
    t.scope = before
    return out


def cohere_layer_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",)) -> Value:
    """CohereLayerNorm.forward: float32 throughout; the deviation from the mean is computed twice."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", width)
    hidden_states = ops.to(t, x, "float32")
    mean = ops.mean_last(t, hidden_states)
    variance = ops.mean_last(t, ops.square(t, ops.subtract(t, hidden_states, mean)))
    hidden_states = ops.mul(
        t, ops.subtract(t, hidden_states, mean), ops.rsqrt(t, ops.add_constant(t, variance)), "normalized"
    )
    hidden_states = ops.mul(
        t, ops.to(t, weight, "float32"), hidden_states, "normalized and scaled", hidden_states.shape
    )
    out = ops.to(t, hidden_states, x.dtype)
    t.scope = before
    return out
