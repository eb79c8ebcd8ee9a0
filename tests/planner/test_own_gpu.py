"""A card spelled out in the request: planned like any other, and refused in one line."""

import pytest

from planner.catalog import find_gpu
from planner.catalog.own_gpu import own_gpu_name
from planner.errors import UnknownGpuError
from planner.estimate import estimate
from planner.schema import parse_request
from planner.units import GIB

REQUEST = {"model": "gpt2", "method": "full", "max_length": 256}


def test_a_card_spelled_out_has_what_was_said_of_it() -> None:
    card = find_gpu("own:usable_gib=44.5, mem_bandwidth_gb_s=864,compute_capability=8.9,tdp_w=300")
    assert card.usable_bytes == 44.5 * GIB
    assert card.mem_bandwidth_bytes_per_second == 864e9
    assert (card.compute_capability, card.tdp_w, card.bf16_gemm_flops) == ("8.9", 300, None)


def test_a_plan_on_it_equals_one_on_the_catalogue_s_card_of_that_size() -> None:
    known = find_gpu("rtx-4090")
    name = own_gpu_name(usable_gib=known.usable_bytes / GIB, compute_capability=float(known.compute_capability or 0))
    own, plan = (estimate(parse_request(REQUEST | {"gpu": gpu})) for gpu in (name, "rtx-4090"))
    assert (own.device_bytes, own.usable_bytes, own.verdict) == (plan.device_bytes, plan.usable_bytes, plan.verdict)
    assert own.gpu == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own:", "'' is none of usable_gib"),
        ("own:usable_gib", "must be a number"),
        ("own:usable_gib=abc", "must be a number"),
        ("own:usable_gib=nan", "must be from 0.25 to 4096"),
        ("own:usable_gib=inf", "must be from 0.25 to 4096"),
        ("own:usable_gib=-1", "must be from 0.25 to 4096"),
        ("own:usable_gib=1e99", "must be from 0.25 to 4096"),
        ("own:mem_bandwidth_gb_s=100", "usable_gib is missing"),
        ("own:usable_gib=24,colour=1", "'colour' is none of"),
        ("own:" + "x" * 10_000, "is none of"),
    ],
)
def test_a_bad_spelling_is_one_line(name: str, words: str) -> None:
    with pytest.raises(UnknownGpuError) as refusal:
        find_gpu(name)
    assert words in refusal.value.message
    assert "\n" not in refusal.value.message
    assert len(refusal.value.message) < 500


def test_one_s_own_price_goes_before_the_list() -> None:
    asked = REQUEST | {"gpu": "rtx-4090", "num_gpus": 2, "parallelism": {"strategy": "ddp"}}
    plan = estimate(parse_request(asked | {"pricing": {"usd_per_gpu_hour": 0.5}}))
    assert plan.price is not None
    assert (plan.price.usd_per_hour, plan.price.gpus, plan.price.provider) == (1.0, 2, "your own price")


@pytest.mark.parametrize("besides", [{"kind": "owned"}, {"provider": "aws"}])
def test_one_s_own_price_is_of_a_rented_card(besides: dict[str, str]) -> None:
    with pytest.raises(Exception, match="usd_per_gpu_hour"):
        parse_request(REQUEST | {"pricing": {"usd_per_gpu_hour": 0.5, **besides}})
