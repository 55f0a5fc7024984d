"""What belongs to different builds never stands under one heading."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from mcu_hybrid import manifest
from mcu_hybrid.errors import ManifestError
from mcu_hybrid.steps.report import report_step
from mcu_hybrid.steps.report_join import find
from tests.support import report_folders as made

H7, QEMU = "stm32h7", "mps2-an500"


def page_of(*roots: Path) -> str:
    out = roots[0].parent / "page"
    return report_step(list(roots), out, title="T").read_text("utf-8")


def parts_of(page: str) -> dict[str, str]:
    """Heading -> what stands under it; "" for a page of one build."""
    pieces = re.split(r'<div class="part-head" id="part[-\d]*">\s*<h2>(.*?)</h2>', page)
    if len(pieces) == 1:
        return {"": page}
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def heading(title: str, name: str) -> str:
    return f"{title} · build {made.build_id(name)[:8]}"


def test_built_for_one_board_and_benched_on_another(tmp_path: Path) -> None:
    """Nothing that an emulated M7 did is told of the NUCLEO."""
    root = tmp_path / "runs"
    made.build(root / "build", "one", H7)
    made.bench(root / "bench", "two", QEMU)
    page = page_of(root)
    header = words(page.split("</header>")[0].split("<header>")[1])
    assert "2 builds of 1 model" in header
    parts = parts_of(page)
    h7, qemu = (
        heading("ST NUCLEO-H743ZI2", "one"),
        heading("Arm MPS2 AN500 in QEMU (Cortex-M7)", "two"),
    )
    assert list(parts) == [h7, qemu]
    assert "not run" in words(parts[h7]) and 'class="tile good"' not in parts[h7]
    assert "estimate 2,000,000" in words(parts[h7]), "a prediction is no count"
    assert "exact" not in words(parts[h7]).split("Memory over time")[0]
    assert "on mps2-an500, emulated" in words(parts[qemu]) and 'class="tile good"' in parts[qemu]
    assert "NUCLEO" not in parts[qemu] and 'id="layers-2"' in parts[qemu]
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_steps_of_one_build_stand_together(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    export = made.export(root / "export", source=made.train(root / "train"))
    built = made.build(root / "build", "one", QEMU, source=export)
    made.bench(root / "bench", "one", QEMU)
    run = made.run(root / "run", "one", QEMU)
    made.tune(root / "tune", "one", QEMU, source=run)
    page = page_of(root)
    assert list(parts_of(page)) == [""]
    assert "mps2-an500" in words(page) and "layers" in page
    for section in ("routing", "answers", "tuned", "layers", "memory", "quantisation", "capacity"):
        assert f'<section id="{section}">' in page
    steps = re.findall(r"<dt>(\w+)</dt><dd><code>", page)
    assert set(steps) >= {"train", "export", "build", "bench", "run", "tune"}
    assert f"sha256 {manifest.sha256_file(built / manifest.NAME)}" in page
    assert "bit for bit exact equal to TFLM's interpreter on 212 inputs, on mps2-an500" in words(
        page
    )


Neighbour = Callable[[Path], object]


@pytest.mark.parametrize(
    ("neighbour", "title", "section"),
    [
        (lambda root: made.run(root / "run", "other", H7), "ST NUCLEO", "routing"),
        (lambda root: made.bench(root / "bench", "other", QEMU, "n"), "Arm MPS2", "layers"),
        (lambda root: made.tune(root / "tune", "other", H7), "ST NUCLEO", "tuned"),
        (lambda root: made.tune(root / "tune", model="n"), "tune (tune), no firmware", "tuned"),
        (
            lambda root: made.export(root / "export", "n"),
            "export (export), no firmware",
            "quantisation",
        ),
    ],
    ids=["run", "bench of another model", "tune", "tune of another model", "export"],
)
def test_a_step_of_another_build_or_model_stands_apart(
    neighbour: Neighbour, title: str, section: str, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    made.build(root / "build", "one", QEMU)
    neighbour(root)
    (first, one), (second, other) = parts_of(page_of(root)).items()
    assert first == heading("Arm MPS2 AN500 in QEMU (Cortex-M7)", "one")
    assert second.startswith(title)
    assert f'<section id="{section}' not in one and f'<section id="{section}-2">' in other


def test_a_threshold_for_the_model_alone_stands_by_its_build(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.export(root / "export")
    made.build(root / "build", "one", QEMU)
    made.tune(root / "tune")
    assert list(parts_of(page_of(root))) == [""]
    other = tmp_path / "other"
    made.build(other / "build", "one", QEMU)
    made.tune(other / "tune", board=H7)
    assert len(parts_of(page_of(other))) == 2, "its costs are those of another board"


def test_a_threshold_of_another_run_is_told(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.build(root / "build", "one", QEMU)
    made.run(root / "run", "one", QEMU)
    elsewhere = made.run(tmp_path / "before", "one", QEMU, dataset="another")
    made.tune(root / "tune", "one", QEMU, source=elsewhere)
    page = words(page_of(root))
    assert "was chosen on the answers of another run than" in page
    assert "the tuned threshold is 4321" in page


def test_a_build_with_a_tuned_threshold_is_still_of_its_model(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.export(root / "export", "m")
    made.build(root / "build", "one", QEMU, "m-tuned", untuned_sha256=made.model_sha256("m"))
    made.bench(root / "bench", "one", QEMU, "m-tuned")
    assert list(parts_of(page_of(root))) == [""]


def test_of_one_model_exported_twice_that_is_shown_which_was_built(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.export(root / "export", source=made.train(tmp_path / "one", 1))
    second = made.export(root / "export2", source=made.train(tmp_path / "two", 2))
    made.build(root / "build", "one", QEMU, source=second)
    page = page_of(root)
    assert list(parts_of(page)) == [""] and "<code>export2</code>" in page
    assert f"{root / 'export'} holds the same model as {second}: shown once" in words(page)


def test_another_training_is_left_out_by_name(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.export(root / "export", source=made.train(tmp_path / "first", 1))
    made.train(root / "train", 2)
    page = page_of(root)
    assert f"{root / 'train'} is not what {root / 'export'} was made from: left out" in words(page)
    assert "<dt>train</dt>" not in page


def test_two_measurements_of_one_build_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.build(root / "build", "one", QEMU)
    made.bench(root / "bench", "one", QEMU, runs=11)
    made.bench(root / "bench-long", "one", QEMU, runs=501)
    first, second = parts_of(page_of(root)).items()
    assert first[0].endswith("build, bench") and "on 10 inputs" in words(first[1])
    assert second[0].endswith("bench-long") and "on 500 inputs" in words(second[1])


def test_a_build_for_each_of_several_boards(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.export(root / "export")
    for name, board in (("a", H7), ("b", "stm32f7"), ("c", QEMU)):
        made.build(root / f"build-{board}", name, board)
        made.bench(root / f"bench-{board}", name, board)
    page = page_of(root)
    parts = parts_of(page)
    assert len(parts) == 3
    for title, text in parts.items():
        own = re.findall(r"([\w-]+) · (?:flash|RAM)\s*<span class=\"badge built\"", text)
        others = re.findall(r"([\w-]+) · (?:flash|RAM)\s*<span class=\"badge estimate\"", text)
        assert len(set(own)) == 1 and own[0] not in others and others, title
    assert page.count('<section id="quantisation') == 1
    assert len(page.encode()) < 1_500_000


def test_where_it_ran_is_told(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.bench(root / "bench", "one", H7, latency_is_estimate=False, latency_basis="DWT")
    page = words(page_of(root))
    assert "on stm32h7, the board itself" in page and "latency measured" in page
    made.bench(root / "bench", "one", QEMU, latency_is_estimate=False, latency_basis="x")
    page = words(page_of(root))
    assert "on mps2-an500, emulated" in page and "latency estimate about" in page
    made.bench(root / "bench", "one", "native")
    assert "as native, a process of the host" in words(page_of(root))
    made.bench(root / "bench", "one", "a_board_of_mine")
    assert "on a_board_of_mine" in words(page_of(root))


def test_a_run_whose_outputs_differ_spoils_the_verdict(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.bench(root / "bench", "one", QEMU)
    made.run(root / "run", "one", QEMU, exact=False, differing_outputs=7)
    page = page_of(root)
    assert "bit for bit 7 output values differ" in words(page) and 'class="tile good"' not in page


def test_a_stale_folder_is_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    export = made.export(root / "export")
    made.build(root / "build", "one", QEMU, source=export)
    made.export(export, "another")
    with pytest.raises(ManifestError, match="is stale: its source 'model'") as told:
        page_of(root)
    assert told.value.path == root / "build" and "mcu-hybrid build" in told.value.hint
    (root / "build" / "plan.json").write_text("{}")
    with pytest.raises(ManifestError, match="was changed after it was written"):
        page_of(root)
    assert not (tmp_path / "page").exists()


def test_folders_are_found_by_what_they_are(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.build(root / "a" / "firmware", "one", QEMU)
    made.build(root / "b" / "build", "two", H7)
    (root / "b" / "app").mkdir()
    (root / "b" / "app" / "manifest.json").write_text('{"name": "a web page"}')
    assert [path.relative_to(root) for path in find([root])] == [
        Path("a/firmware"),
        Path("b/build"),
    ]
    assert len(parts_of(page_of(root / "a", root / "b"))) == 2
    assert find([root / "a", root / "a" / "firmware"]) == [root / "a" / "firmware"], "once"
    with pytest.raises(ManifestError, match="is no folder"):
        find([tmp_path / "page" / "nothing"])
    with pytest.raises(ManifestError, match="holds no folder of a step"):
        find([root / "b" / "app"])


def test_a_damaged_result_is_one_clear_error(tmp_path: Path) -> None:
    for text in ("{", "[1]"):
        folder = tmp_path / f"bench{len(text)}"
        with manifest.writing(folder, "bench") as draft:
            (draft.folder / "bench.json").write_text(text)
        with pytest.raises(ManifestError, match=r"cannot be read|is no result"):
            page_of(folder)
