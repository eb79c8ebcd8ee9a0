"""What a model is made of: linears, other tensors and blocks of layers, with exact shapes and the libraries' names.

Pure data: the readers of planner/architecture/families fill it from a config; memory, methods and throughput read
it. The small ones are named tuples, which take a seventh of a dataclass's time to import. Names are those of
``model.named_modules()`` in transformers, so that PEFT's target_modules and bitsandbytes' rules apply to them as they
do there.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Literal, NamedTuple

from planner.switches import DEFAULT, Modeling

LinearClass = Literal["Linear", "Conv1D", "subclass"]
TensorRole = Literal["norm", "embedding", "position", "experts", "router", "conv", "other"]


class Linear(NamedTuple):
    """One linear map ``y = x W^T + b``, W of shape [out_features, in_features].

    name: path inside its block ("self_attn.q_proj"), or from the model's root where it stands outside the blocks.
    cls: "Conv1D" stores W transposed; "subclass" is a subclass of nn.Linear, which bitsandbytes leaves alone
        (transformers 5.23 integrations/bitsandbytes.py converts exact types only).
    quantizable: False where transformers keeps it out of quantization by name (lm_head, T5's wo).
    """

    name: str
    out_features: int
    in_features: int
    bias: bool = False
    cls: LinearClass = "Linear"
    quantizable: bool = True

    @property
    def leaf(self) -> str:
        """The last part of the name: what target_modules matches."""
        return self.name.rpartition(".")[2]

    @property
    def weight_numel(self) -> int:
        return self.out_features * self.in_features

    @property
    def bias_numel(self) -> int:
        return self.out_features if self.bias else 0

    @property
    def numel(self) -> int:
        return self.weight_numel + self.bias_numel


class Tensor(NamedTuple):
    """A parameter outside linears (norm weight, embedding, expert stack, router ...) or a buffer.

    dtype: None for the dtype the model is loaded in; a name where the library fixes it (rotary inv_freq: "float32").
    """

    name: str
    shape: tuple[int, ...]
    role: TensorRole = "other"
    dtype: Literal["float32", "bfloat16", "float16", "int64", "bool", "complex64"] | None = None

    @property
    def numel(self) -> int:
        return prod(self.shape)


class Attention(NamedTuple):
    """How a layer mixes tokens.

    kind: "full" (causal over all tokens), "sliding" (causal over sliding_window tokens), "bidirectional", "cross",
        "mla" (multi-head latent), "linear" (gated delta rule and the like), "mamba".
    qk_norm: norm on queries and keys: "head" over head_dim (qwen3), "whole" over all heads (olmo2).
    fused: projections in one linear: "qkv" (gpt2, phi3, gpt_neox, bloom, falcon ...), "none".
    position: "rope", "alibi", "learned", "relative", "none"; rotary_dim: how much of head_dim is rotated.
    chunk_size: tokens of a chunk of Mamba 2, whose groups of B and C are its keys and queries.
    """

    kind: Literal["full", "sliding", "bidirectional", "cross", "mla", "linear", "mamba"]
    num_heads: int
    num_key_value_heads: int
    head_dim: int
    v_head_dim: int
    sliding_window: int | None = None
    qk_norm: Literal["none", "head", "whole"] = "none"
    fused: Literal["none", "qkv"] = "none"
    position: Literal["rope", "alibi", "learned", "relative", "none"] = "rope"
    rotary_dim: int = 0
    softcap: bool = False
    kv_lora_rank: int = 0
    q_lora_rank: int = 0
    dropout: float = 0.0
    chunk_size: int = 0


class Mlp(NamedTuple):
    """A dense feed-forward part: ``down(act(gate) * up)`` where gated, else ``down(act(up))``."""

    intermediate_size: int
    gated: bool
    activation: str
    fused: bool = False
    dropout: float = 0.0


class Moe(NamedTuple):
    """Mixture of experts: ``num_experts_per_tok`` of ``num_experts`` experts a token, and experts every token takes.

    shared_intermediate_size: width of the always-on expert (0: none).
    looped: experts run one after the other, each on the tokens that chose it (dbrx).
    num_groups, num_chosen_groups: of experts, where a token's experts come from a few groups (deepseek); else 1.
    """

    num_experts: int
    num_experts_per_tok: int
    intermediate_size: int
    gated: bool
    activation: str
    shared_intermediate_size: int = 0
    looped: bool = False
    num_groups: int = 1
    num_chosen_groups: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Identical layers: one entry of the model's ModuleList, and the indices at which it stands.

    prefix: path of the ModuleList ("model.layers"); norm: the family's norm; parallel: attention and MLP read the
    same input (falcon, gpt_neox, phi).
    num_norms: norms over the hidden size that the layer applies (those on queries and keys are not counted);
    norm_order: before the attention and the MLP ("pre"), on their outputs ("post": bert, olmo2) or both (gemma2).
    cross_attention: what an encoder-decoder's decoder layer has besides its self-attention (t5).
    """

    prefix: str
    indices: tuple[int, ...]
    linears: tuple[Linear, ...]
    tensors: tuple[Tensor, ...]
    attention: Attention | None = None
    mlp: Mlp | Moe | None = None
    norm: Literal["rms", "layer"] = "rms"
    parallel: bool = False
    residual_dropout: float = 0.0
    num_norms: int = 2
    norm_order: Literal["pre", "post", "both"] = "pre"
    cross_attention: Attention | None = None

    @property
    def count(self) -> int:
        return len(self.indices)

    @property
    def numel(self) -> int:
        """Parameters of one layer."""
        return sum(x.numel for x in self.linears) + sum(t.numel for t in self.tensors)

    @property
    def reads_earlier_keys(self) -> bool:
        """Queries without keys of their own: the layer attends to an earlier layer's keys and values (gemma4)."""
        leaves = {linear.leaf for linear in self.linears}
        return "q_proj" in leaves and leaves.isdisjoint(("k_proj", "kv_a_proj_with_mqa"))


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole model: blocks of layers, and what stands outside them.

    linears, tensors: parameters outside the blocks (projections, embeddings, final norm); the head is `head`.
    head: the linear that makes logits, None where the model has none. tied: it shares the embedding's storage.
    buffers: tensors that are not parameters but live with the model (rotary frequencies, scales, masks).
    embedding_dropout: dropout on the sum of the embeddings (gpt2's embd_pdrop).
    modeling: the release of transformers that builds it so.
    config: the config this was read from, with the defaults of the model_type filled in.
    """

    model_type: str
    hidden_size: int
    vocab_size: int
    blocks: tuple[Block, ...]
    tensors: tuple[Tensor, ...]
    linears: tuple[Linear, ...] = ()
    head: Linear | None = None
    tied: bool = False
    buffers: tuple[Tensor, ...] = ()
    final_softcap: bool = False
    embedding_dropout: float = 0.0
    modeling: Modeling = DEFAULT.modeling
    config: dict[str, object] = field(default_factory=dict, compare=False, hash=False, repr=False)

    @property
    def num_layers(self) -> int:
        return sum(block.count for block in self.blocks)

    @property
    def num_params(self) -> int:
        """Parameters, tied ones counted once (transformers' ``sum(p.numel() for p in model.parameters())``)."""
        outside = sum(x.numel for x in self.linears) + sum(t.numel for t in self.tensors)
        head = 0 if self.head is None else self.head.bias_numel if self.tied else self.head.numel
        return outside + head + sum(block.count * block.numel for block in self.blocks)
