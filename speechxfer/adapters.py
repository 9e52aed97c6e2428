"""LoRA adapters (Hu et al., 2022), by the library PEFT.

A saved model has its adapters merged into the weights, so that it is an ordinary model; the adapters are saved
beside it in the format of PEFT.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.storage import write_json, write_tensors

_NAME = "default"
#: PEFT's prefix of the names of adapter weights.
PREFIX = "base_model.model."
#: Kinds of adapters that can be merged. Others change a model's input, load further models, or compile code.
_MERGED = ("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "VERA", "LN_TUNING", "HRA", "FOURIERFT", "C3A")


def attach(part: nn.Module, modules: Iterable[nn.Module], matrices: Iterable[str], *, rank: int, alpha: int) -> None:
    """Add an adapter of `rank`, scaled by `alpha / rank`, to the matrices of these names in modules of `part`.

    A new adapter outputs zero. The matrices themselves are frozen.

    Raises:
        ConfigError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError(
            "plan.lora_rank asks for adapters, which need the library peft; pip install 'speechxfer[lora]', or leave "
            "it out"
        ) from None
    wanted, inside = set(matrices), {id(module) for outer in modules for module in outer.modules()}
    names = [
        name
        for name, module in part.named_modules()
        if id(module) in inside and isinstance(module, nn.Linear) and name.rpartition(".")[2] in wanted
    ]
    if names:
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), part, _NAME)


def parameters(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of the adapters in a module."""
    return [parameter for name, parameter in module.named_parameters() if _is_adapter(f".{name}")]


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the model with its adapters merged into the matrices."""
    adapted = {f"{name}.": module for name, module in _adapted(model).items()}
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if _is_adapter(name):
            continue
        owner, base, last = name.rpartition("base_layer.")
        added = adapted[owner].get_delta_weight(_NAME) if base and last == "weight" else 0
        state[owner + last if base else name] = value + added if base and last == "weight" else value
    return state


def write(
    model: nn.Module,
    folder: Path,
    *,
    source: str,
    whole: Mapping[str, Tensor],
    renamed: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
) -> None:
    """Write a model's adapters in the format of PEFT; does nothing for a model without adapters.

    Args:
        model: with adapters.
        folder: created by this function.
        source: the base model.
        whole: weights of parts that were trained as a whole, which are saved with the adapters.
        renamed: converts names of weights to those in the folder of the whole model.

    Raises:
        OSError: they could not be written.
    """
    adapted = _adapted(model)
    if not adapted:
        return
    from peft import LoraConfig

    one = next(iter(adapted.values()))
    state = {name.replace(f".{_NAME}.", "."): value for name, value in model.state_dict().items() if _is_adapter(name)}
    weights = {PREFIX + name: value.detach().cpu().contiguous() for name, value in renamed({**state, **whole}).items()}
    config = LoraConfig(
        r=one.r[_NAME], lora_alpha=one.lora_alpha[_NAME], base_model_name_or_path=source, inference_mode=True,
        target_modules=sorted(renamed(dict.fromkeys(adapted, torch.empty(0)))),
        modules_to_save=sorted({name.rpartition(".")[0] for name in renamed(whole)} - {""}) or None,
    )  # fmt: skip
    folder.mkdir()
    write_tensors(folder / "adapter_model.safetensors", weights)
    write_json(folder / "adapter_config.json", _plain(config.to_dict()))


def merged(
    folder: Path, model: nn.Module, described: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state dict of a model of `transformers` with an adapter of PEFT merged into it.

    Args:
        folder: of the adapter, for messages.
        model: the base model; modified in place.
        described: the adapter's configuration, in the format of PEFT.
        weights: the adapter's weights, with the names of PEFT.

    Raises:
        CheckpointError: PEFT is not installed, or the adapter does not fit or cannot be merged.
    """
    kind = described.get("peft_type")
    if kind not in _MERGED or described.get("megatron_config"):  # megatron_config names a module to import
        raise CheckpointError(f"{folder}: its adapter ({kind}) is of a kind that is not supported; wanted one of: {', '.join(_MERGED)}")  # fmt: skip  # noqa: E501
    try:
        import peft  # noqa: F401
    except ImportError:
        raise CheckpointError(f"{folder}: holds an adapter of PEFT ({kind}), which needs the library peft; pip install 'speechxfer[lora]'") from None  # fmt: skip  # noqa: E501
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _merged_by_peft(folder, model, weights)
        except Exception as error:  # kinds of adapters raise different errors
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(f"{folder}: its adapter ({kind}) cannot be merged into the model ({reason:.200}); merge it with PEFT first") from error  # fmt: skip  # noqa: E501


def _merged_by_peft(folder: Path, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict

    adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
    found = set_peft_model_state_dict(adapted, dict(weights))
    own = str(getattr(adapted.base_model, "prefix", _NAME))  # prefix of the names of adapter weights
    if wrong := [*(name for name in found.missing_keys if own in name), *found.unexpected_keys]:
        raise ValueError(f"its weights do not fit: {wrong[0]}")
    return dict(adapted.merge_and_unload(safe_merge=True).state_dict())


def _adapted(model: nn.Module) -> dict[str, Any]:
    """Matrices with an adapter, by their name without it."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _plain(value: Any) -> Any:
    """Values for JSON: sets become sorted lists, enumerations their values."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, set | list | tuple):
        return sorted(value) if isinstance(value, set) else [_plain(item) for item in value]
    return getattr(value, "value", value)
