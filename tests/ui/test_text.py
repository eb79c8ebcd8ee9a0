"""The sentences: never colour alone, never a figure without its level, never a false certainty."""

from collections.abc import Callable

import pytest

from planner.advise import Suggestion
from planner.answer import Plan
from planner.catalog import find_gpu
from planner.schema import parse_request
from planner.units import GIB
from ui import figures, text

PlanMaker = Callable[..., Plan]
REQUEST = parse_request({"model": "org/some-model", "method": "lora", "gpu": "rtx-4080"})


@pytest.mark.parametrize(
    ("verdict", "words"), [("fits", "Fits"), ("tight", "Tight"), ("does not fit", "Does not fit"), (None, "No card")]
)
def test_heading_says_the_verdict_in_words(verdict: str | None, words: str) -> None:
    assert words in text.verdict_heading(verdict)  # type: ignore[arg-type]


def test_each_verdict_has_its_own_shape() -> None:
    icons = [icon for icon, _ in text.VERDICT_MARKS.values()]
    assert len(set(icons)) == len(icons) == 3


def test_sentence_of_what_does_not_fit(plan: Plan) -> None:
    assert text.verdict_sentence(REQUEST, plan) == (
        "It needs an estimated **18.0 GiB** (90% band 17.0 to 20.0); the card offers **16.0 GiB**, 2.0 GiB too little. "
        "The peak falls in the backward pass of the head."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "fits", "headroom_bytes": 6 * GIB, "usable_bytes": 24 * GIB}, "which leaves 6.0 GiB"),
        (
            {"verdict": "tight", "headroom_bytes": GIB, "usable_bytes": 19 * GIB},
            "within the band: it probably does not fit",
        ),
        ({"peak_phase": "between_steps"}, "The peak falls between the steps."),
        ({"peak_phase": "loaded"}, "The peak falls when the model is loaded."),
        ({"usable_bytes": None, "headroom_bytes": None, "verdict": None}, "(90% band 17.0 to 20.0). The peak"),
    ],
)
def test_sentence_of_other_cases(make_plan: PlanMaker, changes: dict[str, object], words: str) -> None:
    assert words in text.verdict_sentence(REQUEST, make_plan(**changes))


def test_paged_states_are_not_held_against_the_card(make_plan: PlanMaker) -> None:
    plan = make_plan(headroom_bytes=0)  # 18 GiB in all, of which 2 can leave a card that offers 16
    assert plan.resident_bytes == 16 * GIB
    assert text.band(plan) == "15.0 to 18.0"


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "unknown"), (0.0, "<1%"), (0.5, "50%"), (0.999, ">99%"), (1.0, ">99%")]
)
def test_probability_is_never_certain(value: float | None, shown: str) -> None:
    assert figures.probability(value) == shown


def test_question_names_model_method_size_and_cards(plan: Plan) -> None:
    several = parse_request(
        {"model": "m", "method": "lora", "gpu": "h100", "num_gpus": 4, "parallelism": {"strategy": "fsdp"}}
    )
    assert text.question(REQUEST, plan, "RTX 4080") == "some-model, LoRA, 1 x 1,024 tokens, on one RTX 4080"
    assert text.question(several, plan, "H100").endswith("on 4 x H100 with FSDP")
    assert text.question(REQUEST, plan, None).endswith("tokens")


def test_settings_names_what_differs_from_the_defaults() -> None:
    request = parse_request(
        {"model": "m", "method": "qlora", "gradient_checkpointing": True, "quantization": {"upcast_unquantized": False}}
    )
    assert text.settings(request) == "gradient_checkpointing on, upcast_unquantized off"
    assert text.settings(REQUEST) == ""


def test_derivation_puts_the_values_in(plan: Plan) -> None:
    assert text.derivation(plan.terms[3]).splitlines() == [
        "log-softmax = 4 x B x S x vocab",
        "= 4 x 1 x 1,024 x 128,000",
        "= 3,221,225,472 bytes = 3.221 GB = 3.000 GiB",
    ]
    assert text.derivation(plan.terms[1]).count("\n") == 1


def test_suggestion_says_what_it_leads_to() -> None:
    suggestion = Suggestion("One H100", {"gpu": "h100-sxm"}, -1, 18 * GIB, 79 * GIB, "fits", "another card")
    assert text.suggestion_effect(suggestion).endswith("fits]: needs 18.0 GiB of 79.0 GiB (estimated)")


@pytest.mark.parametrize(
    ("note", "shown"), [("max_length is long", "max_length is long"), ("activations are", "Activations are")]
)
def test_notes_begin_with_a_capital_unless_with_code(note: str, shown: str) -> None:
    assert text.as_sentence(note) == shown


def test_alt_texts_tell_the_takeaway(plan: Plan) -> None:
    assert "18.0 GiB" in text.breakdown_alt(plan)
    assert "weights take 8.0 GiB" in text.breakdown_alt(plan)
    assert "backward pass of the head" in text.timeline_alt(plan)


@pytest.mark.parametrize(
    ("num_gib", "words"), [(0.05, "0.05 GiB"), (999.94, "999.9 GiB"), (1234.5, "1.2k GiB"), (52_394.9, "52k GiB")]
)
def test_a_card_of_figures_holds_large_sizes(num_gib: float, words: str) -> None:
    assert figures.short_gib(int(num_gib * GIB)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(7, "7"), (999.6, "1,000"), (1_234, "1.23k"), (999_999, "1,000k"), (49_759_000, "49.8M")],
)
def test_large_figures_are_three_digits(value: float, words: str) -> None:
    assert figures.short(value) == words


def test_files_are_counted_up_to_terabytes() -> None:
    assert [figures.on_disk(size * 10**6) for size in (168, 5_600, 1_342_000)] == ["168 MB", "5.6 GB", "1.34 TB"]


def test_an_own_card_has_no_box() -> None:
    assert text.gpu_facts(find_gpu("own:usable_gib=44.5")) == "Your own card: 44.5 GiB usable"
