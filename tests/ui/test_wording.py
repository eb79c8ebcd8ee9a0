"""Notes and refusals on a page speak of its inputs; commands stay as they are typed."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import parse_request
from ui import state
from ui.wording import LABELS, on_page

Visit = Callable[..., AppTest]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("max_length 9 exceeds the limit", "**Length in tokens** 9 exceeds the limit"),
        ("parallelism.strategy: 'ddp' with num_gpus 1", "**Shared by**: 'ddp' with **Number of GPUs** 1"),
        ("optim: 'x' is not modelled", "**Optimizer**: 'x' is not modelled"),
        ("(quantization.upcast_unquantized: false)", "(**Upcast the rest to float32** off)"),
        ("needs more (stack: transformers@5)", "needs more (**Training stack**: transformers@5)"),
        ("open: loss fused, optim sgd", "open: **Loss** fused, **Optimizer** sgd"),
        ("lora.r: 0 is less than 1", "**Rank**: 0 is less than 1"),
        # words of the language, commands, and names that no input has
        ("tensors of the loss 'fused' of this model", "tensors of the loss 'fused' of this model"),
        ("run `tunebudget table --num_gpus 2`", "run `tunebudget table --num_gpus 2`"),
        ("max_position_embeddings, expandable_segments true", "max_position_embeddings, expandable_segments true"),
    ],
)
def test_fields_stand_under_the_labels_of_their_inputs(line: str, shown: str) -> None:
    assert on_page(line) == shown


def test_every_input_has_a_label_and_stands_under_it(open_page: Visit) -> None:
    assert state.FIELDS.keys() <= LABELS.keys()
    drawn = set()
    for query in ({"method": "qlora", "num_gpus": "2", "pricing": "spot"}, {"pricing": "owned"}):
        app = open_page(**query)
        kinds = (app.selectbox, app.number_input, app.toggle, app.get("button_group"))
        inputs = [widget for kind in kinds for widget in kind if widget.key in state.FIELDS]
        assert {widget.key: widget.label for widget in inputs} == {widget.key: LABELS[widget.key] for widget in inputs}
        drawn |= {widget.key for widget in inputs}
    assert drawn == set(state.FIELDS)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "lora", "gpu": "t4", "pricing": {"kind": "reserved"}},
        {"method": "lora", "gpu": "t4", "num_gpus": 3, "parallelism": {"strategy": "fsdp"}},
        {"method": "full", "gpu": "h100", "pricing": {"kind": "owned"}},
        {"method": "qlora", "gpu": "h100", "num_gpus": 9, "parallelism": {"strategy": "ddp"}},
        {"method": "lora", "gpu": "t4", "pricing": {"provider": "nobody"}},
        {"method": "full", "gpu": "t4", "num_gpus": 2},
        {"method": "full", "gpu": "t4", "num_gpus": 2, "parallelism": {"strategy": "fsdp", "offload_optimizer": True}},
    ],
)
def test_flags_stand_in_commands_alone_and_fields_of_inputs_not_at_all(fields: dict[str, object]) -> None:
    try:
        lines = list(estimate(parse_request({"model": "llama-3.1-8b"} | fields)).notes)
    except PlannerError as error:
        lines = [error.message]
    for line in lines:
        prose = "".join(on_page(line).split("`")[::2])
        assert "--" not in prose
        assert not any(
            f"{name} " in f"{prose} " for name in (".".join(p) for p in state.FIELDS.values()) if "." in name
        )


def test_the_page_shows_them_so(open_page: Visit) -> None:
    refused = open_page(max_length="999999999999")
    assert [error.value.startswith("**Length in tokens**: ") for error in refused.error] == [True]
    noted = open_page(method="qlora", gpu="h100-sxm")
    assert any("(**Upcast the rest to float32** off)" in text.value for text in noted.markdown)
