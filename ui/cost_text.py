"""The Cost page's sentences."""

from planner.answer import Plan
from planner.cost.break_even import BreakEven
from planner.report import tight_text
from planner.schema import PlanRequest
from ui.money_text import hours, usd
from ui.text import as_sentence


def heading(plan: Plan) -> str:
    """The answer: hours and USD where a dataset is given, or what an hour or a million tokens costs."""
    if plan.train_hours is not None:
        cost = "; no price is known" if plan.cost_usd is None else f", {usd(plan.cost_usd)}"
        return f"{hours(plan.train_hours)}{cost}"
    if plan.usd_per_million_tokens is not None:
        return f"{usd(plan.usd_per_million_tokens)} a million tokens"
    return "No price is known" if plan.price is None else f"{usd(plan.price.usd_per_hour)} an hour"


def trained_on(request: PlanRequest) -> str:
    """The dataset in words."""
    dataset = request.dataset
    if dataset is None:
        return ""
    epochs = dataset.num_train_epochs
    tokens = f"{dataset.epoch_tokens:,.0f} tokens"
    return f"{tokens}, {epochs:g} epoch{'' if epochs == 1 else 's'}"


def fit_warning(plan: Plan) -> str | None:
    """What stands before a cost that may never be: the run does not fit, or only perhaps."""
    if plan.verdict == "does not fit":
        return (
            "This run does not fit on the card: the figures are what it would take if it did. Fit says what to change."
        )
    if plan.verdict == "tight":
        return f"This run is tight on the card: {tight_text(plan)}."
    return None


def break_even_line(found: BreakEven, run_hours: float | None) -> str:
    """Rent or buy in a sentence or two."""
    rent = f"Renting costs {usd(found.rent_usd_per_hour)} an hour ({found.rent.provider})"
    own = f"owning {usd(found.purchase_usd)} once and {usd(found.energy_usd_per_hour)} an hour of electricity"
    life = f"{found.working_hours:,.0f} hours of work in their useful life"
    if found.hours is None:
        verdict = "Buying never pays: the electricity alone costs more than renting."
    elif not found.pays_off:
        verdict = f"Buying does not pay: it would after {found.hours:,.0f} hours, and the cards have {life}."
    else:
        share = found.hours / found.working_hours
        verdict = f"Buying pays after {found.hours:,.0f} hours of work: {share:.0%} of the cards' {life}."
    run = "" if run_hours is None else f" This run takes {hours(run_hours)}."
    return f"{verdict}{run} {rent}, {own}."


def not_comparable(reason: str, owned: bool) -> str:
    """Why renting and buying cannot be compared, and where on the page that can be changed."""
    if "purchase_price_usd" in reason:
        where = "give one under Price, in the sidebar" if owned else "give one above"
        return f"{as_sentence(reason.partition(':')[0])}: {where}."
    if "price of one machine" in reason:
        return "No price of renting this card is known: give your own under Price, in the sidebar."
    return as_sentence(reason)
