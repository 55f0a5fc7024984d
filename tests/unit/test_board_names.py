"""Boards by the names that people have for them: aliases, dashes, case; and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid.board.load import board_name, list_boards, load_board
from mcu_hybrid.errors import BoardError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("stm32h7", "stm32h7"),
        ("NUCLEO-H743ZI2", "stm32h7"),
        ("nucleo_f446re", "stm32f4"),
        ("Nucleo F746ZG", "stm32f7"),
        ("PCA10056", "nrf52840dk"),
        ("nrf52840dk_nrf52840", "nrf52840dk"),
        ("MPS2_AN500", "mps2-an500"),
    ],
)
def test_a_board_has_several_names(text: str, name: str) -> None:
    assert board_name(text) == name
    assert load_board(text).name == name


@pytest.mark.parametrize(
    ("text", "meant"), [("stm32h", "stm32h7"), ("mps2-an50", "mps2-an500"), ("nucleo", "stm32")]
)
def test_a_name_that_is_none_says_what_may_be_meant(text: str, meant: str) -> None:
    with pytest.raises(BoardError) as caught:
        load_board(text)
    assert f"'{text}' is unknown" in caught.value.message
    assert f"did you mean {meant}" in caught.value.hint
    assert "known boards" in caught.value.hint


def test_no_alias_is_claimed_twice() -> None:
    boards = list_boards()
    aliases = [alias for board in boards for alias in board.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & {board.name for board in boards}


def test_own_boards_have_aliases_and_go_first(root: Path, tmp_path: Path) -> None:
    text = (root / "boards" / "stm32f4.toml").read_text("utf-8")
    own = text.replace('"nucleo-f446re"', '"my-desk"')
    (tmp_path / "desk.toml").write_text(own)
    (tmp_path / "broken.toml").write_text("title = ")
    assert load_board("My_Desk", [tmp_path]).name == "desk"
    assert load_board("nucleo-f446re", [tmp_path]).name == "stm32f4"


@pytest.mark.parametrize("bad", ["3", '""', '"a b"', '"../x"'])
def test_an_alias_that_is_no_name_is_told(bad: str, root: Path, tmp_path: Path) -> None:
    text = (root / "boards" / "stm32f4.toml").read_text("utf-8")
    (tmp_path / "desk.toml").write_text(text.replace('"nucleo-f446re"', bad))
    with pytest.raises(BoardError, match=r"aliases\[0\]"):
        load_board("desk", [tmp_path])
