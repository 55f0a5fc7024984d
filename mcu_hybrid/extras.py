"""The optional packages (pip's extras): which of them a step needs, and what of that is missing.

The lists are those of the installed distribution, so setup.cfg is the only place that has them.
Not here: what the packages are used for, and programs that are no Python packages (process.py).
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcu_hybrid.errors import MissingTool

DISTRIBUTION = "mcu-hybrid"
ALL = "all"
# In the order in which a user meets them: a package of several is told with the first.
EXTRAS = ("train", "export", "bench", "cloud", "search", "ray", "flash", "report")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?\s*([^;]*?)\s*(?:;(.*))?$")


@dataclass(frozen=True)
class Package:
    """A Python package that an extra asks for; ``limits`` as pip writes them, "" = any."""

    name: str
    limits: str

    @property
    def installed(self) -> bool:
        """Whether any version of it is there."""
        try:
            importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True


def names() -> tuple[str, ...] | None:
    """All extras of the installed distribution; None where it is only found, not installed."""
    try:
        found = importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    return tuple(found.get_all("Provides-Extra") or ())


def packages(extra: str) -> tuple[Package, ...]:
    """All packages of an extra, those of the extras inside it too; empty for a bare checkout."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(dict.fromkeys(_walk(lines, extra, set())))


def _walk(lines: list[str], extra: str, seen: set[str]) -> Iterator[Package]:
    seen.add(extra)
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None or not re.search(rf"extra\s*==\s*['\"]{extra}['\"]", match[4] or ""):
            continue
        if match[1].replace("_", "-").lower() == DISTRIBUTION:
            for inner in (match[2] or "").split(","):
                if inner.strip() not in seen:
                    yield from _walk(lines, inner.strip(), seen)
        else:
            yield Package(match[1], match[3].strip().strip("()"))


def missing_module(name: str) -> MissingTool:
    """The error for a module that cannot be imported though no step asked for its extra."""
    module = name.partition(".")[0]
    owners = {o.lower() for o in importlib.metadata.packages_distributions().get(module, [module])}
    holding = [e for e in EXTRAS if any(p.name.lower() in owners for p in packages(e))]
    return MissingTool(
        f"the Python package '{module}' is not installed, or is broken",
        install_command(*(holding[:1] or [ALL])),
    )


def install_command(*wanted: str) -> str:
    """The line that installs these extras, to be pasted into a shell."""
    return f"pip install '{DISTRIBUTION}[{','.join(wanted)}]'"


def require(step: str, *wanted: str) -> None:
    """Raise MissingTool where a package of these extras is not installed: all of them at once.

    Args:
        step: what needs them, as the user calls it: "export", "search".
        wanted: the extras, in the order in which the install line names them.
    """
    lacking = {name: [p.name for p in packages(name) if not p.installed] for name in wanted}
    missing = list(dict.fromkeys(package for found in lacking.values() for package in found))
    if missing:
        raise MissingTool(
            f"{step} needs Python packages that are not installed: {', '.join(missing)}",
            install_command(*(name for name in wanted if lacking[name])),
        )
