"""Reference base and global networks (torch), searched ones (``search:best.json``), and the user's
own: ``module:function``.

A network maps images, float NCHW in [0, 1], to class logits. Bases are made for int8 on a
microcontroller: batch norm folds into the convolutions, down-sampling is a 2 x 2 convolution with
stride 2 (needs no padding, so no PAD in the .tflite), the end is a pool with a fixed window.
Training and export share this module; losses and data are not its business.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_hybrid import extras
from mcu_hybrid.errors import InputError
from mcu_hybrid.nets import genome
from mcu_hybrid.nets.mobile import build_mobile
from mcu_hybrid.nets.weights import load_weights as load_weights

if TYPE_CHECKING:
    from torch import nn

REFERENCE = "reference"


def reference_base(shape: tuple[int, int, int], classes: int, width: int) -> nn.Module:
    """The small network: 3x3 stem, then (2x2 stride 2, 3x3) until at most 4 pixels are left.

    Args:
        shape: image (height, width, channels).
        classes: number of logits.
        width: channels of the stem; each stage adds half as many again, rounded up to even.
    """
    from torch import nn

    height, breadth, channels = shape
    layers = _conv(channels, width, 3)
    now = width
    while min(height, breadth) > 4:
        after = now + (width // 2) * 2
        layers += [*_conv(now, after, 2), *_conv(after, after, 3)]
        height, breadth, now = height // 2, breadth // 2, after
    layers += [nn.AvgPool2d((height, breadth)), nn.Flatten(), nn.Linear(now, classes)]
    return nn.Sequential(*layers)


def reference_global(shape: tuple[int, int, int], classes: int, width: int) -> nn.Module:
    """The large network: a residual network of three stages with ``width``, 2x, 4x channels."""
    from torch import nn

    height, breadth, channels = shape
    layers = _conv(channels, width, 3)
    now = width
    for stage in range(3):
        after = width << stage
        if stage and min(height, breadth) > 2:
            layers.append(nn.MaxPool2d(2))
            height, breadth = height // 2, breadth // 2
        layers += [_residual(now, after), _residual(after, after)]
        now = after
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(now, classes)]
    return nn.Sequential(*layers)


def build(
    spec: str, shape: tuple[int, int, int], classes: int, width: int, *, large: bool
) -> nn.Module:
    """Build the reference network, that of a genome (nets/genome.py), or ``module:function``.

    The function is called without arguments, or with (shape, classes) where it takes two.

    Raises:
        InputError: the module, function or result is not usable.
        MissingTool: torch is not installed.
    """
    require_torch()
    if spec == REFERENCE:
        return (reference_global if large else reference_base)(shape, classes, width)
    if spec.startswith(genome.PREFIX):
        return build_mobile(genome.read(spec, large=large), shape, classes)
    made = _call(load_callable(spec), (shape, classes), spec)
    from torch import nn

    if not isinstance(made, nn.Module):
        raise InputError(
            f"returned {type(made).__name__}, not a torch nn.Module", "return the network", key=spec
        )
    _check_output(made, shape, classes, spec)
    return made


def canonical(spec: str, *, large: bool) -> str:
    """The specification that a checkpoint keeps: a genome's file is replaced by what it holds."""
    return genome.read(spec, large=large).spec if spec.startswith(genome.PREFIX) else spec


def load_callable(spec: str) -> Any:
    """Import ``module:function``; the working folder is searched too. Raises InputError."""
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise InputError(
            f"'{spec}' is not of the form module:function", "for example my_nets:make_base"
        )
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"cannot be imported: {error}", "run in the folder of the module", key=spec
        ) from error
    except Exception as error:  # the user's code: anything may come out of it
        raise InputError(
            f"cannot be imported: {type(error).__name__}: {error}",
            f"import it by itself to see where: python -c 'import {module_name}'",
            key=spec,
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(module, name):
        raise InputError(
            f"module '{module_name}' has no '{name}'", "check the name after the colon", key=spec
        )
    found = getattr(module, name)
    if not callable(found):
        raise InputError("is not callable", "name a function", key=spec)
    return found


def count_macs(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """Nominal multiply-accumulates of convolutions and linear layers for one image (H, W, C)."""
    import torch
    from torch import nn

    total = 0

    def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight: torch.Tensor = module.get_parameter("weight")
        per_output = weight.numel() // weight.shape[0]  # both kinds store [out, in, ...]
        total += per_output * output[0].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    handles = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, kinds)]
    run_grey(net, shape)
    for handle in handles:
        handle.remove()
    return total


def require_torch() -> None:
    """Raise MissingTool with the install line where training's packages are not installed."""
    extras.require("this step", "train")


def _conv(channels: int, after: int, kernel: int) -> list[nn.Module]:
    """Convolution (2x2: stride 2), batch norm, ReLU."""
    from torch import nn

    stride, padding = (2, 0) if kernel == 2 else (1, kernel // 2)
    convolution = nn.Conv2d(channels, after, kernel, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]


def _residual(channels: int, after: int) -> nn.Module:
    """relu(x + conv-bn-relu-conv-bn(x)), with a 1x1 convolution on x where the width changes."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*_conv(channels, after, 3), *_conv(after, after, 3)[:2])
            same = channels == after
            self.side = nn.Identity() if same else nn.Conv2d(channels, after, 1, bias=False)

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.side(x) + self.body(x))

    return Residual()


def _call(function: Any, arguments: tuple[Any, ...], spec: str) -> Any:
    """Call with the arguments that the function takes: none or all."""
    import inspect

    try:
        needed = len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        needed = 0
    try:
        return function(*arguments) if needed >= len(arguments) else function()
    except Exception as error:  # the user's code: anything may come out of it
        raise InputError(
            f"failed with {type(error).__name__}: {error}",
            "call it by itself to see where",
            key=spec,
        ) from error


def _check_output(net: nn.Module, shape: tuple[int, int, int], classes: int, spec: str) -> None:
    """The network must turn the data's images into one logit per class."""
    try:
        out = run_grey(net, shape)
    except Exception as error:  # the user's code again
        raise InputError(
            f"does not take images {shape[2]} x {shape[0]} x {shape[1]} (CHW): {error}",
            "return a network for images of this size",
            key=spec,
        ) from error
    if tuple(out.shape) != (1, classes):
        raise InputError(
            f"gives shape {tuple(out.shape)} for one image; the data has {classes} classes",
            f"return logits of shape (batch, {classes})",
            key=spec,
        )


def run_grey(net: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The output for one grey image, the mode of the network left as it was."""
    import torch

    was_training = net.training
    net.eval()
    with torch.no_grad():
        where = next((p.device for p in net.parameters()), torch.device("cpu"))
        out = net(torch.full((1, shape[2], shape[0], shape[1]), 0.5, device=where))
    net.train(was_training)
    return out
