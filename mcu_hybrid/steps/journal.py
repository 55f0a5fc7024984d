"""What a run has heard so far, in a file beside its folder that a later run can go on from.

One line an answer, appended as it comes: a pulled cable or a kill costs the answer that was under
way and no other. Here: when it is written, and by which run. Not here: what an answer consists of
(heard.py), and the file's form (journal_file.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Protocol, TypeVar

from mcu_hybrid.artifacts import codec
from mcu_hybrid.errors import InputError, McuHybridError
from mcu_hybrid.steps.journal_file import VERSION, copy, line, locked, read

ANSWERS = "answers.jsonl"  # in a finished run whose cloud answers are not complete
_SYNC_S = 1.0  # a power cut may cost so much; a kill costs nothing
_ANEW = "or --restart to start anew"


class Entry(Protocol):
    """A frozen dataclass of plain data that is kept; in the file ``KIND`` says which."""

    KIND: ClassVar[str]


E = TypeVar("E", bound=Entry)


def journal_file(out: Path) -> Path:
    """Where a run into ``out`` keeps what it has heard, until it is done."""
    out = out.resolve()
    return out.with_name(f"{out.name}.resume.jsonl")


def check_ended_run(out: Path, resume: bool, restart: bool) -> None:
    """Answers of an ended run are not thrown away because an option was forgotten.

    Raises:
        InputError: there are such answers and no option says what to do; or none to go on with;
            or another run is writing them.
    """
    path = journal_file(out)
    try:
        if path.exists():
            locked(path).close()  # or it is no ended one
    except OSError as error:
        raise InputError(
            f"cannot be used: {error.strerror}", "choose another --out", path=path
        ) from error
    if resume and not path.exists() and not (out / ANSWERS).is_file():
        raise InputError(
            "there is no ended run to go on with, nor one without some of the cloud's answers",
            "start it without --resume",
            path=out,
        )
    if path.exists() and not resume and not restart:
        raise InputError(
            "a run into this folder was ended before it was done, and can go on",
            f"add --resume to go on (same options), {_ANEW}",
            path=path,
        )


class Journal:
    """The answers of a run, by split and kind, in the order in which they came.

    Args:
        out: the folder that the run will write; None keeps nothing.
        identity: what the answers depend on; a resumed run must have the same.
        inputs: how many there are, for what is said of an ended run.
        resume: go on with what is there; else it is overwritten by the first answer.

    Raises:
        InputError: ``resume``, and what is there is damaged, or of another identity; or another
            run is writing it.
    """

    def __init__(
        self, out: Path | None, identity: Mapping[str, object], inputs: int, *, resume: bool = False
    ) -> None:
        self.path = None if out is None else journal_file(out)
        self.inputs = inputs
        self._identity = json.loads(json.dumps(dict(identity)))
        self._entries: dict[tuple[str, str], list[object]] = {}
        self._file: BinaryIO | None = None
        self._noted = b""
        self._synced = 0.0
        self._begun = resume  # an answer is in the file
        if self.path is not None and out is not None and resume:
            self._go_on(self.path, out / ANSWERS)

    def entries(self, split: str, kind: type[E]) -> list[E]:
        """What was kept of this kind, in its order.

        Raises:
            ManifestError: another version wrote it, with other keys.
        """
        again, path = "mcu-hybrid run with --restart", self.path or Path()
        kept = self._entries.get((split, kind.KIND), ())
        return [codec.from_json(kind, entry, path, again) for entry in kept]

    def note(self, split: str, entry: Entry) -> None:
        """Add what is not worth a file of its own: it is written with the next answer."""
        self._noted += self._added(split, entry)

    def add(self, split: str, entry: Entry) -> None:
        """Append an answer; it is in the file when this returns."""
        added = self._added(split, entry)
        if self.path is None:
            return
        try:
            self._file = self._file or self._begin(self.path)
            self._file.write(self._noted + added)
            self._file.flush()
            self._noted, self._begun = b"", True
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            self._drop_empty(self.path)
            raise InputError(
                f"cannot be written: {error.strerror}",
                "make room, or choose another --out",
                path=self.path,
            ) from error

    def _added(self, split: str, entry: Entry) -> bytes:
        """Its line in the file."""
        data = codec.to_json(entry)
        self._entries.setdefault((split, entry.KIND), []).append(data)
        return line({"split": split, "kind": entry.KIND, "entry": data})

    @property
    def kept(self) -> int:
        """How many inputs the board has answered."""
        return sum(len(found) for (_, kind), found in self._entries.items() if kind == "board")

    def copy_to(self, folder: Path) -> None:
        """Put the answers into a finished run's folder, to be gone on with."""
        if self._file is not None and self.path is not None:
            self._file.flush()
            shutil.copyfile(self.path, folder / ANSWERS)

    def remove(self) -> None:
        """The run is done and written."""
        if self._file is not None and self.path is not None:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: said by ``add``
                self._file.close()
            self._file = None

    @contextmanager
    def named(self) -> Iterator[None]:
        """An error that ends the run says what is kept, and how to go on."""
        try:
            yield
        except McuHybridError as error:
            if self._file is not None and self.kept:
                error.message += (
                    f"; the board's answers to {self.kept:,} of {self.inputs:,} inputs are kept in "
                    f"{self.path}"
                )
                first = f"{error.hint}; then " if error.hint else ""
                error.hint = f"{first}go on with the same command and --resume"
            raise

    def _begin(self, path: Path) -> BinaryIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = locked(path, os.O_CREAT)
        file.truncate(0)
        file.write(line({"version": VERSION, "identity": self._identity}))
        return file

    def _drop_empty(self, path: Path) -> None:
        """Nothing can go on with a file that not one answer got into."""
        if self._file is not None and not self._begun:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # what it still holds has no room
                self._file.close()
            self._file = None

    def _go_on(self, path: Path, finished: Path) -> None:
        """Read the ended run's file, else what the finished run was left with."""
        ended = path.exists()
        if not ended:
            copy(finished, path)
        source = path if ended else finished
        file = locked(path)
        try:
            whole, identity, entries = read(file, source)
            _require_same(identity, self._identity, source)
            file.truncate(whole)
            file.seek(whole)
        except BaseException:
            file.close()
            if not ended:
                path.unlink()
            raise
        for one in entries:
            self._entries.setdefault((one.split, one.kind), []).append(one.entry)
        self._file = file


def _require_same(before: Mapping[str, object], now: Mapping[str, object], path: Path) -> None:
    for key in [*now, *before]:
        if before.get(key) != now.get(key):
            raise InputError(
                f"was written with {key} = {before.get(key)!r}, this run has {now.get(key)!r}",
                f"give build, data and options of the run that was ended, {_ANEW}",
                path=path,
            )
