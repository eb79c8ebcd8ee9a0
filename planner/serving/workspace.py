"""What answering needs beside weights and cache: a pass over the prompts, a step of the answers, logits to sample from.

One of these is alive at a time. C sequences, S tokens of each, T tokens of a pass, V vocabulary.
"""

from collections.abc import Sequence

from planner.architecture.blocks import Architecture
from planner.memory.attention_support import has_sdpa
from planner.memory.runtime import CONTEXT_SOURCE, NEEDED_SHARE, context_bytes, cublas_workspace_bytes
from planner.serving.answer import ServingTerm
from planner.serving.cache import LayerState, tokens_kept
from planner.serving.forward import Forward
from planner.serving.request import ServeRequest
from planner.units import ITEMSIZE

_SAMPLE = "transformers 5.23 generation/utils.py _sample: the last token's logits, their copy in float32, softmax"
_UPDATE = "transformers 5.23 cache_utils.py DynamicLayer.update (torch.cat)"
_SLIDING = "transformers 5.23 cache_utils.py DynamicSlidingWindowLayer.update: the window is a view of all"
_SCORES = "C x T x more x heads x (bytes + 4 + 4)"
_EAGER = "transformers 5.23 eager_attention_forward: scores, their copy in float32, softmax"
_MASKED = "transformers 5.23 integrations/sdpa_attention.py use_gqa_in_sdpa: no grouped heads with a mask"


def workspace_terms(request: ServeRequest, states: Sequence[LayerState], forward: Forward) -> list[ServingTerm]:
    """The largest of the moments."""
    moments = [
        _pass_terms(request, states, forward),
        _step_terms(request, states),
        [_sampling(request, forward.architecture)],
    ]
    return max(moments, key=lambda terms: sum(term.bytes for term in terms))


def _pass_terms(request: ServeRequest, states: Sequence[LayerState], forward: Forward) -> list[ServingTerm]:
    """Whole prompts side by side while they are short enough, else parts of one, the last of which sees all of it."""
    sequences, tokens = request.pass_shape
    terms = [
        ServingTerm(f"forward pass: {t.name}", "runtime", t.bytes, t.formula, t.inputs, t.source, "modelled")
        for t in forward.terms(sequences, tokens)
    ]
    if request.engine == "transformers":
        terms += _prompt_of_windows(request, states)
        if tokens < request.max_model_len:
            terms += _later_part(request, states, forward.architecture)
    return terms


def _prompt_of_windows(request: ServeRequest, states: Sequence[LayerState]) -> list[ServingTerm]:
    """A sliding layer's keys and values of the whole pass: until the next one its window is a view of them."""
    sequences, tokens = request.pass_shape
    size, found = ITEMSIZE[request.dtype], []
    for state in states:
        if state.window is None:
            continue
        seen = min(request.max_model_len, state.window - 1 + tokens)
        more = seen - tokens_kept(state, request.max_model_len, request.engine)
        values = {"layers": state.count, "C": sequences, "T": more, "width": state.per_token, "bytes": size}
        num_bytes = state.count * sequences * more * state.per_token * size
        name, formula = "prompt behind the windows", "layers x C x T x width x bytes"
        found.append(_term(name, num_bytes, formula, values, _SLIDING))
    return [term for term in found if term.bytes > 0]


def _later_part(request: ServeRequest, states: Sequence[LayerState], architecture: Architecture) -> list[ServingTerm]:
    """The mask of a prompt's last part, and one layer's keys and values for all heads, as a mask needs them; where a
    model has no sdpa, the scores against the earlier parts, which the first part's own pass does not have."""
    sequences, tokens = request.pass_shape
    length, size = request.max_model_len, ITEMSIZE[request.dtype]
    widest = max((s for s in states if s.window is None), key=lambda s: s.for_all_heads, default=None)
    if widest is None or not widest.per_token:
        return []
    mask = {"C": sequences, "T": tokens, "S": length}
    values = {"C": sequences, "S": length, "width": widest.for_all_heads, "bytes": size}
    num_bytes = sequences * length * widest.for_all_heads * size
    formula = "C x S x width x bytes"
    terms = [
        _term("mask of a part of the prompt", sequences * tokens * length, "C x T x S", mask, _MASKED),
        _term("one layer's keys and values for all heads", num_bytes, formula, values, _MASKED),
    ]
    if not has_sdpa(architecture):
        scores = {"C": sequences, "T": tokens, "more": length - tokens, "heads": widest.num_heads, "bytes": size}
        num_bytes = sequences * tokens * (length - tokens) * widest.num_heads * (size + 8)
        terms.append(_term("scores of the earlier tokens", num_bytes, _SCORES, scores, _EAGER))
    return terms


def _step_terms(request: ServeRequest, states: Sequence[LayerState]) -> list[ServingTerm]:
    """A step of transformers joins old keys and the new one in a new tensor, layer by layer, and makes the heads' keys
    and values of MLA's latents again; vLLM writes into its blocks and reads from them."""
    growing = [state for state in states if state.per_token]
    if request.engine != "transformers" or not growing:
        return []
    size = ITEMSIZE[request.dtype]
    terms = []
    for state in growing:
        tokens, width = tokens_kept(state, request.max_model_len, request.engine), state.keys + state.expanded
        values = {"C": request.max_num_seqs, "T": tokens, "width": width, "bytes": size}
        num_bytes = request.max_num_seqs * tokens * width * size
        terms.append(_term("one layer's keys anew", num_bytes, "C x T x width x bytes", values, _UPDATE))
    return [max(terms, key=lambda term: term.bytes)]


def _sampling(request: ServeRequest, architecture: Architecture) -> ServingTerm:
    size = ITEMSIZE[request.dtype]
    num_bytes = request.max_num_seqs * architecture.vocab_size * (size + 8)
    values = {"C": request.max_num_seqs, "V": architecture.vocab_size, "bytes": size}
    return _term("logits of the next tokens", num_bytes, "C x V x (bytes + 4 + 4)", values, _SAMPLE)


def _term(name: str, num_bytes: int, formula: str, inputs: dict[str, int], source: str) -> ServingTerm:
    return ServingTerm(name, "runtime", num_bytes, formula, dict(inputs), source, "modelled")


def context_terms(compute_capability: float | None) -> list[ServingTerm]:
    """What the process holds whatever it computes."""
    context, workspace = context_bytes(compute_capability), cublas_workspace_bytes(compute_capability)
    source = "torch 2.13 aten/src/ATen/cuda/CublasHandlePool.cpp parseChosenWorkspaceSize"
    return [
        ServingTerm("CUDA context", "runtime", context, "constant", {}, CONTEXT_SOURCE, "fitted"),
        ServingTerm("cuBLAS workspace", "runtime", workspace, "constant", {}, source, "exact"),
    ]


def slack_term(changing_bytes: int) -> ServingTerm:
    """The allocator's rounding and fragmentation, over what comes and goes: weights are laid down once."""
    return ServingTerm(
        "allocator's slack",
        "runtime",
        int(changing_bytes * NEEDED_SHARE),
        "share x bytes",
        {"share": NEEDED_SHARE, "bytes": changing_bytes},
        "planner/memory/runtime.py; bytes: workspace, and a cache that grows",
        "fitted",
    )
