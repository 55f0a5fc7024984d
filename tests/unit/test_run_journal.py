"""A run's journal: typed entries over the lines that earlier versions wrote."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from mcu_hybrid.errors import ManifestError
from mcu_hybrid.routing.outcomes import MISSING
from mcu_hybrid.steps.heard import Fetched, Heard, RouteBefore
from mcu_hybrid.steps.journal import Journal, journal_file

IDENTITY = {"build": "b1", "limit": 0}
# As version 0.1 wrote them.
BOARD = (
    '{"split":"results.npz","kind":"board","entry":{"device":3,"scores":{"entropy":41},'
    '"decision":1,"ticks":700,"instructions":900,"differing":null,"reason":"fallback: timeout",'
    '"cloud":-1,"cloud_us":0.0,"bytes_sent":0,"bytes_received":0,"restarts":2}}'
)
LINES = [
    '{"version":1,"identity":{"build":"b1","limit":0}}',
    '{"split":"","kind":"route","entry":{"router":2,"threshold":-5}}',
    BOARD,
    '{"split":"results.npz","kind":"cloud","entry":{"at":0,"cloud":4,"cloud_us":81.5,'
    '"bytes_sent":300,"bytes_received":90}}',
]
HEARD = Heard(
    device=3,
    scores={"entropy": 41},
    decision=1,
    ticks=700,
    instructions=900,
    differing=None,
    reason="fallback: timeout",
    cloud=MISSING,
    cloud_us=0.0,
    bytes_sent=0,
    bytes_received=0,
    restarts=2,
)


def as_bytes(lines: list[str]) -> bytes:
    return b"".join(f"{zlib.crc32(text.encode()):08x} {text}\n".encode() for text in lines)


def test_what_version_0_1_kept_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "run"
    journal_file(out).write_bytes(as_bytes(LINES))
    with Journal(out, IDENTITY, 9, resume=True) as journal:
        assert journal.entries("results.npz", Heard) == [HEARD]
        assert journal.entries("results.npz", Fetched) == [Fetched(0, 4, 81.5, 300, 90)]
        assert journal.entries("", RouteBefore) == [RouteBefore(2, -5)]
        assert journal.entries("calibration.npz", Heard) == [] and journal.kept == 1


def test_the_file_is_that_of_version_0_1(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Journal(out, IDENTITY, 9) as journal:
        journal.note("", RouteBefore(2, -5))
        assert not journal_file(out).exists()
        journal.add("results.npz", HEARD)
        journal.add("results.npz", Fetched(0, 4, 81.5, 300, 90))
    assert journal_file(out).read_bytes() == as_bytes(LINES)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [('"ticks":700', '"clock":700', "ticks"), ('"device":3', '"device":"x"', "device")],
    ids=["another key", "another type"],
)
def test_another_versions_entry_is_refused_by_its_key(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    out = tmp_path / "run"
    journal_file(out).write_bytes(as_bytes([LINES[0], BOARD.replace(old, new)]))
    with Journal(out, IDENTITY, 9, resume=True) as journal:
        with pytest.raises(ManifestError, match=key) as refused:
            journal.entries("results.npz", Heard)
        assert "--restart" in refused.value.hint
