"""Every term of owned hardware has a value, a unit, a source and a date."""

from planner.catalog import ownership_default
from planner.catalog.tables import read_table
from planner.pricing import PricingSettings

#: Shares of the card's TDP: the request gives watts instead.
SHARES = {"power_share", "host_power_share"}


def test_rows_are_complete_and_name_fields_of_the_request() -> None:
    names = read_table("ownership.csv").column("name")
    assert len(names) == len(set(names))
    assert set(names) - SHARES <= set(PricingSettings.model_fields)
    for name in names:
        row = ownership_default(name)
        assert row.source and row.unit and row.as_of.year >= 2025, name


def test_values_pass_the_requests_own_rules() -> None:
    names = set(read_table("ownership.csv").column("name")) - SHARES
    terms = {name: ownership_default(name).value for name in names}
    assert PricingSettings(kind="spot", **terms)
