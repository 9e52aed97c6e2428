"""Trained layers divided over the processes (FSDP), for encoders that do not fit one device with their moments.

Each process keeps a part of every weight, its gradient and its moments. A layer is put together when it is computed
(Zhao et al., 2023, as torch's `fully_shard` does it), and for as long as the model is measured or saved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from speechxfer.model import SpeechModel
from speechxfer.training.distributed import World
from speechxfer.transfer.plan import TransferPlan


def shard(model: SpeechModel, plan: TransferPlan, world: World) -> None:
    """Divide the layers of the encoder that are trained in any epoch; to be called by all processes of the run."""
    if world.size == 1:
        return
    mesh = init_device_mesh(model.device.type, (world.size,))
    trained = set(plan.trained(model).values())
    for layer in _layers(model):
        if trained & set(layer.parameters()):
            sharded = fully_shard(layer, mesh=mesh)
            # Gradients are sums: losses are divided by the labels of the whole step.
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)


def _layers(model: SpeechModel) -> list[nn.Module]:
    """The layers that an encoder computes one after the other; what is beside them is small."""
    listed = {one for module in model.encoder.modules() if isinstance(module, nn.ModuleList) for one in module}
    return [module for group in model.encoder.layer_groups() for module in group.modules if module in listed]


@contextlib.contextmanager
def whole(model: SpeechModel) -> Iterator[None]:
    """With every layer put together in each process, so that each may compute or save what it likes."""
    layers = [module for module in model.modules() if isinstance(module, FSDPModule)]
    hooks = [module._state_dict_pre_hooks for layer in layers for module in layer.modules()]
    for layer in layers:
        layer.set_reshard_after_forward(False)
        layer.unshard()
    kept = [dict(one) for one in hooks]
    for one in hooks:
        one.clear()  # they would divide the layers again before a state dict is made
    try:
        yield
    finally:
        for one, before in zip(hooks, kept, strict=True):
            one.update(before)
        for layer in layers:
            layer.set_reshard_after_forward(True)
            layer.reshard()


def is_sharded(parameters: Iterable[Tensor]) -> bool:
    """Whether any of them is divided over the processes."""
    return any(isinstance(one, DTensor) for one in parameters)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, which shares its memory; all of one that is not divided."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full(tensor: Tensor) -> Tensor:
    """All of a tensor; of one that is divided, to be called by all processes."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def divided_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A tensor of the same shape as a parameter, on its device and divided as it is."""
    tensor = tensor.to(parameter.device)
    if not isinstance(parameter, DTensor) or tensor.shape != parameter.shape:
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)


def clip(parameters: Iterable[nn.Parameter], most: float, world: World) -> Tensor:
    """Scale gradients so that the norm of all of them is at most so much; the norm before that, a scalar."""
    parameters = list(parameters)
    if not is_sharded(parameters):
        return nn.utils.clip_grad_norm_(parameters, most)
    gradients = [one.grad for one in parameters if one.grad is not None]
    parts = [local(one) for one in gradients if isinstance(one, DTensor)]
    others = [one for one in gradients if not isinstance(one, DTensor)]
    squared = world.sum(nn.utils.get_total_norm(parts) ** 2) + nn.utils.get_total_norm(others) ** 2
    norm = squared.sqrt()
    torch._foreach_mul_([*parts, *others], (most / (norm + 1e-6)).clamp(max=1.0))
    return norm
