"""What `look` says and draws of a recurrent net is what the net computes: equations, counts, cells, states, memory."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daiving.anatomy import look
from daiving.api import planned, task_row
from daiving.cli import main
from daiving.memory import by_distance, fading, last_labels, random_sequences
from daiving.nets.build import build
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.recipe import named
from daiving.recurrence import rolled, steps_of
from daiving.rolled import Fading
from daiving.show.cell_text import cell_text, unrolled_text
from daiving.show.equations import equations
from daiving.show.heat import heat_svg, heat_text
from daiving.show.memory_curve import memory_svg
from daiving.show.recurrent_page import recurrent_svg
from daiving.study.process import prepare_run
from daiving.study.record import DEFAULT_LAB, Lab
from daiving.study.worker import run as train

FACTS = {"num_symbols": 5, "num_classes": 5, "each_step": True}
CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
FORMS = [
    *[("rnn", {"biases": biases}) for biases in (0, 1, 2)],
    *[
        ("gru", {"biases": b, "reset": r, "update": u})
        for b in (0, 1, 2)
        for r, u in (("before", "new"), ("after", "old"))
    ],
    *[
        ("lstm", {"biases": b, "peepholes": p, "layer_norm": n})
        for b in (1, 2)
        for p in (False, True)
        for n in (False, True)
    ],
    ("lstm", {"biases": 0}),
]


def seen(name: str, letters: str = "", steps: int = 6, **options):
    with torch.device("meta"):
        net = build(name, **FACTS | options)
    return rolled(net, look(net, (len(letters) or steps,), torch.int64), tuple(letters))


def sigma(a):
    return 1 / (1 + np.exp(-a))


def normed(norm: nn.LayerNorm):
    def run(a):
        centred = (a - a.mean()) / np.sqrt(a.var() + norm.eps)
        return centred * norm.weight.detach().numpy() + norm.bias.detach().numpy()

    return run


def evaluated(net, cell, x, *state) -> dict:
    """The equations as they are printed, computed line by line with numpy on the cell's own weights."""
    rows = net.row_names or ("",)
    names = {"x": x, "σ": sigma, "tanh": np.tanh, "h": state[0], "c": state[-1]}
    for key in ("W", "U", "b", "b_U"):
        value = getattr(cell, key)
        if value is not None:
            value = value.detach().numpy()
            names[key] = value
            for row, part in zip(rows, np.split(value, len(rows)), strict=True):
                names[f"{key}{row}" if key == "b_U" else f"{key}_{row}"] = part
    if getattr(cell, "p", None) is not None:
        names |= {f"p_{gate}": row.detach().numpy() for gate, row in zip("ifo", cell.p, strict=True)}
    if getattr(cell, "norms", None) is not None:
        names |= {f"LN_{key}": normed(norm) for key, norm in cell.norms.items()}
    for one in equations(net):
        code = one.right.replace("⊙", "*").replace("'", "_new")
        code = re.sub(r"\b([WU](?:_\w)?) (x\b|h\b|\()", r"\1 @ \2", code)
        value = eval(code, {"__builtins__": {}}, names)
        names[one.left.replace("'", "_new")] = value
        if one.left == "a":
            names |= {f"a_{gate}": part for gate, part in zip(rows, np.split(value, len(rows)), strict=True)}
    return names


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_the_equations_that_are_printed_are_those_that_are_computed(name, options):
    net = seen(name, hidden=3, **options)
    torch.manual_seed(1)
    cell = CELLS[name](5, 3, **options).double()
    if getattr(cell, "norms", None) is not None:  # scales and shifts that would show if they were left out
        for p in cell.norms.parameters():
            nn.init.normal_(p)
    x, state = torch.rand(1, 5).double(), [torch.randn(1, 3).double() for _ in cell.start(1)]
    step = cell(x, *state)._asdict()
    found = evaluated(net, cell, x[0].numpy(), *(one[0].numpy() for one in state))
    for key, value in step.items():
        ours = found[f"{key}_new" if key in "hc" else key]
        np.testing.assert_allclose(ours, value[0].detach().numpy(), rtol=0, atol=1e-12)


def test_four_to_two_with_two_biases_has_the_decks_parameters_and_the_weights_shapes(daiving):
    for name, parameters, macs in (("rnn", 16, 12), ("gru", 48, 36), ("lstm", 64, 48)):
        out = daiving("look", f"{name}:hidden=2,biases=2", "--input", "6x4").out
        assert f"together {parameters} parameters; one step costs {macs} MACs" in out
        assert f"W    {macs // 6}x4" in out
        assert all(len(line) <= 80 for line in out.splitlines())
    told = json.loads(daiving("look", "lstm:hidden=2,biases=2", "--input", "6x4", "--form", "json").out)
    assert told["node"]["macs"] == 6 * (48 + 2 * 5)
    assert told["node"]["parameters"] == 64 + 2 * 5 + 5
    assert [one["left"] for one in told["equations"]] == ["i", "f", "g", "c'", "o", "h'"]


def test_the_gru_says_where_it_resets_and_which_side_z_takes(daiving):
    before, after = (daiving("look", f"gru:{how}", "--form", "table").out for how in ("reset=before", "preset=torch"))
    assert "U_n (r ⊙ h) + b_n)" in before
    assert "(1 - z) ⊙ h + z ⊙ n" in before
    assert "r ⊙ (U_n h + b_Un) + b_n)" in after
    assert "z ⊙ h + (1 - z) ⊙ n" in after


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rnn", {}),
        ("gru", {"reset": "after"}),
        ("lstm", {"peepholes": True}),
        ("lstm", {"bidirectional": True, "layers": 2}),
    ],
)
def test_the_pictures_name_every_gate_and_every_letter(name, options):
    net = seen(name, "hi\n<&l", hidden=4, **options)
    drawn = ET.fromstring(recurrent_svg([(name, net)]))
    names = [one.get("data-name") for one in drawn.iter() if one.get("data-name")]
    gates = {"rnn": ("h'",), "gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}[name]
    assert set(gates) <= set(names)
    letters = [one[0].text for one in drawn.iter() if one.get("class") == "letter"]
    assert letters == ["h", "i", "↵", "<", "&", "l"]
    cells = [one for one in drawn.iter() if one.get("class") == "cell"]
    assert len(cells) == 6 * len(net.cells)
    words = f"{cell_text(net)}\n{unrolled_text(net)}"
    assert all(f" {gate} " in words for gate in gates if name != "rnn")
    assert all(len(line) <= 80 for line in words.splitlines())
    assert unrolled_text(net).count(name.upper()) == 6 * len(net.cells)
    grid = [line.split()[-6:] for line in unrolled_text(net).splitlines() if line.startswith("time")]
    assert grid == [letters]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.booleans(), st.booleans(), st.integers(1, 14))
def test_no_box_covers_another_or_leaves_the_picture(layers, both, each_step, steps):
    net = seen("gru", steps=steps, layers=layers, bidirectional=both, each_step=each_step, hidden=3)
    svg = recurrent_svg([("gru", net)])
    width, height = (float(re.search(rf' {side}="([\d.]+)"', svg)[1]) for side in ("width", "height"))
    # The unrolled half is moved as a whole: within it boxes keep clear of each other.
    half = svg.split('data-name="unrolled"')[1]
    boxes = [
        tuple(map(float, one))
        for one in re.findall(
            r'<rect x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"', half.split('data-name="legend"')[0]
        )
    ]
    assert len(boxes) >= steps * layers * (1 + both) if steps <= 12 else len(boxes) > 0
    for i, (x, y, w, h) in enumerate(boxes):
        assert min(x, y, width - x - w, height - y - h) >= 0
        for u, v, a, b in boxes[:i]:
            assert x >= u + a or u >= x + w or y >= v + b or v >= y + h


def test_heat_maps_hold_the_values_of_the_run():
    net = build("lstm", seed=3, **FACTS, hidden=3, layers=2, bidirectional=True)
    x = torch.tensor([[0, 1, 0, 2, 3, 3]])
    answer, found = steps_of(net, x)
    logits, through = net.eval().steps(x)
    assert torch.equal(answer, logits[0])
    assert [one.name for one in found] == ["h", "c", "i", "f", "g", "o"] * 4
    assert net.recurrent._forward_hooks == net.recurrent._forward_pre_hooks == {}
    part = rolled(net, look(net, (6,), torch.int64), tuple("hihell"))
    drawn = ET.fromstring(heat_svg(part, found))
    told = [float(one.get("data-value")) for one in drawn.iter() if one.get("data-value")]
    want = torch.cat([field[0].flatten() for step in through.steps for field in step])
    torch.testing.assert_close(torch.tensor(told), want.detach(), rtol=1e-3, atol=1e-6)
    lines = heat_text(part, found).splitlines()
    row = through.steps[3].o[0, :, 2].tolist()
    assert lines[-1].split() == ["2", *(f"{value:.2f}" for value in row)]
    assert max(map(len, lines)) <= 80


class Straight(nn.Module):
    """A simple recurrent net whose input weights are the identity: a gradient by its input is one by its sums."""

    def __init__(self, size: int, scale: float, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        net = build("rnn", num_symbols=size, num_classes=size, each_step=True, hidden=size, biases=0).double()
        with torch.no_grad():
            net.recurrent.cells[0].W.copy_(torch.eye(size))
            U = torch.randn(size, size, dtype=torch.float64)
            net.recurrent.cells[0].U.copy_(U * scale / torch.linalg.matrix_norm(U, 2))
        self.net = net

    def forward(self, x):
        return self.net(x)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 0.95), st.integers(0, 99))
def test_a_simple_nets_gradient_falls_at_least_by_the_spectral_norm_each_step(size, scale, seed):
    net = Straight(size, scale, seed)
    x, y = random_sequences(3, 12, size, size, seed)
    norms = by_distance(net, x, y)
    assert (norms[:, 1:] <= norms[:, :-1] * scale * (1 + 1e-9)).all()
    assert (norms[:, 0] > 0).all()


def test_with_weights_so_small_that_tanh_is_a_line_it_falls_by_exactly_that():
    net = Straight(4, 0.5, 0)
    with torch.no_grad():
        net.net.recurrent.cells[0].W.mul_(1e-4)
        net.net.recurrent.cells[0].U.copy_(0.5 * torch.linalg.qr(torch.randn(4, 4).double())[0])
    found = fading("small", [net], *random_sequences(4, 15, 4, 4, 0))
    assert found.share == pytest.approx([0.5**d for d in range(15)], rel=1e-4)
    assert found.length == 7  # 0.5^7 < 1 % < 0.5^6


def test_the_gradient_is_by_each_sequences_own_end_and_what_autograd_says():
    net = build("gru", seed=0, **FACTS, hidden=4, input="embedding").double()
    x = torch.tensor([[0, 1, 2, 3, 4], [4, 3, 2, -1, -1]])
    y = torch.tensor([[1, 1, 1, 1, 2], [0, 0, 3, -1, -1]])
    assert last_labels(x, y).tolist() == [2, 3]
    norms = by_distance(net, x, last_labels(x, y))
    assert norms[1].isnan().tolist() == [False] * 3 + [True] * 2
    for row, length in enumerate((5, 3)):
        inputs = net.front(x[row : row + 1, :length]).detach().requires_grad_()
        last = net.head(net.recurrent(inputs).outputs[0, -1])
        (wanted,) = torch.autograd.grad(nn.functional.cross_entropy(last[None], y[row, length - 1][None]), inputs)
        torch.testing.assert_close(norms[row, :length], wanted[0].norm(dim=1).flip(0))


def test_the_memory_length_is_where_the_gradient_stays_below_a_hundredth():
    def made(*means: float) -> Fading:
        return Fading("x", means, means, means, 1, 1)

    assert made(2.0, 0.5, 0.02, 0.01).length == 2
    assert made(2.0, 0.001, 1.0, 0.001).length == 3
    assert made(1.0, 0.5).length is None
    assert "beyond 1" in memory_svg([made(1.0, 0.5)], "here")


def test_gates_keep_a_gradient_longer_and_the_command_says_so(daiving, tmp_path):
    answer = daiving("look", "lstm:hidden=16", "--form", "memory", "--input", "40x5", "--out", "memory.svg")
    row = next(line for line in answer.out.splitlines() if line.strip().startswith("memory "))
    names = next(line for line in answer.out.splitlines() if line.startswith("steps back")).split()[2:]
    assert names == ["lstm:hidden=16", "rnn:hidden=16", "gru:hidden=16"]
    lstm, rnn, _ = map(int, re.findall(r"\d+", row))
    assert lstm > 1.5 * rnn
    drawn = (tmp_path / "memory.svg").read_text()
    assert f"lstm:hidden=16: {lstm} steps" in drawn
    ET.fromstring(drawn)
    assert all(len(line) <= 80 for line in answer.out.splitlines())


def test_a_trained_run_is_seen_with_its_own_letters_weights_and_memory(daiving, tmp_path):
    lab = Lab(tmp_path / DEFAULT_LAB)
    lab.prepare()
    recipe = replace(named("hello"), epochs=40)
    plan, _ = planned("hello", {"net": "rnn:hidden=5"}, recipe, lab.root, None)
    folder = prepare_run(plan, lab, plan.arms[0], 0, task_row(plan, lab, None))
    assert list(train(folder))
    run = folder.name
    told = daiving("look", "rnn", "--form", "states", "--text", "hihell", "--run", run).out
    assert "the net answers i h e l l o" in told
    memory = daiving("look", "rnn", "--form", "memory", "--run", run).out
    for words in (f"run {run[:8]}, 1 sequence of its test split", "trained", "at the start"):
        assert words in memory
    page = daiving("look", "rnn", "--run", run, "--text", "hihell", "--out", "page.html")
    assert page.code == 0
    for call, words in {
        "rnn --form states --text hix": "'x' is a character that the net does not know",
        "gru --form memory": "has the net rnn:hidden=5, and the call names gru",
        "rnn --input 6x5": "--input and --run do not go together",
    }.items():
        assert words in daiving("look", *call.split(), "--run", run).err


OWN = """
import torch
from torch import nn
from daiving.nets.recurrent import Recurrent

class Leaky(nn.Module):
    def __init__(self, n_in, n_hid):
        super().__init__()
        self.a = nn.Linear(n_in + n_hid, n_hid)
    def forward(self, x, h):
        return (0.8 * h + 0.2 * self.a(torch.cat([x, h], dim=1)).tanh(),)

class Mine(nn.Module):
    def __init__(self, num_symbols, num_classes):
        super().__init__()
        self.table, self.out = nn.Embedding(num_symbols, 7), nn.Linear(6, num_classes)
        self.through = Recurrent(Leaky, 7, 6)
    def forward(self, x):
        return self.out(self.through(self.table(x)).outputs)

class Breaks(Mine):
    def forward(self, x):
        raise RuntimeError("my own mistake")
"""


def test_a_net_with_a_cell_of_ones_own_is_open_too(daiving, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    table = daiving("look", "own.py:Mine", "--input", "6x5").out
    assert "Leaky is a cell of your own" in table
    assert f"together {13 * 6 + 6} parameters; one step costs {13 * 6} MACs" in table
    assert len(daiving("look", "own.py:Mine", "--form", "states", "--text", "hih").out.splitlines()) == 2 + 1 + 2 + 6
    memory = daiving("look", "own.py:Mine", "--form", "memory", "--vs", "rnn:hidden=6", "--input", "30x5").out
    assert re.search(r"steps back +own.py:Mine +rnn:hidden=6", memory)
    assert daiving("look", "own.py:Mine", "--text", "hi", "--form", "svg").code == 0
    said = daiving("look", "own.py:Breaks", "--form", "memory").err
    assert "my own mistake" in said
    assert "mend own.py, line 23" in said


MISTAKES = {
    "look googlenet --form states --text hi": (
        "'googlenet' takes images, and --form states",
        "rnn, gru, lstm",
        "leave --form",
    ),
    "look googlenet --text hi": ("takes images, and --text is", "takes sequences", "leave --text out"),
    "look googlenet --form memory": ("--form memory is about sequences", "rnn, gru, lstm", "choose such a net"),
    "look lstm --input 3x224x224": ("'3x224x224' is no size of sequences", "steps x symbols", "--input 6x5"),
    "look lstm --input 0x5": ("'0x5' is no size", "whole numbers", "--input 6x5"),
    "look lstm --form states": ("no text whose states", "one a step", "--text hihell"),
    "look lstm --form states --text=": ("The text is empty", "one letter or more", "--text hihell"),
    f"look lstm --form states --text {'h' * 201}": ("has 201 letters", "at most 200", "a part of it"),
    "look lstm --form states --text hello --input 6x5": (
        "6 steps, and the text has 5",
        "one letter a step",
        "leave --input",
    ),
    "look lstm --form svg --text abc --input 3x2": (
        "3 different letters, and the net knows 2: not 'c'",
        "at most 2",
        "another",
    ),
    "look lstm:num_symbols=4 --input 6x5": ("contradicts num_symbols=4", "one number of symbols", "leave num_symbols"),
    "look lstm --form memory --input 1x5": ("1 step has nothing to remember", "two steps", "--input 100x5"),
    "look lstm --form memory --text hi": ("--text and --form memory do not", "a mean over many", "leave --text out"),
    "look lstm --vs gru --vs rnn": ("--vs names 2 nets", "one net beside another", "leave --vs rnn out"),
    "look lstm --vs googlenet": (
        "'googlenet' takes images, and it is to stand beside",
        "two nets of one kind",
        "another",
    ),
    "look lstm --open cell": ("no block of 'lstm' called 'cell'", "the cell of a net of sequences", "leave --open out"),
    "look lstm:seed=1": ("cannot use seed=1", "options of the net", "there is a flag --seed"),
    "look lstm --form states --text hi --out states.pdf": (
        "does not end like a states",
        "ends in .txt",
        "--out states.txt",
    ),
    "look lstm --form states --text hi --run 12": ("no lab in", "has made", "with --lab"),
}


@pytest.mark.parametrize("call", MISTAKES)
def test_a_mistake_is_said_in_three_sentences(call, daiving):
    wrong, expected, fix = MISTAKES[call]
    code, _, err = daiving(*call.split())
    said = err.splitlines()
    assert code == 2
    for line, words in zip(said, (wrong, expected, fix), strict=True):
        assert words in line, err
    assert all(line.rstrip().endswith((".", "?")) for line in said)


def test_nets_without_an_input_a_step_or_with_weights_that_are_no_numbers_are_refused():
    net = build("rnn", seed=0, **FACTS, hidden=4)
    with torch.no_grad():
        net.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="loss of the last step is not finite"):
        by_distance(net, *random_sequences(2, 4, 5, 5, 0))

    class Counts(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(x, 5).sum(dim=1).float()

    with pytest.raises(ValueError, match="no part that turns each step into numbers"):
        by_distance(Counts(), *random_sequences(2, 4, 5, 5, 0))
    with pytest.raises(ValueError, match="no recurrent part"):
        steps_of(Counts(), torch.tensor([[0, 1]]))


def test_a_picture_that_the_disk_refuses_and_a_sequence_without_end_are_explained(capsys):
    if Path("/proc").is_dir():  # a folder in which nobody, not even root, makes a file
        assert main(["look", "gru", "--out", "/proc/x.svg"]) == 2
        assert "'/proc/x.svg' cannot be written (" in capsys.readouterr().err
    assert main(["look", "lstm", "--input", "100000x5"]) == 2
    assert "100,000 steps is too long to look at" in capsys.readouterr().err


def test_two_cells_side_by_side_show_the_equations_of_both(capsys):
    assert main(["look", "lstm", "--vs", "gru"]) == 0
    said = capsys.readouterr().out
    assert "h' = o ⊙ tanh(c')" in said
    assert "h' = (1 - z) ⊙ h + z ⊙ n" in said
    assert max(map(len, said.splitlines())) <= 80
