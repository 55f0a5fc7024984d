"""Training that went astray (NaN, infinity) is one clear error, not a network of noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from mcu_hybrid.errors import InputError
from mcu_hybrid.training.augment import to_float

_LOOKED_AT = 256  # images


def loss_value(loss: torch.Tensor, what: str, option: str, lr: float) -> float:
    """The loss as a number; raises InputError where it is none.

    Args:
        what: is trained: "base", "router", ...
        option: of the config, its learning rate ``lr``.
    """
    value = float(loss.item())
    if not math.isfinite(value):
        raise _astray(f"the loss of the {what} became {value}", option, lr)
    return value


def check_net(net: nn.Module, x: np.ndarray, what: str, option: str, lr: float) -> None:
    """Refuse a network with weights or logits that are no numbers (images uint8 NHWC)."""
    for name, value in net.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _astray(f"'{name}' of the {what} holds NaN or infinity", option, lr)
    if not len(x):
        return
    net.eval()
    where = next((p.device for p in net.parameters()), torch.device("cpu"))
    with torch.no_grad():
        logits = net(to_float(x[:_LOOKED_AT]).to(where))
    if not bool(logits.isfinite().all()):
        raise _astray(f"the {what} answers with NaN or infinity", option, lr)


def _astray(fact: str, option: str, lr: float) -> InputError:
    return InputError(
        f"{fact} (learning rate {lr:g})",
        f"give a smaller learning rate: --set {option}=...; look at the weights that you gave",
        key=f"config.{option}",
    )
