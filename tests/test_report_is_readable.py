"""The report is one page that anyone can read: whole, small, escaped, in light and dark, for every outcome."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import readings
from readings import STUDIES, WITHOUT_WINNER, around, decided, diverged, nothing_yet, study, three, undecided

from daiving.errors import FixableError
from daiving.show import report, words
from daiving.study.reading import Reading

EVIL = '<script>alert(1)</script>&"b"'


class Page(HTMLParser):
    """Reads a page and keeps what the tests ask for; fails on tags that do not close in order."""

    VOID = {"meta", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[tuple[str, str]] = []  # (tags that are open, text)
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append((" ".join(self.open), data))

    def words(self, under: str = "") -> str:
        """The text below these tags, on one line, with plain spaces."""
        return " ".join(" ".join(data for tags, data in self.text if under in tags and "style" not in tags).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each study is rendered once: `made(decided)` gives its reading, and the text of its report."""

    @cache
    def make(study) -> tuple[Reading, str]:
        folder = tmp_path_factory.mktemp(study.__name__)
        reading = study(folder / "runs")
        return reading, report.write(reading, folder).read_text(encoding="utf-8")

    return make


@pytest.mark.parametrize("study", STUDIES)
def test_report_is_one_small_file_that_needs_nothing_else(made, study):
    _, text = made(study)
    page = Page(text)
    assert len(text.encode()) < 400_000
    assert ("html", {"lang": "en"}) in page.tags
    assert "script" not in {tag for tag, _ in page.tags}
    links = [value for _, about in page.tags for key, value in about.items() if key in ("src", "href", "xlink:href")]
    assert all(link.startswith("#") for link in links)
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"@import|url\((?!#)", text)
    ids = [about["id"] for _, about in page.tags if "id" in about]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("study", STUDIES)
def test_report_begins_with_the_verdict_in_one_sentence(made, study):
    reading, text = made(study)
    top = Page(text).words("header")
    for comparison in reading.comparisons:
        assert words.verdict_sentence(reading.plan, comparison) in top
        assert words.verdict_word(comparison) in top


@pytest.mark.parametrize("study", STUDIES)
def test_every_chart_has_a_line_of_words_and_its_numbers_in_a_table(made, study):
    _, text = made(study)
    for figure in re.findall(r"<figure.*?</figure>", text, re.DOTALL):
        assert re.search(r"<figcaption>[^<]*\w", figure)
        if 'role="img"' in figure:
            assert "<table" in figure
            assert re.search(r"\d", Page(figure).words("figcaption"))
            assert all(about["aria-label"] for tag, about in Page(figure).tags if about.get("role") == "img")
    assert text.count('class="chart"') == text.count('role="img"')


@pytest.mark.parametrize("study", [decided, three, diverged])
def test_curves_are_labelled_with_their_name_and_n(made, study):
    reading, text = made(study)
    for arm in report.to_dict(reading)["arms"]:
        assert text.count(f">{arm['name']} (n={arm['n']})</text>") == 2


@pytest.mark.parametrize("study", STUDIES)
def test_every_colour_of_a_chart_has_another_for_the_dark(made, study):
    from daiving.show.svg import COLOURS

    _, text = made(study)
    used = set(re.findall(r'(?:fill|stroke)="([^"]*)"', text)) - {"none"}
    lights = {light: name for name, (light, _) in COLOURS.items()}
    assert len(lights) == len(COLOURS)
    assert used <= lights.keys()
    dark = re.search(r"prefers-color-scheme: dark\) { :root {(.*?)}", text)[1]
    for light, name in lights.items():
        assert f"--{name}: {COLOURS[name][1]};" in dark
        for property in ("fill", "stroke"):
            assert f'[{property}="{light}"] {{ {property}: var(--{name}) }}' in text


def test_every_colour_stands_out_from_its_page():
    from daiving.show.svg import COLOURS

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name, shades in COLOURS.items():
        for shade, paper in zip(shades, COLOURS["paper"], strict=True):
            dark, bright = sorted((light(shade), light(paper)))
            least = 4.5 if name in ("ink", "quiet") else 3 if name.startswith("arm") else 1
            assert (bright + 0.05) / (dark + 0.05) >= least, name


@pytest.mark.parametrize("study", WITHOUT_WINNER)
def test_report_without_a_winner_names_none_in_words_or_colours(made, study):
    from daiving.show.svg import ARMS

    reading, text = made(study)
    assert all(c["winner"] is None for c in report.to_dict(reading)["comparisons"])
    assert not re.search(r"\b(better|worse|wins?|winner|beats?)\b", Page(text).words())
    first_figure = text[: text.index("</figure>")]
    top = first_figure[first_figure.index("<header>") :]
    assert not any(colour in top for colour in ARMS)


def test_interval_takes_the_colour_of_the_winner(made):
    from daiving.show.svg import ARMS

    _, text = made(decided)
    chart = text[text.index('class="chart"') : text.index("<figcaption>")]
    assert ARMS[1] in chart
    assert ARMS[0] not in chart


@pytest.mark.parametrize(("study", "left", "right"), [(decided, "plain", "jump"), (readings.by_loss, "jump", "plain")])
def test_sides_of_zero_carry_the_arm_they_favour(made, study, left, right):
    _, text = made(study)
    chart = re.findall(r"<text[^>]*>([^<]*)</text>", text[text.index('class="chart"') : text.index("<figcaption>")])
    assert chart[chart.index("← favours") + 1] == left
    assert chart[chart.index("favours →") + 1] == right


def test_lower_loss_wins_and_its_difference_is_negative(made):
    reading, _ = made(readings.by_loss)
    (c,) = report.to_dict(reading)["comparisons"]
    assert c["winner"] == "jump"
    assert c["low"] < c["mean"] < c["high"] < 0


def test_diverged_runs_are_marked_in_the_chart_and_named_below(made):
    reading, text = made(diverged)
    page = Page(text)
    assert page.words("svg").count("jump diverged") == 2
    assert page.words("svg").count("×") == 2 + 2 * 2  # beside the seed, and in two charts of curves
    assert "2 of 8" in page.words("td")
    run = reading.results["jump", 1]
    assert f"jump, seed 1, run {run.id} diverged: {run.detail}." in page.words()


def test_sentence_stands_where_there_is_nothing_to_draw(made):
    _, text = made(nothing_yet)
    assert 'class="chart"' not in text
    for sentence in ("No picture yet", "No validation loss yet", "no look yet"):
        assert sentence in text
    same = Page(made(readings.the_same)[1]).words()
    for sentence in (
        "With one epoch there is no curve to draw",
        "the same accuracy in all of 4 pairs",
        "no interval, for",
    ):
        assert sentence in same


def test_report_tells_what_would_settle_an_open_question(made):
    for still_open in (undecided, readings.too_few, readings.unfinished):
        reading, text = made(still_open)
        assert words.settle(reading.plan, reading.comparisons[0]) in Page(text).words("section")
    assert "What would settle it" not in made(decided)[1]


def test_interval_that_no_value_fits_is_said_to_be_none(made):
    assert "none: no spread" in made(readings.the_same)[1]
    assert "none: the looks contradict one another" in made(readings.drifting)[1]


def test_report_holds_every_pair_every_look_and_where_it_was_made(made):
    reading, text = made(undecided)
    said = Page(text).words("td")
    for result in reading.results.values():
        assert result.id in said
    for look in reading.comparisons[0].looks:
        assert words.interval(look.low, look.high, "accuracy") in said
    assert f"daiving show {reading.plan.id}" in Page(text).words("footer")
    assert "A processor" in Page(text).words("dd")


def test_user_text_is_escaped_everywhere(tmp_path):
    reading = study(
        tmp_path / "runs", {EVIL: around(0.93, 0.01, 4, 1), "b<i>": [None, *around(0.94, 0.01, 3, 2)]}, max_pairs=4
    )
    arm = replace(reading.plan.arms[0], net=f"{EVIL}.py:Net", options={EVIL: EVIL})
    plan = replace(reading.plan, arms=(arm, reading.plan.arms[1]), task=EVIL, task_options={EVIL: EVIL})
    results = {key: replace(result, detail=EVIL) for key, result in reading.results.items()}
    reading = replace(reading, plan=plan, results=results, notes=(EVIL,), environment={EVIL: EVIL})
    for text in (report.write(reading, tmp_path).read_text(), report.fragment(reading)):
        assert "<script" not in text
        assert "<i>" not in text
        assert EVIL in Page(text).words()


@pytest.mark.parametrize("study", STUDIES)
def test_dict_is_plain_json(made, study):
    reading, _ = made(study)
    shown = report.to_dict(reading)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert [c["verdict"] for c in shown["comparisons"]] == [words.verdict_word(c) for c in reading.comparisons]


def test_report_that_shows_the_same_is_not_drawn_again(tmp_path):
    reading = undecided(tmp_path / "runs")
    path = report.write(reading, tmp_path)
    first = path.stat().st_mtime_ns
    code = (
        "import sys; from pathlib import Path; from readings import undecided; from daiving.show import report;"
        "folder = Path(sys.argv[1]); report.write(undecided(folder / 'runs'), folder);"
        "print([name for name in ('altair', 'jinja2', 'vl_convert', 'torch') if name in sys.modules])"
    )
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    again = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=known, capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == "[]"
    assert path.stat().st_mtime_ns == first
    report.write(replace(reading, notes=("Something new.",)), tmp_path)
    assert "Something new." in path.read_text()


def test_report_that_cannot_be_written_is_a_mistake_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FixableError, match="cannot be written"):
        report.write(nothing_yet(tmp_path / "runs"), tmp_path / "file")


def test_notebook_shows_verdict_picture_and_costs_without_touching_the_page(made):
    reading, _ = made(decided)
    text = report.fragment(reading)
    page = Page(text)
    assert words.headline(reading) in page.words("strong")
    assert page.words("svg")
    assert "97,298" in page.words("td")
    assert not {"style", "script", "html", "body", "h1"} & {tag for tag, _ in page.tags}
