"""One file that a training run can be resumed from; it is written beside itself and moved.

Each part of a run keeps a section: a finished network, the epochs of one in training, the rounds.
Whatever the moment at which the run is killed, the file is the last one that was complete.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mcu_hybrid.errors import InputError
from mcu_hybrid.nets.checkpoint import saved

_VERSION = 1


Section = Mapping[str, Any]  # states of networks, optimisers and generators, by name


class Journal:
    """Sections of plain values and tensors; ``path`` None keeps them in memory alone.

    Args:
        identity: what a resumed run must share with the one that wrote the file.

    Raises:
        InputError: ``resume`` and there is no file, a damaged one, or one of another run.
    """

    def __init__(
        self,
        path: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self.path, self.identity = path, dict(identity or {})
        self.sections: dict[str, Section] = {}
        if resume:
            self.sections = self._read()

    def get(self, name: str) -> Any:
        """The section, or None."""
        return self.sections.get(name)

    def put(self, name: str, section: Mapping[str, Any], *, drop: str = "") -> None:
        """Set a section (and drop another) and write the file."""
        self.sections[name] = copy.deepcopy(dict(section))  # the networks go on changing
        self.sections.pop(drop, None)
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        whole = {"version": _VERSION, "identity": self.identity, "sections": self.sections}
        data = saved(whole)
        try:
            part.write_bytes(data)
            os.replace(part, self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _read(self) -> dict[str, Section]:
        if self.path is None or not self.path.is_file():
            raise InputError(
                "there is no unfinished training to resume",
                "start it without --resume",
                path=self.path,
            )
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            if found["version"] != _VERSION:
                raise ValueError(f"version {found['version']}, this tool reads {_VERSION}")
            identity, sections = dict(found["identity"]), dict(found["sections"])
        except Exception as error:  # torch raises a different class for each way a file is wrong
            fact = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"is not the state of a training run: {fact}",
                "start anew with --restart",
                path=self.path,
            ) from error
        for key, value in self.identity.items():
            if identity.get(key) != value:
                raise InputError(
                    f"was written with {key} = {identity.get(key)!r}, this run has {value!r}",
                    "give the options and data of the run that was ended, or --restart",
                    path=self.path,
                )
        return sections


def rng_state(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The state of a generator and of torch's own (dropout draws from that one)."""
    return {"generator": generator.get_state(), "torch": torch.get_rng_state()}


def set_rng_state(generator: torch.Generator, state: Mapping[str, torch.Tensor]) -> None:
    """Take ``rng_state`` back."""
    generator.set_state(state["generator"])
    torch.set_rng_state(state["torch"])


def copied(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict whose tensors no longer follow the network."""
    return {key: value.detach().clone() for key, value in state.items()}
