"""Where networks are trained: float32 on the CPU, unless a caller asks for more.

A forward pass takes CPU images and gives float32 on the CPU, so that losses, labels and the rest of
the code are the same everywhere. The default changes no number; ``on(best())`` does.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Hardware:
    """A torch device ("cpu", "cuda"), and whether forward passes run in bfloat16 there."""

    device: str = "cpu"
    bfloat16: bool = False

    def describe(self) -> str:
        """For result files: NVIDIA ..., bfloat16."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else self.device
        return f"{name}, {'bfloat16' if self.bfloat16 else 'float32'}"


# mallopt's M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD: no mappings, no trimming, growth in 256 MB.
_KEPT = (-4, 0), (-1, 2**31 - 1), (-2, 2**28)
_NOW: ContextVar[Hardware] = ContextVar("hardware", default=Hardware())  # noqa: B039 (frozen)


def best() -> Hardware:
    """The GPU where torch sees one, else the CPU; bfloat16 where it has instructions for it."""
    if torch.cuda.is_available():
        return Hardware("cuda", torch.cuda.is_bf16_supported())
    return Hardware("cpu", bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


@functools.cache
def keep_memory() -> None:
    """Let the C library keep what training gives back (glibc; once per process).

    A training step allocates and frees the same large maps again and again; by default each one is
    a fresh mapping of zeroed pages. Keeping them makes steps on the CPU 5 to 30 % faster.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in _KEPT:
            mallopt(option, value)


@contextmanager
def on(hardware: Hardware) -> Iterator[None]:
    """Train with this hardware inside the block."""
    keep_memory()
    token = _NOW.set(hardware)
    try:
        yield
    finally:
        _NOW.reset(token)


def place(net: nn.Module) -> nn.Module:
    """Move the network to the device of the present block, and return it."""
    return net.to(_NOW.get().device)


def channels_last(value: Any) -> Any:
    """A network or a batch of images with its channels innermost: convolutions' faster layout."""
    if isinstance(value, nn.Module):
        return value.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return value.contiguous(memory_format=torch.channels_last)


def forward(net: nn.Module, images: torch.Tensor, *, exact: bool = False) -> Any:
    """The output (a tensor, or a tuple of them) as float32 on the CPU; gradients flow through.

    Args:
        images: on the CPU; they are moved to where the network is.
        exact: in float32 whatever the hardware is. For answers that are counted: bfloat16 logits
            often tie.
    """
    where = next(net.parameters()).device
    with torch.autocast(
        where.type, dtype=torch.bfloat16, enabled=_NOW.get().bfloat16 and not exact
    ):
        out = net(images.to(where))
    return tuple(_plain(o) for o in out) if isinstance(out, tuple) else _plain(out)


def _plain(out: torch.Tensor) -> torch.Tensor:
    return out.float().cpu()
