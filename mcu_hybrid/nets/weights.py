"""State dicts as people save them: bare or in a checkpoint, with the prefixes that wrappers add.

Names must match one to one and shapes must be the same: nothing is loaded in part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_hybrid.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Where checkpoints keep the weights, and what DataParallel and torch.compile put before names.
_INSIDE = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
_WRAPPERS = ("module", "_orig_mod")
_COUNTER = "num_batches_tracked"  # of batch norm; old files lack it, and nothing is computed by it
_HINT = "save it with torch.save(net.state_dict(), path)"


def load_weights(net: nn.Module, path: Path) -> None:
    """Load weights saved by torch (``.pt``) into ``net``; raises InputError naming file and key."""
    state = _unwrapped(_read(path), path)
    wanted: dict[str, Tensor] = net.state_dict()
    if not any(key.endswith(_COUNTER) for key in state):
        wanted = {key: value for key, value in wanted.items() if not key.endswith(_COUNTER)}
    ours, theirs = _plain_names(wanted), _plain_names(state)
    missing = next((key for plain, key in ours.items() if plain not in theirs), None)
    unexpected = next((key for plain, key in theirs.items() if plain not in ours), None)
    if missing and (beside := _beside(ours, state)):
        fact = f"'{beside[1]}' is not in the network, which lies whole below '{beside[0]}.'"
        raise _no_state(fact, path, f"save only what is below '{beside[0]}.'")
    if missing or unexpected:
        facts = [f"'{missing}' is missing"] if missing else []
        facts += [f"'{unexpected}' is not in the network"] if unexpected else []
        raise _no_state(", ".join(facts), path)
    found = {ours[plain]: state[key] for plain, key in theirs.items()}
    for key, value in found.items():
        if value.shape != wanted[key].shape:
            there, here = tuple(value.shape), tuple(wanted[key].shape)
            raise _no_state(f"'{key}' has shape {there}, the network's {here}", path)
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _no_state(f"'{key}' holds NaN or infinity", path, "train it again")
    net.load_state_dict({**net.state_dict(), **found})


def _read(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError("does not exist", "check the path of the weights", path=path) from error
    except Exception as error:  # torch raises a different class for each way a file is wrong
        text = str(error) or type(error).__name__
        foreign = re.search(r"GLOBAL ([\w.]+)", text)
        if foreign:
            raise _no_state(
                f"it holds Python objects besides weights ({foreign[1]}), which are not loaded",
                path,
                "save only the weights: torch.save(net.state_dict(), path)",
            ) from error
        raise _no_state(text.splitlines()[0], path) from error


def _unwrapped(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint."""
    import torch

    while isinstance(found, Mapping):
        inside = next((k for k in _INSIDE if isinstance(found.get(k), Mapping)), None)
        if inside is None:
            break
        found = found[inside]
    if not isinstance(found, Mapping) or not found:
        raise _no_state(f"it holds {type(found).__name__}, no weights by name", path)
    for key, value in found.items():
        if not torch.is_tensor(value):
            raise _no_state(f"'{key}' is {type(value).__name__}, not a tensor", path)
    return {str(key): value for key, value in found.items()}


def _plain_names(keys: Iterable[str]) -> dict[str, str]:
    """Name without wrappers and without the prefix that all share -> name as it is."""
    names = {key: tuple(p for p in key.split(".") if p not in _WRAPPERS) for key in keys}
    while names and all(len(parts) > 1 for parts in names.values()):
        if len({parts[0] for parts in names.values()}) > 1:
            break
        names = {key: parts[1:] for key, parts in names.items()}
    plain = {".".join(parts): key for key, parts in names.items()}
    # Names that would fall together are left as they are.
    return plain if len(plain) == len(names) else {key: key for key in names}


def _beside(ours: Mapping[str, str], state: Iterable[str]) -> tuple[str, str] | None:
    """The folder of names below which the network lies whole, and the first name outside of it."""
    keys = list(state)
    for first in dict.fromkeys(key.split(".")[0] for key in keys):
        below = [key for key in keys if key.startswith(f"{first}.")]
        outside = [key for key in keys if key not in below]
        if outside and set(_plain_names(below)) == set(ours):
            return first, outside[0]
    return None


def _no_state(fact: str, path: Path, hint: str = _HINT) -> InputError:
    return InputError(f"is not a state dict of this network: {fact}", hint, path=path)
