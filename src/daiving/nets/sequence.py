"""Nets for sequences of symbols: letters in front, a recurrent net in the middle, an answer behind.

    x, symbols' numbers ── front ── recurrent ── head ── softmax? ── logits
                           one-hot   RNN, GRU     linear,
                           or table  or LSTM      or nothing

    each_step       every step's output goes through the head: label each step, or say which symbol comes next
    not each_step   the state behind each sequence's last step does, both directions joined: one class a sequence

The cells' papers are in `cells.py`; Elman's output layer (the lecture's V and c) is `head` here. The lecture's
variants, from its hihell nets (lessons 12_2 to 12_4 of hunkim/PyTorchZeroToAll), are options: `output` is none (the
state itself is the answer), softmax, fc or fc_softmax, and `input=embedding`. With `preset=torch` they draw torch.nn's
numbers, in its order: embedding, recurrent net, linear layer.

Where this leaves the papers: a softmax of the net's own (output=softmax, fc_softmax) stands before the one that the
loss has, as in the lecture, where it is a mistake worth seeing. A table of embeddings is trained with the rest.
Padding, -1 behind a sequence's end, changes no answer and no gradient.

Legend: `n` sequences, `t` steps, `sym` symbols, `hid` features of the state, `d` 1 or 2 directions.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from daiving.errors import FixableError, unknown
from daiving.nets import padding
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent, State, Through

Logits = Float[Tensor, "n classes"] | Float[Tensor, "n t classes"]


class OneHot(nn.Module):
    """A symbol as one 1 among zeros; padding, -1, as zeros alone."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        # Whole numbers, which no change of the number format rounds: bfloat16 has no 257.
        self.register_buffer("numbers", torch.arange(symbols), persistent=False)

    def forward(self, x: Integer[Tensor, "n t"]) -> Float[Tensor, "n t sym"]:
        return (x[:, :, None] == self.numbers).to(torch.get_default_dtype())


class SequenceNet(nn.Module):
    """From sequences of symbols, n x t, to a class a sequence or, with `each_step`, a class a step.

    Its parts: `front` (one-hot or a table), `recurrent` (a `Recurrent`), `head` (a linear layer, or an identity).
    Raises `FixableError` for options that there are not or that do not fit each other, and for sequences that it cannot
    read: not n x t whole numbers, no symbol at all, or one that there is not.
    """

    def __init__(
        self,
        *,
        cell: Literal["rnn", "gru", "lstm"] = "rnn",
        input: Literal["one_hot", "embedding"] = "one_hot",
        embedding: int = 10,
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output: Literal["fc", "none", "softmax", "fc_softmax"] = "fc",
        scale: float = 1.0,
        biases: int = 1,
        reset: Literal["before", "after"] = "before",
        update: Literal["new", "old"] = "new",
        forget_bias: str = "1.0",
        peepholes: bool = False,
        layer_norm: bool = False,
        num_symbols: int = 5,
        num_classes: int = 5,
        each_step: bool = True,
    ) -> None:
        super().__init__()
        check_options(cell, input, output, num_symbols, num_classes)
        self.num_symbols, self.num_classes, self.each_step = num_symbols, num_classes, each_step
        self.scale, self.softmax = scale, output in ("softmax", "fc_softmax")
        one_hot, has_fc, states = input == "one_hot", output in ("fc", "fc_softmax"), hidden * (1 + bidirectional)
        if not has_fc and states != num_classes:
            raise no_answer(cell, output, hidden, bidirectional, num_classes)
        make: Callable[[int, int], nn.Module] = {
            "rnn": partial(RNN, biases=biases),
            "gru": partial(GRU, reset=reset, update=update, biases=biases),
            "lstm": partial(
                LSTM, forget_bias=number(forget_bias), peepholes=peepholes, layer_norm=layer_norm, biases=biases
            ),
        }[cell]
        # In this order: a torch seed gives what torch.nn.Embedding, .RNN and .Linear give one behind the other.
        self.front = OneHot(num_symbols) if one_hot else nn.Embedding(num_symbols, embedding)
        self.recurrent = Recurrent(
            make,
            num_symbols if one_hot else embedding,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.head = nn.Linear(states, num_classes) if has_fc else nn.Identity()

    def forward(self, x: Integer[Tensor, "n t"]) -> Logits:
        return self.answer(self.through(x))

    def steps(self, x: Integer[Tensor, "n t"]) -> tuple[Logits, Through]:
        """The answer, and the states and gates of every step, layer and direction, for whoever looks inside."""
        through = self.through(x, gates=True)
        return self.answer(through), through

    def forward_from(self, x: Integer[Tensor, "n t"], state: State | None = None) -> tuple[Logits, State]:
        """The answer for a part of a sequence that goes on from `state`, and the state to go on from behind it.

        `state` is as `Recurrent` has it, None at the beginning. Raises `FixableError` for a bidirectional net.
        """
        if self.recurrent.directions == 2:
            raise FixableError(
                "A bidirectional net cannot read a sequence in parts: its second pass begins at the end.",
                expected="a net with bidirectional=false.",
                fix="train one with bidirectional=false, or give the whole sequence at once.",
            )
        through = self.through(x, state)
        return self.answer(through), through.state

    def through(self, x: Tensor, state: State | None = None, *, gates: bool = False) -> Through:
        x = padding.whole(x, "sequence")
        lengths = lengths_of(x, self.num_symbols)
        if isinstance(self.front, OneHot):
            read = self.front(x).to(next(self.recurrent.parameters()).dtype)
        else:  # padding, -1, has no row in the table: it gets the first one, which nothing reads
            read = self.front(x.clamp(min=0))
        return self.recurrent(read, state, lengths, gates=gates)

    def answer(self, through: Through) -> Tensor:
        if self.each_step:
            read = through.outputs  # n t d_hid
        else:  # the top layer's last d rows of l_d x n x hid
            read = torch.cat(through.state[0][-self.recurrent.directions :].unbind(0), dim=1)
        logits = self.head(read)
        logits = logits if self.scale == 1 else logits * self.scale
        return logits.softmax(dim=-1) if self.softmax else logits

    def extra_repr(self) -> str:
        return f"each_step={self.each_step}, scale={self.scale}, softmax={self.softmax}"


def lengths_of(x: Tensor, symbols: int) -> Tensor | None:
    """How many symbols each sequence has; None where no sequence has padding, which costs less.

    Values are looked at only where there are any to look at: in a compiled program and under torch.func every sequence
    may have padding, on the meta device none has. Raises `FixableError` for a sequence that is none.
    """
    if x.is_meta:
        return None
    lengths = (x >= 0).sum(dim=1)
    if not padding.known(x):
        return lengths
    lowest, highest = map(int, torch.aminmax(x)) if x.numel() else (-1, -1)
    shortest = int(lengths.min()) if x.numel() else 0
    if lowest < -1:
        raise FixableError(
            f"A sequence has the symbol number {lowest}.",
            expected=f"numbers from 0 to {symbols - 1}, and -1 behind the end.",
            fix="number the symbols from 0, and write -1 for padding.",
        )
    if shortest < 1:
        raise FixableError(
            "A sequence has no symbol in it.",
            expected="sequences of one symbol or more, each with its padding (-1) behind its end.",
            fix="leave empty sequences out.",
        )
    if highest >= symbols:
        raise FixableError(
            f"A sequence has the symbol number {highest}.",
            expected=f"numbers from 0 to {symbols - 1}: it was built for {symbols} symbols; and -1 behind the end.",
            fix=f"build it with num_symbols={highest + 1}, or number the symbols as the task does.",
        )
    if shortest == x.shape[1]:
        return None
    padding.check_ends(x, "sequence")
    return lengths


def check_options(cell: str, input: str, output: str, num_symbols: int, num_classes: int) -> None:
    for name, value, among in (
        ("cell", cell, ("rnn", "gru", "lstm")),
        ("input", input, ("one_hot", "embedding")),
        ("output", output, ("fc", "none", "softmax", "fc_softmax")),
    ):
        if value not in among:
            raise unknown(f"{name} of a net of sequences", str(value), among)
    for name, value in (("num_symbols", num_symbols), ("num_classes", num_classes)):
        if type(value) is not int or value < 1:
            raise FixableError(
                f"A net of sequences cannot have {name}={value!r}.",
                expected="a whole number from 1: how many there are.",
                fix="count them in the task; build() takes both numbers from there.",
            )


def no_answer(cell: str, output: str, hidden: int, bidirectional: bool, classes: int) -> FixableError:
    both = " in each of two directions" if bidirectional else ""
    return FixableError(
        f"The net '{cell}' with output={output} has {hidden} hidden units{both}, and there are {classes} classes.",
        expected=f"as many units as classes, {classes}: without a last layer the state itself is the answer.",
        fix=f"write hidden={classes}{',bidirectional=false' if bidirectional else ''}, or output=fc.",
    )


def number(text: str) -> float | None:
    """The forget gate's bias as it was typed; None for "none"."""
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise FixableError(
            f"The net 'lstm' cannot have forget_bias={text}.",
            expected="a number, or none to draw it as the other biases are drawn.",
            fix="leave forget_bias out to get 1.0.",
        ) from None
