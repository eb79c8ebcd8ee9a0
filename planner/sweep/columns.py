"""The columns of a table: name, kind and meaning. Other programs rely on the names and their order."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "date"]


@dataclass(frozen=True, slots=True)
class Column:
    """name: with its unit, where it has one. short: whether it is shown where width is scarce."""

    name: str
    kind: Kind
    what: str
    short: bool = False


COLUMNS = (
    Column("model", "text", "the model's id", short=True),
    Column("method", "text", "full, lora, qlora, ...", short=True),
    Column("gpu", "text", "the card's key in the catalogue", short=True),
    Column("num_gpus", "integer", "cards of all machines together", short=True),
    Column("strategy", "text", "how the cards share: none, ddp, fsdp, ..."),
    Column("max_length", "integer", "tokens of a sequence", short=True),
    Column("per_device_train_batch_size", "integer", "sequences a card and forward pass", short=True),
    Column("verdict", "text", "fits, tight (the 90% band crosses what the card offers), does not fit", short=True),
    Column("gpus_needed", "integer", "the fewest of these cards on which it fits; blank: none of up to 1,024"),
    Column("peak_gib", "number", "tensors live at the peak on one card, GiB"),
    Column("device_gib", "number", "what nvidia-smi shows of one card, GiB"),
    Column("device_low_gib", "number", "lower end of the 90% band on device_gib, GiB"),
    Column("device_high_gib", "number", "upper end of the 90% band on device_gib, GiB"),
    Column("needs_gib", "number", "what must stay on the card: without cache and paged states, GiB", short=True),
    Column("needs_low_gib", "number", "lower end of the 90% band on needs_gib, GiB"),
    Column("needs_high_gib", "number", "upper end of the 90% band on needs_gib: the verdict is about it, GiB"),
    Column("usable_gib", "number", "what a process can allocate on the card, GiB", short=True),
    Column("headroom_gib", "number", "left on the card; negative: missing; paged states are not held against it, GiB"),
    Column("total_params", "integer", "parameters of the model with adapters"),
    Column("trainable_params", "integer", "parameters that are trained"),
    Column("adapter_mib", "number", "the trained weights as saved: the adapter, or the whole model, MiB"),
    Column(
        "step_seconds", "number", "one optimizer step, seconds; blank: it does not fit, or the card's rates are unknown"
    ),
    Column("tokens_per_second", "number", "of all cards together", short=True),
    Column("mfu", "number", "share of the cards' dense 16-bit rate that the method's own operations use"),
    Column("train_hours", "number", "hours for the dataset; blank without one", short=True),
    Column("usd_per_hour", "number", "of all machines together, USD; blank: no price is known", short=True),
    Column("cost_usd", "number", "the whole run, USD", short=True),
    Column("usd_per_million_tokens", "number", "training on a million tokens, USD", short=True),
    Column("price_provider", "text", "who offers the machine"),
    Column("price_instance", "text", "the machine that is priced"),
    Column("price_region", "text", "where"),
    Column("price_kind", "text", "on_demand, spot, reserved, owned"),
    Column("price_date", "date", "day the price was valid; blank: its source has no date"),
    Column("price_source", "text", "where the price was read"),
    Column("price_note", "text", "what to know of the price, or why there is none"),
    Column("refused", "text", "why this combination cannot be; blank: it can"),
)
#: Short headings, where width is scarce.
HEADINGS = {"per_device_train_batch_size": "batch", "max_length": "length", "gradient_checkpointing": "checkpointing"}
BY_NAME = {column.name: column for column in COLUMNS}
