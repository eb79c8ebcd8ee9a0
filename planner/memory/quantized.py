"""How a quantized linear is kept: codes and constants of one tensor, by quantization method."""

from dataclasses import dataclass
from typing import Literal

from planner.memory.live import ITEMSIZE
from planner.schema import QuantizationSettings

BLOCK_4BIT = 64
BLOCK_NESTED = 256
CODE_4BIT = 16
CODE_8BIT = 256

QuantMethod = Literal["bnb_4bit", "bnb_8bit", "gptq", "awq", "hqq"]


def packed_bytes(numel: int) -> int:
    """4-bit codes, two a byte: ceil(n / 2)."""
    return -(-numel // 2)


def constants_bytes(numel: int, double_quant: bool) -> int:
    """What bitsandbytes keeps beside the 4-bit codes of one tensor (QuantState, bitsandbytes 0.50 functional.py).

    One float32 absmax a block of 64, or with double quantization (QLoRA, Dettmers et al. 2023, section 3) one byte a
    block and one float32 a 256 blocks, the nested code map of 256 float32 and the float32 offset; always the code of
    16 float32.
    """
    blocks = -(-numel // BLOCK_4BIT)
    code = CODE_4BIT * 4
    if not double_quant:
        return blocks * 4 + code
    return blocks + -(-blocks // BLOCK_NESTED) * 4 + CODE_8BIT * 4 + 4 + code


@dataclass(frozen=True, slots=True)
class Storage:
    """One quantization, as the weights of a model are kept in it.

    name: of the codes ("nf4", "gptq 4 bit"). dtype: of scales and zeros, where these follow the model's.
    """

    method: QuantMethod
    name: str
    bits: int
    group_size: int
    double_quant: bool
    dtype: str

    @property
    def quantizes(self) -> bool:
        """Whether 16-bit weights are quantized on the device as they are loaded, not read from a checkpoint."""
        return self.method in ("bnb_4bit", "bnb_8bit")

    def codes_bytes(self, shape: tuple[int, ...], numel: int) -> int:
        """The quantized values themselves."""
        if self.method == "bnb_4bit":
            return packed_bytes(numel)
        if self.method == "bnb_8bit":
            return numel
        return -(-numel * self.bits // 8)

    def constants_bytes(self, shape: tuple[int, ...], numel: int) -> int:
        """Scales, zeros and tables.

        LLM.int8 (bitsandbytes 0.50 nn/modules.py Int8Params): a float32 a row. GPTQ (gptqmodel
        nn_modules/qlinear, auto_gptq qlinear_tritonv2.py): packed zeros, float16 scales, an int32 group index an
        input. AWQ: the same without the index. HQQ (hqq core/quantize.py): a scale and a zero a group.
        """
        if self.method == "bnb_4bit":
            return constants_bytes(numel, self.double_quant)
        out, inner = (shape[0], numel // shape[0])
        if self.method == "bnb_8bit":
            return 4 * out
        groups = -(-inner // self.group_size) * out
        if self.method == "hqq":
            return 2 * groups * ITEMSIZE[self.dtype]
        index = 4 * inner if self.method == "gptq" else 0
        return -(-groups * self.bits // 8) + 2 * groups + index

    @property
    def formula(self) -> str:
        """Of the constants, in words."""
        return {
            "bnb_4bit": "1 a block of 64 + 4 a 256 blocks + 1092 a tensor"
            if self.double_quant
            else "4 a block of 64 + 64 a tensor",
            "bnb_8bit": "4 a row",
            "gptq": "(bits / 8 + 2) a group + 4 an input",
            "awq": "(bits / 8 + 2) a group",
            "hqq": "scale and zero a group",
        }[self.method]

    @property
    def source(self) -> str:
        """Where the layout was read."""
        return {
            "bnb_4bit": "Dettmers et al. 2023 (QLoRA), section 3; bitsandbytes 0.50 functional.py QuantState",
            "bnb_8bit": "Dettmers et al. 2022 (LLM.int8); bitsandbytes 0.50 nn/modules.py Int8Params",
            "gptq": "Frantar et al. 2022 (GPTQ); auto_gptq 0.7 nn_modules/qlinear/qlinear_tritonv2.py",
            "awq": "Lin et al. 2023 (AWQ); autoawq 0.2 awq/modules/linear/gemm.py",
            "hqq": "Badri and Shaji 2023 (HQQ); hqq 0.2 hqq/core/quantize.py",
        }[self.method]


def storage_of(settings: QuantizationSettings, dtype: str) -> Storage:
    """The storage that a request's settings ask for."""
    method, bits, group_size = settings.kind, settings.bits_in_force, settings.group_size_in_force
    names = {"bnb_4bit": settings.bnb_4bit_quant_type, "bnb_8bit": "LLM.int8"}
    name = names.get(method, f"{method}, groups of {group_size}")
    return Storage(method, name, bits, group_size, settings.bnb_4bit_use_double_quant, dtype)
