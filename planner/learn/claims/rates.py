"""Claims that state a rate and a time: whether their product is the cost they state."""

from planner.catalog import find_gpu, list_prices
from planner.catalog.rows.claim import ClaimRow
from planner.cost.cost import cost_of
from planner.learn.claims.checked import Checked, Found, agreed, within
from planner.learn.claims.settings import request_of
from planner.pricing import PricingSettings

_DAYS_A_MONTH = 365.25 / 12
_HOURS_A_DAY = 24
_A100 = "a100-80gb-sxm"
_RTX_4090 = "rtx-4090"


def rented(row: ClaimRow) -> Checked:
    """The claim's own rate times its own time, and the catalogue's prices for the same cards and time."""
    assert row.low is not None and row.high is not None
    rate, cards = row.part("usd_per_month")[0], int(row.part("cards")[0])
    found, agrees = [], []
    for days in row.part("days"):
        found.append(Found({"days": f"{days:g} days"}, rate / _DAYS_A_MONTH * days))
        agrees.append(within(found[-1].value, row.low, row.high))
    checked = agreed(found, agrees, "USD")
    low_days, high_days = row.part("days")
    prices = [p.price_usd_per_hour_instance for p in list_prices(_A100, cards) if p.pricing == "on_demand"]
    checked.facts.put("product_low", checked.low, "usd0", "the claim's rate x its time")
    checked.facts.put("product_high", checked.high, "usd0", "the claim's rate x its time")
    checked.facts.put("market_low", min(prices) * _HOURS_A_DAY * low_days, "usd0", "data/prices.csv: on demand")
    checked.facts.put("market_high", max(prices) * _HOURS_A_DAY * high_days, "usd0", "data/prices.csv: on demand")
    return checked


def owned(row: ClaimRow) -> Checked:
    """A card that is bought: its share of the purchase for the time, and the electricity."""
    assert row.low is not None and row.high is not None
    card = find_gpu(_RTX_4090)
    pricing = PricingSettings(kind="owned", purchase_price_usd=row.part("purchase_usd")[0])
    request = request_of({"model": "meta-llama/Llama-2-7b-hf", "method": "qlora", "gpu": card.key})
    owned_request = request.model_copy(update={"pricing": pricing})
    found, rents = [], []
    for days in row.part("days"):
        cost = cost_of(owned_request, card, 1, days * _HOURS_A_DAY)
        assert cost.usd is not None
        found.append(Found({"days": f"{days:g} days"}, cost.usd))
        rents.append(cost_of(request, card, 1, days * _HOURS_A_DAY).usd or 0)
    checked = agreed(found, [within(one.value, row.low, row.high) for one in found], "USD")
    for name, values in (("owned", [one.value for one in found]), ("rented", rents)):
        checked.facts.put(f"{name}_low", min(values), "usd0", f"planner/cost: {name}")
        checked.facts.put(f"{name}_high", max(values), "usd0", f"planner/cost: {name}")
    checked.facts.put("card", card.name, "text", "catalogue: name")
    return checked
