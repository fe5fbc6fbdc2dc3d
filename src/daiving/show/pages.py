"""The pages that look at nets, rendered from `templates/`: one head, one style, and no script."""

from pathlib import Path
from typing import Any

from daiving.show import palette
from daiving.show.look_table import HEADS
from daiving.show.numbers import mib

TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, **values: Any) -> str:
    """A page from the template of that name. Text is escaped; only what is `Markup` is taken as it is."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # not above: a table needs none of it
    from markupsafe import Markup

    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["mib"] = mib
    css = Markup(palette.style() + "\n" + (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return jinja.get_template(template).render(css=css, heads=HEADS, **values).lstrip()
