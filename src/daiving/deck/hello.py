"""The deck's nets for hihell, trained as its code trains them: seed 777, Adam .1, one word a step, a hundred times.

    letters ── one-hot or table ── RNN, 5 units ── [linear] ── [softmax] ── loss, which has a softmax of its own

    none         the state itself is the answer         the deck's first; letter by letter, and as a sequence
    softmax      a softmax of it                        then the loss takes another
    fc           one linear layer
    fc_softmax   both                                   the deck leaves this one out
    embedding    a table of 5 x 10 in front, then fc

These are the nets `rnn`, `gru` and `lstm` of `nets/sequence.py` with two biases a gate, which a torch seed gives the
numbers of torch.nn. What is printed for an epoch is from before its step, as in the deck: epoch 100 has seen 99.
(Lessons 12_2 to 12_4 of hunkim/PyTorchZeroToAll.)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from daiving.nets.sequence import SequenceNet
from daiving.tasks.data import encoded
from daiving.tasks.hello import LETTERS, READ, SAY

SEED, EPOCHS, RATE = 777, 100, 0.1


@dataclass(frozen=True)
class Variant:
    words: str  # as tables have it
    output: Literal["fc", "none", "softmax", "fc_softmax"] = "fc"
    scale: float = 1.0  # of the logits
    more: dict[str, Any] = field(default_factory=dict)  # further options of the net


VARIANTS: Mapping[str, Variant] = {
    "none": Variant("RNN alone", "none"),
    "softmax": Variant("RNN + softmax", "softmax"),
    "fc": Variant("RNN + fc"),
    "fc_softmax": Variant("RNN + fc + softmax", "fc_softmax"),
    "embedding": Variant("embedding + RNN + fc", more={"input": "embedding", "embedding": 10}),
}
# Not in the deck: what tells its causes apart, and the other two cells.
TORCH_GRU = {"cell": "gru", "reset": "after", "update": "old"}
TORCH_LSTM = {"cell": "lstm", "forget_bias": "none"}
BESIDE: Mapping[str, Variant] = {
    "x5": Variant("RNN alone, logits x 5", "none", 5.0),
    "gru": Variant("GRU of torch alone", "none", more=TORCH_GRU),
    "gru_deck": Variant("GRU of the deck alone", "none", more={"cell": "gru"}),
    "lstm": Variant("LSTM of torch alone", "none", more=TORCH_LSTM),
    "gru_fc": Variant("GRU of torch + fc", more=TORCH_GRU),
    "lstm_fc": Variant("LSTM of torch + fc", more=TORCH_LSTM),
    "folded": Variant("one-hot, the embedding's start"),
}
ALL: Mapping[str, Variant] = {**VARIANTS, **BESIDE}


@dataclass(frozen=True)
class Run:
    net: SequenceNet  # as the last step left it
    losses: tuple[float, ...]  # nats, an epoch each; the mean over the letters, or their sum letter by letter
    answers: Tensor  # epochs x letters x classes
    labels: Tensor  # letters

    @property
    def strings(self) -> tuple[str, ...]:
        """What is predicted at each epoch."""
        return tuple(map(spelled, self.answers))

    def letters(self, epoch: int) -> list[float]:
        """The loss of each letter at an epoch (from 1), nats."""
        return F.cross_entropy(self.answers[epoch - 1], self.labels, reduction="none").tolist()


def build(name: str, seed: int = SEED) -> SequenceNet:
    """The net of a variant as torch.manual_seed(seed) draws it; the stream of random numbers is left as it was."""
    variant = ALL[name]
    if name == "folded":
        return folded(build("embedding", seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SequenceNet(hidden=5, biases=2, output=variant.output, scale=variant.scale, **variant.more)


def folded(net: SequenceNet) -> SequenceNet:
    """The one-hot net that computes what a net with a table E does: W (E x) = (W E) x, so its W is the product."""
    weights = net.state_dict()
    table = weights.pop("front.weight")  # symbols x 10
    weights["recurrent.cells.0.W"] = weights["recurrent.cells.0.W"] @ table.T
    other = build("fc").to(table.dtype)
    other.load_state_dict(weights)
    return other


def train(
    net: SequenceNet,
    epochs: int = EPOCHS,
    *,
    read: str = READ,
    say: str = SAY,
    by_letter: bool = False,
    rule: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> Run:
    """Train on one word, all letters at once; or `by_letter`: a call a letter, the state handed on, losses added."""
    x, y = numbers(read)[None], numbers(say)
    optimizer = rule(net.parameters(), RATE)
    forward = one_by_one if by_letter else at_once
    losses, answers = [], []
    for _ in range(epochs):
        answer, loss = forward(net, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        answers.append(answer.detach())
    return Run(net, tuple(losses), torch.stack(answers), y)


@cache
def trained(name: str) -> Run:
    """A variant as the deck trains it."""
    return train(build(name))


def at_once(net: SequenceNet, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Answers, letters x classes, and the mean of their losses."""
    answer = net(x)[0]
    return answer, F.cross_entropy(answer, y)


def one_by_one(net: SequenceNet, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Answers, letters x classes, and the sum of their losses."""
    state, answers, loss = None, [], torch.zeros(())  # as in the deck: loss = 0, then += for each letter
    for i in range(len(y)):
        answer, state = net.forward_from(x[:, i : i + 1], state)
        loss = loss + F.cross_entropy(answer[0], y[i : i + 1])
        answers.append(answer[0, 0])
    return torch.stack(answers), loss


def numbers(word: str) -> Tensor:
    """The letters of a word as the deck numbers them."""
    return torch.from_numpy(encoded(word, LETTERS))


def spelled(answer: Tensor) -> str:
    """The most probable letter of each row."""
    return "".join(LETTERS[i] for i in answer.argmax(dim=-1).tolist())


def lines(run: Run, first: int = 1) -> Iterator[str]:
    """What the deck's code prints, from epoch `first` on."""
    for epoch, (loss, string) in enumerate(zip(run.losses, run.strings, strict=True), 1):
        if epoch >= first:
            yield f"epoch: {epoch}, loss: {loss:1.3f}"
            yield f"Predicted string: {string}"


def turning_points(strings: tuple[str, ...], say: str = SAY) -> tuple[int | None, int | None]:
    """The first epoch at which the string is right, and the last at which it is wrong; None where there is none."""
    right = [epoch for epoch, string in enumerate(strings, 1) if string == say]
    wrong = [epoch for epoch, string in enumerate(strings, 1) if string != say]
    return (right[0] if right else None), (wrong[-1] if wrong else None)
