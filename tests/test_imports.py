"""The arrows of the design: who may import whom, read off every file's syntax tree."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("planner", "profiler", "ui")

#: Layers of the planner from the ground up: a part imports from its own layer and those below.
LAYERS = (
    {
        "planner",
        "units",
        "errors",
        "optimizers",
        "parallelism",
        "switches",
        "identity",
        "installed",
        "dataset",
        "pricing",
        "method_settings",
        "place",
        "hosted",
    },
    {"schema", "answer"},
    {"architecture", "catalog", "hub"},
    {"methods", "parallel", "cost"},
    {"resolve", "stacks"},
    {"memory"},
    {"prepare", "notes"},
    {"throughput"},
    {"estimate"},
    {
        "grid",
        "grid_cost",
        "grid_time",
        "limits",
        "course",
        "advise",
        "trace_sizes",
        "cache",
        "traced",
        "level_terms",
        "levels",
        "child",
        "evidence",
        "side_by_side",
        "runs",
        "pricelists",
        "serving",
        "labs",
    },
    {"sweep", "method_search"},
    {
        "report",
        "report_levels",
        "report_money",
        "report_prices",
        "report_evidence",
        "report_bands",
        "report_speeds",
        "report_profile",
        "report_spread",
        "report_find",
        "report_suite",
        "report_chart",
        "report_calibration",
        "report_table",
        "report_serving",
        "report_search",
    },
    {"learn"},
    {"drills"},
    {"cli", "__main__"},
)
RANKS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

#: What a package must never import, and where outside libraries are allowed.
NEVER = {
    "planner": {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "streamlit", "pandas", "plotly"}
    | {"profiler", "ui"},
    "profiler": {"streamlit", "pandas", "plotly", "rich", "click", "ui"},
    "ui": {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "profiler"},
}
PROFILER_TAKES = {"planner.schema", "planner.units", "planner.errors", "planner.optimizers", "planner.parallelism"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Modules that a file imports anywhere in it, `from package import module` resolved."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & FILES.keys()
            found |= modules or {node.module}
    return found


FILES = {
    module_name(path): path
    for path in (ROOT / "app.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))))
    if path.exists()
}
IMPORTS = {name: imported(path) for name, path in FILES.items()}


def of(package: str) -> list[str]:
    return [name for name in FILES if name.split(".")[0] == package]


def part(module: str) -> str:
    """The part of the planner a module belongs to."""
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_none_of_these(package: str) -> None:
    wrong = {
        name: bad for name in of(package) if (bad := {m for m in IMPORTS[name] if m.split(".")[0] in NEVER[package]})
    }
    assert wrong == {}


def test_every_part_of_the_planner_has_a_layer() -> None:
    assert {part(name) for name in of("planner")} <= RANKS.keys()


def test_no_part_of_the_planner_imports_a_layer_above() -> None:
    wrong = [
        f"{name} -> {target}"
        for name in of("planner")
        for target in IMPORTS[name]
        if target.split(".")[0] == "planner" and RANKS[part(target)] > RANKS[part(name)]
    ]
    assert wrong == []


def test_there_is_no_circle_of_modules() -> None:
    graph = {name: {target for target in IMPORTS[name] if target in FILES and target != name} for name in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_profiler_does_not_know_the_answer() -> None:
    wrong = {
        name: bad
        for name in of("profiler")
        if (bad := {m for m in IMPORTS[name] if m.split(".")[0] == "planner"} - PROFILER_TAKES)
    }
    assert wrong == {}


def test_only_the_page_imports_streamlit() -> None:
    users = {
        name.split(".")[0] for name, modules in IMPORTS.items() if "streamlit" in {m.split(".")[0] for m in modules}
    }
    assert users <= {"ui", "app"}


def test_only_the_catalogue_reads_the_data() -> None:
    readers = [
        name for name in of("planner") if "data/" in FILES[name].read_text() and "DATA_DIR" in FILES[name].read_text()
    ]
    assert readers == ["planner.catalog.tables"]


def test_rich_is_imported_by_the_terminal_writer_alone() -> None:
    users = [name for name in FILES if any(m.split(".")[0] == "rich" for m in IMPORTS[name])]
    assert users == ["planner.cli.colour"]
