"""The topics and tours: which method each is about, and the works it rests on.

What a topic shows is declared in the module of its name; its text stands in planner/learn/texts.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """methods: those it is about, the first where the reader's is none of them; empty: any.

    one_card: it derives what one card holds. needs_card: its numbers depend on the card. sources: keys of
    data/references.csv.
    """

    title: str
    question: str
    methods: tuple[str, ...] = ()
    one_card: bool = True
    needs_card: bool = False
    sources: tuple[str, ...] = ()


TOPICS: dict[str, Topic] = {
    "memory": Topic(
        "Where memory goes in one training step",
        "What is on the card during one step, and when is it most?",
        sources=("zero", "checkpointing", "torch-memory"),
    ),
    "states": Topic(
        "Weights, gradients and optimizer states",
        "Why does full fine-tuning need several times the size of the model?",
        methods=("full",),
        sources=("adam", "zero", "torch-adamw", "bnb-optim"),
    ),
    "activations": Topic(
        "Activations and checkpointing",
        "What grows with batch and length, and what does gradient checkpointing buy?",
        sources=("checkpointing", "flash", "torch-derivatives"),
    ),
    "logits": Topic(
        "Logits and large vocabularies",
        "Why can the last layer cost more than all others?",
        sources=("hf-loss", "liger", "cut-cross-entropy"),
    ),
    "lora-maths": Topic(
        "LoRA: two thin matrices for one wide one",
        "What does LoRA train, how much is it, and what does it not save?",
        methods=("lora",),
        sources=("lora", "lora-speedup", "rslora", "peft"),
    ),
    "rank": Topic(
        "Choosing rank and target modules",
        "What do rank and targets cost, and what did others find?",
        methods=("lora", "qlora"),
        sources=("lora", "qlora-all-layers", "biderman", "rslora"),
    ),
    "nf4": Topic(
        "NF4, block constants and double quantization",
        "What does a four-bit weight cost, and which weights stay as they are?",
        methods=("qlora",),
        sources=("qlora-double-quant", "bnb-quant-state"),
    ),
    "dequantization": Topic(
        "Dequantization in forward and backward",
        "How are codes multiplied, and how do gradients get through weights that are never trained?",
        methods=("qlora",),
        sources=("qlora", "bnb-4bit"),
    ),
    "qlora-speed": Topic(
        "Why QLoRA is slower, and by how much",
        "The same products on the same model: why does a QLoRA step take longer?",
        methods=("qlora",),
        needs_card=True,
        sources=("qlora", "bnb-4bit", "peft-casts", "roofline"),
    ),
    "paged": Topic(
        "Paged optimizers",
        "What do paged optimizer states move, when, and how much can that free?",
        sources=("qlora-paging", "bnb-paged", "bnb-optim"),
    ),
    "sharding": Topic(
        "ZeRO and FSDP: one model on several cards",
        "What does each of several cards have to hold?",
        methods=("full",),
        one_card=False,
        sources=("zero", "fsdp"),
    ),
    "cost": Topic(
        "Time and cost of a run",
        "How long does it take, and what does it cost?",
        one_card=False,
        needs_card=True,
        sources=("kaplan", "roofline"),
    ),
    "serving": Topic(
        "Serving many adapters",
        "One base with many adapters, or a model for each task?",
        methods=("lora", "qlora"),
        needs_card=True,
        sources=("slora", "punica", "lora"),
    ),
    "choosing": Topic(
        "When to choose which method",
        "Full fine-tuning, LoRA or QLoRA: what decides?",
        sources=("qlora-mmlu", "biderman", "lora"),
    ),
    "family": Topic(
        "The wider family",
        "What do DoRA, AdaLoRA, (IA)^3 and prompt methods train?",
        methods=("lora",),
        sources=("lora", "dora", "adalora", "ia3", "prompt-tuning", "prefix-tuning", "p-tuning", "peft"),
    ),
    "quality": Topic(
        "What to measure when comparing quality",
        "Does LoRA or QLoRA cost quality, and how would you find out?",
        sources=("lora-wikisql-full", "qlora-mmlu", "biderman"),
    ),
}

TOURS: dict[str, tuple[str, ...]] = {
    "full": ("memory", "states", "activations", "logits"),
    "lora": ("lora-maths", "rank", "choosing"),
    "qlora": ("nf4", "dequantization", "qlora-speed", "paged"),
}
