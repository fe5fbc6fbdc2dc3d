"""One contract for every net of images in the table: what it claims is so, and whatever is asked of one works for all.

Nets are built once and shared by the tests of their line: `home`, as its paper has it, and `odd`, for five channels
and 37 classes, on torch's meta device (shapes, no numbers); and `net`, with numbers, for the smallest images.
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

from daiving.anatomy import Cost, cost, look, passed
from daiving.errors import FixableError
from daiving.nets import NETS as ALL
from daiving.nets.build import TASK_FACTS, build
from daiving.nets.layers import Add, Concat, Fork, Input, Scores
from daiving.nets.resnet import ResNet

NETS = {name: entry for name, entry in ALL.items() if entry.takes == "images"}  # sequences have their own contract
# The nets of no paper about photos: their last layer reads every pixel, so that each size is another net.
FLAT = ("majority", "logistic", "mnist_inception")
# These run the code of a sibling above them in the table, only more often.
DEEPER = re.compile(r"plain34|resnet34|(preact_)?resnet(101|152|200)|densenet(161|169|201|264)")
SHALLOW = [name for name in NETS if name not in FLAT and not DEEPER.fullmatch(name)]
WHERE = list(dict.fromkeys(entry.where for entry in NETS.values()))
FIRST = list({NETS[name].where.partition(":")[0]: name for name in reversed(NETS)}.values())[::-1]  # one a file
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
# For options that may have any value of their type: one that is not the default
FREE = {
    "dropout": 0.3,
    "growth": 8,
    "compression": 0.7,
    "stem_channels": 24,
    "scale": "0.3",
    "blocks": "10-20-10",
    "depth": {"cifar_plain": 26, "cifar_resnet": 26, "cifar_preact": 29, "cifar_densenet": 22},
}


@pytest.fixture(scope="module", params=NETS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def home(name):
    return meta(name)


@pytest.fixture(scope="module")
def tree(name, home):
    channels, side, _ = NETS[name].home
    return look(home, (channels, side, side))


@pytest.fixture(scope="module")
def net(name):
    torch.manual_seed(0)
    return build(name, num_classes=10, image_size=NETS[name].smallest)


@pytest.fixture(scope="module", params=SHALLOW)
def shallow(request):
    return request.param


@pytest.fixture(scope="module")
def odd(shallow):
    return meta(shallow, in_channels=5, num_classes=37, image_size=NETS[shallow].smallest)


def meta(name, **options):
    with torch.device("meta"):
        return build(name, **options)


def images(name, count):
    channels, side = NETS[name].home[0], NETS[name].smallest
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def answered(net, channels, h, w=None, *, training=True):
    """The shape of the answer for one image."""
    return passed(net, (channels, h, w or h), training=training).given[""]


def logits(answer):
    return answer.logits if isinstance(answer, Scores) else answer


def assert_three_sentences(error):
    for part in (error.wrong, error.expected, error.fix):
        assert part.endswith((".", "?")), part
        assert "\n" not in part
        assert len(part) <= 300


# What a line of the table claims


def test_the_claimed_parameters_and_multiply_adds_are_real(name, tree):
    entry = NETS[name]
    channels, side, classes = entry.home
    assert (tree.parameters, tree.macs) == (entry.parameters, entry.macs)
    assert (tree.taken, tree.given) == ((channels, side, side), (classes,))


def test_torchs_own_counter_finds_the_same_multiply_adds(name, home):
    channels, side, _ = NETS[name].home
    with FlopCounterMode(display=False) as counter:
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


@pytest.mark.parametrize(("basic", "macs"), [("resnet18", 1_794_805_760), ("plain18", 1_794_805_760)])
def test_an_option_that_a_line_leaves_out_changes_nothing_in_its_net(basic, macs):
    """A basic block has no first 1x1 that could have the stride."""
    entry = NETS[basic]
    assert signature(entry.where).keys() - entry.options.keys() - entry.fixed.keys() == {"stride_on", *TASK_FACTS}
    chosen = {key: option.default for key, option in entry.options.items()} | dict(entry.fixed)
    with torch.device("meta"):
        net = ResNet(**chosen, stride_on="3x3")
    assert cost(net, (3, 224, 224)) == Cost(entry.parameters, macs)


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
def stepped(name, net):
    """Answer, gradients, and the parts that ran."""
    ran = set()
    hooks = [
        m.register_forward_hook(lambda m, args, out, key=key: ran.add(key)) for key, m in net.named_modules() if key
    ]
    answer, gradients = step(net, name)
    for hook in hooks:
        hook.remove()
    return answer, gradients, ran


def test_the_gradient_reaches_every_weight(stepped):
    for key, gradient in stepped[1].items():
        assert gradient is not None, key
        assert gradient.isfinite().all(), key
        assert gradient.abs().max() > 1e-5, key


def test_the_same_seed_and_images_give_the_same_answer_to_the_last_bit(name, net, stepped):
    torch.manual_seed(1)
    with torch.no_grad():
        again = net.train()(images(name, 4))
    assert torch.equal(logits(stepped[0]), logits(again))


def test_it_answers_with_one_score_a_class_and_auxiliary_scores_only_while_it_trains(name, net, stepped):
    answer, aux = stepped[0], len(getattr(net, "aux", ()))
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
    x = images(name, 2)
    with torch.no_grad():
        alone, beside = net.eval()(x), net(torch.stack([x[1], x[0] * 3 + 1]))
    assert torch.allclose(alone[1], beside[0], rtol=1e-4, atol=1e-5)
    assert torch.equal(alone[0], beside[1]) is (name == "majority")  # and it does look at its own


@pytest.mark.parametrize("first", FIRST)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(first):
    facts = {"num_classes": 10, "image_size": NETS[first].smallest}
    net, again, other = (dict(build(first, seed=seed, **facts).named_parameters()) for seed in (0, 0, 1))
    for key, p in net.items():
        assert torch.equal(p, again[key]), key
        if p.ndim > 1:  # biases and norms start at a number
            assert not torch.equal(p, other[key]), key
    assert any(p.ndim > 1 for p in net.values()) or first == "majority"


def test_it_takes_one_three_or_five_channels_and_2_10_or_37_classes(shallow, odd):
    smallest = NETS[shallow].smallest
    for channels, classes in ((1, 2), (5, 37)):  # 3 and 10 are `net`, which runs above
        net = odd if channels == 5 else meta(shallow, in_channels=1, num_classes=2, image_size=smallest)
        assert answered(net, channels, smallest) == (classes,)


def test_it_takes_odd_and_even_sizes_and_not_only_squares(shallow, odd):
    smallest = NETS[shallow].smallest
    assert answered(odd, 5, smallest) == (37,)
    fixed = hasattr(odd, "aux")  # auxiliary heads train at the size that they were built for; see below
    for below, right in ((1, 1), (2, 2), (5, 5), (0, 3), (4, 1)):
        assert answered(odd, 5, smallest + below, smallest + right, training=not fixed) == (37,)


@pytest.mark.parametrize("more", [1, 2, 5])
@pytest.mark.parametrize("auxiliary", ["googlenet", "inception_v2", "inception_v3"])
def test_a_net_with_auxiliary_heads_trains_at_every_size_that_it_is_built_for(auxiliary, more):
    side = NETS[auxiliary].smallest + more
    net = meta(auxiliary, num_classes=10, image_size=side)
    assert list(net.aux)
    assert answered(net, 3, side) == (10,)


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 10), (5, 37)])
@pytest.mark.parametrize("more", [0, 1, 2, 5])
@pytest.mark.parametrize("flat", FLAT)
def test_a_net_that_reads_every_pixel_takes_any_channels_classes_and_sizes_that_it_is_built_for(
    flat, more, channels, classes
):
    side = NETS[flat].smallest + more
    net = meta(flat, in_channels=channels, num_classes=classes, image_size=side)
    assert answered(net, channels, side) == (classes,)


# What it does not take


@pytest.mark.parametrize("strict", [name for name, entry in NETS.items() if entry.smallest > 1])
def test_a_net_for_images_one_pixel_below_the_smallest_is_refused_in_three_sentences(strict):
    smallest = NETS[strict].smallest
    with pytest.raises(FixableError, match=f"{smallest - 1}x{smallest - 1}") as raised:
        meta(strict, image_size=smallest - 1)
    assert_three_sentences(raised.value)
    assert f"{smallest}x{smallest}" in raised.value.expected


def test_images_one_pixel_below_the_smallest_are_refused_in_three_sentences(shallow, odd):
    smallest = NETS[shallow].smallest
    for h, w in ((smallest - 1, smallest), (smallest, smallest - 1)):
        with pytest.raises(FixableError, match=f"{h}x{w}") as raised:
            odd(torch.zeros(2, 5, h, w, device="meta"))
        assert_three_sentences(raised.value)


def test_images_of_other_channels_are_refused_in_three_sentences(shallow, odd):
    side = NETS[shallow].smallest
    with pytest.raises(FixableError, match="images of 4 channels") as raised:
        odd(torch.zeros(2, 4, side, side, device="meta"))
    assert_three_sentences(raised.value)
    assert "in_channels=4" in raised.value.fix


def starves(net, side):
    """Whether training at a size fails in torch, or has a layer that goes by 2 over a map of one pixel."""
    try:
        run = passed(net, (5, side, side), training=True)
    except (RuntimeError, ValueError):
        return True
    for name, taken in run.taken.items():
        stride = getattr(net.get_submodule(name), "stride", 1)
        if max(stride if isinstance(stride, tuple) else (stride,)) > 1 and min(taken[1:]) == 1:
            return True
    return False


def test_the_smallest_size_is_no_larger_than_it_must_be(shallow, odd, monkeypatch):
    monkeypatch.setattr(Input, "check_size", lambda *_: None)
    assert not starves(odd, NETS[shallow].smallest)
    assert starves(odd, NETS[shallow].smallest - 1)


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


CHOICES = [(name, choice) for name in (*FLAT, *SHALLOW) for choice in choices(name)]
CHOICES.append(("densenet264", {"preset": "timm"}))  # the one preset that no shallower net has


@pytest.mark.parametrize(
    ("chosen", "choice"), CHOICES, ids=[f"{name}:{key}={value}" for name, one in CHOICES for key, value in one.items()]
)
def test_each_legal_option_and_each_preset_builds_a_net_that_answers(chosen, choice):
    channels, smallest = NETS[chosen].home[0], NETS[chosen].smallest
    side = 28 if choice == {"jump": True} else smallest  # the jump fits few sizes
    net = meta(chosen, num_classes=10, image_size=side, **choice)
    assert answered(net, channels, side) == (10,)


# How it is built


def test_the_first_part_is_its_input_and_the_last_a_head_that_ends_in_one_linear_layer(name, home):
    assert hasattr(home, "head") is hasattr(home, "input") is (name not in FLAT)
    if name not in FLAT:
        parts = [key for key, _ in home.named_children()]
        assert (parts[0], parts[-1]) == ("input", "head")
        assert [key for key, _ in home.head.named_children()][-1] == "fc"
        assert home.head.fc.out_features == NETS[name].home[2]
        assert home.input.smallest == NETS[name].smallest


def test_every_part_that_ran_and_matters_is_in_the_tree_that_look_shows(net, stepped, tree):
    shown, ran = {node.name for node in tree.walk()}, stepped[2]
    for key, m in net.named_modules():
        weights = bool(list(m.parameters(recurse=False)))
        if key and (weights or isinstance(m, (*POOLS, Concat, Add))):
            assert key in ran, key
            assert key in shown, key


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


@pytest.mark.parametrize("first", [name for name in FIRST if name not in FLAT])
def test_a_papers_file_names_its_paper_and_says_where_it_leaves_it_and_who_differs(first):
    text = inspect.getdoc(importlib.import_module(NETS[first].where.partition(":")[0]))
    lines = text.splitlines()
    assert "Where this leaves the paper" in lines
    assert "Where torchvision/timm differ" in lines
    number = re.search(r"arXiv (\d{4}\.\d{5}|\d{4}\.\d{4})", NETS[first].source)[1]
    assert f"https://arxiv.org/abs/{number}" in text
