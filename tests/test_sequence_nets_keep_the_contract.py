"""One contract for every net of sequences in the table: what it claims is so, and padding and neighbours do nothing."""

import importlib
import inspect

import pytest
import torch
import torch.nn.functional as F
from test_every_net_keeps_the_contract import assert_three_sentences
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from daiving.anatomy import cost, look
from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.build import SEQUENCE_FACTS, build
from daiving.nets.sequence import SequenceNet

SEQUENCES = [name for name, entry in NETS.items() if entry.takes == "sequences"]
FREE = {"embedding": 7, "hidden": 9, "layers": 2, "dropout": 0.5, "scale": 5.0, "forget_bias": "none"}
FORMS = ({}, {"layers": 2, "bidirectional": True}, {"input": "embedding"})
WHATEVER = torch.tensor([[3, 1, 4, 1, 2, 0], [0, 2, 2, -1, -1, -1], [4, -1, -1, -1, -1, -1]])  # n t: 6, 3 and 1 symbols


def small(name, seed=0, **options):
    return build(name, seed=seed, **{"hidden": 8, "num_symbols": 5, "num_classes": 4} | options)


@pytest.fixture(params=SEQUENCES)
def name(request):
    return request.param


@pytest.fixture(params=FORMS, ids=lambda form: ",".join(f"{k}={v}" for k, v in form.items()) or "plain")
def form(request):
    return request.param


# What a line of the table claims


def test_the_claimed_parameters_and_multiply_adds_are_real(name):
    entry = NETS[name]
    symbols, steps, classes = entry.home
    with torch.device("meta"):
        net = build(name)
    found = cost(net, (steps,), torch.int64)
    assert (found.parameters, found.macs) == (entry.parameters, entry.macs)
    gates, hidden = {"rnn": 1, "gru": 3, "lstm": 4}[name], 128
    assert found.parameters == gates * hidden * (symbols + hidden + 1) + (hidden + 1) * classes
    assert found.macs == steps * (gates * hidden * (symbols + hidden) + hidden * classes)
    node = look(net, (steps,), torch.int64)
    assert (node.parameters, node.macs, node.taken, node.given) == (
        *found.__dict__.values(),
        (steps,),
        (steps, classes),
    )


def test_the_class_takes_what_the_lines_say_and_without_arguments_is_the_first_of_them():
    entry = NETS["rnn"]
    assert {NETS[name].where for name in SEQUENCES} == {entry.where}
    module, _, attribute = entry.where.partition(":")
    found = inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
    listed = {key for name in SEQUENCES for key in (*NETS[name].options, *NETS[name].fixed)}
    assert found.keys() == listed | set(SEQUENCE_FACTS)
    assert {p.kind for p in found.values()} == {inspect.Parameter.KEYWORD_ONLY}
    for name in SEQUENCES:
        for key, option in NETS[name].options.items():
            assert found[key].default == option.default, key
            assert type(found[key].default) is type(option.default), key
    home = (found["num_symbols"].default, found["num_classes"].default)
    assert home == (entry.home[0], entry.home[2])


def choices():
    for name in SEQUENCES:
        for key, option in NETS[name].options.items():
            free = (not option.default,) if isinstance(option.default, bool) else (FREE.get(key),)
            yield from ((name, {key: value}) for value in option.among or free if value != option.default)
        yield from ((name, {"preset": preset}) for preset in NETS[name].presets)


@pytest.mark.parametrize(("name", "choice"), list(choices()), ids=str)
def test_each_legal_option_and_each_preset_builds_a_net_that_answers_and_differs(name, choice):
    assert None not in choice.values()
    shape = {"hidden": 4} if choice.get("output") in ("none", "softmax") else {}
    shape |= {"input": "embedding"} if "embedding" in choice else {}
    net, plain = small(name, **shape | choice), small(name, **shape)
    answer = net.eval()(WHATEVER)
    assert answer.shape == (3, 6, 4)
    same = answer.shape == plain(WHATEVER).shape and torch.equal(answer, plain.eval()(WHATEVER))
    assert same is ("dropout" in choice)  # which needs two layers and training


# What it does with sequences


def loss_of(net, x):
    answer = net(x)
    if answer.dim() == 2:
        return F.cross_entropy(answer, torch.arange(len(x)) % 4)
    return F.cross_entropy(answer[x >= 0], torch.arange(int((x >= 0).sum())) % 4)


@pytest.mark.parametrize("each_step", [True, False])
def test_the_gradient_reaches_every_weight(name, form, each_step):
    net = small(name, each_step=each_step, **form)
    loss_of(net, WHATEVER).backward()
    for key, p in net.named_parameters():
        assert p.grad is not None, key
        assert p.grad.isfinite().all(), key
        assert p.grad.abs().max() > 1e-6, key


@pytest.mark.parametrize("each_step", [True, False])
def test_padding_changes_no_answer_and_no_gradient(name, form, each_step):
    net = small(name, each_step=each_step, **form).double()
    together = net(WHATEVER)
    lengths = (WHATEVER >= 0).sum(dim=1).tolist()
    alone = [net(row[None, :end]) for row, end in zip(WHATEVER, lengths, strict=True)]
    for answer, one, end in zip(together, alone, lengths, strict=True):
        assert torch.allclose(answer[:end] if each_step else answer, one[0], rtol=0, atol=1e-12)
    wider = F.pad(WHATEVER, (0, 3), value=-1)
    gradients = [torch.autograd.grad(loss_of(net, x), list(net.parameters())) for x in (WHATEVER, wider)]
    for tight, wide in zip(*gradients, strict=True):
        assert torch.allclose(tight, wide, rtol=0, atol=1e-12)


def test_one_sequence_does_not_change_the_answer_for_another_and_each_reads_its_own(name, form):
    net = small(name, **form).double().eval()
    before, changed = net(WHATEVER), WHATEVER.clone()
    changed[0, 2] = 0
    after = net(changed)
    assert torch.allclose(before[1:], after[1:], rtol=0, atol=1e-12)
    assert not torch.allclose(before[0, 2:], after[0, 2:])
    reads_ahead = form.get("bidirectional", False)
    assert torch.allclose(before[0, :2], after[0, :2], rtol=0, atol=1e-12) is not reads_ahead


def test_a_class_for_the_whole_sequence_hears_its_first_and_its_last_symbol(name, form):
    net = small(name, each_step=False, **form).double().eval()
    for place in ((0, 0), (0, 5), (1, 0), (1, 2)):
        changed = WHATEVER.clone()
        changed[place] = (changed[place] + 1) % 5
        moved = (net(changed) - net(WHATEVER)).abs().amax(dim=1) > 1e-9
        assert moved.tolist() == [row == place[0] for row in range(3)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name):
    net, again, other = (dict(small(name, seed).named_parameters()) for seed in (0, 0, 1))
    for key, p in net.items():
        assert torch.equal(p, again[key]), key
        assert not torch.equal(p, other[key]), key


def test_a_sequence_read_in_parts_gives_what_it_gives_at_once(name):
    net = small(name, layers=2).double().eval()
    x = WHATEVER[:1]
    whole, (first, state) = net(x), net.forward_from(x[:, :4])
    second, _ = net.forward_from(x[:, 4:], state)
    assert torch.allclose(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-12)


def test_the_steps_show_every_gate_of_every_cell_and_the_same_answer(name):
    net = small(name, layers=2, bidirectional=True).eval()
    answer, through = net.steps(WHATEVER)
    assert torch.allclose(answer, net(WHATEVER), atol=1e-6)
    fields = {"rnn": "h", "gru": "hrzn", "lstm": "hcifgo"}[name]
    assert [step._fields for step in through.steps] == [tuple(fields)] * 4
    assert {field.shape for step in through.steps for field in step} == {(3, 6, 8)}


@pytest.mark.parametrize("each_step", [True, False])
def test_nets_stacked_under_vmap_answer_as_each_alone(name, each_step):
    nets = [small(name, seed, each_step=each_step) for seed in range(3)]
    parameters, buffers = stack_module_state(nets)
    base = nets[0]
    xs = torch.stack([WHATEVER, WHATEVER.flip(1).clamp(min=0), WHATEVER.clamp(min=0)])
    stacked = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)))(parameters, buffers, xs)
    for net, x, answer in zip(nets, xs, stacked, strict=True):
        assert torch.allclose(net(x), answer, atol=1e-6)


def test_a_net_that_was_recorded_on_full_sequences_reads_padded_ones(name):
    net = small(name, bidirectional=True)
    recorded = make_fx(net)(WHATEVER.clamp(min=0))
    assert torch.allclose(recorded(WHATEVER), net(WHATEVER), atol=1e-6)


# The lecture's variants


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_with_the_torch_preset_a_torch_seed_draws_the_numbers_of_torchs_modules_in_their_order(name):
    torch.manual_seed(777)
    net = build(name, preset="torch", input="embedding", hidden=5)
    torch.manual_seed(777)
    table = nn.Embedding(5, 10)
    through = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[name](10, 5, batch_first=True)
    fc = nn.Linear(5, 5)
    cell = net.recurrent.cells[0]
    ours = (net.front.weight, cell.W, cell.U, cell.b, cell.b_U, net.head.weight, net.head.bias)
    assert all(map(torch.equal, ours, (*table.parameters(), *through.parameters(), *fc.parameters())))
    x = WHATEVER[:1]
    assert torch.allclose(net(x), fc(through(table(x))[0]), atol=1e-6)


def test_each_form_of_the_output_is_what_it_says():
    x, forms = WHATEVER[:1], {}
    for output in ("none", "softmax", "fc", "fc_softmax"):
        net = small("rnn", output=output, hidden=5, num_classes=5).eval()
        assert sum(p.numel() for p in net.parameters()) == (55 if output in ("none", "softmax") else 85)
        forms[output] = net(x)
        assert torch.equal(small("rnn", output=output, hidden=5, num_classes=5, scale=5.0)(x), net(x) * 5) is (
            "softmax" not in output
        )
    assert forms["none"].abs().max() < 1
    assert torch.equal(forms["softmax"], forms["none"].softmax(dim=-1))
    assert torch.equal(forms["fc_softmax"], forms["fc"].softmax(dim=-1))
    assert torch.allclose(forms["softmax"].sum(dim=-1), torch.ones(1, 6))


def test_a_one_hot_net_is_the_embedding_net_whose_weights_are_folded():
    deep = small("rnn", input="embedding", embedding=3).double()
    flat = small("rnn").double()
    state = deep.state_dict()
    state["recurrent.cells.0.W"] = state["recurrent.cells.0.W"] @ state.pop("front.weight").T
    flat.load_state_dict(state)
    assert torch.allclose(flat(WHATEVER), deep(WHATEVER), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_every_symbol_is_its_own_one_hot_in_every_number_format(dtype):
    net = SequenceNet(num_symbols=300, hidden=4).to(dtype)
    seen = []
    net.recurrent.register_forward_pre_hook(lambda _net, given: seen.append(given[0][0]))
    net(torch.arange(300)[None])
    assert seen[0].equal(torch.eye(300, dtype=dtype))
    assert "front.numbers" not in net.state_dict()


def test_the_one_hot_follows_the_weights_wherever_they_come_from():
    net, double = small("rnn"), small("rnn").double()
    net.load_state_dict(double.state_dict(), assign=True)
    assert net(WHATEVER).equal(double(WHATEVER))


# What it does not take


@pytest.mark.parametrize(
    ("make", "wrong", "fix"),
    [
        (lambda: small("rnn", output="none"), "8 hidden units, and there are 4 classes", "hidden=4"),
        (lambda: small("gru", output="softmax", bidirectional=True, hidden=4), "in each of two directions", "fc"),
        (lambda: small("lstm", forget_bias="much"), "forget_bias=much", "1.0"),
        (lambda: build("rnn", in_channels=1), "takes sequences", "task of sequences"),
        (lambda: build("googlenet", num_symbols=5), "takes images", "task of images"),
        (lambda: build("rnn", num_symbols=0), "num_symbols is 0", "count again"),
        (lambda: build("rnn", each_step=3), "each_step is 3", "True or False"),
        (lambda: small("rnn")(torch.full((2, 3), -1)), "no symbol in it", "leave empty sequences out"),
        (lambda: small("rnn")(torch.empty(2, 0, dtype=torch.int64)), "no symbol in it", "leave empty sequences out"),
        (lambda: small("rnn")(torch.tensor([[0, 5]])), "symbol number 5", "num_symbols=6"),
        (lambda: small("rnn")(torch.tensor([[0, -2]])), "symbol number -2", "-1 for padding"),
        (lambda: small("rnn")(torch.tensor([[0, -1, 1]])), "goes on behind a -1", "to the end"),
        (lambda: small("rnn")(WHATEVER.float()), "of shape 3 x 6, float32", "x.long()"),
        (lambda: small("rnn")(WHATEVER[0]), "of shape 6, int64", "x[None]"),
        (lambda: SequenceNet(cell="lstn"), "no cell of a net of sequences called 'lstn'", "did you mean 'lstm'"),
        (lambda: SequenceNet(input="onehot"), "no input of a net of sequences", "did you mean 'one_hot'"),
        (lambda: SequenceNet(output="softmx"), "no output of a net of sequences", "did you mean 'softmax'"),
        (lambda: SequenceNet(num_classes=0), "num_classes=0", "count them"),
        (lambda: SequenceNet(num_symbols=2.0), "num_symbols=2.0", "count them"),
        (lambda: small("rnn", bidirectional=True).forward_from(WHATEVER), "bidirectional", "bidirectional=false"),
    ],
)
def test_what_it_cannot_be_or_read_is_said_in_three_sentences(make, wrong, fix, types_unchecked):
    with pytest.raises(FixableError, match=wrong) as raised:
        make()
    assert_three_sentences(raised.value)
    assert fix in raised.value.fix


def test_the_net_is_a_plain_module_whose_parts_have_their_names():
    net = SequenceNet()
    assert [key for key, _ in net.named_children()] == ["front", "recurrent", "head"]
    assert "front.numbers" not in net.state_dict()
