"""Where boards, firmware templates and kernels live: in the checkout or inside the wheel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mcu_hybrid.errors import McuHybridError

_PACKAGE = Path(__file__).resolve().parent


def root(name: str) -> Path:
    """Return the folder ``boards`` or ``firmware_templates``: the wheel's, else the checkout's."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise McuHybridError(
        f"the data folder '{name}' is missing from this installation", "reinstall: pip install ."
    )


def kernels() -> Path:
    """Return the folder of the kernels (include/, ref/, and one folder per instruction set)."""
    return _PACKAGE / "kernels"


def kernel_sources(stem: str, kernel_dirs: Iterable[str]) -> tuple[Path, ...]:
    """A kernel's assembly and C in the first folder that has either; nothing where none has."""
    for folder in (kernels() / name for name in kernel_dirs):
        beside = (folder / f"{stem}{suffix}" for suffix in (".S", ".c"))
        if found := tuple(path for path in beside if path.is_file()):
            return found
    return ()
