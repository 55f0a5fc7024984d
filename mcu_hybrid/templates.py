"""The two ways in which templates are rendered: as program text, and as a page for a browser.

Both refuse names without a value. Templates arrive with values ready made and only lay them out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def source_template(path: Path) -> jinja2.Template:
    """A template of C, headers or linker scripts: nothing escaped, no lines left by statements."""
    text = path.read_text("utf-8")
    return _environment(autoescape=False, keep_trailing_newline=True).from_string(text)


def page_environment(folder: Path) -> jinja2.Environment:
    """The templates of HTML and SVG in ``folder``, values escaped; filters may be added."""
    import jinja2

    return _environment(autoescape=True, loader=jinja2.FileSystemLoader(folder))


def _environment(**options: Any) -> jinja2.Environment:
    # Imported late: the wire protocol's numbers are needed without any template.
    import jinja2

    return jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, **options
    )
