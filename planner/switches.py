"""What a stack decides and no field of a request says: which kernel a loss is, which layers are quantized."""

from dataclasses import dataclass
from typing import Literal

#: full: ForCausalLMLoss from transformers 4.49 on. full_4_46: as it was from 4.46 on, with one more copy. full_4: the
#: loss inside the models before that. fused_logits, fused_logits_4: the last two with Unsloth's cross-entropy kernel,
#: which keeps the logits and writes their gradient over them. in_place_logits: Unsloth's own use of it, on the head's
#: logits as they are.
#: chunked: LitGPT's. chunked_head: torchtune's. tiled: TRL's fused head. fused: Liger's, and as it was in 2024.
LossPath = Literal[
    "full",
    "full_4_46",
    "full_4",
    "fused_logits",
    "fused_logits_4",
    "in_place_logits",
    "chunked",
    "chunked_head",
    "tiled",
    "fused",
    "fused_2024",
]


#: Whose code the layers run: transformers' for each family, or LitGPT's one for all. litgpt_2023: before Falcon's one
#: key was spread to all heads for training.
LayerCode = Literal["transformers", "litgpt", "litgpt_2023"]
FsdpKind = Literal["flat", "flat_blocks", "per_parameter", "units"]

#: The release of transformers whose modelling code runs, named by the first or the last that has it: up to 5.23, or
#: from 5.24 on. planner/architecture/releases.py and the layer code say what differs.
Modeling = Literal["transformers_5_23", "transformers_5_24"]


@dataclass(frozen=True, slots=True)
class Switches:
    """The switches of a stack, at the values of transformers 5.24 with PEFT and bitsandbytes.

    full_loss, chunked_loss, fused_loss: what `loss` of a request is there.
    quantized_layers: which linears a quantized base has in few bits: all but the head, only those that LoRA adapts,
    or the head too. expert_modules: experts are linears, which bitsandbytes quantizes, not stacks.
    own_modules: the stack has models of its own, of nn.Linear throughout and with a head apart from the embedding.
    holds_4bit_input: a 4-bit product keeps its input for a weight gradient that nobody asks for.
    fused_kernels: norms, rotary embeddings, activations and adapters run in kernels of the stack's own.
    foak: they are those of fms-acceleration-foak, which memory follows (planner/memory/foak.py).
    repeats_keys: flash attention of Mistral and Mixtral gets keys and values of all heads, as before transformers 4.48.
    layer_code: whose layers run. halves_weights: weights are quantized from float16, so products dequantize to that
    first. wide_norms: norms of a 4-bit base are float32 under bf16 autocast where nothing else is upcast.
    keeps_graph: the training loop names its logits until the next forward has returned, and so what the graph holds
    without saving it.
    fsdp: "flat", FullyShardedDataParallel with its flat parameters (FSDP1); "flat_blocks", the same where a block's
    frozen parameters lie in one with its adapters, so that its gradient is as wide as all of them; "per_parameter",
    fully_shard (FSDP2); "units", the same with embeddings and head as units of their own (torchtune's
    custom_sharded_layers).
    modeling: the release of transformers whose models run.
    """

    full_loss: LossPath = "full"
    chunked_loss: LossPath = "chunked"
    fused_loss: LossPath = "fused"
    quantized_layers: Literal["linears", "adapted", "linears_and_head"] = "linears"
    expert_modules: bool = False
    fsdp: FsdpKind = "per_parameter"
    holds_4bit_input: bool = False
    fused_kernels: bool = False
    foak: bool = False
    repeats_keys: bool = False
    own_modules: bool = False
    layer_code: LayerCode = "transformers"
    halves_weights: bool = False
    wide_norms: bool = False
    keeps_graph: bool = False
    modeling: Modeling = "transformers_5_24"

    def loss_path(self, loss: Literal["full", "chunked", "fused"]) -> LossPath:
        """The kernel that `loss` names in this stack."""
        return {"full": self.full_loss, "chunked": self.chunked_loss, "fused": self.fused_loss}[loss]


DEFAULT = Switches()
#: On cards, where no stack is named: what published runs had under FSDP, and the version that needs more.
UNNAMED = Switches(fsdp="flat")
