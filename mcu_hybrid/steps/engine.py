"""Which engine a build uses and with what: do options go together, and is a build made with them.

An option that would be dropped in silence is refused, before anything is built or measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from mcu_hybrid.artifacts.build import BuildFacts
from mcu_hybrid.compiler.engine import Engine, EngineOptions
from mcu_hybrid.engines.aot import AotEngine
from mcu_hybrid.errors import InputError
from mcu_hybrid.tflm.engine import TflmEngine

DEFAULT_ENGINE = EngineOptions()
ENGINES: Mapping[str, Engine] = {"aot": AotEngine(), "tflm": TflmEngine()}
# Field of EngineOptions -> the option as it is written.
_WRITTEN = {
    "name": "--engine",
    "kernels": "--kernels",
    "fold_dead": "--fold-dead",
    "optimize": "--optimize",
    "ram_limit": "--ram-limit",
    "code_budget": "--code-budget",
}
_AOT_ONLY = ("kernels", "fold_dead", "optimize", "code_budget")
_FAST_ONLY = ("optimize", "code_budget")


def require_consistent(options: EngineOptions) -> None:
    """Raise InputError for an option that the engine or the kernels do not have."""
    if options.name != "tflm" and options.tflm is not None:
        raise InputError(
            "--tflm-root and --tflm-lib are for --engine tflm", "give --engine tflm, or neither"
        )
    changed = [name for name in _WRITTEN if getattr(options, name) != getattr(DEFAULT_ENGINE, name)]
    for used, names in (
        ("--engine tflm", _AOT_ONLY if options.name == "tflm" else ()),
        ("--kernels ref", _FAST_ONLY if options.kernels == "ref" else ()),
    ):
        for name in names:
            if name in changed:
                text = _option(name, getattr(options, name))
                raise InputError(f"{text} does nothing with {used}", "leave one of them out")


def require_build(facts: BuildFacts, folder: Path, wanted: EngineOptions) -> None:
    """Raise InputError where a finished build was made with another option than one that is given.

    Args:
        facts: of the build; an option that the engine does not tell had its usual value.
        wanted: options that were not given (``wanted.given``) or are usual ones ask for nothing.
    """
    is_tflm = facts.engine == "tflm"
    known = _options_of(facts)
    for name, written in _WRITTEN.items():
        value, usual = getattr(wanted, name), getattr(DEFAULT_ENGINE, name)
        if name not in wanted.given and value == usual:
            continue
        made = known.get(name, usual)
        if is_tflm and name in _AOT_ONLY:
            raise InputError(
                f"was built with --engine tflm, to which {written} means nothing",
                f"leave {written} out, or give the .tflite with --engine aot",
                path=folder,
            )
        if value != made:
            told = _option(name, made) if made is not None else f"no {written}"
            raise InputError(
                f"was built with {told}, not with {_option(name, value)}",
                "build it again with that option, or give the .tflite instead of the folder",
                path=folder,
            )
    if wanted.input_shapes:
        raise InputError(
            "is built already; --input-shape is for a .tflite",
            "build it with --input-shape, or give bench the .tflite",
            path=folder,
        )
    _require_library(facts, folder, wanted)


def _options_of(facts: BuildFacts) -> dict[str, object]:
    """Field of EngineOptions -> the value that the build was made with, of those that it tells."""
    found: dict[str, object] = {"name": facts.engine, "ram_limit": facts.ram_limit}
    if facts.aot is None:
        return found
    return found | {
        "kernels": facts.aot.kernels,
        "fold_dead": facts.aot.fold_dead,
        "optimize": facts.aot.optimize,
        "code_budget": facts.aot.code_budget,
    }


def _require_library(facts: BuildFacts, folder: Path, wanted: EngineOptions) -> None:
    if wanted.tflm is None:
        return
    made = facts.tflm_library_sha256
    try:
        given = hashlib.sha256(wanted.tflm.library.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}",
            "give the library that TFLM's Makefile built",
            path=wanted.tflm.library,
        ) from error
    if made != given:
        what = f"with another library than {wanted.tflm.library}" if made else "without a library"
        raise InputError(
            f"was built {what}",
            "build it again with this library, or leave --tflm-root and --tflm-lib out",
            path=folder,
        )


def _option(name: str, value: object) -> str:
    """An option with its value, as one writes it."""
    if name == "fold_dead":
        return "--fold-dead" if value else "--no-fold-dead"
    return f"{_WRITTEN[name]} {value}"


def given_options(names: Mapping[str, bool]) -> frozenset[str]:
    """The fields of EngineOptions whose options were written; ``engine`` is its field ``name``."""
    known = {field.name for field in fields(EngineOptions)}
    written = {"name" if name == "engine" else name for name, is_given in names.items() if is_given}
    return frozenset(written & known)
