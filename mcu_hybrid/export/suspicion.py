"""Says when figures cannot be right: a network at chance, int8 far behind float, a wrong range.

Numbers in, sentences out; nothing is run here but what the caller hands in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.graph.pixels import USUAL, PixelForm
from mcu_hybrid.intervals import Z95, binomial_cdf

Classes = Callable[[np.ndarray, PixelForm], "np.ndarray | None"]  # images, form -> class of each
_LUCK = 0.01  # as good as this by guessing in one of a hundred cases
_MUCH = 0.03  # share of the images
TRIED = 256  # images on which other ranges are tried


def chance(classes: np.ndarray, truth: np.ndarray) -> float:
    """How often answers with these shares of classes would be right if they were guessed."""
    values = np.unique(np.concatenate([classes, truth]))
    return float(sum((classes == v).mean() * (truth == v).mean() for v in values))


def is_at_chance(classes: np.ndarray, truth: np.ndarray) -> bool:
    """True where guessing, with the same shares of classes, would be as often right by luck."""
    if len(np.unique(truth)) < 2:
        return False
    right = int((classes == truth).sum())
    by_luck = chance(classes, truth)
    if by_luck ** len(truth) > _LUCK:  # so few images that even all right could be luck
        return False
    if right == 0:
        return True
    return bool(1.0 - float(binomial_cdf(len(truth), by_luck)[right - 1]) > _LUCK)


def of_float(
    what: str,
    classes: np.ndarray,
    truth: np.ndarray,
    form: PixelForm,
    other: str = "",
) -> list[str]:
    """A sentence where the float network is at chance, or ``other`` says what would be better."""
    if is_at_chance(classes, truth):
        return [
            f"{what} is right on {(classes == truth).mean():.1%} of {len(truth)} images, no more "
            f"than guessing ({chance(classes, truth):.1%}). It sees {form}; "
            + (other or "is that the range it was trained on, and are the classes in its order?")
        ]
    if other:
        said = f"{what} is right on {(classes == truth).mean():.1%} of {len(truth)} images"
        return [f"{said} as it sees {form}; {other}"]
    return []


def of_base(classes: np.ndarray, truth: np.ndarray) -> list[str]:
    """A sentence where a base that was trained here is at chance."""
    if not is_at_chance(classes, truth):
        return []
    return [
        f"the float base is right on {(classes == truth).mean():.1%} of {len(truth)} images, no "
        f"more than guessing ({chance(classes, truth):.1%}): train longer, or on more images"
    ]


def better_form(
    run: Classes, x: np.ndarray, y: np.ndarray, form: PixelForm, option: str = ""
) -> str:
    """In words, the usual range on which the network is clearly more often right; "" for none.

    Args:
        option: prefix of the options' names, as "global-".
    """
    some = np.random.default_rng(0).permutation(len(y))[:TRIED]
    x, y = x[some], y[some]
    channels = x.shape[-1]
    mine = run(x, form)
    if mine is None:
        return ""
    best, best_form = mine == y, form
    for tried in USUAL:
        if tried == form or max(len(tried.mean), len(tried.std)) not in (1, channels):
            continue
        classes = run(x, tried)
        if classes is not None and (classes == y).sum() > best.sum():
            best, best_form = classes == y, tried
    if best_form == form or not is_clearly_better(best, mine == y):
        return ""
    options = best_form.options().replace("--", f"--{option}") or _defaults(form, option)
    return f"with {best_form} it is right on {best.mean():.1%}: give {options}"


def _defaults(form: PixelForm, option: str) -> str:
    given = [word for word in form.options().split() if word.startswith("--")]
    return "no " + ", ".join(word.replace("--", f"--{option}") for word in given)


def of_int8(classes: np.ndarray, floats: np.ndarray, truth: np.ndarray) -> list[str]:
    """A sentence where int8 loses much against float on the same images."""
    if not is_clearly_better(floats == truth, classes == truth):
        return []
    lost = float((floats == truth).mean() - (classes == truth).mean())
    return [
        f"int8 is right on {(classes == truth).mean():.1%} of {len(truth)} images, float on "
        f"{(floats == truth).mean():.1%}: {lost:.1%} are lost to int8 (see the noise of each layer "
        "in agreement.json)"
    ]


def is_clearly_better(better: np.ndarray, worse: np.ndarray) -> bool:
    """More than 3 % and more than luck, on the same images."""
    gained, lost = int((better & ~worse).sum()), int((worse & ~better).sum())
    count = len(better)
    gap = (gained - lost) / count
    half = Z95 * max(0.0, gained + lost - (gained - lost) ** 2 / count) ** 0.5 / count
    return gap > _MUCH and gap > half


def of_levels(low: float, high: float, used: np.ndarray, form: PixelForm) -> list[str]:
    """A sentence where a file's int8 input holds the pixels badly.

    Args:
        low, high: the real numbers that the input holds.
        used: the int8 values that the 256 pixels become, one channel.
    """
    levels = len(np.unique(used))
    ends = int(max((used == used.min()).sum(), (used == used.max()).sum()))
    if levels >= 128 and ends <= 64:
        return []
    return [
        f"the model's input holds {low:.4g} .. {high:.4g}, and with {form} the 256 values of a "
        f"pixel become {levels} levels: give --input-scale, --mean and --std as in its training"
    ]


def matching_form(low: float, high: float) -> PixelForm | None:
    """The usual range that an int8 input's scale and zero point were made for; None for another."""
    for form in USUAL:
        if not form.is_uniform:
            continue
        ends = form.real(np.array([0, 255], np.uint8)).astype(float)
        span = float(ends[1] - ends[0])
        if abs(low - ends[0]) < 0.02 * span and abs(high - ends[1]) < 0.02 * span:
            return form
    return None
