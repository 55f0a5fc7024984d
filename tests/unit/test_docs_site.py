"""The documentation: a site without warnings that fetches nothing, and pages that are true."""

from __future__ import annotations

import html
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mcu_hybrid import api, cli, ops
from mcu_hybrid.cli import VERBS
from mcu_hybrid.errors import UnsupportedOp
from tests.unit.test_layers import FLOORS

OWN_KINDS = {"ROUTE_FEATURES", "TABLE"}  # of ours, in no .tflite
CHECKED = ("architecture.md", "extend.md", "porting.md", "python.md", "adr")
PLACEHOLDER = re.compile(
    r"(?:^|/)[a-z](?:[./]|_s8|$)|NAME|CHIP|DIR|FOLDER|<|\*"
)  # one letter: yours
PATH = re.compile(r"[\w./<>*-]+/[\w./<>*-]*")


def page(root: Path, name: str) -> str:
    return (root / "docs" / name).read_text("utf-8")


def table_cells(text: str, column: int) -> Iterator[str]:
    """The cells of a column, of all tables of a page."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield line.strip("|").split("|")[column].strip()


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it: a warning is an error."""
    pytest.importorskip("mkdocs")
    target = tmp_path_factory.mktemp("site")
    argv = ("mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target))
    done = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_no_page_fetches_anything(site: Path) -> None:
    """Links lead out; what a page is made of lies beside it, so it reads without a network."""
    wrong = []
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for path in pages:
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", path.read_text()):
            if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag):
                wrong.append(f"{path.name}: {tag}")
    for path in site.rglob("*.css"):
        if re.search(r"(?:@import|url\()[\s\"']*(?:https?:)?//", path.read_text()):
            wrong.append(path.name)
    assert not wrong, wrong


def test_the_reference_shows_signatures_and_defaults(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "api.html").read_text())
    for name in ("train", "measure", "PredictOptions", "load_board"):
        assert f"{name}(" in text, name
    assert "deadline_s" in text and "Raises" in text


def test_the_python_page_shows_the_tested_example(root: Path, site: Path) -> None:
    shown = re.sub(r"<[^>]+>", "", (site / "python.html").read_text())
    example = (root / "docs" / "examples" / "photos_to_answers.py").read_text("utf-8")
    assert example.strip() in html.unescape(shown)


def test_the_reference_names_every_function_of_the_api(root: Path) -> None:
    functions = {n for n in api.__all__ if inspect.isfunction(getattr(api, n))}
    text = page(root, "reference/api.md")
    listed = set(re.findall(r"^        - (\w+)$", text, re.M))
    assert listed == {n for n in functions if getattr(api, n).__module__ == api.__name__}
    shown = text + page(root, "reference/answers.md") + page(root, "reference/errors.md")
    for name in set(api.__all__) - listed:
        home = getattr(api, name)
        assert re.search(rf"::: {home.__module__}(\.{home.__name__})?$", shown, re.M), name


def test_the_page_has_the_floors_that_the_layers_are_tested_by(root: Path) -> None:
    text = page(root, "architecture.md").partition("<!-- floors: begin -->")[2]
    told = list(table_cells(text.partition("<!-- floors: end -->")[0], 1))[1:]
    package = root / "mcu_hybrid"
    there = {path.stem for path in package.iterdir()}
    wanted = [" ".join(room for room in floor.split() if room in there) for floor in FLOORS]
    assert [cell.replace("\\", "") for cell in told] == wanted


def test_every_verb_is_told(root: Path) -> None:
    listed = " ".join(table_cells(page(root, "verbs.md").partition("\n## ")[0], 0))
    assert set(re.findall(r"`([a-z]+)`", listed)) == set(VERBS)


def test_every_operator_is_told(root: Path) -> None:
    with pytest.raises(UnsupportedOp) as refused:
        ops.operator("NO_SUCH_OPERATOR")
    kinds = set(re.findall(r"[A-Z][A-Z0-9_]+", refused.value.hint.partition("supported: ")[2]))
    told = set(re.findall(r"[A-Z][A-Z0-9_]+", page(root, "models.md")))
    assert len(kinds) > 30
    aliases = {"PADV2": "PAD", "DEQUANTIZE": "QUANTIZE"}
    assert {aliases.get(kind, kind) for kind in kinds - OWN_KINDS} <= told


def test_files_and_modules_that_pages_name_are_there(root: Path) -> None:
    """A code span that is a path, and what a command runs, from the root or in the package."""
    pages = [root / "docs" / name for name in CHECKED if name.endswith(".md")]
    missing = []
    for path in (*pages, *sorted((root / "docs" / "adr").glob("*.md"))):
        text = path.read_text("utf-8")
        named = {span for span in re.findall(r"`([^`\n]+)`", text) if PATH.fullmatch(span)}
        named |= set(re.findall(r"[\w/]+/\w+\.py\b", text))
        named |= {
            f"{module.replace('.', '/')}.py"
            for module in re.findall(r"-m ((?:tools|benchmarks|experiments)[\w.]*)", text)
        }
        for name in sorted(named):
            is_real = not PLACEHOLDER.search(name) and not name.startswith("runs/")
            if is_real and not any((root / p / name).exists() for p in ("", "mcu_hybrid")):
                missing.append(f"{path.name}: {name}")
    assert not missing, missing


def test_commands_that_pages_show_have_their_options(root: Path) -> None:
    """Every `mcu-hybrid VERB --option` of a page, in a listing or a sentence."""
    wrong, seen = [], 0
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        if path.name == "changelog.md":
            continue
        text = path.read_text("utf-8").replace("\\\n", " ")
        for verb, rest in re.findall(r"mcu-hybrid ([a-z]+)((?:[ \t][^`\n#,;]*)?)", text):
            command = cli.cli.get_command(click.Context(cli.cli), verb)
            if command is None:
                continue  # a sentence goes on: "mcu-hybrid looks for"
            known = {name for o in command.params for name in (*o.opts, *o.secondary_opts)}
            given = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", rest))
            seen += len(given)
            wrong += [
                f"{path.name}: {verb} {option}" for option in sorted(given - known - {"--help"})
            ]
    assert not wrong and seen > 50, (wrong, seen)


def test_the_readme_begins_with_the_commands_and_has_one_table(root: Path) -> None:
    text = (root / "README.md").read_text("utf-8")
    assert text.index("make demo") < text.index("make test") < text.index("**base**")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) == 1 and len(tables[0].splitlines()) == 2 + 6


def test_links_of_readme_and_contributing_lead_somewhere(root: Path) -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)", (root / name).read_text("utf-8")):
            assert (root / link).exists(), f"{name}: {link}"


def test_every_decision_is_listed(root: Path) -> None:
    folder = root / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "index.md").read_text())
    assert listed == sorted(p.name for p in folder.glob("[0-9]*.md"))
    for name in listed:
        text = (folder / name).read_text("utf-8")
        assert all(f"## {part}" in text for part in ("Why", "Decision", "What it brings"))


def test_the_glossary_is_in_order(root: Path) -> None:
    for section in page(root, "glossary.md").split("\n## ")[1:]:
        words = re.findall(r"^\*\*(.+)\*\*\n:", section, re.M)
        assert words == sorted(words, key=str.lower), section.splitlines()[0]
