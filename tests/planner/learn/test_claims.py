"""Claims: every verdict recomputed, held against what it should be, and the plainest by the test's own arithmetic."""

import pytest

from planner.catalog.claims import find_claim, list_claims
from planner.catalog.references import find_reference
from planner.errors import RequestError
from planner.learn.claims.checked import Found, agreed, judged, within
from planner.learn.claims.checks import check_claim, explanation
from planner.learn.claims.mechanics import product_shape
from planner.learn.claims.report import claim_report, claims_table
from planner.learn.claims.settings import SIZES, models_of, needed_gb
from planner.learn.claims.words import words_of_claims
from planner.learn.template import SLOT
from planner.resolve import load_model
from planner.schema import parse_request
from tests.planner.learn.walks import NAMES, NUMBER, NUMBER_WORDS, declared, words

ROWS = list_claims()
ONLY_IF = "c01 c02 c03 c05 c06 c07 c08 c09 c10 c11 c17 c18 c19 c22 c23 c24 c26 c30 c35 c37 c38 c39 c40".split()
FALSE = "c04 c12 c13 c14 c15 c16 c20 c25 c27 c28 c31 c32".split()
#: Where a fitted speed decides whether nearly all settings agree, or most.
MOSTLY_TRUE = "c21".split()
TRUE = "c29 c33 c34 c36".split()
VERDICTS = (
    dict.fromkeys(ONLY_IF, "holds only if") | dict.fromkeys(FALSE, "does not hold") | dict.fromkeys(TRUE, "holds")
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_verdict(row: object) -> None:
    name = getattr(row, "id")  # noqa: B009
    checked = check_claim(name)
    assert checked.verdict in (("holds", "holds only if") if name in MOSTLY_TRUE else (VERDICTS[name],))
    assert checked.low <= checked.high and 0 <= checked.agreeing <= checked.settings
    assert (checked.agreeing == 0) <= (checked.verdict == "does not hold")
    assert bool(checked.only_if) or checked.verdict != "holds only if"


def test_every_claim_has_words_without_a_typed_number() -> None:
    assert set(words_of_claims()) == {row.id for row in list_claims()}
    for name, text in words_of_claims().items():
        plain = NAMES.sub("", SLOT.sub("", text))
        assert NUMBER.findall(plain) == [] and NUMBER_WORDS.findall(plain) == [], name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_number_of_the_words_is_a_fact(row: object) -> None:
    name = getattr(row, "id")  # noqa: B009
    facts, text = dict(check_claim(name).facts), explanation(name)
    for word in words(facts):
        text = text.replace(word, " ")
    assert set(NUMBER.findall(NAMES.sub("", text))) <= declared(facts)


def test_sources_are_references() -> None:
    assert all(find_reference(key) for row in ROWS for key in check_claim(row.id).sources)


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_no_lora_of_70b_holds_less_than_its_weights() -> None:
    params = [load_model(parse_request({"model": m, "method": "full"})).architecture.num_params for m in models_of(70)]
    assert check_claim("c04").low > 2 * min(params) / 10**9 > 90


def test_double_quantization_of_seven_billion_parameters() -> None:
    bits = 32 / 64 - (8 / 64 + 32 / (64 * 256))
    assert check_claim("c16").high < 7.8e9 * bits / 8 / 1e9 < 0.37


def test_a_rate_times_a_time() -> None:
    month = 365.25 / 12
    assert check_claim("c25").low == pytest.approx(20_000 * 14 / month)
    assert check_claim("c25").high == pytest.approx(20_000 * 28 / month)
    assert check_claim("c26").high == pytest.approx(2_500 * 7 / month)


def test_shapes_that_multiply_and_those_that_do_not() -> None:
    assert product_shape((4096, 16), (16, 1024)) == (4096, 1024)
    assert product_shape((16, 4096), (4096, 16)) == (16, 16)
    assert product_shape((16, 4096), (1024, 16)) is None


def test_every_claim_is_checked() -> None:
    assert {row.id for row in list_claims()} == VERDICTS.keys() | set(MOSTLY_TRUE)


def test_dequantization_takes_time_with_everything_else_equal() -> None:
    facts = check_claim("c21").facts
    assert facts["low_alike"].value > 1 and facts["high_alike"].value < 1.8  # type: ignore[operator]


def test_the_ratio_of_published_scores() -> None:
    assert check_claim("c23").low == pytest.approx(100 * 0.203 / 0.293)
    assert check_claim("c23").high == pytest.approx(100 * 91.7 / 89.5)
    assert check_claim("c23").basis == "published evaluations"


# -- judging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high", "agrees"),
    [(60, 56, 84, True), (51, 56, 84, True), (50, 56, 84, False), (0.14, 0.1, 0.1, True), (0.16, 0.1, 0.1, False)],
)
def test_about_is_a_tenth_or_the_last_digit(value: float, low: float, high: float, agrees: bool) -> None:
    assert within(value, low, high) is agrees


def test_a_verdict_follows_from_the_share_of_settings_that_agree() -> None:
    found = [Found({"model": "m", "tokens": str(i // 10), "x": str(i % 2)}, i) for i in range(20)]
    assert judged(found, 0, 19, "GB").verdict == "holds"
    assert judged(found, 100, 200, "GB").verdict == "does not hold"
    some = judged(found, 12, 18, "GB")
    assert some.verdict == "holds only if" and (some.low, some.high) == (0, 19)
    assert all(condition.startswith("1") for condition in some.only_if)


def test_settings_are_those_in_which_most_agree() -> None:
    found = [
        Found({"a": a, "b": b}, 1.0 if (a, b) == ("x", "y") else 5.0) for a in "xz" for b in "yw" for _ in range(3)
    ]
    assert agreed(found, [one.value == 1 for one in found], "").only_if == ("x, y",)


def test_settings_cover_models_sizes_and_recipes() -> None:
    found = needed_gb(7, "full")
    assert len(models_of(7)) >= 10 and len(SIZES) == 6
    assert {len({one.settings[name] for one in found}) for name in ("precision", "checkpointing")} == {2}
    assert len(needed_gb(70, "qlora")) >= 100


def test_a_model_without_room_for_a_length_is_not_asked_for_it() -> None:
    tokens = {one.settings["tokens"] for one in needed_gb(7, "full") if one.settings["model"] == "opt-6.7b"}
    assert tokens and "1 x 4,096 tokens" not in tokens


# -- as people read them ---------------------------------------------------------------------------------------------


def test_the_table_has_every_claim_and_one_line_each() -> None:
    table = claims_table(ROWS)
    assert [row[0] for row in table.rows] == [row.id for row in ROWS]
    assert {row[2] for row in table.rows} == {"holds", "holds only if", "does not hold"}


def test_one_claim_in_full() -> None:
    text = "\n".join(getattr(block, "text", "") for block in claim_report(find_claim("c04")))
    assert "Verdict: does not hold." in text and "It states 80 to 90 GB; computed over" in text
    assert "alone is 131 GB to 145 GB" in text


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(RequestError, match="claim 'c99' is not known: give one of c01 to c40"):
        find_claim("c99")
