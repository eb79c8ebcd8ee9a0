"""Prices of today through gpuhunt, an optional package: its published catalogues as offers of this catalogue.

Its live queries of marketplaces are left out: they need accounts, and answer with what is free at the moment.
"""

import logging
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from planner.catalog import PriceRow
from planner.catalog.price_store import REFRESHED, folder, read_list, write_list
from planner.errors import PlannerError
from planner.pricelists.card_names import card_key

#: Seconds without an answer after which a provider counts as out of reach.
TIMEOUT_SECONDS = 20.0
#: gpuhunt's names of providers that are called otherwise here.
_PROVIDERS = {"lambdalabs": "lambda", "vastai": "vast"}
#: Offers that are no single machine rented at will: bookings in advance, clusters, and previews.
_OTHER_KINDS = re.compile(r"dws|cluster|preview")


class NotRefreshed(PlannerError):
    """Why there are no new prices: what is at hand stays in force."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A refresh: rows of today, providers that gave them, offers left out, and where the list is kept."""

    rows: tuple[PriceRow, ...]
    providers: tuple[str, ...]
    unknown_offers: int
    path: Path


def refresh(today: date) -> Refreshed:
    """Fetch, translate and keep the newest prices; providers that gave none keep what an earlier refresh brought.

    Raises NotRefreshed with one line where the package is missing or nothing could be fetched.
    """
    with _quiet():
        offers = list(_offers())
    rows, unknown = _translated(offers, today)
    if not rows:
        raise NotRefreshed("gpuhunt's catalogues have no offer of a card that is known here")
    providers = {row.provider for row in rows}
    earlier = read_list(folder() / REFRESHED) if (folder() / REFRESHED).exists() else []
    kept = [row for row in earlier if row.provider not in providers]
    return Refreshed(tuple(rows), tuple(sorted(providers)), unknown, write_list(REFRESHED, [*kept, *rows]))


@dataclass(frozen=True, slots=True)
class _Offer:
    item: Any
    version: str
    source: str


def _offers() -> Iterator[_Offer]:
    """Every offer with cards, of every provider that can be reached.

    Raises NotRefreshed as `refresh` does.
    """
    try:
        import gpuhunt
    except ImportError:
        raise NotRefreshed('gpuhunt is not installed (pip install "tunebudget[prices]")') from None
    catalog = gpuhunt.Catalog(auto_reload=False)
    place = os.environ.get("GPUHUNT_CATALOG_DIR")
    for provider, version, source in _in_folder(Path(place)) if place else _published(catalog):
        try:
            for item in catalog.query(provider=provider, min_gpu_count=1):
                yield _Offer(item, version, source)
        except Exception as error:  # a provider's broken file is no reason to lose the others
            logging.getLogger(__name__).debug("gpuhunt: %s: %s", provider, error)


def _in_folder(place: Path) -> list[tuple[str, str, str]]:
    """Provider, version and source of each catalogue of GPUHUNT_CATALOG_DIR; a file's day stands for its version."""
    found = sorted(place.glob("*.csv"))
    if not found:
        raise NotRefreshed(f"GPUHUNT_CATALOG_DIR {place} holds no PROVIDER.csv")
    return [(path.stem, _day(path), f"gpuhunt catalogue, file {path.name}") for path in found]


def _day(path: Path) -> str:
    return date.fromtimestamp(path.stat().st_mtime).strftime("%Y%m%d")


def _published(catalog: Any) -> list[tuple[str, str, str]]:
    """Provider, version and source of each catalogue that could be downloaded."""
    try:
        catalog.load()
    except Exception as error:
        reason = str(error.__cause__ or error).strip() or type(error).__name__
        raise NotRefreshed(f"gpuhunt could fetch nothing ({' '.join(reason.split())[:200]})") from None
    base = os.environ.get("GPUHUNT_CATALOG_URL", "gpuhunt's public catalogues").rstrip("/")
    return [
        (name, str(loaded.version), f"{base}/{name}/{loaded.version}/catalog.zip")
        for name, loaded in sorted(catalog.catalog.items())
    ]


def _translated(offers: Iterable[_Offer], today: date) -> tuple[list[PriceRow], int]:
    """The cheapest region of each instance and pricing as rows, and how many offers are of cards unknown here."""
    cheapest: dict[tuple[object, ...], PriceRow] = {}
    unknown = 0
    for offer in offers:
        item = offer.item
        if item.price <= 0 or _OTHER_KINDS.search(" ".join(item.flags)):
            continue
        provider = _PROVIDERS.get(item.provider, item.provider)
        key = card_key(provider, item.instance_name, item.gpu_name or "", item.gpu_memory)
        if key is None:
            unknown += 1
            continue
        row = _row(provider, key, offer, today)
        at = (provider, key, row.gpus_per_instance, row.instance_type, row.pricing)
        before = cheapest.get(at)
        if before is None or row.price_usd_per_hour_instance < before.price_usd_per_hour_instance:
            cheapest[at] = row
    return list(cheapest.values()), unknown


def _row(provider: str, key: str, offer: _Offer, today: date) -> PriceRow:
    item = offer.item
    day = _version_day(offer.version)
    return PriceRow(
        provider=provider,
        gpu_key=key,
        gpus_per_instance=item.gpu_count,
        instance_type=item.instance_name,
        sold_as="instance",
        vcpus=item.cpu or None,
        ram_gib=item.memory or None,
        region=item.location,
        region_scope="cheapest",
        price_usd_per_hour_instance=item.price,
        price_usd_per_gpu_hour=item.price / item.gpu_count,
        pricing="spot" if item.spot else "on_demand",
        as_of=day or today,
        as_of_basis=f"version {offer.version} of the catalogue" if day else "the day it was fetched",
        date_confidence="dated",
        derived=False,
        cheapest_in_group=False,
        source_url=offer.source,
        collected=today,
        origin="refreshed",
    )


def _version_day(version: str) -> date | None:
    """The day of a version such as 20260818-42."""
    found = re.match(r"(\d{4})(\d{2})(\d{2})", version)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """gpuhunt's log of tracebacks stays unsaid, and a network that does not answer is given up."""
    log = logging.getLogger("gpuhunt")
    propagate, timeout = log.propagate, socket.getdefaulttimeout()
    handler = logging.NullHandler()
    log.addHandler(handler)
    log.propagate = False
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
        socket.setdefaulttimeout(timeout)
