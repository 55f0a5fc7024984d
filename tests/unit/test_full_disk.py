"""No room, wherever it ends: one error that names what was to be written, nothing half there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import manifest
from mcu_hybrid.bench import samples
from mcu_hybrid.errors import ManifestError
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.steps.journal import journal_file

_NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _limited(code: str, size_bytes: int) -> subprocess.CompletedProcess[str]:
    """Python that may write no file longer than this."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size_bytes},) * 2)\n"
    return subprocess.run(
        [sys.executable, "-c", limit + code], capture_output=True, text=True, check=False
    )


def test_a_step_without_room_names_its_folder_and_leaves_none(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "build"
    with pytest.raises(ManifestError) as caught, manifest.writing(target, "build"):
        raise _NO_ROOM
    assert str(caught.value).startswith(f"{target}: cannot be written: No space left on device")
    assert "make room" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    for error in (ConnectionResetError(errno.ECONNRESET, "reset"), FileNotFoundError(2, "no", "x")):
        with pytest.raises(type(error)), manifest.writing(tmp_path / "build", "build"):
            raise error


def test_raw_outputs_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    samples.write_outputs(path, [[b"before"]])
    code = (
        "from pathlib import Path\n"
        "from mcu_hybrid.bench import samples\n"
        "try:\n"
        f"    samples.write_outputs(Path({str(path)!r}), [[bytes(5000)]])\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    done = _limited(code, 1024)
    assert done.stdout == f"{path}\n", done.stderr
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"before"]
    samples.write_outputs(Path(os.devnull), [[b"x"]])
    assert not Path(os.devnull).is_file()


def test_arrays_without_room_are_one_error(tmp_path: Path) -> None:
    """Numpy's own writer fails a second time when it is collected, on stderr."""
    values = np.random.default_rng(0).integers(0, 9, 4000)
    Outcomes.of_two(values, values, values, {"entropy": values}, "test").save(
        tmp_path / "whole.npz"
    )
    code = (
        "from pathlib import Path\n"
        "from mcu_hybrid.routing.outcomes import load_outcomes\n"
        f"found = load_outcomes(Path({str(tmp_path / 'whole.npz')!r}))\n"
        "try:\n"
        f"    found.save(Path({str(tmp_path / 'cut.npz')!r}))\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    done = _limited(code, 1024)
    assert (done.stdout, done.stderr) == ("File too large\n", "")


def test_a_first_answer_that_finds_no_room_leaves_nothing_to_go_on_with(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from mcu_hybrid.errors import InputError\n"
        "from mcu_hybrid.steps.heard import Fetched\n"
        "from mcu_hybrid.steps.journal import Journal\n"
        "for size in (10, 2000):\n"
        f"    out = Path({str(tmp_path)!r}) / str(size)\n"
        "    with Journal(out, {'x': 'x' * size}, 9) as journal:\n"
        "        try:\n"
        "            for index in range(100):\n"
        "                journal.add('test', Fetched(index, 0, 0.0, 0, 0))\n"
        "        except InputError as error:\n"
        "            print(error.message)\n"
    )
    done = _limited(code, 1024)
    assert done.stdout.count("cannot be written: File too large") == 2, done.stderr
    assert list(tmp_path.iterdir()) == [journal_file(tmp_path / "10")]


@pytest.mark.parametrize("command", ["bench", "train"])
def test_a_file_size_limit_is_no_traceback(command: str, tmp_path: Path) -> None:
    code = (
        "import errno\n"
        f"import mcu_hybrid.cli.{command} as verb\n"
        "def fail(**_): raise OSError(errno.EFBIG, 'File too large', 'x.bin')\n"
        "verb.command.callback = fail\n"
        "from mcu_hybrid.cli import main\n"
        f"main(['{command}'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: x.bin: File too large\n")


def test_a_full_disk_is_no_fault_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from mcu_hybrid.export.heads import write_heads

    def no_room(*_: object, **__: object) -> None:
        raise _NO_ROOM

    monkeypatch.setattr(torch.onnx, "export", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_heads(torch.nn.Flatten(), (4, 4, 1), ["logits"], tmp_path / "net.onnx")
