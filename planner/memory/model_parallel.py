"""Tensor, expert and context parallel: what of a model and of a step one device has.

Tensor parallel with sequence parallel as Korthikanti et al. 2022 (section 4): matrices by columns, then by rows;
between them hidden states are cut along the sequence, so that all activations are divided. Vocabulary-parallel
embedding, head and loss (torch 2.13 distributed/tensor/parallel/loss.py). Experts: whole ones on each device, tokens
in equal parts (balanced routing). Context: each device has its piece of every sequence (torch 2.13
distributed/tensor/experimental/_context_parallel), and the keys and values of all for the layer at work.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import prod

from planner.architecture.blocks import Architecture
from planner.memory.dims import Dims, Number
from planner.memory.inventory import Item
from planner.memory.live import ITEMSIZE, Live
from planner.schema import PlanRequest

#: Symbols that tensor parallel divides.
_SPLIT = ("heads", "kv_heads", "qkv_width", "intermediate", "shared_intermediate", "vocab", "embed_rows")
#: Last parts of the names of linears that are split by rows: they follow another linear and add up over devices.
_BY_ROWS = frozenset(
    ("o_proj", "out_proj", "dense", "down_proj", "c_proj", "fc2", "w2", "dense_4h_to_h", "fc_out", "wo", "o", "out")
)


def device_length(request: PlanRequest, length: Number) -> Number:
    """Tokens of one sequence that a device works on."""
    return (
        length // request.parallelism.context_parallel_size if request.parallelism.context_parallel_size > 1 else length
    )


def device_dims(request: PlanRequest, dims: Dims) -> Dims:
    """The symbols as one device has them."""
    tensor, expert = request.parallelism.tensor_parallel_size, request.parallelism.expert_parallel_size
    own = dict(dims)
    if tensor > 1:
        own |= {name: -(-dims[name] // tensor) for name in _SPLIT if name in dims}
        own |= {name: -(-size // tensor) for name, size in dims.items() if _split_side(name)}
        own["sequence_split"] = tensor
    if expert > 1:
        own |= {n: -(-size // expert) for n, size in dims.items() if n == "experts" or n.endswith(".experts")}
    return own


def keys_and_values(request: PlanRequest, dims: Dims) -> Live:
    """Those of the whole sequence, gathered for the attention of the layer at work (_attention.py, allgather)."""
    if "kv_heads" not in dims:
        return Live()
    size = 2 * ITEMSIZE[request.dtype]
    return Live({("keys and values of all pieces", "workspace", ("B", "S_whole", "kv_heads", "head_dim")): size})


def _split_side(symbol: str) -> bool:
    """Of a linear's two widths by name, the one that is divided."""
    name, _, side = symbol.rpartition(".")
    return bool(name) and side == ("in" if name.rpartition(".")[2] in _BY_ROWS else "out")


def device_items(
    request: PlanRequest, architecture: Architecture, items: Iterable[Item], experts: bool = True
) -> tuple[Item, ...]:
    """The tensors of one device that has its part of every layer: whole experts, columns and rows of matrices.

    experts: False leaves them undivided, for sharding over all data-parallel devices, which divides them as far.
    """
    tensor, expert = request.parallelism.tensor_parallel_size, request.parallelism.expert_parallel_size
    names = _experts(architecture) if expert > 1 and experts else ()
    own = (_cut(item, expert) if names and item.name.startswith(names) else item for item in items)
    return tuple(_columns_or_rows(item, tensor) for item in own) if tensor > 1 else tuple(own)


def _experts(architecture: Architecture) -> tuple[str, ...]:
    return tuple(f"{b.prefix}.*.{t.name}" for b in architecture.blocks for t in b.tensors if t.role == "experts")


def _cut(item: Item, parts: int) -> Item:
    if item.role == "linear_4bit":  # a stack of linears, each expert's its own
        return replace(item, count=-(-item.count // parts))
    numel = -(-item.numel // parts)
    return replace(item, numel=numel, shape=(-(-item.shape[0] // parts), *item.shape[1:]))


def _columns_or_rows(item: Item, parts: int) -> Item:
    """Matrices and the vocabulary are divided; of adapters the side that meets a divided width; norms are whole."""
    *_, module, kind = ("", *item.name.split("."))
    if item.role in ("norm", "buffer"):
        return item
    if kind in ("lora_A", "lora_B"):
        divided = "lora_A" if module in _BY_ROWS else "lora_B"
        return _part(item, parts) if kind == divided else item
    if kind == "bias" and module in _BY_ROWS:
        return item
    return _part(item, parts)


def _part(item: Item, parts: int) -> Item:
    rows, *rest = item.shape
    kept = -(-rows // parts)
    whole = prod(item.shape) == item.numel
    return replace(item, numel=kept * prod(rest) if whole else -(-item.numel // parts), shape=(kept, *rest))


def parallel_notes(request: PlanRequest) -> list[str]:
    """What is modelled of each kind in use."""
    p, notes = request.parallelism, []
    if p.tensor_parallel_size > 1:
        notes.append(
            f"tensor parallel over {p.tensor_parallel_size} with sequence parallel and vocabulary-parallel loss: "
            "all activations are divided"
        )
    if p.pipeline_parallel_size > 1:
        notes.append(
            f"the larger of the first and the last of {p.pipeline_parallel_size} stages (1F1B); "
            "micro-batches are gradient_accumulation_steps"
        )
    if p.expert_parallel_size > 1:
        notes.append(f"experts over {p.expert_parallel_size} devices, with equal numbers of tokens for each")
    if p.context_parallel_size > 1:
        notes.append(
            f"each device has 1 of {p.context_parallel_size} pieces of a sequence, and for the layer at work the keys "
            "and values of all"
        )
    if p.activation_offloading:
        notes.append("what layers save for backward is in the host's memory; the layer at work has its own on the card")
    return notes
