"""Low-rank adapters (Hu et al., 2022, LoRA), by the library PEFT.

An adapter stands beside a matrix and adds a product of two thin ones to what it gives. Where a model is saved they are
added to the matrices, so that the folder holds an ordinary model; beside it they are kept as PEFT writes them.
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
#: What PEFT puts before the names of an adapter's weights.
PREFIX = "base_model.model."
#: Kinds of adapters that are merged. Others change what a model reads, load further models, or compile code.
_MERGED = ("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "VERA", "LN_TUNING", "HRA", "FOURIERFT", "C3A")


def attach(part: nn.Module, modules: Iterable[nn.Module], matrices: Iterable[str], *, rank: int, alpha: int) -> None:
    """Set an adapter of `rank`, weighed by `alpha / rank`, beside the matrices of these names in modules of `part`.

    They begin by adding nothing. The matrices themselves are fixed.

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
    """Those of the adapters in a module."""
    return [parameter for name, parameter in module.named_parameters() if _is_adapter(f".{name}")]


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same model without adapters, what they add being added to the matrices."""
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
    """Write a model's adapters as PEFT does; nothing where there are none.

    Args:
        model: what they stand in.
        folder: is made.
        source: where the weights below them came from.
        whole: weights of parts that were trained themselves, which belong to the adapters.
        renamed: names of weights as they stand in the model -> as the folder of the whole model has them.

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
        model: what the adapter belongs to; is changed.
        described: the adapter's configuration, as PEFT writes it.
        weights: the adapter's, named as PEFT writes them.

    Raises:
        CheckpointError: PEFT is not installed, or the adapter does not fit or is of a kind that cannot be merged.
    """
    kind = described.get("peft_type")
    if kind not in _MERGED or described.get("megatron_config"):  # the latter names a module to be imported
        raise CheckpointError(f"{folder}: its adapter ({kind}) is of a kind that is not supported; wanted one of: {', '.join(_MERGED)}")  # fmt: skip  # noqa: E501
    try:
        import peft  # noqa: F401
    except ImportError:
        raise CheckpointError(f"{folder}: holds an adapter of PEFT ({kind}), which takes the library peft; pip install 'speechxfer[lora]'") from None  # fmt: skip  # noqa: E501
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _merged_by_peft(folder, model, weights)
        except Exception as error:  # whatever a kind of adapter raises that cannot do it
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(f"{folder}: its adapter ({kind}) cannot be merged into the model ({reason:.200}); merge it with PEFT first") from error  # fmt: skip  # noqa: E501


def _merged_by_peft(folder: Path, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict

    adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
    found = set_peft_model_state_dict(adapted, dict(weights))
    own = str(getattr(adapted.base_model, "prefix", _NAME))  # of the names of what an adapter learns
    if wrong := [*(name for name in found.missing_keys if own in name), *found.unexpected_keys]:
        raise ValueError(f"its weights do not fit: {wrong[0]}")
    return dict(adapted.merge_and_unload(safe_merge=True).state_dict())


def _adapted(model: nn.Module) -> dict[str, Any]:
    """Matrices with an adapter, by the name they would have without."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _plain(value: Any) -> Any:
    """Sets as sorted lists and enumerations as what they stand for, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, set | list | tuple):
        return sorted(value) if isinstance(value, set) else [_plain(item) for item in value]
    return getattr(value, "value", value)
