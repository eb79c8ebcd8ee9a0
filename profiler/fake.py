"""Give a model that was built on the meta device fake CPU tensors, so that the libraries' code runs without memory.

Fake tensors have shape, dtype, device and a storage with a size, but no data (torch/_subclasses/fake_tensor.py).  The
model is built on meta and not in fake mode, because PEFT's `.to` in fake mode fails (torch's swap_tensors refuses);
the fake device is the CPU, because fake CUDA tensors abort a CPU-only build of torch.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

#: A context in which new tensors are real again.
real_tensors = unset_fake_temporarily

Memo = dict[int, torch.Tensor]


@contextmanager
def fake_world() -> Iterator[FakeTensorMode]:
    """Fake mode, with the libraries told what they cannot know of fake tensors."""
    from torch import _meta_registrations
    from transformers import masking_utils

    with ExitStack() as stack:
        stack.enter_context(patch.object(masking_utils, "find_packed_sequence_indices", _no_packed_sequences))
        stack.enter_context(patch.object(_meta_registrations, "_meta_grouped_mm_common", _grouped_mm))
        yield stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))


def _grouped_mm(a: torch.Tensor, b: torch.Tensor, *_: Any, offs: Any = None, out_dtype: Any = None, **__: Any) -> Any:
    """The shape of torch's grouped matrix product, for every dtype that its CPU kernel takes.

    torch 2.13's own shape function knows CUDA's rules only and refuses float32 (torch/_meta_registrations.py).
    """
    from torch._meta_registrations import _create_grouped_mm_output_tensor

    for matrix in (a, b):
        if max(matrix.stride()[-2:]) * matrix.element_size() % 16:
            raise RuntimeError("strides should be multiple of 16 bytes")  # as the kernel says it
    return _create_grouped_mm_output_tensor(a, b, offs, out_dtype)  # type: ignore[no-untyped-call]


def _no_packed_sequences(position_ids: torch.Tensor) -> None:
    """There is none: what the real function finds in positions that count from 0 to S - 1.

    On tensors without data it returns its mask instead, and an S x S mask is built that the real run does not have
    (transformers 5.23 masking_utils.py).
    """
    return None


def make_fake(model: nn.Module) -> None:
    """Put an empty fake tensor in the place of every parameter, buffer and quantization state; ties stay ties."""
    memo: Memo = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = _fake_parameter(parameter, memo)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _fake_tensor(buffer, memo)


def _fake_parameter(parameter: nn.Parameter, memo: Memo) -> Any:
    """A parameter; a 4-bit one keeps its quant_state, whose tensors become fake as well."""
    if id(parameter) not in memo:
        fake = nn.Parameter(_empty(parameter), requires_grad=parameter.requires_grad)
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            _fake_quant_state(state, memo)
            fake.quant_state = state  # type: ignore[attr-defined]
        memo[id(parameter)] = fake
    return memo[id(parameter)]


def _fake_quant_state(state: Any, memo: Memo) -> None:
    """absmax, code, offset and the nested state of a bitsandbytes QuantState, in place."""
    for key in ("absmax", "code", "offset"):
        value = getattr(state, key, None)
        if isinstance(value, torch.Tensor):
            setattr(state, key, _fake_tensor(value, memo))
    if state.state2 is not None:
        _fake_quant_state(state.state2, memo)


def _fake_tensor(tensor: torch.Tensor, memo: Memo) -> torch.Tensor:
    if id(tensor) not in memo:
        memo[id(tensor)] = _empty(tensor)
    return memo[id(tensor)]


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
