"""Derives data/allocator.csv: replays of random requests through the allocator's rules, and the sums fitted to them.

python -m benchmarks.allocator replay FILE.jsonl SECONDS SEED [WORD ...]   # adds replays to a file
python -m benchmarks.allocator fit FILE.jsonl ... [--write]

WORDs: only requests whose kind has all of these (flat, full, reentrant ...). --write: a kind that is kept from more
replays stays as it is; after a change of the tapes that moves lifetimes, begin with no rows.
"""

import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.catalog import list_models
from planner.catalog.allocator import Kind, list_allocator_rows, write_allocator_rows
from planner.catalog.rows.allocator import ANY, COEFFICIENTS, AllocatorRow
from planner.errors import PlannerError
from planner.estimate import compute_memory
from planner.memory.allocator import CachingAllocator
from planner.memory.dims import Number
from planner.memory.loading import load_units
from planner.memory.replay import replay
from planner.memory.reserved import Blocks, blocks_for, blocks_of, kind_of
from planner.prepare import prepare
from planner.schema import parse_request

SOURCE = "replays of torch 2.13 CUDACachingAllocator's rules (planner/memory/replay.py)"
#: Models of which more than half of the requests are.
USUAL = ("llama-3.1-8b", "llama-3.2-1b", "Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen3-4B", "google/gemma-2-2b")
USUAL += ("mistralai/Mistral-7B-v0.1", "google/gemma-2b", "microsoft/Phi-3.5-mini-instruct", "llama-2-7b")
USUAL += ("llama-2-13b",)
USUAL += ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama-3.3-70b", "mistralai/Mixtral-8x7B-v0.1", "tiiuae/falcon-7b")
USUAL += ("llama-2-13b", "EleutherAI/pythia-1.4b", "ibm/PowerLM-3b", "facebook/opt-1.3b", "Qwen/Qwen3-30B-A3B")
STACKS = ("transformers", "transformers@4.45", "transformers@4.46", "trl@1.16", "torchtune@0.4", "litgpt@0.4")
STACKS += ("fms-acceleration@0.4", "unsloth", "axolotl")
#: Stacks whose FSDP has flat parameters.
FLAT_STACKS = ("transformers@4.45", "transformers@4.46", "fms-acceleration@0.4", "fms-acceleration@0.5", "litgpt@0.4")
#: What no card has: such requests are left out.
MAX_PEAK_BYTES = 300 * 10**9
#: A replay counts where it follows the plan: its peak of allocated bytes is the plan's.
MAX_PEAK_ERROR = 0.05
#: Replays that a loss needs for coefficients of its own: with half of them sixteen coefficients are still held.
MIN_REPLAYS = 60


@dataclass(frozen=True)
class Replayed:
    """One request: its blocks, its peak as planned and as replayed, and what was reserved."""

    request: dict[str, Any]
    kind: Kind
    blocks: Blocks
    peak: int
    peak_allocated: int
    fixed: int
    expandable: int


def replays(seconds: float, seed: int, words: Sequence[str] = ()) -> Iterable[Replayed]:
    """Random requests of the kinds that have all these words, for so much processor time."""
    draw, start = random.Random(seed), process_time()
    names = [model.id for model in list_models()]
    while process_time() - start < seconds:
        fields = _drawn(draw, names)
        try:
            found = replay_request(fields) if set(words) <= set(_kind(fields)) else None
        except PlannerError:
            continue
        if found is not None:
            yield found


def _kind(fields: dict[str, Any]) -> Kind:
    stacked, prepared = prepare(parse_request(fields))
    return kind_of(stacked.request, prepared.setup)


def replay_request(fields: dict[str, Any]) -> Replayed | None:
    """The request through both kinds of segments; None where no card has what it needs."""
    request = parse_request(fields)
    memory = compute_memory(request)
    if memory.peak.total > MAX_PEAK_BYTES:
        return None
    stacked, prepared = prepare(request)
    request, static, constant = stacked.request, memory.static, memory.cublas + memory.batch
    length = request.max_length + request.virtual_tokens
    step = prepared.step(request.per_device_train_batch_size, length, request.gradient_accumulation_steps > 1)
    kinds = [CachingAllocator(expandable=expandable) for expandable in (False, True)]
    kind = kind_of(request, memory.setup)
    reentrant = "reentrant" in kind
    units = tuple(load_units(request, prepared.model.architecture, static.items, memory.setup))
    fixed, expandable = (replay(step, static, memory.setup, units, to, constant, reentrant) for to in kinds)
    return Replayed(
        fields,
        kind,
        blocks_of(step, static, constant, request.gradient_accumulation_steps > 1),
        memory.peak.total,
        fixed.peak_allocated,
        fixed.peak_reserved,
        expandable.peak_reserved,
    )


def _drawn(draw: random.Random, names: Sequence[str]) -> dict[str, Any]:
    method = draw.choice(("full", "lora", "qlora"))
    fields: dict[str, Any] = {
        "model": draw.choice(USUAL if draw.random() < 0.6 else names),
        "method": method,
        "stack": draw.choice(STACKS),
        "per_device_train_batch_size": draw.choice((1, 1, 2, 4, 8, 16)),
        "max_length": draw.choice((256, 512, 1000, 1024, 2048, 3000, 4096, 8192)),
        "gradient_accumulation_steps": draw.choice((1, 1, 4)),
        "gradient_checkpointing": draw.random() < 0.6,
        "attn_implementation": draw.choice(("flash_attention_2", "sdpa", "sdpa", "eager")),
        "optim": draw.choice(("adamw_torch", "adamw_torch_fused", "adamw_bnb_8bit")),
        "mixed_precision": draw.choice(("no", "no", "bf16")),
        "padding": draw.choice(("none", "none", "padded")),
    }
    if draw.random() < 0.5:
        fields["loss"] = draw.choice(("full", "chunked", "fused"))
    if method != "full" and draw.random() < 0.4:
        targets = draw.choice(("all-linear", ["q_proj", "v_proj"]))
        rank, dropout = draw.choice((8, 16, 64)), draw.choice((0, 0.05))
        fields["lora"] = {"r": rank, "target_modules": targets, "lora_dropout": dropout}
    if draw.random() < 0.4:
        fields |= {"stack": draw.choice(FLAT_STACKS), "num_gpus": draw.choice((2, 4, 8))}
        fields["parallelism"] = {"strategy": "fsdp"}
    return fields


def fit(found: Sequence[Replayed], segments: str) -> Iterable[AllocatorRow]:
    """Coefficients of every kind that has replays enough, and of all losses together."""
    groups: dict[tuple[str, ...], list[Replayed]] = defaultdict(list)
    for one in found:
        groups[one.kind[1:]].append(one)
        groups[(*one.kind[1:4], ANY)].append(one)
    for kind, group in sorted(groups.items()):
        if len(group) >= MIN_REPLAYS or kind[-1] == ANY:
            halves = [group[::2], group[1::2]]
            errors: list[float] = []
            for own, other in (halves, halves[::-1]):
                errors += map(abs, _errors(other, _coefficients(own, segments), segments))
            yield _row(segments, kind, _coefficients(group, segments), errors)


def _row(segments: str, kind: tuple[str, ...], coefficients: NDArray[np.float64], errors: list[float]) -> AllocatorRow:
    kinds = ("segments", "parameters", "training", "checkpointing", "loss")
    fields: dict[str, Any] = dict(zip(kinds, (segments, *kind), strict=True))
    fields |= {name: round(float(value), 3) for name, value in zip(COEFFICIENTS, coefficients, strict=True)}
    middle, most = (round(float(np.quantile(errors, level)), 4) for level in (0.5, 0.9))
    fields |= {"replays": len(errors), "median_error": middle, "p90_error": most}
    return AllocatorRow(**fields, source=SOURCE, as_of=date.today())


def _coefficients(group: Sequence[Replayed], segments: str) -> NDArray[np.float64]:
    """Least squares of the relative error, no coefficient below zero."""
    reserved = np.array([getattr(one, segments) for one in group], float)
    peaks = np.array([one.peak for one in group], float)
    parts = np.array([_parts(one, segments) for one in group], float) / reserved[:, None]
    return _non_negative(parts, 1 - peaks / reserved)


def _non_negative(parts: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinate descent (Franc, Hlavac and Navara 2005); a little weight on small coefficients keeps it stable."""
    gram = parts.T @ parts + 1e-4 * len(parts) * np.eye(parts.shape[1])
    aim, found = parts.T @ wanted, np.zeros(parts.shape[1])
    for _ in range(3000):
        for i in range(len(found)):
            found[i] = max(0.0, found[i] + (aim[i] - gram[i] @ found) / gram[i, i])
    return found


def _parts(one: Replayed, segments: str) -> tuple[Number, ...]:
    """What the closed form multiplies for such segments."""
    return blocks_for(one.blocks, (segments, *one.kind[1:])).parts(one.peak)


def _errors(group: Sequence[Replayed], coefficients: NDArray[np.float64], segments: str) -> Iterable[float]:
    for one in group:
        closed = one.peak + float(np.dot(coefficients, _parts(one, segments)))
        yield closed / getattr(one, segments) - 1


def _read(paths: Iterable[str]) -> list[Replayed]:
    lines = [json.loads(line) for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines()]
    found = [Replayed(**line | {"kind": tuple(line["kind"]), "blocks": Blocks(**line["blocks"])}) for line in lines]
    return [one for one in found if abs(one.peak_allocated / one.peak - 1) < MAX_PEAK_ERROR]


def _from_most(rows: Iterable[AllocatorRow]) -> list[AllocatorRow]:
    """Of each kind, the row from the most replays; the last of equals."""
    best: dict[Kind, AllocatorRow] = {}
    for row in rows:
        kind = (row.segments, row.parameters, row.training, row.checkpointing, row.loss)
        if kind not in best or row.replays >= best[kind].replays:
            best[kind] = row
    return [best[kind] for kind in sorted(best)]


def main(arguments: list[str]) -> None:
    """See the module."""
    what, path, *rest = arguments
    if what == "replay":
        seconds, seed, *words = rest
        with Path(path).open("a", encoding="utf-8") as handle:
            for one in replays(float(seconds), int(seed), words):
                handle.write(json.dumps(asdict(one)) + "\n")
        return
    found = _read([path, *(name for name in rest if name != "--write")])
    rows = [row for segments in ("fixed", "expandable") for row in fit(found, segments)]
    for row in rows:
        print(*(f"{value}" for value in row.model_dump(exclude={"source", "as_of"}).values()))
    if "--write" in rest:
        write_allocator_rows(_from_most([*list_allocator_rows(), *rows]))


if __name__ == "__main__":
    main(sys.argv[1:])
