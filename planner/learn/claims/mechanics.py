"""Claims about how the methods work: shapes, gradients, paging, shared bases."""

from planner.catalog.rows.claim import ClaimRow
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.learn.claims.checked import Checked, Found, agreed
from planner.learn.claims.settings import models_of, request_of, sizes_of
from planner.memory.inventory import Item
from planner.prepare import prepare
from planner.schema import LoraSettings
from planner.serving.estimate import serving
from planner.serving.request import AdapterGroup, ServeRequest
from planner.serving.scenario import ways
from planner.units import GB

Shape = tuple[int, int]
_MODEL = "meta-llama/Llama-2-7b-hf"


def product_shape(left: Shape, right: Shape) -> Shape | None:
    """The shape of a product of matrices; None where they do not multiply."""
    return (left[0], right[1]) if left[1] == right[0] else None


def shapes(row: ClaimRow) -> Checked:
    """The product B A with the stated shapes, for every adapted layer of a model whose layers are not all square."""
    found, agrees = [], []
    for model in models_of(7):
        items = prepare(request_of({"model": model, "method": "lora"}))[1].static.items
        for a, b in zip(_named(items, "lora_A"), _named(items, "lora_B"), strict=True):
            (rank, k), (d, _) = a.shape[-2:], b.shape[-2:]
            stated = product_shape((rank, d), (d, rank))  # B in R^(r x d), A in R^(d x r)
            found.append(Found({"model": model, "layer": a.name}, 0 if stated is None else stated[0]))
            agrees.append(stated == (d, k))
    checked = agreed(found, agrees, "rows of the product")
    items = prepare(request_of({"model": _MODEL, "method": "lora"}))[1].static.items
    b = _named(items, "lora_B")[0]
    checked.facts.put("d", b.shape[0], "count", "architecture: out_features")
    checked.facts.put("r", b.shape[1], "count", "request: lora.r")
    checked.sources = ("lora",)
    return checked


def _named(items: tuple[Item, ...], ending: str) -> list[Item]:
    return [item for item in items if item.name.endswith(ending)]


def what_learns(row: ClaimRow) -> Checked:
    """Parameters that get a gradient in QLoRA, and whether any is not an adapter's A or B."""
    found, agrees = [], []
    for model in models_of(7):
        items = prepare(request_of({"model": model, "method": "qlora"}))[1].static.items
        others = [i for i in items if i.has_gradient and not i.name.endswith(("lora_A", "lora_B"))]
        found.append(Found({"model": model}, sum(i.elements for i in items if i.has_gradient)))
        agrees.append(not others)
    checked = agreed(found, agrees, "parameters with a gradient")
    checked.sources = ("qlora", "bnb-4bit")
    return checked


def paging(row: ClaimRow) -> Checked:
    """Whether the states that can leave the card are as large as the spike of a batch twice as long."""
    found, agrees = [], []
    for model in models_of(7):
        for method in ("full", "qlora"):
            for batch, length in sizes_of(model)[:3]:
                if (batch, length * 2) not in sizes_of(model) and length * 2 > max(s for _, s in sizes_of(model)):
                    continue
                fields = {"model": model, "method": method, "optim": "paged_adamw_32bit", "max_length": length}
                fields |= {"gradient_checkpointing": True}
                spike = estimate(request_of(fields | {"max_length": length * 2})).peak_bytes
                spike -= estimate(request_of(fields)).peak_bytes
                paged = prepare(request_of(fields))[1].static.states.paged
                found.append(
                    Found({"model": model, "method": method, "tokens": f"{batch} x {length:,} tokens"}, paged / GB)
                )
                agrees.append(paged >= spike)
    checked = agreed(found, agrees, "GB that can leave the card")
    checked.sources = ("qlora-paging", "bnb-paged")
    return checked


def shared_base(row: ClaimRow) -> Checked:
    """One base with adapters held against whole models: what each takes on the card, in GB."""
    clients = int(row.part("clients")[0]) if row.parts else _CLIENTS
    found, agrees = [], []
    for model in models_of(7):
        for rank in (8, 64):
            group = AdapterGroup(count=clients, lora=LoraSettings(r=rank))
            request = ServeRequest(model=model, adapters=(group,))
            try:
                shared, whole = ways(request, serving(request))
            except PlannerError:
                continue
            found.append(Found({"model": model, "rank": f"r {rank}"}, shared.weights_bytes / GB))
            agrees.append(shared.weights_bytes < whole.weights_bytes)
    checked = agreed(found, agrees, "GB of weights for all")
    request = ServeRequest(model=_MODEL, adapters=(AdapterGroup(count=clients),))
    shared, whole = ways(request, serving(request))
    checked.facts.put("clients", clients, "count", "the claim, or twenty")
    checked.facts.put("shared", shared.weights_bytes / GB, "quoted_gb", "planner/serving: one base and adapters")
    checked.facts.put("whole", whole.weights_bytes / GB, "quoted_gb", "planner/serving: whole models")
    checked.facts.put("example", _MODEL.rpartition("/")[2], "text", "request: model")
    checked.sources = ("slora", "punica", "lora")
    return checked


#: Adapters where a claim says many.
_CLIENTS = 20
