"""What a sequence leaves in memory: keys and values a token and layer, windows, latents, states of a fixed size.

C sequences of S tokens. Checked by tests/planner/serving/test_cache.py against transformers' own caches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from planner.architecture.blocks import Architecture, Attention, Block
from planner.errors import RequestError
from planner.serving.request import ServeRequest
from planner.units import ITEMSIZE

#: Tokens of a block of vLLM's cache on CUDA (vLLM config/cache.py DEFAULT_BLOCK_SIZE, commit 002f10e0cf).
VLLM_BLOCK = 16
#: Elements that share a scale and a zero, and tokens that stay in full precision until they are quantized together
#: (transformers 5.23 cache_utils.py QuantizedLayer: q_group_size, residual_length).
GROUP, RESIDUAL = 64, 128

_TRANSFORMERS = "transformers 5.23 cache_utils.py"
_VLLM = "vLLM v1/kv_cache_interface.py at commit 001cabc1be"


@dataclass(frozen=True, slots=True)
class LayerState:
    """What `count` alike layers keep of one sequence.

    keys, values: elements a token, of `heads` heads (num_heads of queries). window: tokens kept at most, None for all.
    of_input: kept of the input of an encoder-decoder. conv, recurrent: elements of a state that does not grow; the
    latter is float32. expanded: elements a token that a step makes of a latent and lets go (MLA). for_all_heads:
    elements a token of keys and values, repeated where heads share them.
    """

    name: str
    count: int
    keys: int = 0
    values: int = 0
    heads: int = 1
    window: int | None = None
    of_input: bool = False
    conv: int = 0
    recurrent: int = 0
    expanded: int = 0
    for_all_heads: int = 0
    num_heads: int = 1

    @property
    def per_token(self) -> int:
        return self.keys + self.values


def layer_states(architecture: Architecture, engine: str) -> tuple[LayerState, ...]:
    """Of each kind of layer that keeps anything.

    Raises RequestError for a model that does not generate.
    """
    counts: dict[LayerState, int] = {}
    for block in architecture.blocks:
        for state in _block_states(block, architecture, engine):
            alike = replace(state, count=0)
            counts[alike] = counts.get(alike, 0) + state.count
    states = tuple(replace(state, count=count) for state, count in counts.items())
    if not states:
        raise RequestError(
            f"model: {architecture.model_type} does not generate text, so that it has no cache: name a language model",
            "model",
        )
    return states


def _block_states(block: Block, architecture: Architecture, engine: str) -> Iterator[LayerState]:
    attention = block.attention
    if attention is None or attention.kind in ("bidirectional", "cross") or block.reads_earlier_keys:
        return
    if attention.kind in ("linear", "mamba"):
        yield _fixed(block, attention)
        return
    yield _growing(block, attention, architecture, engine)
    if block.cross_attention is not None:
        a = block.cross_attention
        keys, values = a.num_key_value_heads * a.head_dim, a.num_key_value_heads * a.v_head_dim
        yield LayerState("cross-attention", block.count, keys, values, a.num_key_value_heads, of_input=True)


def _growing(block: Block, a: Attention, architecture: Architecture, engine: str) -> LayerState:
    """Keys and values, or MLA's latent and its rotary part, which all heads share."""
    if a.kind == "mla":
        rope = _rope_width(block, a)
        expanded = a.num_heads * (a.head_dim + a.head_dim - rope + a.v_head_dim)
        latent = LayerState("latent attention", block.count, a.kv_lora_rank, rope, num_heads=a.num_heads)
        return replace(latent, expanded=expanded, for_all_heads=expanded)
    heads = _kept_heads(a, architecture, engine)
    window = a.sliding_window if a.kind == "sliding" else None
    if architecture.model_type in _WINDOWS_NOT_KEPT and engine == "transformers":
        window = None
    name = "attention" if window is None else f"sliding attention, window {window:,}"
    every = a.num_heads * (a.head_dim + a.v_head_dim)
    return LayerState(
        name,
        block.count,
        heads * a.head_dim,
        heads * a.v_head_dim,
        heads,
        window,
        for_all_heads=every,
        num_heads=a.num_heads,
    )


#: transformers gives these families a cache of all tokens (no sliding_window in their configs).
_WINDOWS_NOT_KEPT = frozenset({"gpt_neo"})


def _kept_heads(a: Attention, architecture: Architecture, engine: str) -> int:
    """Falcon's new architecture repeats keys and values to all heads before transformers keeps them
    (modeling_falcon.py _split_heads)."""
    repeats = architecture.model_type == "falcon" and bool(architecture.config.get("new_decoder_architecture"))
    return a.num_heads if repeats and engine == "transformers" else a.num_key_value_heads


def _rope_width(block: Block, a: Attention) -> int:
    """Outputs of kv_a_proj_with_mqa beside the latent: the part of the key that has positions."""
    joint = next(x for x in block.linears if x.leaf == "kv_a_proj_with_mqa")
    return joint.out_features - a.kv_lora_rank


def _fixed(block: Block, a: Attention) -> LayerState:
    """The inputs that a convolution still needs, and the state of the recurrence.

    Gated delta rule: heads x key width x value width; Mamba 2: heads x head width x state; Mamba 1: inner x state.
    """
    conv = next(t for t in block.tensors if t.role == "conv" and len(t.shape) == 3)
    decay = next(t for t in block.tensors if t.name.endswith("A_log"))
    recurrent = decay.numel if len(decay.shape) == 2 else a.num_heads * a.head_dim * a.v_head_dim
    name = "linear attention" if a.kind == "linear" else "state space"
    return LayerState(name, block.count, conv=conv.numel, recurrent=recurrent)


# -- bytes -----------------------------------------------------------------------------------------------------------


def tokens_kept(state: LayerState, length: int, engine: str) -> int:
    """Tokens of a sequence that such a layer holds between two steps.

    transformers' sliding layers keep window - 1 and the newest token's step makes them window (their storage);
    vLLM's are blocks, one more than the window fills, as it need not begin with a block.
    """
    kept = length if state.window is None else min(length, state.window)
    if engine == "transformers":
        return kept
    blocks = -(-kept // VLLM_BLOCK)
    extra = 1 if state.window is not None and state.window < length else 0
    return (blocks + extra) * VLLM_BLOCK


def sequence_bytes(state: LayerState, length: int, request: ServeRequest) -> int:
    """Bytes that one sequence of this length takes in one such layer."""
    size = ITEMSIZE[request.dtype]
    tokens, elements = tokens_kept(state, length, request.engine), state.per_token
    fixed = state.conv * size + state.recurrent * 4
    kind = request.kv_cache_dtype
    if kind == "auto":
        return fixed + tokens * elements * size
    if kind == "fp8":
        return fixed + tokens * elements
    if request.engine == "vllm":
        return fixed + tokens * (elements + 2 * state.heads * 4)
    residual = min(tokens, RESIDUAL - 1)
    grouped = (tokens - residual) * elements
    return fixed + residual * elements * size + quantized_bytes(grouped, 8 if kind == "int8" else 4, size)


def quantized_bytes(elements: int, bits: int, scale_size: int) -> int:
    """Codes, and a scale and a zero for each group of 64."""
    return -(-elements * bits // 8) + -(-elements // GROUP) * 2 * scale_size


def layer_constants(state: LayerState, request: ServeRequest) -> int:
    """A float32 scale of keys and one of values a layer, which all sequences share (fp8)."""
    return 8 if request.kv_cache_dtype == "fp8" and state.per_token else 0


def cache_bytes(states: tuple[LayerState, ...], request: ServeRequest, num_seqs: int, length: int) -> int:
    """The whole cache."""
    return sum(
        state.count * (num_seqs * sequence_bytes(state, length, request) + layer_constants(state, request))
        for state in states
    )


def check_cache(states: tuple[LayerState, ...], request: ServeRequest) -> None:
    """Refuse caches that the engine does not have.

    transformers' QuantizedCache takes models with full attention in every layer only. Raises RequestError.
    """
    if request.kv_cache_dtype == "auto" or request.engine != "transformers":
        return
    others = [state.name for state in states if state.window is not None or not state.per_token]
    if others:
        raise RequestError(
            f"kv_cache_dtype {request.kv_cache_dtype}: transformers quantizes no cache of a model with {others[0]}: "
            "use auto, or engine vllm with fp8",
            "kv_cache_dtype",
        )


def formula(state: LayerState, request: ServeRequest) -> str:
    """Of one kind of layer, in symbols: C sequences, T tokens kept of each."""
    if not state.per_token:
        return "layers x C x (conv x bytes + recurrent x 4)"
    kind, vllm = request.kv_cache_dtype, request.engine == "vllm"
    if kind == "auto":
        return "layers x C x T x (keys + values) x bytes"
    if kind == "fp8":
        return "layers x (C x T x (keys + values) + 8)"
    if vllm:
        return "layers x C x T x (keys + values + 8 x heads)"
    bits = 8 if kind == "int8" else 4
    return f"layers x C x (keys + values) x (R x bytes + (T - R) x ({bits} / 8 + 2 x bytes / {GROUP}))"


def inputs(state: LayerState, request: ServeRequest) -> dict[str, int | float | str]:
    """The values of the formula's symbols."""
    found: dict[str, int | float | str] = {"layers": state.count, "C": request.max_num_seqs}
    size = ITEMSIZE[request.dtype]
    if not state.per_token:
        return found | {"conv": state.conv, "recurrent": state.recurrent, "bytes": size}
    tokens = tokens_kept(state, request.max_model_len, request.engine)
    found |= {"T": tokens, "keys": state.keys, "values": state.values}
    kind = request.kv_cache_dtype
    if kind == "auto":
        return found | {"bytes": size}
    if kind == "fp8":
        return found
    if request.engine == "vllm":
        return found | {"heads": state.heads}
    return found | {"bytes": size, "R": min(tokens, RESIDUAL - 1)}


def source(state: LayerState, request: ServeRequest, model_type: str) -> str:
    """Where the rule was read."""
    if request.engine == "vllm":
        spec = "MambaSpec" if not state.per_token else "SlidingWindowSpec" if state.window else "FullAttentionSpec"
        return f"{_VLLM} {'MLAAttentionSpec' if state.name == 'latent attention' else spec}"
    if not state.per_token:
        return f"{_TRANSFORMERS} LinearAttentionLayer; models/{model_type}/modeling_{model_type}.py"
    names = {"auto": "DynamicSlidingWindowLayer" if state.window else "DynamicLayer", "fp8": "Fp8QuantizedLayer"}
    return f"{_TRANSFORMERS} {names.get(request.kv_cache_dtype, 'QuantizedLayer')}"
