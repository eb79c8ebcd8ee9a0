"""How a run is spread over several devices: the section of the request, and which settings go together.

Refused is what no library does, each with the field that has to change. Rules that need the model's sizes are in
planner/parallel/check.py.
"""

from collections.abc import Callable
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Strategy = Literal["none", "ddp", "zero1", "zero2", "zero3", "fsdp", "hsdp", "device_map"]
MAX_SIZE = 2**17
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]

DEEPSPEED = ("zero1", "zero2", "zero3")
FULLY_SHARDED = ("fsdp", "hsdp")


class ParallelismSettings(BaseModel):
    """How a run is spread over several devices."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    strategy: Strategy = Field(
        "none",
        description="how data-parallel devices share: ddp (a copy on each), zero1, zero2, zero3 (DeepSpeed), "
        "fsdp (all sharded), hsdp (sharded within a node, copied across nodes); or device_map: no data parallelism, "
        "layers on cards in a row that work one after another (transformers' device_map='auto')",
    )
    tensor_parallel_size: Size = Field(1, description="devices over which each layer's matrices are split")
    pipeline_parallel_size: Size = Field(1, description="devices in a row, each with a share of the layers")
    context_parallel_size: Size = Field(1, description="devices over which each sequence is split")
    expert_parallel_size: Size = Field(1, description="devices over which the experts of a layer are split")
    offload_optimizer: bool = Field(False, description="keep optimizer states in the host's memory")
    offload_params: bool = Field(False, description="keep sharded parameters in the host's memory")
    activation_offloading: bool = Field(
        False, description="keep what the layers save for backward in the host's memory"
    )
    overlap_comm: bool = Field(
        True, description="exchange between devices, and copies of activations to the host, run beside the computation"
    )

    @property
    def model_parallel_size(self) -> int:
        """Devices that hold one copy of the model between them, without data parallelism."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.context_parallel_size


class Spread(Protocol):
    """What the rules read of a request."""

    @property
    def method(self) -> str: ...
    @property
    def optim(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def padding(self) -> str: ...
    @property
    def attn_implementation(self) -> str: ...
    @property
    def max_length(self) -> int: ...
    @property
    def num_gpus(self) -> int: ...
    @property
    def num_nodes(self) -> int: ...
    @property
    def parallelism(self) -> ParallelismSettings: ...


def data_parallel_size(request: Spread) -> int:
    """Devices that work on batches of their own: num_gpus over the sizes of tensor, pipeline and context.

    With device_map all of them work on the same batch.
    """
    if request.parallelism.strategy == "device_map":
        return 1
    return request.num_gpus // request.parallelism.model_parallel_size


#: Cards of one machine where num_nodes is left open: what vendors' own servers and clouds' largest machines hold.
CARDS_A_NODE = 8


def fewest_nodes(num_gpus: int) -> int:
    """The fewest machines of equal size, of at most CARDS_A_NODE cards each, that these cards stand in."""
    return next(n for n in range(-(-num_gpus // CARDS_A_NODE), num_gpus + 1) if num_gpus % n == 0)


def broken_rule(request: Spread) -> str | None:
    """The first rule that the request breaks, as one line that begins with its field; None where all hold."""
    return next((line for rule in _RULES if (line := rule(request)) is not None), None)


def _nodes(request: Spread) -> str | None:
    gpus, nodes = request.num_gpus, request.num_nodes
    if gpus % nodes:
        return (
            f"num_nodes: {nodes} with num_gpus {gpus}: num_gpus counts the cards of all nodes and must be a multiple "
            f"of num_nodes: use num_gpus {-(-gpus // nodes) * nodes}, or fewer nodes"
        )
    return None


def _product(request: Spread) -> str | None:
    p = request.parallelism
    sizes = {
        "tensor_parallel_size": p.tensor_parallel_size,
        "pipeline_parallel_size": p.pipeline_parallel_size,
        "context_parallel_size": p.context_parallel_size,
    }
    if request.num_gpus % p.model_parallel_size:
        product = " x ".join(f"{name} {size}" for name, size in sizes.items() if size > 1)
        return (
            f"num_gpus: {request.num_gpus} with {product}: it must be a multiple of {p.model_parallel_size}, "
            "the devices that hold one copy of the model"
        )
    if request.num_gpus // p.pipeline_parallel_size % p.expert_parallel_size:
        return (
            f"parallelism.expert_parallel_size: {p.expert_parallel_size} does not divide the "
            f"{request.num_gpus // p.pipeline_parallel_size} devices that hold a layer"
        )
    return None


def _strategy(request: Spread) -> str | None:
    strategy, data = request.parallelism.strategy, data_parallel_size(request)
    if strategy == "none" and data > 1:
        return (
            f"num_gpus: {request.num_gpus} with parallelism.strategy 'none': name a strategy for the {data} "
            "data-parallel devices: ddp, zero1, zero2, zero3, fsdp or hsdp; or device_map, which splits layers"
        )
    # FSDP also shards over the devices that split a sequence (accelerate 1.15 ParallelismConfig.fsdp_dim_names)
    shared = data * (request.parallelism.context_parallel_size if strategy == "fsdp" else 1)
    if strategy in ("ddp", *FULLY_SHARDED) and shared == 1:
        return (
            f"parallelism.strategy: {strategy!r} with one data-parallel device (num_gpus {request.num_gpus}): it "
            + ("needs at least two; DeepSpeed's zero1, zero2 and zero3 also run on one")
        )
    return None


def _hybrid(request: Spread) -> str | None:
    if request.parallelism.strategy != "hsdp":
        return None
    shards, rest = divmod(data_parallel_size(request), request.num_nodes)
    if request.num_nodes == 1 or rest or shards == 1:
        return (
            f"parallelism.strategy: 'hsdp' shards within each node and copies across nodes: it needs num_nodes of at "
            f"least 2 and at least two data-parallel devices in each (given: num_nodes {request.num_nodes}, "
            f"{data_parallel_size(request)} data-parallel devices)"
        )
    return None


def _device_map(request: Spread) -> str | None:
    p = request.parallelism
    if p.strategy != "device_map":
        return None
    if request.num_gpus == 1 or request.num_nodes > 1 or request.device != "cuda":
        return (
            f"parallelism.strategy: 'device_map' with num_gpus {request.num_gpus}, num_nodes {request.num_nodes} and "
            f"device {request.device!r}: it puts layers on at least two cards of one machine"
        )
    if p.model_parallel_size * p.expert_parallel_size > 1:
        return "parallelism.strategy: 'device_map' divides by layers alone: leave the other sizes at 1, or use fsdp"
    return None


def _deepspeed(request: Spread) -> str | None:
    p = request.parallelism
    if p.strategy in ("zero2", "zero3") and p.pipeline_parallel_size > 1:
        return (
            f"parallelism.pipeline_parallel_size: {p.pipeline_parallel_size} with {p.strategy!r}: DeepSpeed's pipeline "
            "refuses ZeRO-2 and ZeRO-3 (runtime/pipe/engine.py): use zero1, ddp or fsdp"
        )
    if p.strategy in DEEPSPEED and p.context_parallel_size > 1:
        return (
            f"parallelism.context_parallel_size: {p.context_parallel_size} with {p.strategy!r}: accelerate splits "
            "sequences with FSDP only: use fsdp or hsdp"
        )
    if p.strategy in DEEPSPEED and p.expert_parallel_size > 1 and p.tensor_parallel_size > 1:
        return (
            f"parallelism.expert_parallel_size: {p.expert_parallel_size} with tensor_parallel_size and "
            f"{p.strategy!r}: DeepSpeed's AutoEP does not go with tensor parallelism: use fsdp, or one of the two"
        )
    return None


def _offload(request: Spread) -> str | None:
    p = request.parallelism
    named = [n for n in ("offload_optimizer", "offload_params", "activation_offloading") if getattr(p, n)]
    if named and request.device == "cpu":
        return f"parallelism.{named[0]}: true with device 'cpu': there is no other memory to offload to"
    if p.offload_params and p.strategy not in ("zero3", *FULLY_SHARDED):
        return (
            f"parallelism.offload_params: true with strategy {p.strategy!r}: only sharded parameters can be offloaded: "
            "use zero3, fsdp or hsdp"
        )
    if p.offload_optimizer and p.strategy in FULLY_SHARDED and not p.offload_params:
        return (
            f"parallelism.offload_optimizer: true with {p.strategy!r} and offload_params false: FSDP offloads "
            "parameters, gradients and states together: set offload_params"
        )
    if (p.offload_optimizer or p.offload_params) and not request.optim.startswith(("adamw_torch", "sgd", "adafactor")):
        return f"optim: {request.optim!r} with offload: bitsandbytes' optimizers run on the card: use adamw_torch"
    return None


def _tensor_and_context(request: Spread) -> str | None:
    p = request.parallelism
    if p.tensor_parallel_size > 1 and request.method == "qlora":
        return (
            f"parallelism.tensor_parallel_size: {p.tensor_parallel_size} with method 'qlora': bitsandbytes' packed "
            "weights cannot be split by rows or columns: use lora, or fsdp"
        )
    size = p.context_parallel_size
    if size == 1:
        return None
    if request.max_length % (2 * size):
        return (
            f"max_length: {request.max_length} with context_parallel_size {size}: each sequence is cut into "
            f"{2 * size} equal pieces, so it must be a multiple of {2 * size}"
        )
    if request.attn_implementation == "eager" or request.padding == "padded":
        return (
            f"parallelism.context_parallel_size: {size} needs attn_implementation sdpa or flash_attention_2 and no "
            "mask (padding none or packed): torch's context_parallel replaces sdpa's causal path"
        )
    return None


_RULES: tuple[Callable[[Spread], str | None], ...] = (
    _nodes,
    _product,
    _strategy,
    _hybrid,
    _device_map,
    _deepspeed,
    _offload,
    _tensor_and_context,
)
