"""Folders: foreign, stale, of another step, not writable; and awkward ones that must work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcu_hybrid import manifest
from mcu_hybrid.cli import main
from tests.support.bad_rig import Refused, Steps, classifier, listing, npz


@pytest.fixture
def net(work: Path) -> Path:
    path = work / "net.tflite"
    path.write_bytes(classifier())
    return path


def build_into(out: str) -> tuple[str, ...]:
    return ("build", "net.tflite", "--board", "native", "--out", out)


def works(*args: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, args)])
    assert not ended.value.code


# --- what a step will not write over, and where it cannot write


@pytest.mark.usefixtures("net")
def test_a_foreign_folder_is_not_overwritten(work: Path, refused: Refused) -> None:
    (work / "photos").mkdir()
    (work / "photos" / "me.jpg").write_bytes(b"mine")
    told = refused(*build_into("photos"))
    assert told.kind == "ManifestError"
    assert "photos: is not empty and not one of ours" in told.message
    assert "--out" in told.hint


@pytest.mark.parametrize("out", [".", "..", "../work"])
@pytest.mark.usefixtures("net")
def test_the_folder_that_we_are_in_is_not_replaced(out: str, refused: Refused) -> None:
    told = refused(*build_into(out))
    assert "is the folder you are in, or above it" in told.message


def test_an_empty_folder_that_we_are_in(work: Path, refused: Refused) -> None:
    data = npz(work.parent / "d.npz")
    assert "you are in" in refused("train", "--data", data, "--out", ".").message


@pytest.mark.usefixtures("net")
def test_a_file_where_the_folder_should_be(work: Path, refused: Refused) -> None:
    (work / "file").write_text("mine")
    assert "file" in refused(*build_into("file")).message
    assert "cannot be written" in refused(*build_into("file/below/it")).message


@pytest.mark.usefixtures("net")
def test_a_folder_without_permission(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **named: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), named.get("dir"))

    monkeypatch.setattr(tempfile, "mkdtemp", denied)  # root may write anywhere
    told = refused(*build_into("new/deep/out"))
    assert told.kind == "ManifestError"
    assert "out: cannot be written: Permission denied" in told.message


@pytest.mark.parametrize("verb", ["bench", "run"])
def test_targets_are_looked_at_before_the_long_work(
    verb: str,
    work: Path,
    steps: Steps,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("the board was started")

    monkeypatch.setattr("mcu_hybrid.machines.program.ProgramMachine.private", started)
    (work / "photos").mkdir()
    (work / "photos" / "me.jpg").write_bytes(b"mine")
    assert "will not overwrite" in refused(verb, steps.build, "--out", "photos").message
    if verb == "bench":
        told = refused("bench", steps.build, "--output", "no/such/out.bin")
        assert "no/such/out.bin: there is no folder no/such" in told.message
        assert "is a folder" in refused("bench", steps.build, "--output", "photos").message


# --- stale, and of another step


def test_a_folder_of_another_step(steps: Steps, refused: Refused) -> None:
    assert "is a 'export' folder" in refused("flash", steps.export).message
    assert "is a 'build' folder" in refused("export", steps.build).message
    assert "is a 'build' folder" in refused("run", steps.build, "--export", steps.build).message
    assert "is a 'build' folder" in refused("serve", "--model", steps.build).message


def test_a_folder_that_is_not_there(refused: Refused) -> None:
    for args in (("flash", "gone"), ("run", "gone"), ("build", "gone"), ("bench", "gone")):
        told = refused(*args)
        assert "gone: does not exist" in told.message or "gone: no such file" in told.message
    assert "gone" in refused("report", "gone").message


def test_a_folder_without_manifest(work: Path, refused: Refused) -> None:
    (work / "photos").mkdir()
    for verb in ("build", "bench", "flash", "run", "export", "report"):
        assert "photos: holds no" in refused(verb, "photos").message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "build"}', "\0"])
def test_a_damaged_manifest(text: str, steps: Steps, refused: Refused) -> None:
    (steps.build / "manifest.json").write_text(text)
    assert "manifest.json: cannot be read" in refused("bench", steps.build).message


@pytest.mark.parametrize("verb", ["flash", "bench", "run", "report"])
def test_an_altered_file_is_refused_by_name(verb: str, steps: Steps, refused: Refused) -> None:
    with (steps.build / "model.tflite").open("ab") as stream:
        stream.write(b"\0")
    folder = steps.root if verb == "report" else steps.build
    told = refused(verb, folder)
    assert "model.tflite: was changed after it was written (stale)" in told.message
    assert told.hint == "run again: mcu-hybrid build"


def export_again(steps: Steps) -> None:
    with manifest.writing(steps.export, "export") as draft:
        (draft.folder / "model.tflite").write_bytes(classifier() + b"\0")


@pytest.mark.parametrize("verb", ["flash", "bench", "run", "report"])
def test_a_build_older_than_its_export_is_refused(
    verb: str, steps: Steps, refused: Refused
) -> None:
    export_again(steps)
    told = refused(verb, steps.root if verb == "report" else steps.build)
    assert f"{steps.build}: is stale" in told.message
    assert "its source 'model'" in told.message and str(steps.export) in told.message
    assert told.hint == "run again: mcu-hybrid build"


def test_an_export_older_than_its_source_makes_the_build_stale(
    steps: Steps, refused: Refused
) -> None:
    (steps.root / "net.tflite").write_bytes(classifier() + b"\0")
    told = refused("bench", steps.build)
    assert f"{steps.export}: is stale" in told.message
    assert told.hint == "run again: mcu-hybrid export"


def test_folders_may_travel(steps: Steps, work: Path) -> None:
    shutil.copytree(steps.build, work / "elsewhere")
    works("bench", "elsewhere", "--runs", "1")


def test_nothing_to_report(steps: Steps, refused: Refused) -> None:
    with manifest.writing(steps.root / "alone" / "train", "train"):
        pass
    told = refused("report", steps.root / "alone" / "train", "--out", "page")
    assert "holds a training and nothing else" in told.message


# --- a model without a router, an engine that is not there


def test_run_needs_a_router(work: Path, net: Path, refused: Refused) -> None:
    works(*build_into("built"))
    told = refused("run", "built", "--out", "table")
    assert "the model has no router" in told.message
    assert "mcu-hybrid train" in told.hint


def test_the_engine_tflm_needs_both_of_its_parts(net: Path, work: Path, refused: Refused) -> None:
    args = ("build", net, "--engine", "tflm", "--out", "out")
    assert "--tflm-root" in refused(*args).hint
    assert "belong together" in refused(*args, "--tflm-root", work).message
    assert "belong together" in refused(*args, "--tflm-lib", "x.a").message
    told = refused(*args, "--tflm-root", work, "--tflm-lib", "x.a")
    assert "is not a TFLM checkout" in told.message and "git clone" in told.hint


def test_a_build_of_the_other_engine_is_named(steps: Steps, refused: Refused) -> None:
    told = refused("bench", steps.build, "--engine", "tflm")
    assert "was built with --engine aot" in told.message
    told = refused("bench", steps.build, "--kernels", "ref")
    assert "was built with --kernels fast" in told.message


# --- what must work


@pytest.mark.parametrize("name", ["with space & co", "größe-模型-🙂", "-dash", "q'uo\"te", "100%"])
def test_any_name_of_files_and_folders(name: str, work: Path) -> None:
    folder = work / name
    folder.mkdir()
    (folder / f"{name}.tflite").write_bytes(classifier())
    built = folder / f"out {name}"
    works("build", "--board", "native", "--out", built, "--", folder / f"{name}.tflite")
    works("bench", "--runs", "2", "--output", folder / "o.bin", "--out", folder / "b", built)
    assert len((folder / "o.bin").read_bytes()) == 2 * 3
    works("report", "--out", folder / "page", "--", folder / "b")


def test_relative_paths_from_another_folder(
    work: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = work / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    export = os.path.relpath(steps.export, below)
    works("build", export, "--board", "native", "--out", "../built")
    monkeypatch.chdir(work)
    works("bench", "some/built", "--runs", "1", "--out", "kept")
    assert json.loads((work / "kept" / "bench.json").read_text())["exact"] is True


@pytest.mark.usefixtures("net")
def test_a_link_as_output_folder_stays_a_link(work: Path) -> None:
    (work / "disk").mkdir()
    (work / "out").symlink_to(work / "disk", target_is_directory=True)
    for _ in range(2):
        works(*build_into("out"))
    assert (work / "out").is_symlink()
    assert manifest.load(work / "disk", "build")
    assert sorted(p.name for p in work.iterdir()) == ["disk", "net.tflite", "out"]


# --- ended half way


@pytest.fixture
def long_bench(shared: Path, work: Path) -> Iterator[subprocess.Popen[str]]:
    """A bench on the emulator that has begun its inferences; temporary files under work/tmp."""
    if shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("qemu-system-arm or arm-none-eabi-gcc is not installed")
    (work / "tmp").mkdir()
    model = shared / "models" / "kws_ref_model.tflite"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mcu_hybrid", "bench", str(model), "--board", "mps2-an500"),
            *("--runs", "5000", "--out", "kept", "--output", "out.bin"),
        ],
        cwd=work,
        env=os.environ | {"TMPDIR": str(work / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "inference" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    yield process
    process.kill()
    process.communicate()


def processes_of(folder: Path) -> list[str]:
    """Command lines of running programs that mention the folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        lines += [line] if str(folder) in line else []
    return lines


def _ended_by(number: signal.Signals, process: subprocess.Popen[str]) -> str:
    """Send the signal, again where a slow machine has not ended it yet; what it said."""
    for _ in range(4):
        process.send_signal(number)
        try:
            return process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the bench goes on")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle_of_a_bench(
    number: signal.Signals, long_bench: subprocess.Popen[str], work: Path
) -> None:
    assert any("qemu-system-arm" in line for line in processes_of(work / "tmp"))
    err = _ended_by(number, long_bench)
    assert long_bench.returncode == (1 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in err
    end = time.monotonic() + 5
    while processes_of(work / "tmp") and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes_of(work / "tmp")
    assert list(listing(work)) == ["tmp"]
