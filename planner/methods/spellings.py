"""Other names of the same modules: what target_modules of another library means in a model as transformers has it.

Qwen 1's remote code, LitGPT and torchtune name projections in their own way; GPT-NeoX, Falcon and others keep q, k
and v in one linear, to which LitGPT's q and v belong. Taken only where a list matches nothing and no stack is named
that would refuse it.
"""

from planner.architecture.blocks import Architecture
from planner.methods.targets import named_linears
from planner.schema import LoraSettings

EMBEDDING_NAMES = ("embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings")
HEAD_NAMES = ("lm_head", "embed_out", "output")

_QKV = ("q_proj", "k_proj", "v_proj")
#: A name, and the leaves it may mean, the first group of which the model has all.
_MEANINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "q": (("q_proj",),),
    "k": (("k_proj",),),
    "v": (("v_proj",),),
    "o": (("o_proj",),),
    "output_proj": (("o_proj",),),
    "gate": (("gate_proj",),),
    "up": (("up_proj",),),
    "down": (("down_proj",),),
    "c_attn": (_QKV,),
    "c_proj": (("o_proj", "down_proj"),),
    "w1": (("gate_proj",),),
    "w2": (("up_proj",), ("down_proj",)),
    "w3": (("up_proj",),),
    "o_proj": (("dense",), ("out_proj",)),
    **dict.fromkeys(_QKV, (("query_key_value",), ("qkv_proj",), ("c_attn",), ("Wqkv",))),
}
#: Names that mean something else where these stand beside them: Llama's w1, w2, w3 are gate, down and up.
_LLAMA = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


def in_this_models_words(architecture: Architecture, lora: LoraSettings) -> LoraSettings:
    """The settings with target_modules as this model names them; unchanged where one of them matches, or none means
    anything here."""
    targets = lora.target_modules
    if isinstance(targets, str):
        return lora
    leaves = {linear.leaf for _, linear in named_linears(architecture)}
    if leaves.intersection(target.rpartition(".")[2] for target in targets):
        return lora
    found: list[str] = []
    for target in targets:
        llama = _LLAMA.get(target) if "w3" in targets else None
        groups = ((llama,),) if llama else _MEANINGS.get(target, ())
        found += next((group for group in groups if leaves.issuperset(group)), ())
    return lora.model_copy(update={"target_modules": tuple(dict.fromkeys(found))}) if found else lora
