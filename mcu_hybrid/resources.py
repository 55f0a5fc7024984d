"""Where boards, firmware templates and kernels live: in the checkout or inside the wheel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mcu_hybrid import plugins
from mcu_hybrid.errors import InputError, McuHybridError

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


def kernel_headers(stems: Iterable[str]) -> tuple[Path, ...]:
    """The headers that declare these kernels, of those that are the user's own."""
    folders = plugins.folders("kernels")
    found = (folder / f"{stem}.h" for stem in stems for folder in folders)
    return tuple(path for path in found if path.is_file())


def kernel_sources(stem: str, kernel_dirs: Iterable[str]) -> tuple[Path, ...]:
    """A kernel's assembly and C in the first folder that has either; nothing where none has.

    Raises:
        InputError: a kernel of the user's own has the name of one of ours.
    """
    ours = _first([kernels() / name for name in kernel_dirs], stem)
    own = _first(plugins.folders("kernels"), stem)
    if ours and own:
        raise InputError(
            "has the name of a kernel of the engine", "give it another name", path=own[-1]
        )
    return ours or own


def _first(folders: Iterable[Path], stem: str) -> tuple[Path, ...]:
    for folder in folders:
        beside = (folder / f"{stem}{suffix}" for suffix in (".S", ".c"))
        if found := tuple(path for path in beside if path.is_file()):
            return found
    return ()
