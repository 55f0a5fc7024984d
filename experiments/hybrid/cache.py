"""A folder per stage of a benchmark: made once, kept while its settings stay, resumed if ended."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGUN, DONE = "begun.json", "done.json"


@dataclass(frozen=True)
class Stage:
    """A finished stage: where its files lie, what it told, the digest of all that it rests on."""

    folder: Path
    facts: dict[str, Any]
    digest: str
    seconds: float
    was_cached: bool
    cores: float = 1.0  # share of the machine's cores that it had


class Missing(Exception):
    """A stage is not in the cache, and ``Cache.only_kept`` forbids making it."""


class Cache:
    """Stages under one root folder.

    Args:
        tell: gets one line of text for each stage.
    """

    def __init__(self, root: Path, tell: Callable[[str], None]) -> None:
        self.root, self.tell = root, tell
        self.stages: dict[str, Stage] = {}
        self.only_kept = False
        self.cores = 1.0

    def has(self, make: Callable[[], Stage]) -> bool:
        """Whether all that ``make`` asks of this cache is there; makes nothing."""
        self.only_kept = True
        try:
            make()
        except Missing:
            return False
        finally:
            self.only_kept = False
        return True

    def stage(
        self,
        name: str,
        settings: Mapping[str, Any],
        after: tuple[Stage, ...],
        make: Callable[[Path], dict[str, Any]],
    ) -> Stage:
        """The finished stage; ``make`` fills its folder where these settings are not there yet.

        A folder that was begun with the same settings is handed on as it is, so that ``make`` can
        go on from its own checkpoints; with other settings it is emptied first.
        """
        text = json.dumps([settings, [stage.digest for stage in after]], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if name in self.stages and self.stages[name].digest == digest:
            return self.stages[name]
        folder = self.root / name.replace(" ", "-").replace(",", "")
        done = self._read(folder / DONE)
        if done is not None and done["digest"] == digest:
            found = Stage(folder, was_cached=True, **done)
            self.tell(f"{name}: from the cache ({done['seconds']:.0f} s when it was made)")
        elif self.only_kept:
            raise Missing(name)
        else:
            begun = self._read(folder / BEGUN)
            if begun is None or begun["digest"] != digest:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / DONE).unlink(missing_ok=True)
            goes_on = begun is not None and begun["digest"] == digest
            self._write(folder / BEGUN, {"digest": digest})
            self.tell(f"{name}: {'goes on' if goes_on else 'begins'}")
            started = time.monotonic()
            facts = make(folder)
            seconds = time.monotonic() - started
            told = {"facts": facts, "seconds": round(seconds, 1), "cores": self.cores}
            made = json.loads(json.dumps({"digest": digest} | told))
            self._write(folder / DONE, made)
            found = Stage(folder, was_cached=False, **made)
            self.tell(f"{name}: {seconds:.0f} s")
        self.stages[name] = found
        return found

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        part.replace(path)
