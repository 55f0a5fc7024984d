"""What users add from a folder of their own: one Python file a thing, as beside our own files.

A folder named by ``MCU_HYBRID_PLUGINS`` (several, separated as in PATH) or by ``add_folder`` has
subfolders called as the rooms here: ``machines/NAME.py``. A room's registry asks for the names that
are known, and loads one where it is used: nothing runs before. What a thing must be able to do is
the room's business.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from mcu_hybrid.errors import InputError

VARIABLE = "MCU_HYBRID_PLUGINS"
# Ours, by room; each is the file ROOM/NAME.py. Here, because boards name them and lie below them.
OWN: Mapping[str, tuple[str, ...]] = {"machines": ("qemu", "native")}
_ADDED: list[Path] = []
_LOADED: dict[Path, object] = {}


def add_folder(folder: Path) -> None:
    """Take plug-ins from this folder too, in this process."""
    _ADDED.append(folder)


def names(room: str) -> tuple[str, ...]:
    """Everything of this room by name: our own first, then the users' in the order of their files.

    Raises:
        InputError: a folder is not there, or two things have one name.
    """
    return (*OWN[room], *files(room))


def load(room: str, name: str, attribute: str) -> object:
    """What the file of this name calls ``attribute``; the file is run on its first use.

    Raises:
        InputError: the user's file fails, or has no such attribute.
    """
    if name in OWN.get(room, ()):
        found: object = getattr(importlib.import_module(f"mcu_hybrid.{room}.{name}"), attribute)
        return found
    path = files(room)[name]
    if path not in _LOADED:
        _LOADED[path] = _run(path, attribute)
    return _LOADED[path]


def _folders() -> list[Path]:
    named = [Path(text) for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    for folder in named:
        if not folder.is_dir():
            raise InputError("the folder does not exist", f"mend {VARIABLE}", path=folder)
    return [*_ADDED, *named]


def files(room: str) -> dict[str, Path]:
    """The users' files of this room by name; raises InputError as ``names``."""
    own = OWN.get(room, ())
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted((folder / room).glob("[!_]*.py")):
            other = found.get(path.stem)
            if path.stem in own or (other is not None and other.resolve() != path.resolve()):
                raise InputError(
                    f"'{path.stem}' is the name of {other or 'one of our own'} already",
                    "give the file another name",
                    path=path,
                )
            found[path.stem] = path.resolve()
    return found


def _run(path: Path, attribute: str) -> object:
    spec = importlib.util.spec_from_file_location(f"mcu_hybrid_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found: object = getattr(module, attribute)
    except Exception as error:  # the user's own code: whatever it raises is its fault
        fact = f"cannot be loaded: {type(error).__name__}: {error}"
        hint = f"it must run by itself, and set {attribute}"
        raise InputError(fact, hint, path=path) from error
    return found
