"""What users add from a folder of their own: one Python file a thing, as beside our own files.

A folder named by ``MCU_HYBRID_PLUGINS`` (several, separated as in PATH) or by ``add_folder`` has
subfolders called as the rooms here: ``machines/NAME.py``, ``ops/NAME.py``, ``kernels/NAME_s8.c``,
``mechanisms/NAME.py`` and ``.c``. A room's registry asks for the names that are known, and loads
one where it is used: nothing runs before. What a thing must be able to do is the room's business.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from mcu_hybrid.errors import InputError

VARIABLE = "MCU_HYBRID_PLUGINS"
# Ours, by room; each is the file ROOM/NAME.py. Here, because boards name them and lie below them.
OWN: Mapping[str, tuple[str, ...]] = {"machines": ("qemu", "native")}
_ADDED: list[Path] = []
_LOADED: dict[Path, ModuleType] = {}


def add_folder(folder: Path) -> None:
    """Take plug-ins from this folder too, in this process."""
    _ADDED.append(folder)


def names(room: str) -> tuple[str, ...]:
    """Everything of this room by name: our own first, then the users' in the order of their files.

    Raises:
        InputError: a folder is not there, or two things have one name.
    """
    return (*OWN[room], *_files(room))


def load(room: str, name: str, attribute: str) -> object:
    """What the file of this name calls ``attribute``; the file is run on its first use.

    Raises:
        InputError: the user's file fails, or has no such attribute.
    """
    if name in OWN.get(room, ()):
        found: object = getattr(importlib.import_module(f"mcu_hybrid.{room}.{name}"), attribute)
        return found
    path = _files(room)[name]
    module = _module(path, f"set {attribute}")
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise _fault(path, error, f"set {attribute}") from error


def modules(room: str, what: str) -> Iterator[tuple[Path, ModuleType]]:
    """Every file of the users in this room, run on its first use; ``what`` must be in it.

    Raises:
        InputError: a folder is not there, two files have one name, or a file fails.
    """
    for path in _files(room).values():
        yield path, _module(path, what)


def stamp() -> tuple[str, ...]:
    """What names the folders now: who keeps what was found asks again where this differs."""
    return os.environ.get(VARIABLE, ""), *map(str, _ADDED)


def folders(room: str) -> tuple[Path, ...]:
    """The users' folders of this room; raises InputError where one that is named is not there."""
    return tuple(path for folder in _folders() if (path := folder / room).is_dir())


def _folders() -> list[Path]:
    named = [Path(text) for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    for folder in named:
        if not folder.is_dir():
            raise InputError("the folder does not exist", f"mend {VARIABLE}", path=folder)
    return [*_ADDED, *named]


def _files(room: str) -> dict[str, Path]:
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


def _module(path: Path, what: str) -> ModuleType:
    """The file as a module; raises InputError for whatever its code raises."""
    if path in _LOADED:
        return _LOADED[path]
    name = f"mcu_hybrid_plugin_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their types there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code: whatever it raises is its fault
        raise _fault(path, error, what) from error
    _LOADED[path] = module
    return module


def _fault(path: Path, error: Exception, what: str) -> InputError:
    fact = f"cannot be loaded: {type(error).__name__}: {error}"
    return InputError(fact, f"it must run by itself, and {what}", path=path)
