"""Which layer of a decoder is of which kind: sliding windows, experts, layers without rotary positions."""

from collections.abc import Callable, Sequence

from planner.architecture.config import MAX_POSITIONS, Config
from planner.architecture.decoder import Layer

ATTENTION_TYPES = ("full_attention", "sliding_attention")


def window(c: Config, name: str = "sliding_window") -> int | None:
    """The sliding window; null and 0 mean none."""
    return None if c.get(name) is None else c.count(name, MAX_POSITIONS) or None


def windowed(c: Config) -> Sequence[Layer]:
    """Every layer has the config's sliding window, if it names one (mistral, phi3)."""
    return [Layer(window(c))] * c.layers()


def typed(c: Config, default: Callable[[int], str], size: int | None) -> Sequence[Layer]:
    """Layers by layer_types, or by the family's pattern where the config has none."""
    num_layers = c.layers()
    types = c.kinds("layer_types", num_layers, ATTENTION_TYPES) or [default(i) for i in range(num_layers)]
    return [Layer(size, True) if kind == "sliding_attention" else Layer() for kind in types]


def every(period: int) -> Callable[[Config], Sequence[Layer]]:
    """Sliding windows but for each `period`-th layer (gemma2: 2, olmo3: 4)."""
    return lambda c: typed(c, lambda i: alternating(i, period), window(c))


def every_named(name: str, period: int) -> Callable[[Config], Sequence[Layer]]:
    """As every(), with the period in the config under `name` (gemma3: sliding_window_pattern)."""

    def layers(c: Config) -> Sequence[Layer]:
        step = c.size(name) if c.get(name) is not None else period
        return typed(c, lambda i: alternating(i, step), window(c))

    return layers


def alternating(index: int, period: int) -> str:
    return "sliding_attention" if (index + 1) % period else "full_attention"


def upper_windows(c: Config) -> Sequence[Layer]:
    """qwen2, qwen3: windows from max_window_layers on, where use_sliding_window is set."""
    size = window(c) if c.flag("use_sliding_window") else None
    first = c.count("max_window_layers")
    return typed(c, lambda i: "sliding_attention" if size and i >= first else "full_attention", size)


def without_rope(c: Config) -> tuple[bool, ...]:
    """smollm3, llama4: True for a layer with rotary positions; each fourth has none unless the config lists them."""
    num_layers = c.layers()
    listed = c.integers("no_rope_layers", 1)
    if listed and len(listed) != num_layers:
        c.refuse("no_rope_layers", f"must have one entry for each of the {num_layers} layers")
    step = c.size("no_rope_layer_interval")
    return tuple(map(bool, listed)) or tuple((i + 1) % step != 0 for i in range(num_layers))
