"""Claims about quality and data: what published evaluations report; no number of ours."""

from planner.catalog.references import find_reference
from planner.catalog.rows.claim import ClaimRow
from planner.learn.claims.checked import Checked, Found, agreed, within

#: A published run with adapters, what it is held against, and which part of the claim it speaks to.
_LORA = (
    ("lora-wikisql-lora", "lora-wikisql-full"),
    ("lora-mnli-lora", "lora-mnli-full"),
    ("qlora-ni-lora", "qlora-ni-full"),
    ("biderman-code-ift-lora16", "biderman-code-ift-full"),
    ("biderman-code-cpt-lora", "biderman-code-cpt-full"),
    ("biderman-math-cpt-lora", "biderman-math-cpt-full"),
    ("biderman-math-ift-lora", "biderman-math-ift-full"),
)
_QLORA = (("qlora-ni-qlora", "qlora-ni-full"),)
_QLORA_OVER_LORA = (("qlora-mmlu-nf4", "qlora-mmlu-16bit"), ("qlora-ni-qlora", "qlora-ni-lora"))


def _percent(run: str, against: str) -> float:
    score, other = find_reference(run).value, find_reference(against).value
    assert score is not None and other
    return 100 * score / other


def kept(row: ClaimRow) -> Checked:
    """Published scores in percent of full fine-tuning's, held against the stated ranges."""
    found, agrees = [], []
    for method, pairs in (("lora", _LORA), ("qlora", _QLORA)):
        low, high = row.part(method)
        for run, against in pairs:
            found.append(Found({"run": find_reference(run).note}, _percent(run, against)))
            agrees.append(within(found[-1].value, low, high) and low <= round(found[-1].value) <= high)
    checked = agreed(found, agrees, "percent of full fine-tuning's score")
    for edge in ("low", "high"):
        checked.facts.put(
            f"{edge}_text", round(getattr(checked, edge), 1), "plain", "published: adapter's score / full's"
        )
    gaps = [100 - _percent(*pair) for pair in _QLORA_OVER_LORA]
    checked.facts.put("least_gap", round(min(gaps), 2), "plain", "published: 100 - QLoRA's score / LoRA's")
    checked.facts.put("most_gap", round(max(gaps), 2), "plain", "published: 100 - QLoRA's score / LoRA's")
    checked.basis = "published evaluations"
    checked.only_if = tuple(f.settings["run"] for f, agree in zip(found, agrees, strict=True) if agree)
    checked.sources = ("lora-wikisql-lora", "qlora-ni-lora", "qlora-mmlu-nf4", "biderman")
    return checked


_EXAMPLES = ("lima-examples", "biderman-code-examples", "biderman-tulu-examples")


def examples(row: ClaimRow) -> Checked:
    """Examples that published full fine-tunings used."""
    assert row.low is not None
    found = []
    for key in _EXAMPLES:
        value = find_reference(key).value
        assert value is not None
        found.append(Found({"run": find_reference(key).note}, value))
    checked = agreed(found, [one.value >= row.low * 0.9 for one in found], "examples")
    checked.basis = "published evaluations"
    checked.only_if = tuple(one.settings["run"] for one in found if one.value >= row.low * 0.9)
    checked.facts.cite(fewest="lima-examples")
    checked.sources = ("lima-examples", "biderman-code-examples", "qlora-data")
    return checked
