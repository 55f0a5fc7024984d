"""What the exported int8 network will say, simulated in torch on the live float network.

The rules are the converter's: batch norm folded into the convolution before it, weights per output
channel and symmetric, activations per tensor with the least and greatest value over the
calibration images, ReLU fused, pools on the scale of what they pool. Sums and biases are not
rounded (on the device they are 32 bits wide), so an activation may be off by one level where the
device rounds the other way; the export states how far the logits are from the exact ones.

Rounding passes gradients straight through, and a range follows the extremes of its batch, so that
training on the simulation also learns to narrow a range that wastes levels.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from mcu_hybrid.errors import InputError

LEVELS = 255  # steps from -128 to 127
_LEAST_SCALE = 1e-8  # of a tensor that is all zeros: nothing is divided by 0
_BATCH = 256  # memory against speed; ranges do not depend on it
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_FUSED = (nn.ReLU, nn.ReLU6, functional.relu, functional.relu6, torch.relu, "relu")
_AVERAGES = (nn.AvgPool2d, functional.avg_pool2d)
_SAME_SCALE: tuple[Any, ...] = (
    *_AVERAGES,
    *(nn.MaxPool2d, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d, nn.Identity),
    *(functional.max_pool2d, functional.dropout, torch.flatten, operator.getitem),
    *("view", "reshape", "flatten", "permute", "transpose", "contiguous", "squeeze", "unsqueeze"),
)
_PIXELS = (0.0, 1.0)
# Outputs whose scale TFLite prescribes.
_FIXED: dict[Any, tuple[float, float]] = {
    **dict.fromkeys((nn.Sigmoid, torch.sigmoid, "sigmoid"), (0.0, 255 / 256)),
    **dict.fromkeys((nn.Softmax, functional.softmax, torch.softmax, "softmax"), (0.0, 255 / 256)),
    **dict.fromkeys((nn.Tanh, torch.tanh, "tanh"), (-1.0, 127 / 128)),
}


def fake_quant(
    x: torch.Tensor, low: torch.Tensor, high: torch.Tensor, *, averaged: bool = False
) -> torch.Tensor:
    """Values rounded to the 256 levels of the range and clipped to it; same shape.

    Args:
        low, high: scalars; the range is widened to hold 0, as TFLite does.
        averaged: round halves away from the int8 zero, as an int8 average pool does; there, and
            hardly anywhere else, halves are common.
    """
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = ((high - low) / LEVELS).clamp(min=_LEAST_SCALE)
    zero = torch.round(-128 - low / scale).detach().clamp(-128, 127)
    q = x / scale + zero
    rounded = q.detach()
    rounded = _half_away(rounded) if averaged else torch.round(rounded)
    q = (q + (rounded - q).detach()).clamp(-128, 127)
    return (q - zero) * scale


def fake_quant_weight(weight: torch.Tensor) -> torch.Tensor:
    """Weights [out, ...] rounded to -127..127 steps of max|w| / 127 of their output channel."""
    peak = weight.detach().abs().flatten(1).amax(1)
    scale = (peak / 127).clamp(min=_LEAST_SCALE).reshape(-1, *[1] * (weight.ndim - 1))
    return _round(weight / scale) * scale


class Int8Sim(nn.Module):
    """A classifier as int8: images, float NCHW in [0, 1] -> the dequantised int8 logits [N, K].

    It shares the network's parameters and keeps it in eval mode; after they changed, ``observe``
    takes the ranges again. ``whole`` is False where torch.fx cannot trace the network: then only
    its logits are rounded.
    """

    def __init__(self, net: nn.Module, sample: np.ndarray) -> None:
        """Args: sample: uint8 NHWC images that ranges come from, as in the export."""
        super().__init__()
        self.traced = _trace(net)
        self.whole = isinstance(self.traced, fx.GraphModule)
        self.plan = _Plan(self.traced) if isinstance(self.traced, fx.GraphModule) else None
        self.sample = sample
        self.ranges: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.live = False  # ranges carry gradients
        self.observe()

    def train(self, mode: bool = True) -> Int8Sim:
        """Eval mode whatever is asked for: int8 has no batch statistics and no dropout."""
        return super().train(False)

    def observe(self) -> None:
        """Ranges of every activation over the sample, from the float network."""
        self.eval()
        self.ranges = {}
        with torch.no_grad():
            for start in range(0, len(self.sample), _BATCH):
                part = torch.as_tensor(self.sample[start : start + _BATCH])
                self._run(part.permute(0, 3, 1, 2).contiguous().float().div_(255), observing=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._run(images, observing=False)

    @property
    def logits_range(self) -> tuple[float, float]:
        """Least and greatest logit of the sample: what the int8 logits can hold."""
        low, high = self.ranges[self.plan.output if self.plan else "output"]
        return float(low), float(high)

    def _run(self, images: torch.Tensor, observing: bool) -> torch.Tensor:
        if self.plan is None:
            return self.quantise("output", self.traced(images), observing)
        assert isinstance(self.traced, fx.GraphModule)
        result: torch.Tensor = _Walk(self.traced, self, self.plan, observing).run(images)
        return result

    def quantise(
        self, name: str, x: torch.Tensor, observing: bool, averaged: bool = False
    ) -> torch.Tensor:
        """Round ``x`` to the range of ``name``, or widen that range by it."""
        fixed = self.plan.fixed.get(name) if self.plan else None
        if observing:
            low, high = (x.min(), x.max()) if fixed is None else map(torch.tensor, fixed)
            if name in self.ranges:
                known = self.ranges[name]
                low, high = torch.minimum(low, known[0]), torch.maximum(high, known[1])
            self.ranges[name] = low, high
            return x
        low, high = self.ranges[name]
        if self.live and fixed is None:
            least, most = x.min(), x.max()
            low, high = low + (least - least.detach()), high + (most - most.detach())
        return fake_quant(x, low, high, averaged=averaged)


class _Plan:
    """Where the converter rounds: which values have a range of their own, and which share one."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.kinds = {node.name: _kind(node, traced) for node in traced.graph.nodes}
        self.norm_of: dict[str, nn.Module] = {}  # convolution -> the batch norm folded into it
        self.folded: set[str] = set()
        self.source: dict[str, str] = {}  # value -> the value whose range it has
        self.fixed = {n: _FIXED[kind] for n, kind in self.kinds.items() if kind in _FIXED}
        self.output = ""
        for node in traced.graph.nodes:
            before = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
            kind = self.kinds[node.name]
            if node.op == "placeholder":
                self.fixed[node.name] = _PIXELS
            if node.op == "output" and before is not None:
                self.output = self.source[before.name]
            elif kind in _SAME_SCALE and before is not None:
                self.source[node.name] = self.source[before.name]
            else:
                self.source[node.name] = node.name
            if kind in _NORMS and before is not None and self._weighted_alone(before):
                self.norm_of[before.name] = traced.get_submodule(str(node.target))
                self.folded.add(node.name)
        self.deferred = {node.name for node in traced.graph.nodes if self._defers(node)}

    def _weighted_alone(self, node: fx.Node) -> bool:
        return self.kinds[node.name] in _WEIGHTED and len(node.users) == 1

    def _defers(self, node: fx.Node) -> bool:
        """True where the one user of this value is fused with it: only that one's output exists."""
        if len(node.users) != 1 or node.op == "placeholder":
            return False
        user = next(iter(node.users))
        return user.name in self.folded or (
            self.kinds[user.name] in _FUSED and self.kinds[node.name] not in _SAME_SCALE
        )


class _Walk(fx.Interpreter):
    """One pass over the network, node by node."""

    def __init__(self, traced: fx.GraphModule, sim: Int8Sim, plan: _Plan, observing: bool) -> None:
        super().__init__(traced)
        self.sim, self.plan, self.observing = sim, plan, observing

    def run_node(self, node: fx.Node) -> Any:
        plan, name, kind = self.plan, node.name, self.plan.kinds[node.name]
        if name in plan.folded:
            x = self.fetch_args_kwargs_from_env(node)[0][0]
        elif kind in _WEIGHTED:
            module = self.fetch_attr(str(node.target))
            values = self.fetch_args_kwargs_from_env(node)[0]
            x = _weighted(module, values[0], plan.norm_of.get(name), not self.observing)
        else:
            x = super().run_node(node)
        if node.op in ("output", "get_attr") or name in plan.deferred or not _is_float(x):
            return x
        averaged = kind in _AVERAGES
        if plan.source[name] != name and (self.observing or not averaged):
            return x  # moved values: on the levels of their source already
        return self.sim.quantise(plan.source[name], x, self.observing, averaged)


def _weighted(
    module: nn.Module, x: torch.Tensor, norm: nn.Module | None, quantised: bool
) -> torch.Tensor:
    """A convolution or linear layer with its batch norm folded in, weights rounded if asked."""
    assert isinstance(module, _WEIGHTED)
    weight: torch.Tensor = module.weight
    bias: torch.Tensor | None = module.bias
    if norm is not None:
        weight, bias = _fold(weight, bias, norm)
    if quantised:
        weight = fake_quant_weight(weight)
    if not isinstance(module, nn.Linear):
        return module._conv_forward(x, weight, bias)
    if norm is not None:
        return functional.linear(x, weight, bias)
    # As a call of the module: its hooks see what it takes (nets/penultimate.py).
    own = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    result: torch.Tensor = torch.func.functional_call(module, own, (x,))
    return result


def _fold(
    weight: torch.Tensor, bias: torch.Tensor | None, norm: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution followed by this batch norm in eval mode."""
    assert isinstance(norm, _NORMS)
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise InputError(
            "a batch norm of the base keeps no running statistics",
            "build it with track_running_stats=True: int8 needs fixed ones",
            key="base",
        )
    gain = (norm.weight if norm.affine else torch.ones_like(mean)) / torch.sqrt(variance + norm.eps)
    offset = norm.bias if norm.affine else torch.zeros_like(mean)
    shift = mean if bias is None else mean - bias
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), offset - shift * gain


def _trace(net: nn.Module) -> nn.Module:
    """The network as a graph, or itself where its control flow depends on values."""
    net.eval()
    try:
        return fx.symbolic_trace(net)
    except Exception:  # the user's code: tracing fails in many ways, none of them a fault
        return net


def _kind(node: fx.Node, traced: fx.GraphModule) -> Any:
    """The class of a module, else the function or the name of the method."""
    if node.op != "call_module":
        return node.target
    kind = type(traced.get_submodule(str(node.target)))
    return next((k for k in (*_WEIGHTED, *_NORMS) if issubclass(kind, k)), kind)


def _is_float(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_floating_point()


def _half_away(q: torch.Tensor) -> torch.Tensor:
    """Rounded with halves away from 0; a float sum a hair below a half counts as one."""
    return torch.sign(q) * torch.floor(q.abs() + 0.5 + 1e-4)


def _round(x: torch.Tensor) -> torch.Tensor:
    """Rounded values; the gradient is that of x."""
    return x + (torch.round(x) - x).detach()
