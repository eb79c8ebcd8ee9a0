"""NF4 by hand against bitsandbytes itself, bit by bit."""

from typing import Any

import numpy as np
import pytest

from planner.labs.levels import dynamic_levels, fp4_codes, levels
from planner.labs.nf4 import dequantize, nest, quantize, unnest
from planner.memory.quantized import constants_bytes, packed_bytes

torch = pytest.importorskip("torch", reason="bitsandbytes works on torch's tensors")
functional: Any = pytest.importorskip("bitsandbytes", reason="the oracle is bitsandbytes").functional

RNG = np.random.default_rng(0)


def _outlier() -> np.ndarray:
    block = RNG.normal(0, 0.02, 64).astype(np.float32)
    block[13] = 4
    return block


BLOCKS = {
    "random": RNG.normal(0, 0.02, 64 * 40),
    "large random": RNG.normal(0, 3, 64 * 1000),
    "uniform": RNG.uniform(-1, 1, 64 * 7),
    "constant": np.full(64, 0.37),
    "negative constant": np.full(128, -0.37),
    "zero": np.zeros(64),
    "zero beside others": np.concatenate([np.zeros(64), RNG.normal(0, 1, 64)]),
    "outlier": _outlier(),
    "a short last block": RNG.normal(0, 1, 64 * 3 + 10),
    "a short last block of zeros": np.concatenate([RNG.normal(0, 1, 64), np.zeros(6)]),
    "an odd count": RNG.normal(0, 1, 65),
    "tiny": RNG.normal(0, 1e-30, 64),
    "levels themselves": levels("nf4").astype(np.float64).repeat(4),
}


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
@pytest.mark.parametrize("name", BLOCKS)
def test_quantized_as_bitsandbytes_does(name: str, quant_type: str) -> None:
    weights = BLOCKS[name].astype(np.float32)
    codes, state = functional.quantize_4bit(torch.from_numpy(weights), quant_type=quant_type)
    found = quantize(weights, quant_type)

    assert found.absmax.tobytes() == state.absmax.numpy().tobytes()
    assert found.codes.tobytes() == codes.numpy().tobytes()
    if weights.size % 2 == 0:
        back = functional.dequantize_4bit(codes, state)
        assert np.array_equal(dequantize(found), back.numpy().reshape(-1))  # -0 is 0


def test_16_bit_weights_too() -> None:
    weights = torch.from_numpy(BLOCKS["random"].astype(np.float32)).bfloat16()
    codes, _ = functional.quantize_4bit(weights, quant_type="nf4")
    assert quantize(weights.float().numpy()).codes.tobytes() == codes.numpy().tobytes()


@pytest.mark.parametrize("name", ["large random", "random", "constant", "zero", "outlier", "a short last block"])
def test_double_quantization_as_bitsandbytes_does(name: str) -> None:
    """With bitsandbytes' own mean and 8-bit table: their last bits depend on the order of a sum and the processor."""
    weights = BLOCKS[name].astype(np.float32)
    _, state = functional.quantize_4bit(torch.from_numpy(weights), quant_type="nf4", compress_statistics=True)
    absmax = quantize(weights).absmax
    nested = nest(absmax, np.float32(state.offset.item()), state.state2.code.numpy())

    assert nested.absmax.tobytes() == state.state2.absmax.numpy().tobytes()
    assert nested.index.astype(np.uint8).tobytes() == state.absmax.numpy().tobytes()
    own = nest(absmax).offset
    assert abs(own - nested.offset) <= 2 * np.spacing(nested.offset)


def test_the_levels_are_computed_to_the_bit() -> None:
    assert levels("nf4").tobytes() == functional.get_4bit_type("nf4", device="cpu").numpy().tobytes()
    table = functional.get_4bit_type("fp4", device="cpu").numpy()
    assert (levels("fp4") == table[fp4_codes()]).all()
    assert np.allclose(dynamic_levels(), functional.create_dynamic_map().numpy(), rtol=3e-7, atol=0)


def test_what_comes_back_is_within_half_a_step() -> None:
    weights = BLOCKS["large random"].astype(np.float32)
    for quant_type in ("nf4", "fp4", "int4"):
        found, table = quantize(weights, quant_type), levels(quant_type)
        error = np.abs(dequantize(found) - weights) / np.repeat(found.absmax, 64)
        assert error.max() <= np.diff(table).max() / 2 + 1e-6


def test_nf4_is_the_best_of_the_three_for_normal_weights() -> None:
    weights = BLOCKS["large random"].astype(np.float32)
    errors = {t: np.square(dequantize(quantize(weights, t)) - weights).mean() for t in ("nf4", "fp4", "int4")}
    assert min(errors, key=errors.get) == "nf4"  # type: ignore[arg-type]


def test_nesting_costs_little_and_saves_most_of_the_constants() -> None:
    weights = BLOCKS["large random"].astype(np.float32)
    found = quantize(weights)
    again = unnest(nest(found.absmax))
    assert np.abs(again / found.absmax - 1).max() < 0.05
    assert found.codes.nbytes == packed_bytes(weights.size)
    assert found.absmax.nbytes + 64 == constants_bytes(weights.size, False)
    assert constants_bytes(weights.size, True) < 0.55 * constants_bytes(weights.size, False)
