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
from jaxtyping import Float, Int
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent, State, Through

Logits = Float[Tensor, "n classes"] | Float[Tensor, "n t classes"]


class OneHot(nn.Module):
    """A symbol as one 1 among zeros; padding, -1, as zeros alone."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        # Floats, so that the answer has the number format that the net was brought to.
        self.register_buffer("numbers", torch.arange(symbols, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Int[Tensor, "n t"]) -> Float[Tensor, "n t sym"]:
        return (x[:, :, None] == self.numbers).to(self.numbers.dtype)


class SequenceNet(nn.Module):
    """From sequences of symbols, n x t, to a class a sequence or, with `each_step`, a class a step.

    Its parts: `front` (one-hot or a table), `recurrent` (a `Recurrent`), `head` (a linear layer, or an identity).
    Raises `FixableError` for options that do not fit each other, and for sequences that it cannot read: no symbol at
    all, or one that there is not.
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

    def forward(self, x: Int[Tensor, "n t"]) -> Logits:
        return self.answer(self.through(x))

    def steps(self, x: Int[Tensor, "n t"]) -> tuple[Logits, Through]:
        """The answer, and the states and gates of every step, layer and direction, for whoever looks inside."""
        through = self.through(x, gates=True)
        return self.answer(through), through

    def forward_from(self, x: Int[Tensor, "n t"], state: State | None = None) -> tuple[Logits, State]:
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
        lengths = lengths_of(x, self.num_symbols)
        # Padding, -1, has no row in the table: it gets the first one, which nothing reads.
        read = self.front(x if isinstance(self.front, OneHot) else x.clamp(min=0))
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

    Values are looked at only where there are any to look at: on the meta device, in an exported program and under
    torch.func every sequence may have padding. Raises `FixableError` for a sequence that is none.
    """
    if x.is_meta:
        return None
    lengths = (x >= 0).sum(dim=1)
    if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x):
        return lengths
    shortest, highest = (int(lengths.min()), int(x.max())) if x.numel() else (0, -1)
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
    if bool(((x[:, :-1] < 0) & (x[:, 1:] >= 0)).any()):
        raise FixableError(
            "A sequence goes on behind its padding.",
            expected="all symbols of a sequence first, then nothing but -1.",
            fix="move the padding to the end of each sequence.",
        )
    return lengths


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
