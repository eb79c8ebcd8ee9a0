"""Low rank by hand: one small language model taught one text, then another by full fine-tuning, LoRA and QLoRA.

A Llama of two layers reads characters. All three ways begin with the same base, see the same batches and are judged on
the same held-out end of the second text.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from planner.errors import RequestError
from planner.schema import PlanRequest, parse_request
from profiler.adapters import add_adapters
from profiler.build import loaded_tensors, trainable_parameters
from profiler.quantize import quantize
from profiler.storages import StorageTracker

Say = Callable[[int, int, str, int | None], None]

#: The model: widths are multiples of 64, a block of NF4.
CONFIG: dict[str, Any] = {
    **{"model_type": "llama", "vocab_size": 128, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128},
}
BATCH, LENGTH = 8, 64
#: Learning rates that suit: adapters take larger ones (Hu et al. 2021, appendix D; Schulman 2025: about tenfold).
RATES = {"full": 1e-3, "lora": 5e-3, "qlora": 5e-3}
BASE_RATE = 3e-3
#: Of the second text, for judging; and between two judgements.
HELD_OUT, JUDGED_EVERY = 0.1, 10
MAX_STEPS, MAX_RANK = 2000, 128


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training: the loss on the held-out text after so many steps, and what it took.

    peak_bytes: tensors live at the peak of one step, with weights, gradients and states.
    """

    method: str
    trained_params: int
    total_params: int
    seconds: float
    peak_bytes: int
    steps: tuple[int, ...]
    losses: tuple[float, ...]


def low_rank(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """The three ways on the task's texts.

    Raises RequestError for steps or a rank out of bounds, and for texts too short.
    """
    steps, base_steps = _within(task, "steps", MAX_STEPS), _within(task, "base_steps", MAX_STEPS)
    rank, seed = _within(task, "r", MAX_RANK), int(task.get("seed", 0))
    first, second = _tokens(task["first_text"]), _tokens(task["second_text"])
    of = base_steps + 3 * steps
    torch.manual_seed(seed)
    base = _model()
    _train(
        base, first, base_steps, BASE_RATE, seed, lambda done: say(done, of, "teaching the base the first text", None)
    )
    held = int(len(second) * (1 - HELD_OUT))
    train, judge = second[:held], second[held:]
    ways = []
    for number, method in enumerate(("full", "lora", "qlora")):
        passed = base_steps + number * steps
        tell = _teller(say, passed, of, f"{method} on the second text")
        ways.append(_way(method, base, train, judge, steps, rank, seed, tell))
    return {"ways": [asdict(way) for way in ways], "base_loss": _judge(base, judge), "r": rank}


def _teller(say: Say, passed: int, of: int, what: str) -> Callable[[int], None]:
    return lambda done: say(passed + done, of, what, None)


def _within(task: dict[str, Any], name: str, most: int) -> int:
    value = int(task[name])
    if not 1 <= value <= most:
        raise RequestError(f"{name} {value}: from 1 to {most}", name)
    return value


def _tokens(text: str) -> torch.Tensor:
    """Characters as numbers under 128; others are left out."""
    numbers = torch.tensor([ord(c) for c in text if ord(c) < CONFIG["vocab_size"]])
    if len(numbers) < 20 * LENGTH:
        raise RequestError(f"a text of {len(numbers)} characters: at least {20 * LENGTH} are needed", "text")
    return numbers


def _model() -> nn.Module:
    from transformers import AutoConfig, LlamaForCausalLM

    fields = {key: value for key, value in CONFIG.items() if key != "model_type"}
    model: nn.Module = LlamaForCausalLM._from_config(AutoConfig.for_model("llama", **fields), dtype=torch.float32)
    return model


def _request(method: str, rank: int) -> PlanRequest:
    """The request whose adapters the way has, as the profiler builds them."""
    fields: dict[str, Any] = {"model": CONFIG, "method": method, "device": "cpu", "dtype": "float32"}
    if method != "full":
        fields["lora"] = {"r": rank, "lora_alpha": 2 * rank}
    if method == "qlora":
        fields["quantization"] = {"bnb_4bit_use_double_quant": True, "upcast_unquantized": False}
    return parse_request(fields)


def _prepared(method: str, base: nn.Module, rank: int) -> nn.Module:
    """A copy of the base as the method trains it."""
    model, request = deepcopy(base), _request(method, rank)
    if request.quantization_settings is not None:
        quantize(model, request.quantization_settings, request.dtype, False)
    return add_adapters(model, request)


def _way(
    method: str,
    base: nn.Module,
    train: torch.Tensor,
    judge: torch.Tensor,
    steps: int,
    rank: int,
    seed: int,
    tell: Callable[[int], None],
) -> Way:
    torch.manual_seed(seed)
    model = _prepared(method, base, rank)
    trained = sum(p.numel() for p in trainable_parameters(model))
    before = sum(p.numel() for p in base.parameters())
    losses: dict[int, float] = {0: _judge(model, judge)}

    def watch(done: int) -> None:
        if done % JUDGED_EVERY == 0 or done == steps:
            losses[done] = _judge(model, judge)
        tell(done)

    spent = _train(model, train, steps, RATES[method], seed, watch)
    total = before + (trained if method != "full" else 0)
    peak = _peak(model, train, RATES[method])
    return Way(method, trained, total, spent, peak, tuple(losses), tuple(losses.values()))


def _train(
    model: nn.Module, tokens: torch.Tensor, steps: int, rate: float, seed: int, watch: Callable[[int], None]
) -> float:
    """So many steps of AdamW; the seconds spent in them. watch: told after each, on the clock's outside."""
    optimizer = torch.optim.AdamW(trainable_parameters(model), lr=rate)
    drawn = torch.Generator().manual_seed(seed)
    spent = 0.0
    for done in range(1, steps + 1):
        batch = _batch(tokens, drawn)
        start = time.perf_counter()
        _step(model.train(), optimizer, batch)
        spent += time.perf_counter() - start
        watch(done)
    return spent


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    model(input_ids=batch, labels=batch, use_cache=False).loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _batch(tokens: torch.Tensor, drawn: torch.Generator) -> torch.Tensor:
    starts = torch.randint(0, len(tokens) - LENGTH, (BATCH,), generator=drawn)
    return torch.stack([tokens[start : start + LENGTH] for start in starts.tolist()])


@torch.no_grad()
def _judge(model: nn.Module, tokens: torch.Tensor) -> float:
    """Mean loss a character over the held-out text, cut into sequences.

    In training mode, which has no dropout here: bitsandbytes repacks 4-bit weights for the CPU in evaluation mode.
    """
    count = len(tokens) // LENGTH
    batch = tokens[: count * LENGTH].view(count, LENGTH)
    return float(model.train()(input_ids=batch, labels=batch, use_cache=False).loss)


def _peak(model: nn.Module, tokens: torch.Tensor, rate: float) -> int:
    """Tensor bytes at the peak of one more step, its states there from the step before."""
    optimizer = torch.optim.AdamW(trainable_parameters(model), lr=rate, foreach=False)
    drawn = torch.Generator().manual_seed(0)
    _step(model.train(), optimizer, _batch(tokens, drawn))
    batch = _batch(tokens, drawn)
    tracker = StorageTracker()
    states = [("state", t) for s in optimizer.state.values() for t in s.values() if isinstance(t, torch.Tensor)]
    tracker.register([*loaded_tensors(model), *states])
    with tracker:
        _step(model, optimizer, batch)
    return tracker.record.peak
