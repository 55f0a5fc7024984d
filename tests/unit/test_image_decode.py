"""Pixels as a person sees them: real files of every mode, depth and orientation, through Pillow."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
ImageCms = pytest.importorskip("PIL.ImageCms")

from mcu_hybrid.training import image_decode  # noqa: E402
from mcu_hybrid.training.image_decode import decode  # noqa: E402

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def saved(image: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes, size: tuple[int, int] | None = None) -> tuple[np.ndarray, Counter[str]]:
    seen = Counter[str]()
    return decode(data, size, seen), +seen


def colours() -> np.ndarray:
    return np.stack([RAMP, RAMP[::-1], 255 - RAMP], -1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "PCX"])
def test_grey(kind: str) -> None:
    pixels, seen = read(saved(Image.fromarray(RAMP), kind))
    assert (pixels[..., 0] == RAMP).all() and pixels.shape == (6, 8, 1) and not seen


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP"])
def test_colour(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels, seen = read(saved(Image.fromarray(colours()), kind, **options))
    assert (pixels == colours()).all() and not seen


def test_black_and_white() -> None:
    bits = Image.fromarray(RAMP).convert("1", dither=0)
    for kind in ("PNG", "TIFF", "PPM", "BMP"):
        assert (read(saved(bits, kind))[0][..., 0] == np.asarray(bits) * 255).all()


def test_palette() -> None:
    image = Image.fromarray(colours()).quantize(16)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert (read(saved(image, kind))[0] == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_photos_stand_upright(kind: str, orientation: int) -> None:
    """A file that stores the picture turned and says so shows the picture."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 250  # top left
    undo: dict[int, Any] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    pixels, seen = read(saved(stored, kind, exif=exif))
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() < 40
    assert seen[image_decode.TURNED] == (orientation > 1)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = (RAMP.astype(np.uint16) * 257).copy()
    for kind in ("PNG", "TIFF", "PPM"):
        pixels, seen = read(saved(Image.fromarray(deep), kind))
        assert (pixels[..., 0] == RAMP).all(), kind
        assert seen == {image_decode.DEEP: 1}
    big = Image.frombytes("I;16B", (8, 6), deep.astype(">u2").tobytes())
    assert (read(saved(big, "TIFF"))[0][..., 0] == RAMP).all()


def test_sixteen_bit_tiff_that_counts_from_white() -> None:
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    data = bytearray(saved(deep, "TIFF"))
    entry = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # photometric = 1
    data[entry + 8] = 0
    assert (read(bytes(data))[0][..., 0] == 255 - RAMP).all()


def test_twelve_bit_tiff() -> None:
    """Two numbers of 12 bits in three bytes, as scanners and cameras write them."""
    deep = Image.fromarray(np.zeros((6, 4), np.uint16))
    data = bytearray(saved(deep, "TIFF"))
    start = data.index(b"\x02\x01\x03\x00\x01\x00\x00\x00\x10\x00")  # 16 bits a sample
    data[start + 8] = 12
    at = data.index(b"\x11\x01")  # strip offset
    strip = int.from_bytes(data[at + 8 : at + 10], "little")
    data[strip : strip + 36] = b"\xff\xf0\x00" * 12  # 4095, 0
    pixels, seen = read(bytes(data))
    assert (pixels[..., 0] == np.tile([255, 0], (6, 2))).all() and seen[image_decode.DEEP] == 1


def test_transparent_everywhere_is_refused() -> None:
    clear = Image.fromarray(np.dstack([colours(), np.zeros_like(RAMP)]))
    for kind in ("PNG", "TGA"):
        with pytest.raises(ValueError, match="transparent everywhere"):
            read(saved(clear, kind))


def test_pixels_without_a_known_range_are_refused() -> None:
    for array in (RAMP.astype(np.float32), RAMP.astype(np.int32) * 9999):
        with pytest.raises(ValueError, match="whose range nobody says"):
            read(saved(Image.fromarray(array), "TIFF"))


def test_transparency_is_laid_on_white() -> None:
    alpha = np.where(RAMP > 100, 255, 0).astype(np.uint8)
    shown = np.where(alpha[..., None] > 0, colours(), 255)
    image = Image.fromarray(np.dstack([colours(), alpha]))
    pixels, seen = read(saved(image, "PNG"))
    assert (pixels == shown).all() and seen == {image_decode.TRANSPARENT: 1}
    opaque = Image.fromarray(np.dstack([colours(), np.full_like(alpha, 255)]))
    pixels, seen = read(saved(opaque, "PNG"))
    assert (pixels == colours()).all() and not seen
    grey = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(alpha)])
    pixels, seen = read(saved(grey, "PNG"))
    assert pixels.shape[2] == 1 and (pixels[..., 0] == np.where(alpha, RAMP, 255)).all()


def test_one_value_named_as_transparent() -> None:
    """tRNS of a PNG: in grey, deep grey, colour and palette."""
    pixels, seen = read(saved(Image.fromarray(RAMP), "PNG", transparency=50))
    assert (pixels[..., 0] == np.where(RAMP == 50, 255, RAMP)).all() and seen
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    pixels, seen = read(saved(deep, "PNG", transparency=50 * 257))
    assert (pixels[..., 0] == np.where(RAMP == 50, 255, RAMP)).all()
    assert seen[image_decode.TRANSPARENT] == 1
    one = tuple(int(v) for v in colours()[2, 3])
    pixels, _ = read(saved(Image.fromarray(colours()), "PNG", transparency=one))
    assert (pixels[2, 3] == 255).all() and (pixels[0, 0] == colours()[0, 0]).all()
    image = Image.fromarray(colours()).quantize(16)
    index = int(np.asarray(image)[0, 0])
    for kind in ("PNG", "GIF"):
        pixels, seen = read(saved(image, kind, transparency=index))
        assert (pixels[np.asarray(image) == index] == 255).all() and seen, kind


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF")])
def test_other_colour_spaces_look_the_same(mode: str, kind: str) -> None:
    plain = Image.new("RGB", (8, 6), (200, 60, 30))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(plain, srgb, lab, outputMode="LAB")
    else:
        image = plain.convert(mode)
    pixels, _ = read(saved(image, kind))
    assert np.abs(pixels.astype(int) - (200, 60, 30)).max() <= 4


def test_cmyk_photo() -> None:
    image = Image.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK")
    pixels, _ = read(saved(image, "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - (200, 60, 30)).max() <= 6


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_and_it_is_said(kind: str) -> None:
    frames = [Image.new("L", (8, 6), value) for value in (20, 120, 220)]
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels, seen = read(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (pixels == 20).all() and seen == {image_decode.FRAMES: 1}


def test_stretching_is_said() -> None:
    data = saved(Image.fromarray(RAMP), "PNG")
    assert read(data, (12, 16))[1] == {}
    pixels, seen = read(data, (12, 12))
    assert pixels.shape == (12, 12, 1) and seen == {image_decode.STRETCHED: 1}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_file_that_ends_early_is_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = saved(Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)), kind)
    with pytest.raises(ValueError):
        read(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"no image", "is no image that Pillow knows"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
    ],
)
def test_what_is_no_image(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(data)


def test_a_huge_image_is_refused_before_it_is_unpacked() -> None:
    data = bytearray(saved(Image.new("L", (8, 6)), "BMP"))
    data[18:26] = (60_000).to_bytes(4, "little") + (60_000).to_bytes(4, "little")
    with pytest.raises(ValueError, match="more than 89,478,485 pixels"):
        read(bytes(data))
    data[18:26] = (10_000).to_bytes(4, "little") + (10_000).to_bytes(4, "little")
    with pytest.raises(ValueError, match="more than 89,478,485 pixels"):
        read(bytes(data))
