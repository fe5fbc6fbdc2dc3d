"""What `look` sees in a recurrent net, as plain values: equations and pictures are made from these. No torch here."""

import math
from dataclasses import dataclass

FAMILIES = ("RNN", "GRU", "LSTM")
FADED = 0.01  # of the gradient at the last step: what is below is taken to be forgotten


@dataclass(frozen=True)
class CellNode:
    """One cell: of one layer in one direction."""

    layer: int
    direction: int  # 0 from the first step to the last, 1 from the last to the first
    n_in: int
    n_hid: int
    weights: tuple[tuple[str, tuple[int, ...]], ...]  # names in the cell, and shapes
    macs: int  # multiply-adds of one step

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for _, shape in self.weights)


@dataclass(frozen=True)
class Rolled:
    """A recurrent net before it is unrolled: its cells, and what stands in front of them and behind."""

    family: str  # one of FAMILIES, or the class of a user's own cell
    cells: tuple[CellNode, ...]  # layer by layer, forwards before backwards
    layers: int
    directions: int  # 1 or 2
    steps: int
    front: str  # what turns a symbol into numbers: "one-hot, 5"; empty where that is not known
    head: str  # what answers: "linear, 5"; empty where the state itself is the answer
    each_step: bool  # an answer at each step, not one for the whole sequence
    letters: tuple[str, ...] = ()  # one a step, where there is a text
    dropout: float = 0.0  # between layers
    biases: int = 1  # of a gate: 0, 1 or 2
    reset: str = "before"  # of a GRU, as in `nets.cells`
    update: str = "new"
    peepholes: bool = False  # of an LSTM
    layer_norm: bool = False

    @property
    def states(self) -> str:
        """What goes from one step to the next."""
        return "h, c" if self.family == "LSTM" else "h" if self.family in FAMILIES else "its state"

    @property
    def start(self) -> str:
        """What the state is before the first step."""
        learnt = any(name == "first" for cell in self.cells for name, _ in cell.weights)
        return "the first state is learnt" if learnt else "zeros" if self.family in FAMILIES else "the first state"

    @property
    def row_names(self) -> tuple[str, ...]:
        """The gates in the order in which their rows stand in W, U and b."""
        return {"GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}.get(self.family, ())


@dataclass(frozen=True)
class Seen:
    """One quantity of one cell at every step of one sequence, as it was computed."""

    name: str  # a field of the cell's step: h, c, i, f …
    layer: int
    direction: int
    values: tuple[tuple[float, ...], ...]  # steps x units

    @property
    def cell(self) -> tuple[int, int]:
        return self.layer, self.direction

    @property
    def largest(self) -> float:
        return max((abs(value) for step in self.values for value in step), default=0.0)


@dataclass(frozen=True)
class Fading:
    """The gradient's norm by distance from the end; the mean over sequences, then over nets (seeds)."""

    name: str
    mean: tuple[float, ...]  # at 0, 1, 2 … steps back
    low: tuple[float, ...]  # the net with the least, and that with the most
    high: tuple[float, ...]
    sequences: int
    nets: int

    @property
    def share(self) -> tuple[float, ...]:
        """Of the gradient at the last step."""
        return tuple(value / self.mean[0] if self.mean[0] else math.nan for value in self.mean)

    @property
    def length(self) -> int | None:
        """The memory length in steps: the first distance from which on the gradient stays at or below 1 % of that at
        distance 0. None where the sequences are too short to see it fall so far."""
        length = None
        for distance, share in reversed(list(enumerate(self.share))):
            if not share <= FADED:
                break
            length = distance
        return length


def where(layer: int, direction: int, directions: int) -> str:
    """A cell's place in words."""
    return f"layer {layer}" + (f", {('forwards', 'backwards')[direction]}" if directions == 2 else "")


def printable(letter: str) -> str:
    """A symbol as it can be drawn: space, tab and end of line have signs of their own."""
    signs = {" ": "␣", "\n": "↵", "\t": "⇥"}
    return "".join(signs.get(one, one if one.isprintable() else "·") for one in letter)
