"""The recipe is the argument, the flags and the stored row; options read alike everywhere; tables need no torch."""

import json
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daiving as package
from daiving.cli import COMMANDS
from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.ideas import IDEAS
from daiving.options import Option, joined, literal, settle, split
from daiving.recipe import FIELDS, RECIPES, Recipe, legal, named


def flat(text):
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("command", ["train", "compare"])
def test_every_field_of_the_recipe_is_a_flag_with_help_unit_default_and_legal_range(daiving, command):
    shown = flat(daiving(command, "--help").out)
    for name, f in FIELDS.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert flat(f.metadata["help"]) in shown
        assert flat(legal(f)) in shown
        assert f"[{f.metadata['unit']}]" in shown or not f.metadata["unit"]
        assert f"(default: {f.default})" in shown


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_that_says_what_it_does(daiving, command):
    answer = daiving(command, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"usage: daiving {command} [-h]")
    assert max(map(len, answer.out.splitlines()[1:])) <= 80
    assert command in daiving("--help").out


def test_flags_change_the_named_recipe_and_nothing_else(daiving, tmp_path):
    assert daiving("train", "logistic", "--recipe", "deck", "--epochs", "0.1", "--lr", "0.5").code == 0
    (path,) = tmp_path.glob("daiving-lab/runs/*/run.json")
    stored = Recipe(**json.loads(path.read_text())["arm"]["recipe"])
    assert stored == named("deck").but(epochs=0.1, lr=0.5)
    assert stored.format == "float32"


def test_the_deck_recipe_is_the_decks():
    deck = RECIPES["deck"][0]
    shown = (
        deck.optimizer,
        deck.lr,
        deck.momentum,
        deck.batch,
        deck.epochs,
        deck.schedule,
        deck.weight_decay,
        deck.ema,
    )
    assert shown == ("sgd", 0.01, 0.5, 64, 9, "constant", 0.0, 0.0)


@pytest.mark.parametrize(("flags", "settled"), [("fpu amx_bf16 amx_tile", "bfloat16"), ("fpu avx2", "float32")])
def test_the_format_that_is_left_to_the_machine_is_settled_before_a_run_is_stored(monkeypatch, flags, settled):
    from daiving import recipe

    monkeypatch.setattr(recipe.Path, "read_text", lambda path: f"flags : {flags}")
    recipe.multiplies_bfloat16.cache_clear()
    assert Recipe().here().format == settled
    assert Recipe(format="float32").here().format == "float32"
    recipe.multiplies_bfloat16.cache_clear()


def test_a_recipe_survives_its_row_in_json():
    for recipe, _ in RECIPES.values():
        assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("name", list(FIELDS))
def test_every_field_refuses_what_is_outside_its_range(name):
    facts = FIELDS[name].metadata
    bad = ["nonsense"] if facts["among"] else [facts["low"] - 1, float("nan"), float("inf"), "many", None, True]
    if facts["high"] is not None:
        bad.append(facts["high"] + 1)
    for value in bad:
        with pytest.raises(FixableError, match=f"The recipe's {name} is"):
            Recipe(**{name: value})


def test_whole_numbers_and_fractions_are_read_from_text():
    recipe = Recipe().but(epochs="2", batch="16", lr="1e-3")
    assert (recipe.epochs, recipe.batch, recipe.lr) == (2.0, 16, 0.001)
    with pytest.raises(FixableError, match=r"The recipe's batch is 1\.5"):
        Recipe(batch=1.5)


def test_no_option_of_a_net_is_called_like_a_recipe_field():
    for name, entry in NETS.items():
        assert not entry.options.keys() & FIELDS.keys(), name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("net", ("net", {})),
        ("net:jump=true,lr=0.02", ("net", {"jump": "true", "lr": "0.02"})),
        ("a/b.py:Net", ("a/b.py:Net", {})),
        ("a/b.py:Net:width=8", ("a/b.py:Net", {"width": "8"})),
        ("C:\\b.py:Net:width=8", ("C:\\b.py:Net", {"width": "8"})),
        ("images:folder=x=y", ("images", {"folder": "x=y"})),
    ],
)
def test_a_name_with_options_is_split(text, parts):
    assert split(text) == parts


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.booleans() | st.integers() | st.floats(-9, 9)))
def test_joining_is_the_inverse_of_splitting(options):
    name, texts = split(joined("net", options))
    assert name == "net"
    assert {key: literal(value) for key, value in texts.items()} == options


def test_options_are_settled_with_their_defaults_and_types():
    table = {"on": Option(False, ""), "n": Option(3, ""), "share": Option(0.5, ""), "word": Option("x", "")}
    given_ = {"on": "true", "share": "1", "word": "7"}
    assert settle("net", "n", given_, table) == {"on": True, "n": 3, "share": 1.0, "word": "7"}


@pytest.mark.parametrize(
    "code",
    [
        "import daiving",
        "from daiving.cli import main; main(['--help'])",
        "from daiving.cli import main; main(['nets'])",
        "from daiving.cli import main; main(['tasks'])",
        "import daiving.study.record, daiving.study.verdict, daiving.study.plan, daiving.study.reading",
        "import daiving.study.execute, daiving.show.terminal, daiving.show.report, daiving.api",
        "import daiving; daiving.Study; daiving.Recipe; daiving.NETS",
    ],
)
def test_torch_is_not_imported_by_what_only_lists_reads_or_shows(code):
    code += "; import sys; assert not {'torch', 'altair', 'vl_convert', 'mlxtend'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_public_names_are_these_and_each_can_be_had():
    assert sorted(package.__all__) == sorted(package.WHERE)
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nets_table'"):
        _ = package.nets_table


def columns(line):
    """How wide a terminal shows it: a Korean character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_nets_are_listed_by_their_ideas_in_the_order_of_the_table_with_their_costs(daiving, lang):
    out = daiving("nets", "--lang", lang).out
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if re.match(r"  \w+ +[\d,]+ parameters", line)] == list(NETS)
    assert re.search(r"mnist_inception +97,298 parameters +6,019,200 MACs  1x28x28\n      the lecture's net", out)
    told = " ".join(out.split())
    places = [told.index(getattr(idea, lang)) for idea in IDEAS.values()]
    assert places == sorted(places)
    assert max(map(columns, lines)) <= 80


def test_every_idea_has_its_name_in_english_and_in_korean_and_every_net_an_idea():
    assert {entry.family for entry in NETS.values()} == set(IDEAS)
    families = [entry.family for entry in NETS.values()]
    assert list(dict.fromkeys(families)) == [a for a, b in zip(families, [*families[1:], ""], strict=True) if a != b]
    for idea in IDEAS.values():
        assert idea.en.isascii()
        assert re.search("[가-힣]", idea.ko)
        assert re.match(r"[^:]+: ", idea.en)
        assert re.match(r"[^:]+: ", idea.ko)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", list(NETS))
def test_all_that_is_known_of_a_net_is_told_in_80_columns(daiving, name, lang):
    entry, out = NETS[name], daiving("nets", name, "--lang", lang).out
    assert max(map(columns, out.splitlines())) <= 80
    told = " ".join(out.split())
    for fact in (entry.about, entry.source, getattr(IDEAS[entry.family], lang), f"{entry.macs:,} MACs"):
        assert fact in told
    for key, option in entry.options.items():
        assert joined("", {key: option.default}).removeprefix(":") in told
        assert option.help in told
    for preset in entry.presets:
        assert f" {preset}: " in told


def test_tasks_and_recipes_are_listed(daiving):
    assert "4,000 / 500 / 500" in daiving("tasks").out
    assert "epochs 9.0, optimizer sgd, lr 0.01, momentum 0.5" in daiving("recipes").out


def test_the_log_of_the_deck_is_printed_line_by_line_as_it_prints_it(daiving):
    out = daiving("train", "logistic", "--epochs", "1", "--log", "deck").out
    lines = out.splitlines()
    assert lines[0].startswith("Train Epoch: 1 [0/4000 (0%)]\tLoss: 2.")
    assert lines[1].startswith("Train Epoch: 1 [640/4000 (16%)]\tLoss: ")
    line = r"(Train Epoch: 1 \[\d+/4000 \(\d+%\)\]\tLoss: \d\.\d{6}\n){7}"
    assert re.match(line + r"\nValidation set: Average loss: 0\.\d{4}, Accuracy: \d+/500 \(\d\d%\)\n\n", out)
    assert re.search(r"\nTest set: Average loss: 0\.\d{4}, Accuracy: \d+/500 \(\d\d%\)\n", out)


def test_a_run_that_is_finished_is_not_done_again(daiving):
    first = daiving("train", "logistic", "--epochs", "1")
    again = daiving("train", "logistic", "--epochs", "1")
    assert "epoch   1" in first.out
    assert "nothing is left to do" in again.out
    assert first.out.splitlines()[-1] == again.out.splitlines()[-1]
