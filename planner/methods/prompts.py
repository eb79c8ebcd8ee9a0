"""Prompt methods: what they train instead of weights, and the tokens they add.

Source: peft 0.21 tuners/prompt_tuning/model.py, p_tuning/model.py, prefix_tuning/model.py and utils/other.py
_prepare_prompt_learning_config.
"""

from planner.architecture.blocks import Architecture
from planner.errors import RequestError
from planner.schema import PlanRequest

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def prompt_shapes(request: PlanRequest, architecture: Architecture) -> Shapes:
    """Name and shape of every tensor of the prompt encoder, all float32; none for other methods.

    Raises RequestError for models without one attention for all layers, which a prefix needs.
    """
    tokens, hidden = request.prompt_settings.num_virtual_tokens, architecture.hidden_size
    if request.method == "prompt_tuning":
        return (("prompt_encoder.embedding.weight", (tokens, hidden)),)
    if request.method == "prefix_tuning":
        return (("prompt_encoder.embedding.weight", (tokens, architecture.num_layers * 2 * _keys(architecture))),)
    if request.method != "p_tuning":
        return ()
    width = request.prompt_settings.encoder_hidden_size or hidden
    sides = ((width, hidden), (width, width), (hidden, width))
    layers = [
        part
        for at, (out, inner) in enumerate(sides)
        for part in ((f"prompt_encoder.mlp_head.{2 * at}.weight", (out, inner)), (f"mlp_head.{2 * at}.bias", (out,)))
    ]
    return (("prompt_encoder.embedding.weight", (tokens, hidden)), *layers)


def _keys(architecture: Architecture) -> int:
    """Width of a prefix in one layer: the keys of the layers with the widest heads (gemma4's whole attention)."""
    attentions = [block.attention for block in architecture.blocks if block.attention is not None]
    if not attentions or len(attentions) < len(architecture.blocks):
        raise RequestError(
            f"method: 'prefix_tuning' needs attention in every layer of {architecture.model_type}", "method"
        )
    widest = max(attentions, key=lambda attention: attention.head_dim)
    return widest.head_dim * widest.num_key_value_heads
