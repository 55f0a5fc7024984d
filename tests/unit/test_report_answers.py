"""The confusion matrix, the operating point and the pictures are those of the labels."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import manifest
from mcu_hybrid.report import answers
from mcu_hybrid.report.png import png
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.steps.report import report_step
from mcu_hybrid.steps.run_pictures import MOST, SIDE, load_pictures, save_pictures
from tests.support import report_folders as made


def tables(page: str) -> dict[str, list[list[int]]]:
    """Caption -> counts of each confusion matrix in the page."""
    found = {}
    for table in re.findall(r'<table class="confusion">.*?</table>', page, re.S):
        caption = re.sub(r"<[^>]+>", "", table.split("</caption>")[0].split("<caption>")[1])
        rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table, re.S)
        found[caption] = [[int(n) for n in re.findall(r"<td[^>]*>(\d+)<", row)] for row in rows]
    return found


def test_the_page_has_the_matrix_of_the_labels(tmp_path: Path) -> None:
    made.run(tmp_path / "run", "one", "mps2-an500")
    page = report_step(tmp_path / "run", tmp_path / "page").read_text("utf-8")
    seen = made.outcomes()
    kept = seen.score("entropy") <= made.DEPLOYED["threshold"]
    hybrid = [[0, 0, 0] for _ in made.LABELS]
    device = [[0, 0, 0] for _ in made.LABELS]
    for truth, own, cloud, keeps in zip(seen.truth, seen.device, seen.cloud, kept, strict=True):
        hybrid[truth][own if keeps else cloud] += 1
        device[truth][own] += 1
    found = tables(page)
    assert list(found.values()) == [hybrid, device]
    first, second = found
    assert first.startswith("hybrid, as deployed: 10 of 12 right")
    assert second.startswith("device alone: 7 of 12 right")
    assert sum(map(sum, hybrid)) == 12
    told = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "router entropy at threshold 12: accuracy 83.3 % at coverage 66.7 %" in told
    assert "hybrid accuracy 83.3 %" in told and "deployed: entropy" in told


def test_a_route_that_keeps_all_is_the_device_alone(tmp_path: Path) -> None:
    deployed = {"router": 0, "coverage": 1.0, "threshold": 0}
    made.run(tmp_path / "run", "one", "mps2-an500", deployed=deployed)
    page = report_step(tmp_path / "run", tmp_path / "page").read_text("utf-8")
    hybrid, device = tables(page).values()
    assert hybrid == device
    assert "at coverage 100.0 %" in " ".join(page.split())


def test_classes_have_the_names_that_the_run_or_the_export_gives(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    made.run(root / "run", "one", "mps2-an500", model_sha256=made.model_sha256("m"))
    made.export(root / "export")
    page = report_step(root, tmp_path / "page").read_text("utf-8")
    assert [name for name in made.LABELS if f'<th scope="row">{name}</th>' in page] == made.LABELS
    made.run(root / "run", "one", "mps2-an500", labels=["x", "y & z", "w"])
    page = report_step(root / "run", tmp_path / "page").read_text("utf-8")
    assert '<th scope="row">y &amp; z</th>' in page


def test_where_the_cloud_was_silent_the_device_s_answer_stands() -> None:
    truth, device, cloud = np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([-1, 0, -1])
    said = answers.Answers(Outcomes.of_two(device, cloud, truth), np.array([True, False, False]))
    assert said.hybrid.tolist() == [0, 0, 1]
    assert answers.confusion(said)[0].counts == ((1, 0, 0), (1, 0, 0), (0, 1, 0))
    images = np.zeros((3, 2, 2, 1), np.uint8)
    last = answers.pictures(said, np.arange(3), images)[1].shown[-1]
    assert last.by == "device" and last.alt.endswith("the cloud gave no answer")


def test_many_classes_are_told_by_the_pairs_that_are_mixed_up() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 100, 5000)
    device = np.where(rng.random(5000) < 0.8, truth, (truth + 1) % 100)
    device[truth == 7] = 9
    said = answers.Answers(Outcomes.of_two(device, truth, truth), np.ones(5000, bool))
    whole = answers.confusion(said)[0]
    assert whole.counts is None and len(whole.pair_rows) == answers.MOST_PAIRS
    assert whole.pair_rows[0] == ("7", "9", f"{int((truth == 7).sum()):,}")


def test_pictures_are_of_queried_and_of_wrong_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 96, 64, 3), np.uint8)
    seen = made.outcomes()
    queried = seen.score("entropy") > made.DEPLOYED["threshold"]
    wrong = np.where(queried, seen.cloud, seen.device) != seen.truth
    save_pictures(tmp_path / "p.npz", x, queried, wrong)
    index, images = load_pictures(tmp_path / "p.npz")
    assert index.tolist() == np.flatnonzero(queried | wrong).tolist()
    assert (images == x[index][:, ::2, ::2]).all() and max(images.shape[1:3]) <= SIDE
    said = answers.Answers(seen, ~queried, made.LABELS)
    sent, mistaken = answers.pictures(said, index, images)
    assert (sent.count, mistaken.count) == (int(queried.sum()), int(wrong.sum()))
    assert [p.right for p in mistaken.shown] == [False] * mistaken.count
    assert all(p.by == "cloud" for p in sent.shown)
    assert sent.shown[0].alt == "Image 2, class ant; device: bee; cloud: ant"


def test_few_pictures_are_kept_whatever_there_is(tmp_path: Path) -> None:
    x = np.zeros((5000, 8, 8, 1), np.uint8)
    every = np.ones(5000, bool)
    save_pictures(tmp_path / "p.npz", x, every, every)
    assert len(load_pictures(tmp_path / "p.npz")[0]) <= 2 * MOST
    save_pictures(tmp_path / "no.npz", np.zeros((4, 9, 2), np.uint8), every[:4], every[:4])
    save_pictures(tmp_path / "no.npz", np.zeros((4, 3, 3, 5), np.uint8), every[:4], every[:4])
    assert not (tmp_path / "no.npz").exists(), "those are no pictures"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_the_image(channels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (7, 5, channels), np.uint8)
    pillow = pytest.importorskip("PIL.Image")
    with pillow.open(io.BytesIO(png(image))) as opened:
        assert opened.size == (5, 7)
        assert (np.asarray(opened).reshape(image.shape) == image).all()


def test_pictures_stand_in_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made.run(folder, "one", "mps2-an500")
    seen = made.outcomes()
    with manifest.writing(tmp_path / "with", "run") as draft:
        for name in ("run.json", "results.npz"):
            (draft.folder / name).write_bytes((folder / name).read_bytes())
        flags = np.ones(seen.count, bool)
        x = np.full((12, 8, 8, 1), 200, np.uint8)
        save_pictures(draft.folder / "pictures.npz", x, flags, flags)
    page = report_step(tmp_path / "with", tmp_path / "page").read_text("utf-8")
    sources = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="[^"]+"', page)
    assert len(sources) == 4 + 2  # queried, and wrong
    assert base64.b64decode(sources[0]).startswith(b"\x89PNG")
    assert "Sent to the cloud: 4 of 4" in page and "Answered wrongly: 2 of 2" in page
