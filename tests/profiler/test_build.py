"""What is built, against counts and bytes worked out by hand."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.errors import RequestError  # noqa: E402
from planner.optimizers import OPTIMIZERS  # noqa: E402
from profiler.build import build_batch, build_model, check_supported, count_parameters, loaded_tensors  # noqa: E402
from profiler.configs import build_config, num_layers_of  # noqa: E402
from profiler.optimizers import build_optimizer  # noqa: E402
from tests.profiler.recipes import GEMMA3, GPT2, LLAMA, request  # noqa: E402

pytestmark = pytest.mark.torch

H, MLP, V, KV, LAYERS = 128, 320, 1000, 64, 2  # sizes of LLAMA
LINEARS = ((H, H), (H, KV), (H, KV), (H, H), (H, MLP), (H, MLP), (MLP, H))
LINEAR_PARAMS = sum(a * b for a, b in LINEARS) * LAYERS
REST = 2 * V * H + (2 * LAYERS + 1) * H  # embedding, head, norms
ROTARY = 2 * 16 * 4  # inv_freq and original_inv_freq: half a head of 32, in float32


def built(method: str, device: str = "cpu", **fields: object) -> torch.nn.Module:
    ask = request(method=method, **fields)
    return build_model(ask, build_config(ask), device)


def loaded_bytes(model: torch.nn.Module) -> int:
    return sum(tensor.untyped_storage().nbytes() for _, tensor in loaded_tensors(model))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_full(device: str) -> None:
    model = built("full", device)
    assert count_parameters(model) == (LINEAR_PARAMS + REST,) * 2
    assert loaded_bytes(model) == 2 * (LINEAR_PARAMS + REST) + ROTARY


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_adapters_of_a_16_bit_base_are_float32(device: str) -> None:
    model, r = built("lora", device, lora={"r": 4}), 4
    adapters = sum((a + b) * r for a, b in LINEARS) * LAYERS
    assert count_parameters(model) == (adapters, LINEAR_PARAMS + REST + adapters)
    assert loaded_bytes(model) == 2 * (LINEAR_PARAMS + REST) + 4 * adapters + ROTARY


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_four_bit_weights_keep_their_constants_and_the_rest_is_upcast(device: str) -> None:
    model, r = built("qlora", device, lora={"r": 4}), 4
    adapters = sum((a + b) * r for a, b in LINEARS) * LAYERS
    states = sum(
        a * b // 64  # one 8-bit absmax a block of 64
        + -(-(a * b // 64) // 256) * 4  # one float32 a 256 of those
        + (16 + 256) * 4  # the 4-bit and the 8-bit code
        + 4  # the offset
        for a, b in LINEARS
    )
    assert count_parameters(model) == (adapters, LINEAR_PARAMS // 2 + REST + adapters)
    assert loaded_bytes(model) == LINEAR_PARAMS // 2 + states * LAYERS + 4 * (REST + adapters) + ROTARY


def test_without_the_upcast_the_rest_stays_in_16_bits() -> None:
    upcast, plain = built("qlora"), built("qlora", quantization={"upcast_unquantized": False})
    assert loaded_bytes(upcast) - loaded_bytes(plain) == 2 * REST


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_head_that_the_checkpoint_holds_is_not_tied(device: str) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "vocab_size": 100}
    tied, untied = (
        built("full", device, model={"model_type": "t5", **sizes, "tie_word_embeddings": tie}) for tie in (True, False)
    )
    assert count_parameters(untied)[0] - count_parameters(tied)[0] == 100 * 32


def test_a_meta_build_leaves_nothing_behind_for_a_real_one() -> None:
    built("qlora", "meta")
    assert all(tensor.device.type == "cpu" for _, tensor in loaded_tensors(built("qlora")))


def test_activations_that_are_not_moved_to_the_host_are_said() -> None:
    moved, kept = (
        check_supported(ask, build_config(ask), traced=True)
        for ask in (request(device="cuda", parallelism={"activation_offloading": on}) for on in (True, False))
    )
    assert set(moved) - set(kept) == {"activation_offloading: activations stay on the device here"}


def test_an_optimizer_of_another_package_is_refused() -> None:
    with pytest.raises(RequestError, match="adamw_torch_4bit"):
        build_optimizer("adamw_torch_4bit", [torch.nn.Parameter(torch.ones(64, 128))])


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "adamw_torch_4bit"])
def test_every_optimizer_of_the_schema_is_built(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(64, 128))
    optimizer = build_optimizer(name, [parameter])
    parameter.grad = torch.ones(64, 128)
    optimizer.step()
    assert not torch.equal(parameter, torch.ones(64, 128))


def test_a_batch_has_a_mask_only_when_padded() -> None:
    plain, padded = build_batch(request(), V), build_batch(request(padding="padded"), V)
    assert plain.keys() == {"input_ids", "labels"}
    assert padded["attention_mask"].sum() == 2 * 42  # an eighth of 48 tokens is padding
    assert all(tensor.shape == (2, 48) for tensor in padded.values())


@pytest.mark.parametrize("model", [LLAMA, GPT2, GEMMA3 | {"layer_types": ["sliding_attention"] * 6}])
def test_a_config_is_cut_to_fewer_layers(model: dict[str, object]) -> None:
    config = build_config(request(model), num_layers=1)
    assert num_layers_of(config) == 1
    assert len(getattr(config, "layer_types", None) or [0]) == 1
