"""What the shell completes behind an option: names that are looked up only when they are asked for.

Nothing is checked here: a value that is wrong is refused where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from mcu_hybrid import mechanisms


class _Named(click.ParamType):
    """A name of one of several things that are looked up only when the shell completes it.

    ``or_file``: the option takes a path as well, which the shell completes itself.
    """

    def __init__(
        self, name: str, names: Callable[[click.Context], Iterable[str]], or_file: bool = False
    ) -> None:
        self.name, self._names, self._or_file = name, names, or_file

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so, in any case; then a path's, where it takes one."""
        names = dict.fromkeys(self._names(ctx))
        found = [n for n in names if n.lower().startswith(incomplete.lower())]
        if self._or_file and not found:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(n) for n in found]


class _Board(_Named):
    """A board's name; of its aliases only those that begin as no board does."""

    def __init__(self) -> None:
        super().__init__("board", _boards)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Boards, else aliases."""
        from mcu_hybrid.board.load import board_aliases

        found = super().shell_complete(ctx, param, incomplete)
        aliases = _Named("board", lambda ctx: board_aliases(_board_dirs(ctx)))
        return found or aliases.shell_complete(ctx, param, incomplete)


def _board_dirs(ctx: click.Context) -> Sequence[Path]:
    return ctx.params.get("board_dirs") or ()


def _boards(ctx: click.Context) -> Iterable[str]:
    from mcu_hybrid.board.load import board_names

    return board_names(_board_dirs(ctx))


def _flashers(_: click.Context) -> Iterable[str]:
    from mcu_hybrid.flashers import FLASHERS

    return FLASHERS


def _machines(_: click.Context) -> Iterable[str]:
    from mcu_hybrid.machines import names

    return names()


def _ports(_: click.Context) -> Iterable[str]:
    from mcu_hybrid.link.usb import serial_ports

    return [port.device for port in serial_ports()]


def _probes(_: click.Context) -> Iterable[str]:
    from mcu_hybrid.link.usb import probes

    return [probe.serial for probe in probes() if probe.serial]


def _routers(_: click.Context) -> Iterable[str]:
    return router_names()


def _links(_: click.Context) -> Iterable[str]:
    from mcu_hybrid.routing.link_costs import PRESETS

    return PRESETS


def router_names() -> tuple[str, ...]:
    """What --router takes; imports no numpy."""
    return (*mechanisms.names(), mechanisms.NONE)


class _Router(_Named):
    """A choice of the routers that there are when it is used: plug-ins add to them."""

    def __init__(self) -> None:
        super().__init__("choice", _routers)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name; a usage error for another."""
        return click.Choice(router_names()).convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """For the help: all of them."""
        return f"[{'|'.join(router_names())}]"


ROUTER = _Router()
# What a verb's option of this name takes; the library checks values.
_COMPLETED = {
    "--board": _Board(),
    "--link": _Named("link", _links),
    "--flasher": _Named("text", _flashers),
    "--machine": _Named("text", _machines),
    "--router": _Named("text", _routers),
    "--payload": _Named("text", lambda _: ("raw", "png", "jpeg", "features", "logits")),
    "--port": _Named("text", _ports),
    "--probe": _Named("text", _probes),
    "--data": _Named("text", lambda _: ("digits",), or_file=True),
    "--base": _Named("text", lambda _: ("reference",), or_file=True),
    "--global": _Named("text", lambda _: ("reference",), or_file=True),
}


def complete_values(command: click.Command) -> None:
    """Give the options of a command the types that know their values."""
    for option in command.params:
        if option.type is click.STRING:
            option.type = next((_COMPLETED[o] for o in option.opts if o in _COMPLETED), option.type)
