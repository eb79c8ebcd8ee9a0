"""The Serve page's inputs and its request. Keys are public: links use them. Nothing here imports streamlit.

model, gpu and the adapters' keys are those of the other pages, so that a question is carried along.
"""

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from planner.architecture.blocks import Architecture
from planner.methods.attention_names import attention_linears
from planner.resolve import load_model
from planner.serving.request import ServeRequest, parse_serve_request
from planner.serving.weights import trained_as
from ui import state
from ui.names import check_card, model_of

#: How the base is kept -> the settings of its quantization.
BASES: dict[str, dict[str, Any] | None] = {
    "16 bits": None,
    "8 bits": {"load_in_8bit": True, "load_in_4bit": False},
    "4 bits": {"load_in_4bit": True},
    "GPTQ, 4 bits": {"quant_method": "gptq"},
    "AWQ, 4 bits": {"quant_method": "awq"},
}
_BASE_FLAGS = {
    "8 bits": ["--load-in-8bit"],
    "4 bits": ["--load-in-4bit"],
    "GPTQ, 4 bits": ["--quant-method", "gptq"],
    "AWQ, 4 bits": ["--quant-method", "awq"],
}
#: Inputs that are fields of the request, by the same name.
PLAIN = ("max_num_seqs", "max_model_len", "max_num_batched_tokens", "kv_cache_dtype", "engine", "dtype", "num_tokens")
#: Inputs shared with the other pages.
SHARED = ("model", "gpu", "lora_r", "target_modules", "autocast_adapter_dtype")
TENANTS = 10


def default(key: str) -> Any:
    """The value an input starts with."""
    if key in PLAIN:
        return ServeRequest.model_fields[key].default
    return {"base": "16 bits", "tenants": TENANTS}.get(key) or state.default(key)


def defaults() -> dict[str, Any]:
    """Every input's first value."""
    return {key: default(key) for key in (*SHARED, "base", "tenants", *PLAIN)}


def request_from_values(values: Mapping[str, Any]) -> ServeRequest:
    """The request that the inputs ask for.

    Raises PlannerError with one line on the input that breaks a rule.
    """
    filled = {key: first if values.get(key) in (None, "") else values[key] for key, first in defaults().items()}
    fields = {key: filled[key] for key in (*PLAIN, "gpu")} | {"quantization": BASES[filled["base"]]}
    check_card(str(filled["gpu"]))
    fields["model"] = model_of(str(filled["model"]), values.get("own_model"))
    if not filled["tenants"]:
        return parse_serve_request(fields | {"adapters": []})
    lora = {"r": filled["lora_r"], "autocast_adapter_dtype": filled["autocast_adapter_dtype"]}
    bare = parse_serve_request(fields | {"adapters": []})
    lora["target_modules"] = _targets(str(filled["target_modules"]), bare)
    return parse_serve_request(fields | {"adapters": [{"count": filled["tenants"], "lora": lora}]})


def _targets(text: str, request: ServeRequest) -> str | list[str]:
    if text == state.default("target_modules"):
        return text
    if text == state.ATTENTION:
        return attention_linears(_architecture(request))
    return [name.strip() for name in text.split(",") if name.strip()]


def _architecture(request: ServeRequest) -> Architecture:
    return load_model(trained_as(request, None)).architecture


def query(values: Mapping[str, Any]) -> dict[str, str]:
    """The URL's parameters for these inputs: those that differ from the defaults."""
    changed = {key: value for key, value in values.items() if key in defaults() and value != default(key)}
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in changed.items()}


def link(base_url: str, values: Mapping[str, Any]) -> str:
    """The address that opens the page with these inputs."""
    parameters = urlencode(query(values))
    return f"{base_url}?{parameters}" if parameters else base_url


def cli_command(values: Mapping[str, Any], request: ServeRequest) -> str:
    """The command that gives the same answer."""
    words = [
        "tunebudget",
        "serve",
        str(values["model"]),
        "--gpu",
        str(request.gpu),
        "--tenants",
        str(request.num_adapters),
    ]
    words += _BASE_FLAGS.get(str(values.get("base")), [])
    for key in PLAIN:
        if getattr(request, key) != default(key):
            words += [f"--{key.replace('_', '-')}", str(getattr(request, key))]
    for group in request.adapters:
        words += ["--lora-r", str(group.lora.r)]
        if isinstance(group.lora.target_modules, tuple):
            words += ["--target-modules", ",".join(group.lora.target_modules)]
        words += [] if group.lora.autocast_adapter_dtype else ["--no-autocast-adapter-dtype"]
    return shlex.join(words)
