"""Transports carry requests to a model server: each is a file of this folder with its ``OPEN``.

``open_transport(reach)`` is the way in, the URL's scheme chooses; a transport's own packages are
imported then, and not before.
"""

from __future__ import annotations

from importlib import import_module

from mcu_hybrid.cloud.transports.base import Open, Reach, Transport, no_address

__all__ = ["TRANSPORTS", "Reach", "Transport", "open_transport"]

TRANSPORTS = {"http": "http", "https": "http"}  # scheme -> file


def open_transport(reach: Reach) -> Transport:
    """The transport of the URL's scheme; raises CloudError where that is none. Nothing is sent."""
    scheme, separator, _ = reach.url.strip().partition("://")
    if not separator:
        raise no_address(reach.url)
    if scheme.lower() not in TRANSPORTS:
        known = ", ".join(f"{name}://" for name in TRANSPORTS)
        raise no_address(reach.url, f"there is no transport for {scheme}://, only for {known}")
    opened: Open = import_module(f"{__name__}.{TRANSPORTS[scheme.lower()]}").OPEN
    return opened(reach)
