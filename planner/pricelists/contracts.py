"""One's own contracts: a csv file, validated row by row and kept whole or not at all."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from planner.catalog import PriceRow, find_gpu
from planner.catalog.price_store import folder, write_list
from planner.catalog.rows.price import Pricing
from planner.cost.rent import HOURS_PER_MONTH
from planner.errors import PlannerError, RequestError

#: No contract is longer; a binary file that was named by mistake is.
MAX_BYTES = 20 * 10**6
Name = Annotated[str, Field(min_length=1, max_length=200)]
UsdPrice = Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)]


class Contract(BaseModel):
    """One row of the file: the price of one machine, an hour or a month."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Name
    gpu: Name
    gpus_per_instance: Annotated[int, Field(ge=1, le=1024)] = 1
    pricing: Pricing = "on_demand"
    usd_per_hour: UsdPrice | None = None
    usd_per_month: UsdPrice | None = None
    as_of: date
    instance_type: str = ""
    region: str = ""
    sold_as: Literal["instance", "per_gpu"] = "instance"
    source: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _one_price(self) -> "Contract":
        if (self.usd_per_hour is None) == (self.usd_per_month is None):
            raise ValueError("give usd_per_hour or usd_per_month, of the whole machine: one of the two")
        return self


@dataclass(frozen=True, slots=True)
class Taken:
    """An import: the rows, where they are kept, and whether the same file had been taken before."""

    rows: tuple[PriceRow, ...]
    path: Path
    is_new: bool


class ContractErrors(PlannerError):
    """Rows that break a rule, one line each."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        super().__init__(f"--import {path}: {len(lines)} of its rows break a rule; nothing was imported", "import")
        self.lines = lines


def take_in(path: Path, today: date) -> Taken:
    """Read, check and keep a file of contracts; earlier imports stay as they are.

    Raises RequestError where it is no such file, ContractErrors with one line for each row that breaks a rule.
    """
    content = _content(path)
    rows = tuple(_rows(path, content, today))
    # by content, so that the same file taken twice is one list
    name = f"contracts-{sha256(content.encode()).hexdigest()[:16]}.csv"
    is_new = not (folder() / name).exists()
    kept = write_list(name, rows) if is_new else folder() / name
    return Taken(rows, kept, is_new)


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RequestError(f"--import {path}: larger than {MAX_BYTES // 10**6} MB: give a csv file of contracts")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RequestError(f"--import {path}: {error.strerror or error}: give a readable csv file") from None
    except ValueError:
        raise RequestError(f"--import {path}: not text in UTF-8: give a csv file") from None


def _rows(path: Path, content: str, today: date) -> Iterator[PriceRow]:
    """All rows.

    Raises as `take_in` does.
    """
    reader = csv.DictReader(content.splitlines(), restkey="", strict=True)
    errors: list[str] = []
    found: list[PriceRow] = []
    try:
        _check_header(path, reader.fieldnames)
        for cells in reader:
            try:
                found.append(_row(path, cells, today))
            except PlannerError as error:
                errors.append(f"line {reader.line_num}: {error.message}")
    except csv.Error as error:
        raise RequestError(f"--import {path}: line {reader.line_num}: no csv ({error})") from None
    if errors:
        raise ContractErrors(path, errors)
    if not found:
        raise RequestError(f"--import {path}: has no rows below its header")
    yield from found


def _check_header(path: Path, names: Sequence[str] | None) -> None:
    given = [name.strip() for name in names or ()]
    known, needed = list(Contract.model_fields), ("provider", "gpu", "as_of")
    unknown = [name for name in given if name not in known]
    missing = [name for name in needed if name not in given]
    if unknown or missing or len(set(given)) < len(given):
        what = f"unknown column {unknown[0]!r}" if unknown else f"no column {missing[0]!r}" if missing else "one twice"
        raise RequestError(f"--import {path}: {what}; columns are {', '.join(known)}")


def _row(path: Path, cells: Mapping[str, object], today: date) -> PriceRow:
    if "" in cells:
        raise RequestError("more cells than columns")
    given = {name.strip(): text.strip() for name, text in cells.items() if isinstance(text, str) and text.strip()}
    try:
        contract = Contract.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{column}: {message} (given: {given.get(column, '')!r})" if column else message) from None
    if contract.as_of > today:
        raise RequestError(f"as_of: {contract.as_of} is after today, {today}")
    return price_row(contract, path.name, today)


def price_row(contract: Contract, file_name: str, today: date) -> PriceRow:
    """A contract as an offer of the catalogue.

    Raises UnknownGpuError for a card that the catalogue does not know.
    """
    hourly = contract.usd_per_hour or (contract.usd_per_month or 0.0) / HOURS_PER_MONTH
    monthly = (
        "" if contract.usd_per_month is None else f"{contract.usd_per_month:,.2f} USD a month / {HOURS_PER_MONTH} h"
    )
    return PriceRow(
        provider=contract.provider,
        gpu_key=find_gpu(contract.gpu).key,
        gpus_per_instance=contract.gpus_per_instance,
        instance_type=contract.instance_type,
        sold_as=contract.sold_as,
        region=contract.region,
        region_scope="own contract",
        price_usd_per_hour_instance=hourly,
        price_usd_per_gpu_hour=hourly / contract.gpus_per_instance,
        pricing=contract.pricing,
        as_of=contract.as_of,
        as_of_basis="stated in the contract's row",
        date_confidence="dated",
        derived=contract.usd_per_month is not None,
        cheapest_in_group=False,
        source_url=contract.source or f"own contract, {file_name}",
        collected=today,
        note="; ".join(filter(None, (monthly, contract.note))),
        origin="contract",
    )
