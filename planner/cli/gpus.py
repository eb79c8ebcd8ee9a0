"""``gpus [QUERY]``: the cards of the catalogue."""

import click

from planner.catalog import GpuRow, find_gpu, list_gpus
from planner.catalog.names import gpu_spelling
from planner.cli.options import json_option
from planner.cli.output import print_json, print_report
from planner.report import Column, Table, Text
from planner.units import MIB, format_gib

_COLUMNS = (
    Column("gpu"),
    Column("name"),
    Column("usable", "number"),
    Column("in all", "number"),
    Column("GB/s", "number"),
    Column("bf16 TFLOPS", "number"),
    Column("as of"),
)


@click.command("gpus")
@click.argument("query", required=False)
@json_option
def command(query: str | None, as_json: bool) -> None:
    """The catalogue's cards: all, or those whose name contains QUERY.

    Usable is what the framework can allocate in all; TFLOPS are dense, with fp32 accumulation where it is stated.
    """
    gpus = list_gpus() if query is None else _matching(query)
    if as_json:
        print_json([gpu.model_dump(mode="json") for gpu in gpus])
        return
    print_report((Table("", _COLUMNS, tuple(map(_row, gpus))), *(_details(gpus[0]) if len(gpus) == 1 else ())))


def _matching(query: str) -> list[GpuRow]:
    spelled = gpu_spelling(query)
    found = [gpu for gpu in list_gpus() if spelled and _contains(gpu, spelled)]
    return found or [find_gpu(query)]


def _contains(gpu: GpuRow, spelled: str) -> bool:
    return any(spelled in gpu_spelling(name) for name in (gpu.key, gpu.name, gpu.architecture, *gpu.aliases))


def _row(gpu: GpuRow) -> tuple[str, ...]:
    tflops = gpu.bf16_fp32acc_tflops or gpu.bf16_dense_tflops
    return (
        gpu.key,
        gpu.name,
        format_gib(gpu.usable_bytes),
        format_gib(gpu.memory_total_mib * MIB),
        _number(gpu.mem_bandwidth_gb_s),
        _number(tflops),
        gpu.as_of.isoformat(),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _details(gpu: GpuRow) -> list[Text]:
    lines = [
        f"Other names: {', '.join(gpu.aliases)}" if gpu.aliases else "",
        f"Usable memory: {gpu.usable_source}",
        f"Rates: {gpu.compute_source}. {gpu.compute_note}".rstrip() if gpu.compute_source else "",
        f"Source: {gpu.source_url}",
    ]
    return [Text(line, "note") for line in lines if line]
