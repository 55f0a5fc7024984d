"""Which kernels a test asks for: a KernelId of which only some fields are said."""

from __future__ import annotations

from mcu_hybrid.ops.base import KernelId


def is_like(kernel: KernelId, wanted: KernelId) -> bool:
    """True where ``kernel`` has what ``wanted`` says; its tile may have further numbers."""
    return (
        kernel.family == wanted.family
        and kernel.tile[: len(wanted.tile)] == wanted.tile
        and wanted.form in ("", kernel.form)
        and wanted.shift in (None, kernel.shift)
        and wanted.variant in ("", kernel.variant)
    )
