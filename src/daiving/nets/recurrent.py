"""A cell through time: stacked, in one direction or both, over sequences of different lengths.

    layer 1, forwards     h₁ → h₂ → h₃ → …     reads what layer 0 joins: its h of both directions, side by side

    layer 0, backwards    h₁ ← h₂ ← h₃ ← …     if it is bidirectional
    layer 0, forwards     h₁ → h₂ → h₃ → …
                          x₁   x₂   x₃   …

Bidirectional: Schuster & Paliwal, 1997. Dropout between layers only, never through time: Zaremba, Sutskever & Vinyals,
2014, https://arxiv.org/abs/1409.2329.

Lengths cost no mask inside the fast loop. Padding lies behind a sequence's end, where no real step can read it; the
direction that runs backwards gets each sequence turned round by itself, so that its padding is behind it too. What the
padding gives is replaced by zeros, and the last state is that of each sequence's own last step: every number and every
gradient is what the sequence alone would have. A cell that runs step by step is only given the sequences that go on,
for who knows what it makes of padding.

A cell of the three families takes the fast path of `engine.py`; any other module that keeps to the rule of `cells.py`
runs step by step: `cell(x, *state)` answers with the next state, then whatever else there is to see. Both give the same
numbers.

Legend: `n` sequences, `t` steps, `in` features, `hid` of the state, `d` 1 or 2 directions, `l` layers.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets import axes, engine, padding
from daiving.nets.loops_parts import at_end

State = tuple[Tensor, ...]


class Through(NamedTuple):
    """What comes out of a recurrent net; with `batch_first=False` the axes n and t change places."""

    outputs: Float[Tensor, "n t d_hid"]  # h of the top layer, the directions joined; zeros behind a sequence's end
    state: tuple[Float[Tensor, "l_d n hid"], ...]  # behind each sequence's own last step: h, or h and c
    steps: tuple[tuple[Tensor, ...], ...]  # of each layer and direction, n x t x hid a field; empty if not asked for


class Recurrent(nn.Module):
    """Cells through time.

    `cell` makes a cell from (n_in, n_hid): `GRU`, `partial(GRU, reset="after")`, or a module of your own. `batch_first`
    says which of the first two axes of `x`, outputs and steps is the sequences'; the state is l·d x n x hid in any
    case, as in torch. `dropout` is the share of a layer's output that the next layer does not see. `fast=False` runs
    every cell step by step.

    Raises `FixableError` for shapes that do not fit one another, for lengths outside 1..t, and for options out of
    range.
    """

    def __init__(
        self,
        cell: Callable[[int, int], nn.Module],
        n_in: int,
        n_hid: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        batch_first: bool = True,
        fast: bool = True,
    ) -> None:
        super().__init__()
        if type(layers) is not int or layers < 1 or not 0 <= dropout < 1:
            raise FixableError(
                f"A recurrent net cannot have layers={layers!r} and dropout={dropout!r}.",
                expected="one layer or more, and a dropout from 0 to below 1.",
                fix="leave both out to get one layer without dropout.",
            )
        self.n_in, self.n_hid, self.layers, self.directions = n_in, n_hid, layers, 1 + bidirectional
        self.dropout, self.batch_first, self.fast = dropout, batch_first, fast
        sizes = [n_in] + [n_hid * self.directions] * (layers - 1)
        self.cells = nn.ModuleList(cell(size, n_hid) for size in sizes for _ in range(self.directions))
        for one in self.cells:
            if getattr(one, "n_hid", n_hid) != n_hid:
                raise FixableError(
                    f"The cell carries {one.n_hid} numbers, and was asked for {n_hid}.",
                    expected="a cell that is made as cell(n_in, n_hid) and keeps to both.",
                    fix="choose the size of the state by the net's n_hid alone.",
                )

    def forward(
        self,
        x: Float[Tensor, "_ _ in"],
        state: State | Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        *,
        gates: bool = False,
    ) -> Through:
        axes.check_input(x, self.n_in, self.batch_first, next(self.cells.parameters(), None))
        states = self.states(state, x)
        x = x.transpose(0, 1) if self.batch_first else x  # t n in
        behind = turned = None
        if lengths is not None:
            lengths = axes.check_lengths(lengths, len(x), x.shape[1], self.batch_first)
            turned, behind = (
                one.t()[:, :, None] for one in padding.turned(lengths, len(x))
            )  # t n 1; where from, is over
            x = x.masked_fill(behind, 0)  # whatever lies there, NaN too, must not reach a gradient
        last, steps = [], []
        for layer in range(self.layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            heard = []
            for place in range(layer * self.directions, (layer + 1) * self.directions):
                backwards = self.directions == 2 and place % 2 == 1
                read = turn(x, turned) if backwards else x
                hs, end, seen, kind = self.run(self.cells[place], read, states[place], lengths, gates)
                if backwards:
                    hs, *seen = (turn(one, turned) for one in (hs, *seen))
                if behind is not None:
                    hs, *seen = (one.masked_fill(behind, 0) for one in (hs, *seen))
                heard.append(hs)
                last.append(end)
                if gates:
                    seen = [one.transpose(0, 1) for one in seen] if self.batch_first else seen
                    steps.append(kind(*seen) if hasattr(kind, "_fields") else tuple(seen))
            x = heard[0] if self.directions == 1 else torch.cat(heard, dim=2)
        outputs = x.transpose(0, 1) if self.batch_first else x
        return Through(outputs, tuple(joined(one) for one in zip(*last, strict=True)), tuple(steps))

    def run(
        self, cell: nn.Module, x: Tensor, state: State, lengths: Tensor | None, gates: bool
    ) -> tuple[Tensor, State, list[Tensor], type]:
        """One cell over t x n x in: h of every step; the state behind each sequence's last; if `gates`, all that a step
        shows; and the step's type."""
        if self.fast and not gates and engine.runs(cell, x, state):
            return *engine.through_time(cell, x, state, lengths), [], tuple
        shown = list(step_by_step(cell, x, state, lengths))
        fields = list(zip(*shown, strict=True))
        seen = [torch.stack(field) for field in (fields if gates else fields[: len(state)])]
        last = tuple(one[-1] if lengths is None else at_end(one, lengths) for one in seen[: len(state)])
        return seen[0], last, seen if gates else [], type(shown[0])

    def states(self, given: State | Tensor | None, x: Tensor) -> list[State]:
        """The first state of each cell: the given one, checked, or the cell's own."""
        n = x.shape[0 if self.batch_first else 1]
        if given is None:
            return [first_state(cell, x, n, self.n_hid) for cell in self.cells]
        given = (given,) if isinstance(given, Tensor) else tuple(given)
        wanted = len(first_state(self.cells[0], x, n, self.n_hid))
        axes.check_state(given, wanted, (len(self.cells), n, self.n_hid), x, self.batch_first)
        weight = next(self.cells.parameters(), x)
        if torch.is_autocast_enabled("cpu"):
            given = tuple(one.to(weight.dtype) for one in given)
        axes.check_kind(given, weight)
        return list(zip(*given, strict=True))


def first_state(cell: nn.Module, x: Tensor, n: int, n_hid: int) -> State:
    """What the cell starts from; zeros for a cell that does not say, one for each argument behind x."""
    start: Callable[[int], State] | None = getattr(cell, "start", None)
    if start is not None:
        return start(n)
    taken = [p for p in inspect.signature(cell.forward).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    carried = sum(p.default is p.empty or p.default is None for p in taken[1:])
    return tuple(x.new_zeros(n, n_hid) for _ in range(carried))


def step_by_step(cell: nn.Module, x: Tensor, state: State, lengths: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
    """What each step shows, the next state first. A sequence that is over keeps its state and shows nothing."""
    carried, step = len(state), state
    # Where tensors have no values, the padding is run through as well: whoever follows the operations masks it.
    blind = not padding.known(x)
    for t, one in enumerate(x.unbind(0)):
        going = None if lengths is None or blind else (lengths > t).nonzero()[:, 0]
        if going is None or len(going) == len(one):
            step = checked(cell, cell(one, *state), state)
        elif len(going):
            some = tuple(part[going] for part in state)
            part_of = checked(cell, cell(one[going], *some), some)
            before = [*state, *(part.new_zeros(len(one), *part.shape[1:]) for part in part_of[carried:])]
            step = tuple(old.index_copy(0, going, new) for old, new in zip(before, part_of, strict=True))
        else:
            step = (*state, *(torch.zeros_like(part) for part in step[carried:]))
        state = tuple(step[:carried])
        yield step


def checked(cell: nn.Module, step: Any, state: State) -> tuple[Tensor, ...]:
    """What a cell answers, as a tuple; raises `FixableError` unless the next state comes first."""
    parts = step if isinstance(step, tuple) else (step,)
    good = len(parts) >= len(state) > 0 and all(isinstance(part, Tensor) for part in parts)
    if good and all(new.shape == old.shape for new, old in zip(parts, state, strict=False)):
        return parts
    said = ", ".join(axes.shape(one) if isinstance(one, Tensor) else f"a {type(one).__name__}" for one in parts)
    wanted = ", ".join(map(axes.shape, state)) or "at least one tensor"
    raise FixableError(
        f"The cell {type(cell).__name__} answers a step with {said}.",
        expected=f"the next state first, in the order in which it is taken: {wanted}.",
        fix="write forward(self, x, h), or with more parts of a state behind h, and answer with as many first.",
    )


def joined(states: tuple[Tensor, ...]) -> Tensor:
    """One tensor of a state from those of all cells."""
    return torch.stack(states) if len(states) > 1 else states[0][None]


def turn(x: Tensor, places: Tensor | None) -> Tensor:
    """t x n x …, each sequence the other way round: all of it, or by `places` with its padding left behind it."""
    return x.flip(0) if places is None else x.gather(0, places.expand_as(x))
