"""One image file to pixels: turned as its EXIF says, every depth and mode as a person sees it.

What has no one meaning as 8 bits a channel (float pixels, 32-bit integers) is refused; what is
changed on the way (transparency, frames, depth, shape) is counted in ``seen``. Pillow only here.
"""

from __future__ import annotations

import io
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_hybrid.errors import MissingTool

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

TRANSPARENT = "with transparency: laid on white"
FRAMES = "with several frames or pages: the first is taken"
DEEP = "with more than 8 bits a channel: scaled to 8"
STRETCHED = "with another aspect ratio than --size: stretched"
TURNED = "turned as their EXIF says"
_WHITE = (255, 255, 255, 255)
_PNG, _PNG_KIND, _GREY_ALPHA = b"\x89PNG\r\n\x1a\n", 25, 4  # its colour type
_LFS = b"version https://git-lfs"
_INVERTED = 0  # TIFF's photometric interpretation "white is zero"
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258  # tags of TIFF 6.0


def pillow() -> Any:
    """The module PIL.Image, or MissingTool."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingTool("Pillow is not installed", "pip install pillow") from error
    return Image


def decode(data: bytes, size: tuple[int, int] | None, seen: Counter[str]) -> np.ndarray:
    """One image as uint8 [H, W, 1 or 3], resized to ``size`` (height, width) where given.

    Raises:
        ValueError: says why the image cannot be read or has no one meaning.
    """
    image_module = pillow()
    if data.startswith(_LFS):
        raise ValueError("is a pointer of Git LFS, not the image (git lfs pull fetches it)")
    told = Counter[str]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(io.BytesIO(data)) as file:
                pixels = _pixels(file, size, told)
    except image_module.UnidentifiedImageError as error:
        raise ValueError("is empty" if not data else "is no image that Pillow knows") from error
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning) as error:
        limit = image_module.MAX_IMAGE_PIXELS
        raise ValueError(f"has more than {limit:,} pixels; make it smaller first") from error
    except MemoryError as error:
        raise ValueError("does not fit the memory") from error
    except Exception as error:  # Pillow raises a different class for each broken format
        raise ValueError(str(error) or type(error).__name__) from error
    seen.update(told)
    if data.startswith(_PNG) and data[_PNG_KIND] == _GREY_ALPHA:  # deep ones are opened as colour
        pixels = pixels.reshape(*pixels.shape[:2], -1)[..., :1]
    return pixels.reshape(*pixels.shape[:2], -1)


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 NHWC images at this height and width, bilinear, as ``decode`` resizes files."""
    image_module = pillow()
    how = image_module.Resampling.BILINEAR
    grey = x.shape[3] == 1
    frames = (image_module.fromarray(image[..., 0] if grey else image) for image in x)
    made = np.stack([np.asarray(frame.resize(size[::-1], how)) for frame in frames])
    return made[..., None] if grey else made


def _pixels(file: Any, size: tuple[int, int] | None, told: Counter[str]) -> np.ndarray:
    from PIL import ImageOps

    # A phone's JPEG with a preview (MPO) has frames that nobody means.
    if getattr(file, "n_frames", 1) > 1 and file.format != "MPO":
        told[FRAMES] += 1
    kind, white_is_zero, bits = file.format, _white_is_zero(file), _bits(file)
    turned = file.getexif().get(0x0112, 1) in range(2, 9)  # Orientation
    image = ImageOps.exif_transpose(file)
    told[TURNED] += turned
    image = _eight_bits(image, kind, white_is_zero, bits, told)
    if size is not None and image.size != (size[1], size[0]):
        if abs(image.width * size[0] - image.height * size[1]) > max(image.size):
            told[STRETCHED] += 1
        image = image.resize((size[1], size[0]), pillow().Resampling.BILINEAR)
    return np.asarray(image, np.uint8)


def _eight_bits(
    image: PillowImage, kind: str | None, white_is_zero: bool, bits: int, told: Counter[str]
) -> PillowImage:
    """The image in mode L or RGB; ``bits`` of a deep one say what white is."""
    mode = image.mode
    if mode == "F":
        raise ValueError("has float pixels, whose range nobody says; save it with 8 or 16 bits")
    if mode.startswith("I"):
        deep = mode.startswith("I;16") or kind in ("PNG", "PPM")  # these are 0..65535 in mode I
        values = np.asarray(image).astype(np.int64)
        if not deep or values.min() < 0 or values.max() > 65535:
            raise ValueError(
                "has 32-bit or signed pixels, whose range nobody says; save it with 8 or 16 bits"
            )
        told[DEEP] += 1
        white = (1 << bits) - 1
        values = np.clip(white - values if white_is_zero else values, 0, white)
        scaled = pillow().fromarray(np.round(values * (255 / white)).astype(np.uint8))
        return _on_white(scaled, image.info.get("transparency"), values, told)
    if mode == "LAB":
        return _from_lab(image)
    if "transparency" in image.info or mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        grey = _is_grey(image)
        straight = image.convert("LA") if mode == "La" else image
        whole = straight.convert("RGBA")
        least, most = whole.getchannel("A").getextrema()
        if most == 0:  # some programs write no alpha and say that they do: white would be wrong
            raise ValueError("is transparent everywhere")
        if least == 255:  # opaque after all
            return whole.convert("L" if grey else "RGB")
        told[TRANSPARENT] += 1
        ground = pillow().new("RGBA", whole.size, _WHITE)
        made: PillowImage = pillow().alpha_composite(ground, whole)
        return made.convert("L" if grey else "RGB")
    return image.convert("L" if _is_grey(image) else "RGB")


def _is_grey(image: PillowImage) -> bool:
    """By its mode, or by its palette (a grey GIF has one); single pixels do not decide it."""
    if image.mode not in ("P", "PA"):
        return image.mode in ("1", "L", "LA", "La")
    colours = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _on_white(
    grey: PillowImage, transparent: Any, values: np.ndarray, told: Counter[str]
) -> PillowImage:
    """A deep grey image whose file names one of its values as transparent."""
    if not isinstance(transparent, int) or not (values == transparent).any():
        return grey
    told[TRANSPARENT] += 1
    laid: PillowImage = pillow().fromarray(
        np.where(values == transparent, 255, np.asarray(grey)).astype(np.uint8)
    )
    return laid


def _from_lab(image: PillowImage) -> PillowImage:
    """CIELAB to sRGB; Pillow's own ``convert`` has no rule for it."""
    try:
        from PIL import ImageCms
    except ImportError as error:
        raise ValueError("is in CIELAB, which this Pillow cannot convert") from error
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    made = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if made is None:
        raise ValueError("is in CIELAB, which this Pillow cannot convert")
    return made


def _white_is_zero(file: Any) -> bool:
    """Deep TIFFs that count from white; Pillow turns round only the 8-bit ones."""
    tags = getattr(file, "tag_v2", None)
    return tags is not None and tags.get(_PHOTOMETRIC) == _INVERTED


def _bits(file: Any) -> int:
    """Bits a channel of a deep image; a 12-bit TIFF comes as numbers up to 4095."""
    bits = (getattr(file, "tag_v2", None) or {}).get(_BITS_PER_SAMPLE, (16,))
    least = min(bits) if isinstance(bits, tuple) else int(bits)
    return least if 8 < least < 16 else 16
