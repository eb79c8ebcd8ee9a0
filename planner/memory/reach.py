"""What a batch of text reaches of a model: those parts run, and only their parameters get gradients."""

from planner.architecture.blocks import Architecture, Block

#: Words in the names of parts that only images or sounds enter.
_OTHER_SENSES = ("vision", "visual", "audio", "multi_modal_projector")


def executed_blocks(architecture: Architecture) -> tuple[Block, ...]:
    """The blocks that run: all but towers and attention to images, unless there is nothing else."""
    text = tuple(b for b in architecture.blocks if _takes_text(b))
    return text or architecture.blocks


def _takes_text(block: Block) -> bool:
    # MllamaTextModel.forward skips the layers that attend to an image where there is none
    return reads_text(block.prefix) and (block.attention is None or block.attention.kind != "cross")


def reads_text(name: str) -> bool:
    """Whether a part stands on the path of the text, by its name."""
    return not any(word in name for word in _OTHER_SENSES)


def calls_module(linear: str, quantized: bool) -> bool:
    """Whether the forward calls this linear: Mamba's multiplies with the weight of dt_proj, past its adapter.

    A quantized one it has to call (transformers 5.23 JambaMambaMixer.forward).
    """
    return quantized or not linear.endswith(".dt_proj")
