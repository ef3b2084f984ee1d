"""Pages of HTML from the templates of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2


def render_page(template: str, **values: Any) -> str:
    """A page, with every value escaped.

    Args:
        template: name of the template, such as `report.html.j2`.
        values: what the template prints; one that it lacks is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)
