"""JSON from outside: parsed only where its nesting is one that no file or message of ours has.

Python's parser recurses in C, and where a library has raised the recursion limit (TensorFlow's do),
text that is nested deep enough ends the process, not just the call.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64  # ours nest to ten or so, a tensor of 32 dimensions to 34 (cloud/oip.py)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def loads(text: str | bytes) -> Any:
    """As json.loads; raises ValueError for what it cannot parse, deep nesting included."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    if depth(data) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return json.loads(text)


def depth(text: bytes) -> int:
    """How deep brackets are nested, at most; 0 where they are too few to matter."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return 0
    import numpy as np

    if b'"' in text:  # brackets within strings are text
        text = _STRING.sub(b"", text)
    found = np.frombuffer(text, np.uint8)
    opened = np.isin(found, np.frombuffer(b"[{", np.uint8)).astype(np.int64)
    return int((opened - np.isin(found, np.frombuffer(b"]}", np.uint8))).cumsum().max(initial=0))
