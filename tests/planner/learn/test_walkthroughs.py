"""Walk-throughs: no number is typed, every number is declared, and every declared one is what it says it is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

import planner.learn
from planner.catalog.references import find_reference
from planner.cli.root import tunebudget
from planner.errors import RequestError
from planner.estimate import estimate
from planner.learn.blocks import Code, Formula, Heading, Prose
from planner.learn.expression import evaluate, sums, symbols
from planner.learn.template import SLOT
from planner.learn.topics import TOPICS, TOURS
from planner.learn.walkthrough import text_of, walk_through
from planner.schema import parse_request
from tests.planner.learn.walks import ALL, NAMES, NUMBER, NUMBER_WORDS, declared, sourceless, texts, walk, words

FOLDER = Path(planner.learn.__file__).parent
#: Minutes at the pace of a careful reader of technical text.
WORDS_A_MINUTE, MINUTES = 200, 10
SECTIONS = [
    "The question",
    "Symbols",
    "The formula",
    "Your model put in",
    "What is left out",
    "Say it aloud",
    "Sources",
]


@pytest.mark.parametrize("topic", TOPICS)
def test_no_number_is_typed_in_a_text(topic: str) -> None:
    text = NAMES.sub("", SLOT.sub("", text_of(topic)))
    assert NUMBER.findall(text) == [] and NUMBER_WORDS.findall(text) == []


def test_no_text_in_the_code_has_a_number() -> None:
    """Words that a topic hands to its text are held to the same rule; settings of variants are requests."""
    for path in sorted((FOLDER / "topics").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                assert NUMBER.findall(NAMES.sub("", node.value)) == [], f"{path.name}: {node.value}"


@pytest.mark.parametrize(("topic", "model", "reader"), ALL)
def test_every_number_is_declared(topic: str, model: str, reader: str) -> None:
    found = walk(topic, model, reader)
    known, names = declared(found.facts), words(found.facts)
    for text in texts(sourceless(found.blocks)):
        for name in names:
            text = text.replace(name, " ")
        unknown = [number for number in NUMBER.findall(NAMES.sub("", text)) if number.rstrip(",") not in known]
        assert unknown == [], text


@cache
def answer(topic: str, reader: str, changes: str) -> object:
    return estimate(walk(topic, reader=reader).request)


@pytest.mark.parametrize(("topic", "model", "reader"), ALL)
def test_every_value_is_what_it_says(topic: str, model: str, reader: str) -> None:
    found = walk(topic, model, reader)
    plan = estimate(found.request)
    for name, fact in found.facts.items():
        kind, _, path = fact.origin.partition(": ")
        if kind == "request" and not isinstance(fact.value, str):
            value: object = found.request
            for part in path.split("."):
                value = getattr(value, part, None)
            assert value == fact.value or not isinstance(value, int | float), name
        elif kind == "cited":
            row = find_reference(path)
            assert fact.value in (row.value, row.quote, row.where, row.note) or str(fact.value).startswith(
                row.work[:5]
            ), name
        elif kind == f"plan ({plan.method})" and path in type(plan).model_fields:
            assert fact.value in (getattr(plan, path), str(getattr(plan, path))) or isinstance(fact.value, str), name
        elif kind == "formula" and all(symbol in found.facts for symbol in symbols(path)):
            values = {s: v for s in symbols(path) if not isinstance(v := found.facts[s].value, str)}
            assert fact.value == pytest.approx(evaluate(path, values), rel=1e-12), name


@pytest.mark.parametrize("topic", TOPICS)
def test_a_walk_through_goes_from_question_to_sources(topic: str) -> None:
    found = walk(topic)
    headings = [block.text for block in found.blocks if isinstance(block, Heading)]
    assert headings[0] == TOPICS[topic].title
    assert [text for text in headings if text in SECTIONS] == SECTIONS
    assert any(isinstance(block, Formula) for block in found.blocks)
    aloud = found.blocks[[b.text if isinstance(b, Heading) else "" for b in found.blocks].index("Say it aloud") + 1]
    assert isinstance(aloud, Prose) and aloud.markdown.startswith("> ") and "\n" not in aloud.markdown
    assert 40 <= len(aloud.markdown.split()) <= 130


def words_to_read(topic: str) -> int:
    """Words of prose, tables and formulas (in one notation), without figures and the list of sources."""
    blocks = sourceless(walk(topic).blocks)
    read = [b.text for b in blocks if isinstance(b, Formula)]
    read += texts(b for b in blocks if not isinstance(b, Formula))
    return sum(any(map(str.isalpha, word)) for text in read for word in text.split())


def minutes(topics: tuple[str, ...]) -> float:
    return sum(map(words_to_read, topics)) / WORDS_A_MINUTE


@pytest.mark.parametrize("name", [*TOPICS, *TOURS])
def test_nothing_takes_longer_than_ten_minutes_to_read(name: str) -> None:
    assert minutes(TOURS.get(name) or (name,)) < MINUTES


def test_every_text_belongs_to_a_topic_and_every_tour_has_known_topics() -> None:
    assert {path.stem for path in (FOLDER / "texts").glob("*.md")} == set(TOPICS)
    assert {topic for topics in TOURS.values() for topic in topics} <= set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_commands_in_a_text_run(topic: str) -> None:
    commands = [b.text for b in walk(topic).blocks if isinstance(b, Code) and b.language == "console"]
    for command in commands:
        words_of = command.removeprefix("$ tunebudget ").split()
        result = CliRunner().invoke(tunebudget, words_of)
        assert result.exit_code in (0, 1), (command, result.stderr)


@pytest.mark.parametrize("topic", TOPICS)
def test_python_in_a_text_runs(topic: str) -> None:
    for block in walk(topic).blocks:
        if isinstance(block, Code) and block.language == "python":
            exec(compile(block.text, topic, "exec"), {})


def test_an_unknown_topic_is_told_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"topic 'loar' is not known; topics: memory.*tours: full"):
        walk_through("loar", parse_request({"model": "gpt2", "method": "lora"}))


@pytest.mark.parametrize("topic", ["nf4", "dequantization", "qlora-speed"])
def test_a_model_that_is_not_quantized_is_refused_in_one_line(topic: str) -> None:
    with pytest.raises(RequestError, match="quantizes no linear layer of this falcon model"):
        walk_through(topic, parse_request({"model": "tiiuae/falcon-7b", "method": "qlora"}))


# -- formulas against the ledger -------------------------------------------------------------------------------------


def test_the_parts_of_the_peak_sum_to_it() -> None:
    for reader in ("defaults", "full", "checkpoints", "stack"):
        found = walk("memory", reader=reader)
        assert found.facts["M_peak"].value == estimate(found.request).peak_bytes


def test_weights_gradients_and_states_are_the_ledgers() -> None:
    facts = walk("states").facts
    for name in "WGO":
        assert facts[name].value == pytest.approx(facts[f"ledger_{name}"].value, rel=1e-6)


def test_checkpoints_are_the_ledgers() -> None:
    facts = walk("activations").facts
    assert facts["C"].value == 32 * 256 * 4096 * 2
    assert 0 <= facts["rest"].value < 0.1 * facts["C"].value  # type: ignore[operator]


def test_the_losses_copies_are_whole_ones() -> None:
    facts = walk("logits").facts
    assert facts["n"].value == 3 and facts["all"].value == 3 * 256 * 128_256 * 4


def test_sums_are_found_for_putting_values_in() -> None:
    assert sums("r * sum(d + k)") == ["sum(d + k)"]


def test_no_formula_is_typed_twice() -> None:
    """A formula of a text has slots for nothing: it is written once, and both notations come from it."""
    for topic in TOPICS:
        assert not re.search(r"\\frac|\$\$", text_of(topic))


def test_a_step_times_its_rate_is_its_operations() -> None:
    facts = walk("cost").facts
    plan = estimate(walk("cost").request)
    assert facts["t_step"].value == pytest.approx(plan.step_seconds)
    assert facts["hours"].value == pytest.approx(10**7 / plan.tokens_per_second / 3600)  # type: ignore[operator]


def test_slower_is_the_ratio_of_the_plans() -> None:
    facts, request = walk("qlora-speed").facts, walk("qlora-speed").request
    lora = estimate(request.model_copy(update={"method": "lora", "quantization": None}))
    assert facts["slower"].value == pytest.approx(estimate(request).step_seconds / lora.step_seconds)  # type: ignore[operator]


def test_whole_models_and_shared_bases_are_the_served_plans() -> None:
    facts = walk("serving").facts
    assert facts["M_shared"].value == pytest.approx(facts["served"].value, rel=0.01)
    base, adapter = 2 * 8_030_261_248, 4 * 41_943_040  # PEFT loads adapters in float32
    assert facts["W_base"].value == pytest.approx(base, rel=1e-3)
    assert facts["M_adapter"].value == pytest.approx(adapter, rel=1e-3)


def test_nf4_and_its_constants_are_the_ledgers() -> None:
    facts = walk("nf4").facts
    assert facts["off"].value == 0
    assert facts["bits_each"].value == pytest.approx(4 + 8 / 64 + 32 / (64 * 256), abs=1e-3)


def test_adapters_by_formula_are_the_plans() -> None:
    found = walk("lora-maths")
    assert found.facts["N_lora"].value == estimate(found.request).trainable_params


def test_a_changed_question_is_said() -> None:
    note = next(b.markdown for b in walk("states").blocks if isinstance(b, Prose))
    assert note == "*This is about full fine-tuning; your question was about LoRA.*"
    note = next(b.markdown for b in walk("cost").blocks if isinstance(b, Prose))
    assert note == "*Your question names no card; here it is one H100 SXM5 80 GB.*"
