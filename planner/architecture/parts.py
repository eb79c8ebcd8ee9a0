"""Parts from which the readers put models together: norms, projections, rotary buffers, groups of equal layers."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from planner.architecture.blocks import Architecture, Block, Linear, Tensor
from planner.architecture.config import MAX_HEADS, Config

Kind = TypeVar("Kind", bound=Hashable)


class Body(NamedTuple):
    """A model without its head, or a part of one: text decoder, vision tower, projector."""

    blocks: tuple[Block, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    linears: tuple[Linear, ...] = ()
    buffers: tuple[Tensor, ...] = ()


def joined(*bodies: Body) -> Body:
    """The parts of a model as one."""
    return Body(
        tuple(x for body in bodies for x in body.blocks),
        tuple(x for body in bodies for x in body.tensors),
        tuple(x for body in bodies for x in body.linears),
        tuple(x for body in bodies for x in body.buffers),
    )


class Heads(NamedTuple):
    """Widths of an attention layer."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int

    @property
    def q_size(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.kv_heads * self.head_dim


def heads_of(
    c: Config,
    hidden: str = "hidden_size",
    heads: str = "num_attention_heads",
    kv_heads: str | None = "num_key_value_heads",
    head_dim: str | None = "head_dim",
) -> Heads:
    """Read the widths; without a head_dim the hidden size must be a multiple of the heads."""
    num_heads = c.size(heads, MAX_HEADS)
    num_kv = c.optional_size(kv_heads) if kv_heads else None
    if num_kv is not None and num_heads % num_kv:
        c.refuse(kv_heads or heads, f"must divide {heads}={num_heads}")
    dim = c.optional_size(head_dim) if head_dim else None
    return Heads(c.size(hidden), num_heads, num_kv or num_heads, dim or split(c, hidden, heads))


def split(c: Config, whole: str, parts: str) -> int:
    """``whole // parts``, refused where something would be left over."""
    total, count = c.size(whole), c.size(parts)
    if total % count:
        c.refuse(whole, f"must be a multiple of {parts}={count}")
    return total // count


def rms_norm(name: str, size: int) -> tuple[Tensor, ...]:
    return (Tensor(f"{name}.weight", (size,), "norm"),)


def layer_norm(name: str, size: int, bias: bool = True) -> tuple[Tensor, ...]:
    weight = Tensor(f"{name}.weight", (size,), "norm")
    return (weight, Tensor(f"{name}.bias", (size,), "norm")) if bias else (weight,)


def embedding(name: str, rows: int, width: int) -> tuple[Tensor, ...]:
    return (Tensor(f"{name}.weight", (rows, width), "embedding"),)


def positions(name: str, rows: int, width: int) -> tuple[Tensor, ...]:
    return (Tensor(f"{name}.weight", (rows, width), "position"),)


def conv(name: str, shape: tuple[int, ...], bias: bool = False) -> tuple[Tensor, ...]:
    weight = Tensor(f"{name}.weight", shape, "conv")
    return (weight, Tensor(f"{name}.bias", shape[:1], "conv")) if bias else (weight,)


def rotary(root: str, dim: int, kinds: Sequence[str] = ("",)) -> tuple[Tensor, ...]:
    """inv_freq and its copy original_inv_freq, both float32 and half of `dim` long; one pair for each kind of layer."""
    half = ((dim + 1) // 2,)
    names = [f"{root}.{kind}{which}" for kind in kinds for which in ("inv_freq", "original_inv_freq")]
    return tuple(Tensor(name, half, "position", "float32") for name in names)


def projections(prefix: str, sizes: Heads, qkv_bias: bool, out_bias: bool, out: str = "o_proj") -> tuple[Linear, ...]:
    """q_proj, k_proj, v_proj and the output projection."""
    return (
        Linear(f"{prefix}.q_proj", sizes.q_size, sizes.hidden, qkv_bias),
        Linear(f"{prefix}.k_proj", sizes.kv_size, sizes.hidden, qkv_bias),
        Linear(f"{prefix}.v_proj", sizes.kv_size, sizes.hidden, qkv_bias),
        Linear(f"{prefix}.{out}", sizes.hidden, sizes.q_size, out_bias),
    )


def gated_mlp(prefix: str, hidden: int, intermediate: int, bias: bool = False) -> tuple[Linear, ...]:
    """gate_proj, up_proj, down_proj."""
    return (
        Linear(f"{prefix}.gate_proj", intermediate, hidden, bias),
        Linear(f"{prefix}.up_proj", intermediate, hidden, bias),
        Linear(f"{prefix}.down_proj", hidden, intermediate, bias),
    )


def plain_mlp(up: str, down: str, hidden: int, intermediate: int, bias: bool = True) -> tuple[Linear, ...]:
    return (Linear(up, intermediate, hidden, bias), Linear(down, hidden, intermediate, bias))


def grouped(prefix: str, kinds: Sequence[Kind], make: Callable[[Kind], Block]) -> tuple[Block, ...]:
    """One block for each kind of layer, in the order in which the kinds first appear."""
    indices: dict[Kind, list[int]] = {}
    for index, kind in enumerate(kinds):
        indices.setdefault(kind, []).append(index)
    return tuple(replace(make(kind), prefix=prefix, indices=tuple(at)) for kind, at in indices.items())


def with_head(
    c: Config,
    body: Body,
    *,
    hidden: int,
    vocab: int,
    tied: bool,
    head: str = "lm_head",
    head_width: int | None = None,
    head_bias: bool = False,
    softcap: bool = False,
    embedding_dropout: float = 0.0,
) -> Architecture:
    """A language model: the body and the head, which transformers keeps out of quantization."""
    return Architecture(
        model_type=str(c.get("model_type")),
        hidden_size=hidden,
        vocab_size=vocab,
        blocks=body.blocks,
        tensors=body.tensors,
        linears=body.linears,
        head=Linear(head, vocab, head_width or hidden, head_bias, quantizable=False),
        tied=tied,
        buffers=body.buffers,
        final_softcap=softcap,
        embedding_dropout=embedding_dropout,
        config=c.fields,
    )
