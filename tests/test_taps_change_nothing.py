"""What a tap reads is what went through the module; and the run is the same to the last bit with and without."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.build import build
from daiving.tapping import taps


class Net(nn.Module):
    """Batch norm, dropout and ReLUs that work in place; one part runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.relu(self.bn(self.conv(x))))
        x = self.relu(self.again(self.relu(self.again(x))))
        return self.fc(x.mean((2, 3)))


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "net":
        return Net()
    if kind == "googlenet":
        return build("googlenet", norm="bn", image_size=79, num_classes=10)
    return build("cifar_densenet", depth=10, dropout=0.2, checkpointed=kind == "checkpointed")


def trained(net: nn.Module, steps: int, size: int = 8, **how: bool) -> tuple[list[float], list[Tensor], object]:
    """Losses, all tensors at the end, and what was tapped of the last step; `how` opens taps at every module."""
    torch.manual_seed(1)
    x, y = torch.randn(2, 3, size, size), torch.tensor([1, 7])
    sgd, losses, last = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), [], None

    def step() -> None:
        scores = net(x)
        loss = F.cross_entropy(scores if isinstance(scores, Tensor) else scores.logits, y)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())

    for _ in range(steps):
        if how:
            with taps(net, keep=how["keep"]) as last:
                step()
        else:
            step()
    return losses, [*net.state_dict().values()], last


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("kind", "size"), [("net", 8), ("dense", 8), ("checkpointed", 8), ("googlenet", 79)])
def test_a_training_with_taps_is_bit_for_bit_the_one_without(kind, size, keep):
    steps = 1 if kind == "googlenet" else 3
    losses, tensors, _ = trained(made(kind), steps, size)
    with_taps, also, _ = trained(made(kind), steps, size, keep=keep)
    assert losses == with_taps
    assert all(torch.equal(a, b) for a, b in zip(tensors, also, strict=True))


def test_a_checkpointed_net_is_tapped_as_the_plain_one_each_part_once():
    plain, checkpointed = (trained(made(kind), 1, keep=True)[2] for kind in ("dense", "checkpointed"))
    assert list(plain) == list(checkpointed)
    for name, tap in plain.items():
        assert tap.calls == checkpointed[name].calls <= 1, name
        if tap.calls:
            assert torch.equal(tap.output, checkpointed[name].output), name


def test_outputs_are_those_of_the_moment_though_the_next_part_works_in_place():
    net = made("net").eval()
    x = torch.randn(2, 3, 8, 8)
    with taps(net) as tapped:
        scores = net(x)
    conv = net.conv(x)
    bn = net.bn(conv)
    assert torch.equal(tapped["conv"].output, conv)
    assert torch.equal(tapped["bn"].output, bn)
    assert tapped["bn"].of_output.low < 0
    assert tapped["relu"].of_output.low == 0
    once = net.again(bn.relu()).relu()
    assert torch.equal(tapped["again"].output, net.again(once))
    assert torch.equal(tapped["fc"].output, scores)
    assert {name: tap.calls for name, tap in tapped.items()} == {
        "conv": 1, "bn": 1, "relu": 3, "drop": 1, "again": 2, "fc": 1
    }  # fmt: skip


def test_an_output_is_a_copy_that_nobody_else_writes_to():
    net = made("net").eval()
    with taps(net, "fc") as tapped, torch.no_grad():
        scores = net(torch.randn(2, 3, 8, 8))
        before = scores.clone()
        scores.zero_()
    assert torch.equal(tapped["fc"].output, before)
    assert not tapped["fc"].output.requires_grad


def test_gradients_are_what_autograd_answers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    x = torch.randn(6, 5)
    with taps(net) as tapped:
        net(x).square().sum().backward()
    first = net[0](x)
    second = net[1](first)
    third = net[2](second)
    for name, want in zip("012", torch.autograd.grad(third.square().sum(), (first, second, third)), strict=True):
        assert torch.allclose(tapped[name].gradient, want, rtol=1e-6)


def test_the_gradient_of_a_part_before_an_in_place_one_is_its_own():
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    plain = nn.Sequential(net[0], nn.ReLU(), net[2])
    x = torch.randn(6, 5)
    with taps(net) as tapped:
        net(x).square().sum().backward()
    first = plain[0](x)
    (want,) = torch.autograd.grad(plain[2](plain[1](first)).square().sum(), first)
    assert torch.allclose(tapped["0"].gradient, want, rtol=1e-6)


def test_statistics_are_those_of_the_whole_tensor():
    net = made("net").eval()
    with taps(net) as tapped:
        net(torch.randn(2, 3, 8, 8)).sum().backward()
    for tap in tapped.values():
        for t, seen in ((tap.output, tap.of_output), (tap.gradient, tap.of_gradient)):
            flat = t.double().flatten()
            want = (flat.mean(), flat.std(correction=0), flat.min(), flat.max(), (flat == 0).double().mean())
            got = (seen.mean, seen.deviation, seen.low, seen.high, seen.zeros)
            assert got == pytest.approx([value.item() for value in want], abs=1e-6)


def test_only_statistics_stay_where_nothing_else_is_asked_for():
    net = made("net")
    with taps(net, "bn", keep=False) as tapped:
        net(torch.randn(2, 3, 8, 8)).sum().backward()
    tap = tapped["bn"]
    assert (tap.output, tap.gradient) == (None, None)
    assert tap.of_output.deviation > 0
    assert tap.of_gradient is not None


def test_there_is_no_gradient_before_there_is_one_nor_an_old_one_behind_a_new_output():
    net, x = made("net"), torch.randn(2, 3, 8, 8)
    with taps(net, "conv") as tapped:
        tap = tapped["conv"]
        assert (tap.calls, tap.output, tap.gradient, tap.of_output, tap.of_gradient) == (0, None, None, None, None)
        net(x).sum().backward()
        assert tap.gradient is not None
        net(x)
        assert (tap.calls, tap.gradient, tap.of_gradient) == (2, None, None)
        with torch.inference_mode():
            net(x)
        assert (tap.calls, tap.gradient) == (3, None)


def test_a_name_that_is_not_there_gets_the_nearest_that_is():
    net = made("googlenet")
    with pytest.raises(FixableError) as caught, taps(net, "body.3a.concta"):
        pass
    assert caught.value.wrong == "There is no module of this net called 'body.3a.concta'."
    assert caught.value.fix == "did you mean 'body.3a.concat'?"
    assert no_hooks(net)


def no_hooks(net: nn.Module) -> bool:
    return not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in net.modules())


def test_nothing_is_left_on_the_net_also_after_an_exception():
    net, x = made("net"), torch.randn(2, 3, 8, 8)
    with taps(net):
        net(x)
        assert not no_hooks(net)
    assert no_hooks(net)
    with pytest.raises(ZeroDivisionError), taps(net, "bn", "conv"):
        raise ZeroDivisionError
    assert no_hooks(net)
    with taps(net, "bn") as tapped:
        pass
    net(x)
    assert tapped["bn"].calls == 0


def test_taps_can_be_open_twice_and_closed_one_by_one():
    net, x = made("net"), torch.randn(2, 3, 8, 8)
    with taps(net, "bn") as outer:
        with taps(net, "bn", "fc") as inner:
            net(x)
        net(x)
    assert (outer["bn"].calls, inner["bn"].calls, inner["fc"].calls) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "options", "size", "parts"),
    [
        ("googlenet", {"aux": False}, 31, {"body.3a.concat": 256, "body.3a.pool.max": 192, "body.pool4": 832}),
        ("resnet18", {}, 17, {"body.conv2_x.1.add": 64, "body.pool1": 64, "body.conv5_x.2.relu": 512}),
        ("densenet121", {}, 29, {"body.block1.concat": 256, "body.transition1.pool": 128, "body.stem.pool": 64}),
    ],
)
def test_every_pool_sum_and_concatenation_can_be_tapped_by_its_name(name, options, size, parts):
    net = build(name, image_size=size, num_classes=10, **options).eval()
    with taps(net, *parts) as tapped, torch.no_grad():
        net(torch.randn(1, 3, size, size))
    assert {part: tap.output.shape[1] for part, tap in tapped.items()} == parts
    kinds = {type(m).__name__ for m in net.modules()}
    assert kinds & {"Concat", "Add"}


def test_a_part_that_answers_with_several_tensors_is_tapped_at_the_first():
    net = made("googlenet").train()
    with taps(net, "body.4a.concat", "aux.4a") as tapped:
        scores = net(torch.randn(2, 3, 79, 79))
    assert torch.equal(tapped["aux.4a"].output, scores.aux[0])

    class Two(nn.Module):
        def forward(self, x: Tensor) -> dict[str, object]:
            return {"n": 3, "a": x + 1, "b": x}

    outer = nn.Sequential(Two())
    with taps(outer, "0") as tapped:
        outer(torch.zeros(2, 2))
    assert torch.equal(tapped["0"].output, torch.ones(2, 2))
