"""What decides the shape of a step's graph, apart from sizes: the key under which a tape is compiled once.

Two requests with the same structure run the same operations on tensors of other sizes.
"""

from dataclasses import dataclass
from typing import Literal

from planner.architecture.blocks import Architecture
from planner.memory.loops import Loop, all_pass_tokens, loop_of
from planner.memory.quantized import QuantMethod
from planner.method_settings import AdapterKind
from planner.methods.saved import Saved
from planner.switches import DEFAULT, LossPath, Modeling

#: Labels of what the model's forward makes for one kind of layer only begin with these.
FULL, SLIDING, RECURRENT = "full attention: ", "sliding attention: ", "recurrent layers: "
#: Gemma 4's linear that makes the inputs of each layer's own.
OWN_INPUTS = "per_layer_model_projection"

AttentionName = Literal["sdpa", "flash_attention_2", "eager"]


@dataclass(frozen=True, slots=True)
class Regime:
    """All that batch and length decide of a structure.

    single_sequence: a batch of one. full_windows: the sliding windows that the sequence fills. loops: of recurrences.
    """

    single_sequence: bool
    full_windows: frozenset[int | None]
    loops: frozenset[Loop] = frozenset()


def regime_of(architecture: Architecture, batch: int, length: int) -> Regime:
    """The regime of one batch and length (planner/grid.py finds cells of arrays that share one)."""
    windows = {b.attention.sliding_window for b in architecture.blocks if b.attention is not None}
    loops = frozenset(loop_of(tokens, length) for tokens in all_pass_tokens(architecture))
    return Regime(batch == 1, frozenset(w for w in windows if w and length >= w), loops)


@dataclass(frozen=True, slots=True)
class Roles:
    """What the linears and other tensors of a block are for, by name, for families without layer code of their own.

    mixer: projections of attention (or of a recurrent mixer), the output projection last; mlp: likewise, and other
    parts that end at the hidden size after it. beside: linears around the layers that read the embeddings.
    from_hidden: linears that read hidden-sized input. experts: stacks of experts, the input side first.
    parameters: tensors that are neither linears, norms nor experts.
    """

    mixer: tuple[str, ...] = ()
    attention: bool = True
    mlp: tuple[tuple[str, ...], ...] = ()
    beside: tuple[str, ...] = ()
    from_hidden: frozenset[str] = frozenset()
    experts: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What a family's layer code branches on, read from the block's attention and MLP.

    mixer: "attention", or "linear" or "mamba" for a recurrence; "none" where the layer only has an MLP.
    grouped: fewer key than query heads. wide_heads: head_dim > 256, which sdpa's grouped kernels do not take.
    uneven_heads: values are not as wide as keys, which the CPU's flash kernel does not take. q_lora: queries come from
    a latent too. keys_are_values: values are the keys before their norm (gemma4).
    partial_rotary: rotary_dim < head_dim. sliding: a layer with a window; full:
    one without (around the layers: whether the model has any such layer).
    norm_top_k: the weights of the chosen experts are made to add up to one.
    float32_router: the router's weight is float32 whatever the model is loaded in.
    expert_groups: experts are in more than one group, and some groups are chosen first.
    looped_experts: how many experts run one after the other, each on the tokens that chose it (dbrx).
    clip_qkv: queries, keys and values are clamped. scaled_queries: by a temperature of each position (llama4).
    dropout flags: that dropout's probability is above zero. biased: names of linears with a bias.
    num_norms, post_norm: norms over the hidden size in a layer, and whether they follow its parts.
    projected_embeddings: the embeddings' width is not the hidden size (opt-350m).
    matmul_linears: the linears are Falcon's subclass, whose forward is a matmul and an addition.
    shares: layers hand more than hidden states on (planner/memory/sharing.py). cross: attention to an encoder's output
    follows; bidirectional: no causal order. position_bias: the layer has a table of position biases.
    own_input: each layer is given a small input of its own; earlier_keys: an earlier layer's keys and values (gemma4).
    norm_bias: LayerNorms have one; conv_bias: the convolution of a recurrence has one.
    """

    mixer: str = "attention"
    grouped: bool = False
    multi_query: bool = False
    wide_heads: bool = False
    uneven_heads: bool = False
    q_lora: bool = False
    keys_are_values: bool = False
    qk_norm: str = "none"
    position: str = "rope"
    partial_rotary: bool = False
    softcap: bool = False
    sliding: bool = False
    full: bool = True
    activation: str = "silu"
    gated: bool = True
    parallel: bool = False
    attention_dropout: bool = False
    residual_dropout: bool = False
    moe: bool = False
    shared_expert: bool = False
    float32_router: bool = False
    norm_top_k: bool = True
    expert_groups: bool = False
    looped_experts: int = 0
    clip_qkv: bool = False
    scaled_queries: bool = False
    biased: frozenset[str] = frozenset()
    num_norms: int = 2
    post_norm: bool = False
    matmul_linears: bool = False
    projected_embeddings: bool = False
    shares: bool = False
    cross: bool = False
    bidirectional: bool = False
    position_bias: bool = False
    own_input: bool = False
    earlier_keys: bool = False
    conv_bias: bool = False
    norm_bias: bool = True
    roles: Roles = Roles()


@dataclass(frozen=True, slots=True)
class Structure:
    """The switches of one taped part (a layer, or the model around its layers).

    family: model_type. adapted: names of the block's linears and expert stacks with LoRA; quantized: of those with
        quantized weights.
    dtype: of the weights as loaded; kept_dtype: of parameters that stay unquantized (float32 after
        prepare_model_for_kbit_training). compute_dtype: of 4-bit matrix products. adapter_dtype: of the adapters of
        quantized linears; stack_adapter_dtype: of those of other linears, experts and routers.
    train_base: full fine-tuning. adapter_dropout: lora_dropout > 0.
    quantization: how the weights of `quantized` are kept.
    mask: "none" (is_causal path) or "padded" (a mask of B x 1 x S x S is passed); window_mask: a sliding-window mask
        is materialised because the sequence is longer than the window.
    autocast: the dtype of autocast, or None. single_sequence: batch of one, where some reshapes need no copy.
    input_requires_grad: a gradient flows to the layer's input; given_requires_grad: to what all layers are given, an
        encoder's output or the inputs of each layer's own.
    loop_passes: of a recurrence over the sequence: one, two, or three for all that are more.
    whole_chunks: the recurrence pads nothing, which matters where tensors are float32 throughout.
    last_of_stack: no later layer uses what this one shares.
    gradients_exist: an earlier micro-step left gradients, so new ones are added and freed.
    tied, head_bias, final_softcap: of the head. embedding_dropout: its probability is above zero.
    holds_4bit_input: 4-bit products keep their input (bitsandbytes before 0.43).
    halves_weights: dequantized weights are float16 before they are cast. keeps_graph: the loop holds the last step's
        graph until the next forward has returned. unspread_key: one key for all heads stays one (LitGPT of 2023).
    wide_norms: norms are float32 where the rest is not.
    saved: what is trained in full beside the adapters. kind: of the adapters. feedforward: linears whose input
        (IA)^3 scales.
    repeats_keys: flash attention gets keys and values of all heads.
    patched: what runs in fms-acceleration's kernels (foak.py PATCHED).
    modeling: the release of transformers whose code runs, for families that changed in little.
    hooked_embeddings: frozen, but enable_input_require_grads makes their output require a gradient.
    """

    family: str
    block: BlockShape
    dtype: str
    kept_dtype: str
    compute_dtype: str
    adapter_dtype: str
    stack_adapter_dtype: str
    train_base: bool
    adapted: frozenset[str]
    quantized: frozenset[str]
    adapter_dropout: bool
    double_quant: bool
    quantization: QuantMethod
    attention: AttentionName
    mask: Literal["none", "padded", "packed"]
    window_mask: bool
    autocast: str | None
    device: Literal["cpu", "cuda"]
    single_sequence: bool
    input_requires_grad: bool
    checkpointing: Literal["none", "non_reentrant", "reentrant"]
    gradients_exist: bool
    loss: LossPath = "full"
    tied: bool = False
    head_bias: bool = False
    final_softcap: bool = False
    embedding_dropout: bool = False
    hooked_embeddings: bool = False
    loop_passes: int = 1
    whole_chunks: bool = False
    given_requires_grad: bool = True
    last_of_stack: bool = False
    saved: frozenset[Saved] = frozenset()
    kind: AdapterKind = "lora"
    feedforward: frozenset[str] = frozenset()
    holds_4bit_input: bool = False
    halves_weights: bool = False
    wide_norms: bool = False
    keeps_graph: bool = False
    unspread_key: bool = False
    patched: frozenset[str] = frozenset()
    repeats_keys: bool = False
    modeling: Modeling = DEFAULT.modeling

    def trains_ranknum(self, name: str) -> bool:
        """AdaLoRA's rank of the linear `name`: see trains_ranknum below."""
        return trains_ranknum(self.device, self.compute_dtype if name in self.quantized else self.kept_dtype)

    def adapter_dtype_of(self, name: str) -> str:
        """Of the adapters of the linear `name`."""
        return self.adapter_dtype if name in self.quantized else self.stack_adapter_dtype


def trains_ranknum(device: str, dtype: str) -> bool:
    """Whether AdaLoRA's rank of a linear of this dtype has a gradient, although PEFT makes it without one.

    Moved to the linear's device and dtype it is a new tensor, which ParameterDict makes a parameter that requires a
    gradient (peft 0.21 tuners_utils.py _move_adapter_to_device_of_base_layer); in float32 on the CPU nothing moves.
    """
    return device == "cuda" or dtype != "float32"
