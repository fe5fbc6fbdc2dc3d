"""A study as one HTML page that needs nothing else, as a piece of a notebook, and as a dict.

Everything is made from the dict: what the page shows and what a program reads cannot differ.
"""

import hashlib
import json
import math
from pathlib import Path
from statistics import fmean, median
from typing import Any

import daiving
from daiving.files import write_atomic
from daiving.recipe import FIELDS
from daiving.show import words
from daiving.study.plan import METRICS
from daiving.study.reading import Comparison, Reading, pairs_needed, value
from daiving.study.record import Result, unwritable
from daiving.study.verdict import ALIKE, FIRST, OTHER, spread

Shown = dict[str, Any]
HERE = Path(__file__).parent
CURVES = {"val_loss": "validation loss", "val_accuracy": "validation accuracy"}


def write(reading: Reading, folder: Path) -> Path:
    """Write `report.html` there, unless the one that is there shows the same."""
    path, shown = folder / "report.html", to_dict(reading)
    mark = f'<meta name="daiving" content="{digest(shown)}">'
    try:
        with path.open(encoding="utf-8") as file:
            if mark in file.read(1_000):
                return path
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    page = render(shown, "page", mark=mark)
    try:
        write_atomic(path, lambda file: file.write(page.encode()))
    except OSError as error:
        raise unwritable(folder, error) from None
    return path


def fragment(reading: Reading) -> str:
    """The verdict, its picture and the cost table, as HTML for a notebook."""
    return render(to_dict(reading), "fragment")


def digest(shown: Shown) -> str:
    """Changes when anything shown changes, or how it is shown."""
    drawn_by = [HERE / "report.py", HERE / "charts.py", *sorted((HERE / "templates").glob("report.*"))]
    seen = [json.dumps(shown, sort_keys=True).encode(), *(path.read_bytes() for path in drawn_by)]
    return hashlib.blake2b(b"\0".join(seen), digest_size=12).hexdigest()


def render(shown: Shown, kind: str, **more: Any) -> str:
    from jinja2 import Environment, StrictUndefined  # with the charts 0.5 s, and a report is seldom new
    from markupsafe import Markup

    from daiving.show import charts

    folder = HERE / "templates"
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.globals |= {"words": words, "style": charts.style, "FIELDS": FIELDS, "CURVES": CURVES, "unit": unit_value}
    template = jinja.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(
        shown,
        kind=kind,
        colours=charts.COLOURS,
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),
        figures={name: [Markup(svg) for svg in svgs] for name, svgs in pictures(shown, kind).items()},
        said=findings(shown),
        **more,
    )
