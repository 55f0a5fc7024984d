"""What a router may read of the base besides its logits: the input of the last linear layer.

That is the vector z of a usual classifier: behind the pooling, ahead of the class weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcu_hybrid.errors import InputError
from mcu_hybrid.nets import run_grey

if TYPE_CHECKING:
    from torch import nn

HINT = "end the network with nn.Linear on a pooled vector, or train with --router-inputs top_k"


def with_features(net: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """A module that maps images to (logits [N, K], z [N, C]); it shares the weights of ``net``.

    Args:
        shape: image (height, width, channels).

    Raises:
        InputError: no linear layer makes the logits, or it does not take one vector an image.
    """
    from torch import nn

    linear = _last_linear(net, shape)

    class WithFeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: Any) -> Any:
            seen: list[Any] = []
            handle = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
            try:
                logits = self.net(images)
            finally:
                handle.remove()
            return logits, seen[-1]

    return WithFeatures().train(net.training)


def feature_count(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """C, the length of z; raises InputError as ``with_features`` does."""
    return int(_last_linear(net, shape).in_features)


def _last_linear(net: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The linear layer that is called last and whose output has the shape of the logits."""
    from torch import nn

    calls: list[tuple[Any, Any, Any]] = []
    hooks = [
        module.register_forward_hook(lambda m, i, o: calls.append((m, i[0].shape, o.shape)))
        for module in net.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        logits = run_grey(net, shape)
    finally:
        for hook in hooks:
            hook.remove()
    fact = "has no nn.Linear whose input a router could read"
    if calls:
        linear, taken, made = calls[-1]
        if len(taken) == 2 and made == logits.shape:
            return linear
        fact = f"does not end in nn.Linear: the last one maps {list(taken)} to {list(made)}"
    raise InputError(f"the base {fact}", HINT, key="router_inputs")
