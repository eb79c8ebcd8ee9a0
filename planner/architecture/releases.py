"""A model as an earlier release of transformers builds it: read_architecture gives it as the newest one does.

transformers 5.24 against 5.23: routers of DeepSeek, GLM-4.5 and Nemotron-H and the biases beside them are made in
float32 (models/{deepseek_v2, deepseek_v3, glm4_moe, nemotron_h}, TopkRouter.__init__ and
_keep_in_fp32_modules_strict); GPT-J has one table of sines and cosines, not one a layer (models/gptj).
"""

from dataclasses import replace
from functools import lru_cache

from planner.architecture.blocks import Architecture, Block, Tensor
from planner.identity import Same
from planner.switches import Modeling

#: Families whose correction biases were float32 in 5.23 too.
_FLOAT32_BIASES = ("glm4_moe",)


def as_of(architecture: Architecture, modeling: Modeling) -> Architecture:
    """The architecture in that release; one and the same object for an architecture and a release."""
    return architecture if architecture.modeling == modeling else _as_of(Same(architecture), modeling)


@lru_cache(maxsize=256)
def _as_of(its_architecture: Same[Architecture], modeling: Modeling) -> Architecture:
    architecture = its_architecture.of
    kept = architecture.model_type in _FLOAT32_BIASES
    buffers = [t if kept else _as_loaded(t) for t in architecture.buffers]
    if architecture.model_type == "gptj":
        buffers = [_of_layer(t, i) for t in buffers for i in range(architecture.num_layers)]
    blocks = tuple(map(_block, architecture.blocks))
    return replace(architecture, blocks=blocks, buffers=tuple(buffers), modeling=modeling)


def _block(block: Block) -> Block:
    return replace(block, tensors=tuple(map(_as_loaded, block.tensors)))


def _as_loaded(tensor: Tensor) -> Tensor:
    """A tensor of a router in the dtype the model is loaded in."""
    return tensor._replace(dtype=None) if tensor.role == "router" else tensor


def _of_layer(table: Tensor, index: int) -> Tensor:
    return table._replace(name=table.name.replace(".rotary_emb.", f".h.{index}.attn."))
