"""The topics and tours: which method each is about, and the works it rests on.

What a topic shows is declared in the module of its name; its text stands in planner/learn/texts.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """methods: those it is about, the first where the reader's is none of them; empty: any.

    one_card: it derives what one card holds. sources: keys of data/references.csv.
    """

    title: str
    question: str
    methods: tuple[str, ...] = ()
    one_card: bool = True
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
}

TOURS: dict[str, tuple[str, ...]] = {
    "full": ("memory", "states", "activations", "logits"),
}
