"""Inputs of a bench: the golden rule, files of raw int8, outputs back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.bench import samples
from mcu_hybrid.errors import InputError


def test_golden_input_first_then_random_ones() -> None:
    inputs = samples.default_inputs([(1, 3, 2)], 3)
    assert inputs[0][0].ravel().tolist() == [-117, -80, -43, -6, 31, 68]
    assert all(sample[0].dtype == np.int8 and sample[0].shape == (1, 3, 2) for sample in inputs)
    again = samples.default_inputs([(1, 3, 2)], 3)
    assert all((a[0] == b[0]).all() for a, b in zip(inputs, again, strict=True))
    assert (inputs[1][0] != inputs[2][0]).any()


def test_a_file_of_several_inferences_with_two_inputs(tmp_path: Path) -> None:
    path = tmp_path / "in.bin"
    path.write_bytes(bytes(range(12)))
    inputs = samples.read_inputs(path, [(1, 4), (2,)])
    assert [[a.tobytes() for a in sample] for sample in inputs] == [
        [bytes([0, 1, 2, 3]), bytes([4, 5])],
        [bytes([6, 7, 8, 9]), bytes([10, 11])],
    ]


@pytest.mark.parametrize("size", [0, 5, 13])
def test_a_file_of_the_wrong_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "in.bin"
    path.write_bytes(bytes(size))
    with pytest.raises(InputError, match=rf"in\.bin: has {size} bytes; one inference takes 6"):
        samples.read_inputs(path, [(1, 4), (2,)])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        samples.read_inputs(tmp_path / "nothing", [(1,)])


def test_outputs_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    samples.write_outputs(path, [[b"ab", b"c"], [b"de", b"f"]])
    assert path.read_bytes() == b"abcdef"
