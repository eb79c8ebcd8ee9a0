"""What the tests of walk-throughs share: readers, and how numbers are found in a text."""

import re
from collections.abc import Iterable
from functools import cache

from planner.learn.blocks import Block, Code, Formula, Grid, Heading, Prose
from planner.learn.facts import Fact
from planner.learn.topics import TOPICS
from planner.learn.walkthrough import Walkthrough, walk_through
from planner.schema import parse_request

#: Names with a digit in them.
NAMES = re.compile(
    r"\b(?:NF4|FP4|bf16|fp16|fp32|fp4|nf4|int8|bfloat16|float(?:16|32)|(?:4|8|16|32)-bit|load_in_[48]bit|bnb_4bit_\w+"
    r"|(?:paged_)?adamw_(?:bnb_)?\d+bit|ZeRO-[123]|zero[123]|FSDP[12]|A100|H100|IA3|L2|GSM8K|GPT-3|T5"
    r"|flash_attention_2|(?:bitsandbytes|peft|torch|transformers) \d+\.\d+)\b|\(IA\)\^3|LLM\.int8|\u211d"
)
#: Numbers can be typed as words too.
NUMBER_WORDS = re.compile(
    r"\b(?:four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen|twenty|hundred|thousand|million|billion)\b", re.I
)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
MODELS = (
    "meta-llama/Llama-3.1-8B",
    "Qwen/Qwen2.5-0.5B",
    "openai-community/gpt2",
    "mistralai/Mixtral-8x7B-v0.1",
    "google/gemma-3-4b-pt",
    "google/flan-t5-base",
    "openai/gpt-oss-20b",
)
#: A reader by settings that change what a text says.
READERS = {
    "defaults": {},
    "full": {"method": "full", "optim": "adafactor", "max_length": 512},
    "8-bit": {"method": "full", "optim": "adamw_8bit", "dtype": "float32", "mixed_precision": "bf16"},
    "checkpoints": {"method": "qlora", "gradient_checkpointing": True, "per_device_train_batch_size": 3},
    "stack": {"method": "lora", "stack": "trl", "lora": {"r": 64, "lora_dropout": 0.05}, "gpu": "rtx-4090"},
    "cards": {"method": "full", "num_gpus": 8, "gpu": "h100", "parallelism": {"strategy": "zero3"}},
}


@cache
def walk(topic: str, model: str = MODELS[0], reader: str = "defaults") -> Walkthrough:
    request = {"model": model, "method": "lora", "max_length": 256} | READERS[reader]
    return walk_through(topic, parse_request(request))


ALL = [(topic, MODELS[0], reader) for topic in TOPICS for reader in READERS]
ALL += [(topic, model, "defaults") for topic in TOPICS for model in MODELS[1:]]


def texts(blocks: Iterable[Block]) -> list[str]:
    """All that a reader sees, block by block."""
    found: list[str] = []
    for block in blocks:
        if isinstance(block, Heading | Code):
            found.append(block.text)
        elif isinstance(block, Prose):
            found.append(block.markdown)
        elif isinstance(block, Formula):
            found += [block.text, block.latex.replace("{,}", ",")]
        elif isinstance(block, Grid):
            found += [cell for row in (block.columns, *block.rows) for cell in row]
    return found


def declared(facts: dict[str, Fact]) -> set[str]:
    """Every number that the values can be shown as."""
    found: set[str] = set()
    for fact in facts.values():
        styles = ("",) if isinstance(fact.value, str | tuple) else ("", "full", "gb", "bytes", "plain")
        for style in styles:
            found |= set(NUMBER.findall(fact.shown(style)))
    return found


def words(facts: dict[str, Fact]) -> list[str]:
    """Values that are words (names of models, cards, dtypes), the longest first."""
    return sorted({f.value for f in facts.values() if isinstance(f.value, str) and f.value}, key=len, reverse=True)


def sourceless(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks before the list of sources."""
    return blocks[: next(i for i, b in enumerate(blocks) if isinstance(b, Heading) and b.text == "Sources")]
