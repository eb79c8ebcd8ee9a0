"""The URL's keys are public: links stand in messages and documents. A change here breaks them, so it is a decision."""

from ui import input_groups, state

FROZEN = frozenset(
    {
        "model",
        "method",
        "gpu",
        "num_gpus",
        "num_nodes",
        "strategy",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "context_parallel_size",
        "expert_parallel_size",
        "offload_optimizer",
        "offload_params",
        "activation_offloading",
        "overlap_comm",
        "stack",
        "max_length",
        "per_device_train_batch_size",
        "gradient_checkpointing",
        "use_reentrant",
        "gradient_accumulation_steps",
        "optim",
        "loss",
        "attn_implementation",
        "padding",
        "dtype",
        "mixed_precision",
        "num_tokens",
        "num_examples",
        "mean_length",
        "num_train_epochs",
        "pricing",
        "provider",
        "usd_per_gpu_hour",
        "restart_allowance",
        "purchase_price_usd",
        "useful_life_years",
        "power_w",
        "electricity_usd_per_kwh",
        "utilization",
        "lora_r",
        "lora_dropout",
        "target_modules",
        "autocast_adapter_dtype",
        "bnb_4bit_quant_type",
        "bnb_4bit_use_double_quant",
        "upcast_unquantized",
    }
)


def test_keys_are_frozen() -> None:
    assert frozenset(state.FIELDS) == FROZEN


def test_the_keys_of_other_pages_are_no_input_s() -> None:
    """`by` to `stacks` of Compare (ui/compare_sections.py), `show` and the searches of Catalogue, those of Sweep."""
    others = {"by", "methods", "gpus", "stacks", "show", "find_models", "find_gpus", "find_prices"}
    others |= {"sweep_models", "sweep_methods", "sweep_gpus", "sweep_counts", "sweep_lengths", "sweep_batches"}
    others |= {"sweep_search", "deadline_hours", "budget_usd"}
    assert not others & FROZEN


def test_each_key_fills_another_field() -> None:
    assert len(set(state.FIELDS.values())) == len(state.FIELDS)


def test_groups_name_known_keys() -> None:
    assert {key for group in input_groups.GROUPS.values() for key in group} <= FROZEN
