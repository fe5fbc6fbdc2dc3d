"""What a trained net of characters is asked for: more of a text, the class of a name, and its bits beside counting."""

import math
import re
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from studies import call
from test_every_net_keeps_the_contract import assert_three_sentences
from torch import nn

from daiving.api import planned
from daiving.commands.use import Predict, of_texts
from daiving.errors import FixableError
from daiving.nets.build import build
from daiving.recipe import Recipe, named
from daiving.sampling import class_probabilities, continued, following
from daiving.study.worker import asdict, probe

LETTERS = tuple("abcd")
TEXT = "the rain in spain stays mainly in the plain, and the train in the rain.\n" * 12
NAMES = {"Even": ["aa", "bb", "cc", "dd", "abba", "cddc"], "Odd": ["a", "b", "c", "aba", "bcb", "ddd"]}


class Fixed(nn.Module):
    """Answers with the same logits whatever it reads; cannot carry a state."""

    def __init__(self, *logits):
        super().__init__()
        self.logits, self.read = torch.tensor(logits), []

    def forward(self, x):
        self.read.append(x.shape[1])
        return self.logits.expand(*x.shape, -1)


FAIR = Fixed(math.log(0.1), math.log(0.2), math.log(0.3), math.log(0.4))


def shares(**how):
    drawn = continued(FAIR, LETTERS, "a", length=1000, window=1, **how)
    return {letter: count / 1000 for letter, count in Counter(drawn).items()}


def test_letters_are_drawn_as_often_as_the_net_says():
    for letter, share in zip(LETTERS, (0.1, 0.2, 0.3, 0.4), strict=True):
        assert shares()[letter] == pytest.approx(share, abs=4 * (share * (1 - share) / 1000) ** 0.5)


def test_a_temperature_of_one_half_squares_the_odds_and_one_of_zero_takes_the_likeliest():
    assert shares(temperature=0.5)["d"] == pytest.approx(16 / 30, abs=0.07)
    assert shares(temperature=0.0) == {"d": 1.0}
    assert shares(temperature=1e-30) == {"d": 1.0}


def test_top_k_draws_among_the_k_likeliest_in_their_proportion():
    found = shares(top_k=2)
    assert set(found) == {"c", "d"}
    assert found["d"] == pytest.approx(4 / 7, abs=0.07)
    assert set(shares(top_k=9)) == set(LETTERS)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_carrying_the_state_gives_what_reading_all_anew_gives(name):
    net = build(name, seed=1, hidden=8, layers=2, num_symbols=4, num_classes=4, scale=4.0).eval()

    class Anew(nn.Module):
        def forward(self, x):
            return net(x)

    carried, anew = (continued(one, LETTERS, "abc", length=40, window=99, seed=3) for one in (net, Anew()))
    assert carried == anew
    assert len(carried) == 40
    assert carried != continued(net, LETTERS, "abc", length=40, seed=4)


def test_a_net_without_a_state_reads_no_more_than_its_window():
    net = Fixed(0.0, 0.0, 0.0, 0.0)
    continued(net, LETTERS, "abcd" * 5, length=6, window=8)
    assert net.read == [8] * 6


def test_a_letter_is_there_before_the_next_is_read():
    net = Fixed(0.0, 0.0, 0.0, 0.0)
    letters = following(net, LETTERS, "ab", length=1_000_000)
    first = [next(letters), next(letters)]
    assert net.read == [2, 3]
    assert "".join(first) == continued(net, LETTERS, "ab", length=2)


def test_what_stands_for_unknown_characters_is_never_written():
    net = Fixed(0.0, 0.0, 9.0)
    assert set(continued(net, ("a", "b", "\ufffd"), "a", length=100)) == {"a", "b"}


def test_names_get_the_same_probabilities_together_and_alone():
    net = build("gru", seed=0, hidden=8, num_symbols=4, num_classes=3, each_step=False).eval()
    names = ["a", "abcd", "dda"]
    together = class_probabilities(net, LETTERS, names)
    assert torch.allclose(together.sum(dim=1), torch.ones(3))
    assert torch.allclose(together, torch.cat([class_probabilities(net, LETTERS, [name]) for name in names]), atol=1e-6)


@pytest.mark.parametrize(
    ("how", "wrong", "fix"),
    [
        ({"text": ""}, "text is empty", "write one"),
        ({"text": "aéλa"}, "'é', 'λ' are characters", "leave them out"),
        ({"text": "a\ufffd"}, "is a character", "leave them out"),
        ({"length": 0}, "length of 0", "--length"),
        ({"temperature": -1.0}, "temperature of -1.0", "--temperature"),
        ({"temperature": math.nan}, "temperature of nan", "--temperature"),
        ({"top_k": -1}, "top-k of -1", "--top-k"),
        ({"top_k": 2.0}, "top-k of 2.0", "--top-k"),
        ({"length": "9"}, "length of '9'", "--length"),
        ({"length": True}, "length of True", "--length"),
        ({"temperature": None}, "temperature of None", "--temperature"),
        ({"seed": -1}, "seed of -1", "--seed"),
        ({"net": Fixed(0.0, math.nan, 0.0, 0.0)}, "not finite", "did not diverge"),
        ({"net": build("lstm", hidden=4, bidirectional=True, num_symbols=4, num_classes=4)}, "in parts", "at once"),
    ],
)
def test_what_cannot_be_continued_is_said_in_three_sentences(how, wrong, fix):
    how = {"net": FAIR, "text": "a"} | how
    with pytest.raises(FixableError, match=wrong) as raised:
        continued(how.pop("net"), (*LETTERS, "\ufffd")[: 5 if "\ufffd" in how["text"] else 4], **how)
    assert_three_sentences(raised.value)
    assert fix in raised.value.fix


def test_weights_that_are_not_finite_are_said_for_names_too():
    net = build("rnn", seed=0, hidden=4, num_symbols=4, num_classes=2, each_step=False)
    net.head.weight.data[0, 0] = math.nan
    with pytest.raises(FixableError, match="not finite"):
        class_probabilities(net, LETTERS, ["ab"])


# From the command line


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    (folder / "rain.txt").write_text(TEXT)
    (folder / "parity").mkdir()
    for nation, names in NAMES.items():
        (folder / "parity" / f"{nation}.txt").write_text("\n".join(names))
    return folder


def test_a_text_run_tells_its_bits_beside_counting_and_goes_on_with_a_text(daiving, desk, monkeypatch):
    monkeypatch.chdir(desk)
    how = ("--epochs", 12, "--lr", 0.03, "--batch", 4)
    said = daiving("train", "gru:hidden=32", "--task", "text:file=rain.txt,steps=16", "--log", "none", *how)
    assert said.code == 0, said.err
    bits, one, five = map(
        float,
        re.search(r"bits per character of test: ([\d.]+); .*unigram ([\d.]+), 5-gram ([\d.]+)", said.out).groups(),
    )
    loss = float(re.search(r"loss ([\d.]+) nats", said.out)[1])
    assert bits == pytest.approx(loss / math.log(2), abs=1e-3)
    assert five < one
    assert bits < one / 2  # it has learnt more than how frequent each letter is
    assert "The net begins every 16 characters with" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    run = re.search(r"^run (\w{12})", said.out, re.MULTILINE)[1]

    more = daiving("predict", run, "the ", "--length", 4, "--temperature", 0)
    assert (more.code, len(more.out)) == (0, 4 + 4 + 1)
    assert more.out[:-1] in TEXT
    again = [daiving("predict", run, "the ", "--length", 30, "--temperature", 2, "--seed", s).out for s in (1, 1, 2)]
    assert again[0] == again[1] != again[2]
    strange = daiving("predict", run, "the €")
    assert strange.code == 2
    assert "'€' is a character that the net does not know" in strange.err
    unfit = daiving("predict", run, "the ", "--invert")
    assert unfit.code == 2
    assert f"--invert is about images, and the run {run} reads texts." in unfit.err
    nothing = daiving("predict", run)
    assert "There are no texts to go on with." in nothing.err
    assert f"write: daiving predict {run} a." in nothing.err  # "The " has a T, which the net does not know


def test_a_text_is_printed_as_it_is_drawn(capsys, monkeypatch):
    seen = []

    def slowly(net, symbols, text, *, window, length):
        for letter in "xyz"[:length]:
            yield letter
            seen.append(capsys.readouterr().out)

    monkeypatch.setattr("daiving.sampling.following", slowly)
    of_texts(SimpleNamespace(net=None, symbols=(), shape=(8,)), Predict("run", ("the ",), length=2))
    assert seen == ["the x", "y"]


def test_a_names_run_gives_the_likeliest_classes_with_their_probabilities(daiving, desk, monkeypatch):
    monkeypatch.chdir(desk)
    said = daiving("train", "gru:hidden=8", "--task", "names:folder=parity", "--epochs", 2, "--log", "none")
    assert said.code == 0, said.err
    assert "bits" not in said.out
    run = re.search(r"^run (\w{12})", said.out, re.MULTILINE)[1]
    lines = daiving("predict", run, "abba", "c").out.splitlines()
    for flag, value in (("--length", 0), ("--temperature", 0), ("--top-k", 1), ("--seed", 0)):
        unfit = daiving("predict", run, "abba", flag, value)
        assert unfit.code == 2
        assert f"{flag} is about texts, and the run {run} reads names." in unfit.err
    assert "There are no names to classify." in daiving("predict", run).err
    for line, name in zip(lines, ("abba", "c"), strict=True):
        found = re.fullmatch(rf"{name}: (Even|Odd) ([\d.]+)%   (Even|Odd) ([\d.]+)%", line)
        assert {found[1], found[3]} == set(NAMES)
        assert float(found[2]) + float(found[4]) == pytest.approx(100, abs=0.11)
        assert float(found[2]) >= float(found[4])

    pytest.importorskip("onnxscript")  # in a process of its own, for pytest catches what a library logs
    written = call("export", run, "--to", "onnx", cwd=desk)
    assert (written.returncode, written.stderr) == (0, "")
    assert re.fullmatch(rf"{run}\.onnx: [\d,]+ bytes; logits of onnxruntime .*\n", written.stdout)


# Nets and tasks that do not fit


def plan(task, **arms):
    return planned(task, arms, named("hello"), "lab", None)


@pytest.mark.parametrize(
    ("task", "net", "wrong"),
    [
        ("hello", "googlenet", "'googlenet' takes images, and it was asked to take sequences"),
        ("digits", "lstm", "'lstm' takes sequences, and it was asked to take images"),
        (
            "hello",
            "gru:bidirectional=true",
            "is bidirectional, and the task 'hello' asks for the symbol that comes next",
        ),
        ("hello", "rnn:num_symbols=6", "has num_symbols=6, and the task has 5"),
        ("hello", "rnn:cell=lstm", "no option of 'rnn' or recipe field called 'cell'"),
    ],
)
def test_a_net_that_does_not_fit_the_task_is_refused_before_anything_runs(task, net, wrong):
    with pytest.raises(FixableError, match=wrong) as raised:
        plan(task, a=net)
    assert_three_sentences(raised.value)


MINE = """
import torch
class Right(torch.nn.Module):
    def __init__(self, num_symbols, num_classes, each_step):
        super().__init__()
        assert each_step
        self.table = torch.nn.Embedding(num_symbols, num_classes)
    def forward(self, x):
        return self.table(x.clamp(min=0))
class Wrong(Right):
    def forward(self, x):
        return super().forward(x)[:, -1]
"""


def test_a_net_of_ones_own_is_given_the_facts_of_the_sequences_and_its_answer_is_checked(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    made, _ = plan("hello", a="mine.py:Right", b="mine.py:Wrong")
    task = {"name": "hello", "options": {}, "data_dir": None, "cache_dir": None}
    assert probe(task, asdict(made.arms[0]))["parameters"] == 25
    with pytest.raises(FixableError, match=r"answers two sequences with shape \(2, 5\)") as raised:
        probe(task, asdict(made.arms[1]))
    assert "(2, 6, 5)" in raised.value.expected
    assert "num_symbols" in raised.value.fix


def test_what_a_sequence_net_costs_is_told_before_it_runs():
    made, data = plan("hello", a="rnn:hidden=5,output=none")
    found = probe({"name": "hello", "options": {}, "data_dir": None, "cache_dir": None}, asdict(made.arms[0]))
    assert found == {"parameters": 55, "macs": 6 * (25 + 25)}
    assert data.facts["each_step"] is True
    assert made.arms[0].recipe == named("hello") != Recipe()
