"""``claims [ID]``: common claims beside what the planner computes for them."""

from dataclasses import asdict, fields
from typing import Any

import click

from planner.catalog.claims import find_claim, list_claims
from planner.catalog.rows.claim import ClaimRow
from planner.cli.options import json_option
from planner.cli.output import print_json, print_report


@click.command("claims")
@click.argument("claim", metavar="[ID]", required=False)
@json_option
def command(claim: str | None, as_json: bool) -> None:
    """Common claims about fine-tuning, checked: holds, holds only if, or does not hold.

    Each is computed over the settings that it leaves open: models of that size, precision, optimizer, stack, adapters,
    checkpointing, batch and length. ID (c04) shows one in full. All together take some seconds.
    """
    from planner.learn.claims.report import claim_report, claims_table

    rows = [find_claim(claim)] if claim is not None else list_claims()
    if as_json:
        answers = [_as_json(row) for row in rows]
        print_json(answers[0] if claim is not None else answers)
    else:
        print_report(claim_report(rows[0]) if claim is not None else [claims_table(rows)])


def _as_json(row: ClaimRow) -> dict[str, Any]:
    from planner.learn.claims.checks import check_claim, explanation

    checked = check_claim(row.id)
    found = {field.name: getattr(checked, field.name) for field in fields(checked) if field.name != "facts"}
    facts = {name: asdict(fact) for name, fact in checked.facts.items()}
    return row.model_dump(mode="json") | {"checked": found | {"explanation": explanation(row.id), "facts": facts}}
