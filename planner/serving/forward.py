"""One forward pass over prompts as the tape has it: a layer under no_grad, and what the model holds around it.

The tape of a training step with reentrant checkpointing runs every layer's forward without gradients, which is what a
pass of generate() does. Checked by tests/planner/serving/test_workspace.py against real passes.
"""

from dataclasses import dataclass, field, replace

from planner.answer import Term
from planner.architecture.blocks import Architecture, Attention, Block, Mlp
from planner.memory.inventory import Setup
from planner.memory.layers import activation_certainty
from planner.memory.layout import Layout, evaluate, lay_out
from planner.memory.step import Composition, Step
from planner.memory.structure import Regime, regime_of
from planner.memory.terms import activation_terms
from planner.schema import GradientCheckpointingKwargs, PlanRequest


@dataclass(frozen=True, slots=True)
class Forward:
    """What a pass does not take from batch and length; layouts are kept by regime."""

    request: PlanRequest
    architecture: Architecture
    setup: Setup
    _layouts: dict[Regime, Layout] = field(default_factory=dict, compare=False, repr=False)

    def terms(self, batch: int, length: int) -> list[Term]:
        """Everything live while the layer with the most is at work, weights and cache left out."""
        step = self._step(batch, length)
        entry = step.tape.entries[-1]
        widest = max(step.layers, key=lambda layer: int(layer.forward))
        pieces = (
            (step.model, entry.shared, 1),
            (step.model, entry.inputs_embeds, 1),
            *widest.at_work(widest.forward_at),
        )
        certainty = activation_certainty(self.setup.loss, self.request.method, self.architecture)
        live = Composition("forward", 0, pieces, "none")
        return activation_terms(live, "forward", self.architecture, certainty)

    def _step(self, batch: int, length: int) -> Step:
        key = regime_of(self.architecture, batch, length)
        if key not in self._layouts:
            self._layouts[key] = lay_out(self.request, self.architecture, self.setup, key, False)
        return evaluate(self._layouts[key], self.request, self.architecture, batch, length)


def forward_of(run: PlanRequest, architecture: Architecture, setup: Setup) -> Forward:
    """The pass of a model that was trained by `run`, with its adapters unmerged."""
    no_grad = {
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": GradientCheckpointingKwargs(use_reentrant=True),
    }
    if run.lora is not None:
        no_grad["lora"] = run.lora.model_copy(update={"lora_dropout": 0.0})
    return Forward(run.model_copy(update=no_grad), without_dropout(architecture), setup)


def without_dropout(architecture: Architecture) -> Architecture:
    """The model in eval mode."""
    blocks = tuple(map(_block_without_dropout, architecture.blocks))
    return replace(architecture, blocks=blocks, embedding_dropout=0.0)


def _block_without_dropout(block: Block) -> Block:
    mlp = block.mlp._replace(dropout=0.0) if isinstance(block.mlp, Mlp) else block.mlp
    return replace(
        block,
        attention=_calm(block.attention),
        cross_attention=_calm(block.cross_attention),
        mlp=mlp,
        residual_dropout=0.0,
    )


def _calm(attention: Attention | None) -> Attention | None:
    return None if attention is None else attention._replace(dropout=0.0)
