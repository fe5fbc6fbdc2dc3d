"""What `look` sees in a net: a tree of plain values that tables, pages and diagrams are made from. No torch here."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One module, or a path through several, as one batch went through it. Shapes are without the batch axis."""

    name: str  # dotted name in the net, "" for the net itself; a path has its first module's
    label: str  # what it is, for people: "3x3 conv, 64", "max pool 3x3 /2"; the last part of the name for a block
    kind: str  # "leaf", "chain" (one after the other), "branches", "residual", "dense"
    # What it does: a key of ROLES for a leaf, and "conv" for convolution, norm and activation one behind the other,
    # which are one box to a reader though they have parts; "block" for all else that has parts.
    role: str
    type: str  # class of the module
    taken: tuple[int, ...]  # shape that it reads: c h w
    given: tuple[int, ...]  # shape that it answers with
    parameters: int
    macs: int  # multiply-adds for one image, evaluation mode
    saved: int  # bytes kept for the backward pass of one image, training mode, float32; tensors count where first kept
    # In order of execution. A chain: its parts. A "branches", "residual" or "dense": one node an arm, in the paper's
    # order, and last the node that joins them, if there is one.
    children: tuple["Node", ...] = ()
    aux: bool = False  # runs in training only

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, from the top."""
        yield self
        for child in self.children:
            yield from child.walk()


# The deck's legend (claim 9) and what else there is: role -> words
ROLES = {
    "conv": "Convolution",
    "mean": "AvgPool",
    "max": "MaxPool",
    "concat": "Concat",
    "add": "Add",
    "dropout": "Dropout",
    "linear": "Fully connected",
    "norm": "Normalisation",
    "relu": "Activation",
    "identity": "Identity",
    "input": "Input",
    "other": "Other",
}
