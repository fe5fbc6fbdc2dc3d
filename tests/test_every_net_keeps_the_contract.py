"""One contract for every line of the table of nets: what it claims is so, and whatever is asked of one works for all.

Two nets of each line are built once and shared by its tests: `home`, as its paper has it, on torch's meta device
(shapes, no numbers); and `net`, for ten classes and the smallest images that it takes, with numbers.
"""

import importlib
import inspect
import re
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from daiving.errors import FixableError
from daiving.look import Cost, cost, look
from daiving.nets import NETS
from daiving.nets.build import TASK_FACTS, build
from daiving.nets.layers import Add, Concat, Fork, Input, Scores

ZOO = [name for name in NETS if name not in ("majority", "logistic", "mnist_inception")]
WHERE = list(dict.fromkeys(entry.where for entry in NETS.values()))
FIRST = [next(name for name, entry in NETS.items() if entry.where == where) for where in WHERE]  # one a class
OTHERS = (0, 1, 2, 5)  # pixels above the smallest
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
# For options that may have any value of their type: one that is not the default
FREE = {
    "dropout": 0.3,
    "growth": 8,
    "compression": 0.7,
    "stem_channels": 24,
    "scale": "0.3",
    "blocks": "10-20-10",
    "depth": {"cifar_preact": 29, "cifar_densenet": 22},
}


@pytest.fixture(scope="module", params=NETS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def home(name):
    return meta(name)


@pytest.fixture(scope="module")
def net(name):
    torch.manual_seed(0)
    return build(name, num_classes=10, image_size=NETS[name].smallest)


@pytest.fixture(scope="module")
def unlike(name):
    """For five channels and 37 classes, without numbers."""
    return meta(name, in_channels=5, num_classes=37, image_size=NETS[name].smallest)


def meta(name, **options):
    with torch.device("meta"):
        return build(name, **options)


def zoo_only(name):
    if name not in ZOO:
        pytest.skip("not a net of a paper about photos")


def images(name, count, *, seed=0, channels=None):
    side = NETS[name].smallest
    return torch.randn(count, channels or NETS[name].home[0], side, side, generator=torch.Generator().manual_seed(seed))


def blank(name, side, width=None, channels=5):
    return torch.zeros(2, channels, side, width or side, device="meta")


def logits(answer):
    return answer.logits if isinstance(answer, Scores) else answer


def assert_three_sentences(error):
    for part in (error.wrong, error.expected, error.fix):
        assert part.endswith((".", "?")), part
        assert "\n" not in part
        assert len(part) <= 300


# What a line of the table claims


def test_the_claimed_parameters_and_multiply_adds_are_real(name, home):
    entry = NETS[name]
    channels, side, _ = entry.home
    claimed = (entry.parameters, entry.macs)
    tree = look(home, (channels, side, side))
    assert cost(home, (channels, side, side)) == Cost(*claimed)
    assert (tree.parameters, tree.macs) == claimed
    assert tree.given == (entry.home[2],)


def test_torchs_own_counter_finds_the_same_multiply_adds(name, home):
    channels, side, _ = NETS[name].home
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        home.eval()(torch.zeros(1, channels, side, side, device="meta"))
    assert counter.get_total_flops() // 2 == NETS[name].macs
    assert sum(p.numel() for p in home.parameters()) == NETS[name].parameters


@cache
def signature(where):
    module, function = where.split(":")
    return inspect.signature(getattr(importlib.import_module(module), function)).parameters


@pytest.mark.parametrize("where", WHERE)
def test_a_class_takes_what_its_lines_in_the_table_say_and_nothing_else_by_keyword_only(where):
    lines = [entry for entry in NETS.values() if entry.where == where]
    listed = {key for entry in lines for key in (*entry.options, *entry.fixed)}
    assert signature(where).keys() == listed | set(TASK_FACTS)
    assert {p.kind for p in signature(where).values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("where", WHERE)
def test_a_class_without_arguments_is_the_net_of_one_of_its_lines(where):
    found = {key: p.default for key, p in signature(where).items()}
    lines = []
    for entry in NETS.values():
        if entry.where == where:
            line = {key: option.default for key, option in entry.options.items()} | dict(entry.fixed)
            lines.append(line | dict(zip(TASK_FACTS, (entry.home[0], entry.home[2], entry.home[1]), strict=True)))
    # Options that a line leaves out mean nothing to it: a basic block has no first 1x1 to halve in.
    assert any({key: found[key] for key in line} == line for line in lines)
    for line in lines:
        for key, value in line.items():
            assert type(value) is type(found[key]), key


def test_an_option_that_a_line_leaves_out_changes_nothing_in_its_net(name):
    entry = NETS[name]
    for key in signature(entry.where).keys() - entry.options.keys() - entry.fixed.keys() - set(TASK_FACTS):
        others = {value for line in NETS.values() if key in line.options for value in line.options[key].among}
        module, function = entry.where.split(":")
        for value in others:
            with torch.device("meta"):
                other = getattr(importlib.import_module(module), function)(**entry.fixed, **{key: value})
            assert cost(other, (entry.home[0], entry.home[1], entry.home[1])).macs == entry.macs


# What it does with images


def step(net, name):
    """Answer and gradients of one training step. Four images: batch norm of two numbers answers 1 and -1 whatever they
    are, and nothing would come back through the layers in front of a map of one pixel."""
    net.train().zero_grad()
    torch.manual_seed(1)  # for dropout
    answer = net(images(name, 4))
    target = torch.arange(4)
    loss = F.cross_entropy(logits(answer), target)
    if isinstance(answer, Scores):
        loss = loss + answer.weight * sum(F.cross_entropy(scores, target) for scores in answer.aux)
    loss.backward()
    return answer, {key: p.grad for key, p in net.named_parameters()}


@pytest.fixture(scope="module")
def steps(name, net):
    first = step(net, name)
    return first, step(net, name)


def test_the_gradient_reaches_every_weight(name, net, steps):
    for key, gradient in steps[0][1].items():
        assert gradient is not None, key
        assert gradient.isfinite().all(), key
        assert gradient.abs().max() > 1e-7, key


def test_a_step_from_the_same_seed_and_images_is_the_same_to_the_last_bit(steps):
    (first, gradients), (again, others) = steps
    assert torch.equal(logits(first), logits(again))
    assert all(torch.equal(gradients[key], others[key]) for key in gradients)


def test_it_answers_with_one_score_a_class_and_auxiliary_scores_only_while_it_trains(name, net, steps):
    answer, aux = steps[0][0], len(getattr(net, "aux", ()))
    assert isinstance(answer, Scores) is (aux > 0)
    assert logits(answer).shape == (4, 10)
    if aux:
        assert [scores.shape for scores in answer.aux] == [(4, 10)] * aux
        assert 0 < answer.weight < 1
    with torch.no_grad():
        quiet = net.eval()(images(name, 2))
    assert isinstance(quiet, Tensor)
    assert quiet.shape == (2, 10)
    assert quiet.isfinite().all()


def test_one_image_does_not_change_the_answer_for_another(name, net):
    x = images(name, 3)
    with torch.no_grad():
        alone, moved = net.eval()(x), net(torch.stack([x[0] * 3 + 1, x[1], x[0]]))
    assert torch.allclose(alone[1], moved[1], rtol=1e-4, atol=1e-5)
    assert torch.allclose(alone[0], moved[2], rtol=1e-4, atol=1e-5)
    assert torch.equal(alone[0], moved[0]) is (name == "majority")  # and it does look at its own


@pytest.mark.parametrize("first", FIRST)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(first):
    facts = {"num_classes": 10, "image_size": NETS[first].smallest}
    net, again, other = (build(first, seed=seed, **facts).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(net[key], again[key]) for key in net)
    drawn = [key for key in net if net[key].ndim > 1]  # biases and norms start at a number
    assert all(not torch.equal(net[key], other[key]) for key in drawn)
    assert drawn or first == "majority"


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 10)])
def test_it_takes_any_channels_and_classes(name, channels, classes):
    net = meta(name, in_channels=channels, num_classes=classes, image_size=NETS[name].smallest)
    answer = net.train()(blank(name, NETS[name].smallest, channels=channels))
    assert logits(answer).shape == (2, classes)


def test_it_takes_five_channels_and_37_classes_at_odd_and_even_sizes_and_not_only_squares(name, unlike):
    smallest = NETS[name].smallest
    for side in (smallest + more for more in OTHERS):
        # Auxiliary heads of a fixed size train at the size that they were built for.
        net = unlike.train(not hasattr(unlike, "aux") or side == smallest)
        if name not in ZOO:  # their last layer reads every pixel, so that each size is a net
            net = meta(name, in_channels=5, num_classes=37, image_size=side)
        assert logits(net(blank(name, side))).shape == (2, 37)
        if name in ZOO and side != smallest:
            assert net(blank(name, smallest, side)).shape == net(blank(name, side, smallest)).shape == (2, 37)


@pytest.mark.parametrize("first", [name for name in FIRST if hasattr(meta(name), "aux")])
def test_a_net_with_auxiliary_heads_trains_at_every_size_that_it_is_built_for(first):
    for more in OTHERS:
        side = NETS[first].smallest + more
        answer = meta(first, num_classes=10, image_size=side).train()(blank(first, side, channels=3))
        assert [scores.shape for scores in (answer.logits, *answer.aux)] == [(2, 10)] * (1 + len(answer.aux))


# What it does not take


def test_one_pixel_less_than_the_smallest_is_refused_in_three_sentences(name, unlike):
    smallest = NETS[name].smallest
    if smallest == 1:
        pytest.skip("it takes one pixel")
    with pytest.raises(FixableError, match=f"{smallest - 1}x{smallest - 1}") as raised:
        meta(name, image_size=smallest - 1)
    assert_three_sentences(raised.value)
    assert f"{smallest}x{smallest}" in raised.value.expected
    if name in ZOO:
        for shape in ((smallest - 1, smallest), (smallest, smallest - 1)):
            with pytest.raises(FixableError, match=f"{shape[0]}x{shape[1]}") as raised:
                unlike(blank(name, *shape))
            assert_three_sentences(raised.value)


def shrunk(net, side):
    """Whether training at a size fails in torch, or has a layer that goes by 2 over a map of one pixel."""
    starved = []

    def watch(m, args):
        stride = getattr(m, "stride", 1)
        if max(stride if isinstance(stride, tuple) else (stride,)) > 1 and min(args[0].shape[2:]) == 1:
            starved.append(m)

    hooks = [m.register_forward_pre_hook(watch) for m in net.modules() if not isinstance(m, Input)]
    try:
        net.train()(torch.zeros(2, 5, side, side, device="meta"))
    except (RuntimeError, ValueError):
        return True
    finally:
        for hook in hooks:
            hook.remove()
    return bool(starved)


def test_the_smallest_size_is_no_larger_than_it_must_be(name, unlike, monkeypatch):
    zoo_only(name)
    monkeypatch.setattr(Input, "check_size", lambda *_: None)
    smallest = NETS[name].smallest
    assert not shrunk(unlike, smallest)
    below = meta(name, in_channels=5, num_classes=37, image_size=smallest - 1) if hasattr(unlike, "aux") else unlike
    assert shrunk(below, smallest - 1)


def test_images_of_other_channels_are_refused_in_three_sentences(name, unlike):
    zoo_only(name)
    with pytest.raises(FixableError, match="images of 4 channels") as raised:
        unlike(blank(name, NETS[name].smallest, channels=4))
    assert_three_sentences(raised.value)
    assert "in_channels=4" in raised.value.fix


# Options and presets


def choices(name):
    """Each option's values beside its default, one at a time, and each preset that changes something."""
    for key, option in NETS[name].options.items():
        free = FREE.get(key)
        free = free.get(name, 26) if isinstance(free, dict) else free
        values = option.among or ((not option.default,) if isinstance(option.default, bool) else (free,))
        assert None not in values, f"give {key} a value in FREE"
        yield from ({key: value} for value in values if value != option.default)
    yield from ({"preset": preset} for preset, changes in NETS[name].presets.items() if changes)


def first_with(options):
    """The first net of a class that has these options: its deeper ones run the same code."""
    seen = {}
    for name, entry in NETS.items():
        seen.setdefault((entry.where, tuple(entry.options), entry.fixed.get("stem")), name)
    return list(seen.values())


CHOICES = [(name, choice) for name in first_with(None) for choice in choices(name)]


@pytest.mark.parametrize(
    ("first", "choice"), CHOICES, ids=[f"{name}-{next(iter(c))}={next(iter(c.values()))}" for name, c in CHOICES]
)
def test_each_legal_option_and_each_preset_builds_a_net_that_answers(first, choice):
    smallest, channels = NETS[first].smallest, NETS[first].home[0]
    smallest = 28 if choice == {"jump": True} else smallest  # the jump fits few sizes
    net = meta(first, num_classes=10, image_size=smallest, **choice)
    x = blank(first, smallest, channels=channels)
    assert logits(net.train()(x)).shape == net.eval()(x).shape == (2, 10)


# How it is built


def test_the_last_part_is_a_head_that_ends_in_one_linear_layer(name, home):
    zoo_only(name)
    parts = list(dict(home.named_children()))
    assert (parts[0], parts[-1]) == ("input", "head")
    assert list(dict(home.head.named_children()))[-1] == "fc"
    assert home.head.fc.out_features == NETS[name].home[2]
    assert home.input.smallest == NETS[name].smallest


def test_every_part_that_ran_and_matters_is_in_the_tree_that_look_shows(name, unlike):
    ran = set()
    hooks = [
        m.register_forward_hook(lambda m, args, out, key=key: ran.add(key)) for key, m in unlike.named_modules() if key
    ]
    smallest = NETS[name].smallest
    try:
        unlike.train()(blank(name, smallest))
    finally:
        for hook in hooks:
            hook.remove()
    shown = {node.name for node in look(unlike, (5, smallest, smallest)).walk()}
    for key in ran:
        m = unlike.get_submodule(key)
        if isinstance(m, (*POOLS, Concat, Add)) or list(m.parameters(recurse=False)):
            assert key in shown, key
    # and every layer with weights did run
    assert {key for key, m in unlike.named_modules() if key and list(m.parameters(recurse=False))} <= ran


def wired(items):
    for item in items:
        if isinstance(item, Fork):
            yield from wired(part for arm in item.arms.values() for part in arm)
            yield from [item.join] if item.join else []
        else:
            yield item


def test_what_a_modules_wiring_names_are_its_children_each_once(home):
    for key, m in home.named_modules():
        if hasattr(m, "wiring"):
            named = list(wired(m.wiring()))
            assert len(named) == len(set(named)), key
            assert set(named) <= dict(m.named_children()).keys(), key


@pytest.mark.parametrize("first", [name for name in FIRST if name in ZOO])
def test_a_papers_file_names_its_paper_and_says_where_it_leaves_it_and_who_differs(first):
    text = inspect.getdoc(importlib.import_module(NETS[first].where.partition(":")[0]))
    lines = text.splitlines()
    assert "Where this leaves the paper" in lines
    assert "Where torchvision/timm differ" in lines
    number = re.search(r"arXiv (\d{4}\.\d{5}|\d{4}\.\d{4})", NETS[first].source)[1]
    assert f"https://arxiv.org/abs/{number}" in text
