"""``serve MODEL``: memory of one base with N adapters and a cache, against N whole models."""

from typing import Any, get_args

import click

from planner.catalog import find_gpu
from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.options import json_option, module_names
from planner.cli.output import print_json, print_report
from planner.errors import RequestError
from planner.report_serving import serving_report
from planner.schema import Dtype
from planner.serving.limits import serving_with_limits
from planner.serving.request import CacheDtype, Engine, ServeRequest, group_of, parse_serve_request
from planner.serving.scenario import ways


def _choice(values: Any) -> str:
    return f"[{'|'.join(get_args(values))}]"


@click.command("serve")
@click.argument("model")
@click.option("--gpu", metavar="TEXT", help="Key or alias of the catalogue.")
@click.option("--tenants", metavar="INTEGER", help="Adapters that are alike, one a tenant. [default: 1; 0: the base]")
@click.option("--lora-r", metavar="INTEGER", help="Their rank. [default: 16]")
@click.option("--target-modules", multiple=True, metavar="NAME[,NAME...]", help="[default: all-linear]")
@click.option(
    "--adapters", multiple=True, metavar="COUNTxRANK[:NAME,NAME...]", help="Groups of adapters: 100x16 or 8x64:q_proj."
)
@click.option("--autocast-adapter-dtype/--no-autocast-adapter-dtype", default=None, help="Adapters in float32.")
@click.option("--max-num-seqs", metavar="INTEGER", help="Sequences that are answered at one time. [default: 1]")
@click.option("--max-model-len", metavar="INTEGER", help="Tokens a sequence, prompt and answer. [default: 4096]")
@click.option("--max-num-batched-tokens", metavar="INTEGER", help="Tokens of one forward pass. [default: 2048]")
@click.option("--kv-cache-dtype", metavar=_choice(CacheDtype), help="[default: auto]")
@click.option("--engine", metavar=_choice(Engine), help="Whose cache. [default: transformers]")
@click.option("--num-tokens", metavar="INTEGER", help="Tokens each tenant is trained on: hours and USD of both ways.")
@click.option("--dtype", metavar=_choice(Dtype), help="Of what is not quantized. [default: bfloat16]")
@click.option("--load-in-4bit/--no-load-in-4bit", default=None, help="The base in bitsandbytes' 4 bits.")
@click.option("--load-in-8bit/--no-load-in-8bit", default=None, help="The base in LLM.int8.")
@click.option("--quant-method", metavar="[bitsandbytes|gptq|awq|hqq]", help="Of a quantized base.")
@click.option("--bits", metavar="INTEGER", help="Of gptq, awq and hqq. [default: 4]")
@json_option
def command(model: str, as_json: bool, **flags: Any) -> int:
    """Memory of one base MODEL with adapters and a cache of keys and values, against whole models.

    MODEL is a name of the catalogue (`tunebudget models`) or a path to a config.json.
    """
    request = parse_serve_request(_fields(model, flags))
    found = serving_with_limits(request)
    both = ways(request, found) if request.num_adapters else ()
    if as_json:
        print_json(found.model_dump(mode="json") | {"ways": [way.model_dump(mode="json") for way in both]})
    else:
        card = None if request.gpu is None else find_gpu(request.gpu).name
        print_report(serving_report(request, found, card, both))
    return DOES_NOT_FIT if found.verdict == "does not fit" else FITS


def _fields(model: str, flags: dict[str, Any]) -> dict[str, Any]:
    names = set(ServeRequest.model_fields) - {"model", "adapters", "quantization"}
    fields = {name: flags[name] for name in names if flags.get(name) is not None}
    fields |= {"model": model, "adapters": _adapters(flags)}
    quantization = _quantization(flags)
    return fields | ({"quantization": quantization} if quantization is not None else {})


def _adapters(flags: dict[str, Any]) -> list[dict[str, Any]]:
    """Groups as --adapters spells them, or one group of tenants that are alike; none for 0 tenants."""
    alike = [name for name in ("tenants", "lora_r", "target_modules") if flags[name] not in (None, ())]
    common = {name: flags[name] for name in ("autocast_adapter_dtype",) if flags[name] is not None}
    if flags["adapters"]:
        if alike:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in alike)
            raise RequestError(f"--adapters with {names}: say the groups in one way", "adapters")
        return [{**group, "lora": common | group["lora"]} for group in map(group_of, flags["adapters"])]
    if flags["tenants"] == "0":
        return []
    lora = common | ({"r": flags["lora_r"]} if flags["lora_r"] is not None else {})
    if flags["target_modules"]:
        lora["target_modules"] = module_names(flags["target_modules"])
    return [{"count": flags["tenants"] or 1, "lora": lora}]


def _quantization(flags: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of a quantized base; None where no flag asks for one."""
    fields = {name: flags[name] for name in ("quant_method", "bits") if flags[name] is not None}
    if flags["load_in_4bit"]:
        fields["load_in_4bit"] = True
    if flags["load_in_8bit"]:
        fields |= {"load_in_8bit": True, "load_in_4bit": bool(flags["load_in_4bit"])}
    return fields or None
