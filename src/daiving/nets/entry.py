"""What the table of nets says of each, and the options that several share. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from daiving.options import Option

# What a paper feeds its net: channels, height = width in pixels, classes
DIGIT, THUMBNAIL, PHOTO, LARGE_PHOTO = (1, 28, 10), (3, 32, 10), (3, 224, 1000), (3, 299, 1000)
HELLO = (5, 6, 5)  # the deck's hihell: symbols, steps, classes


@dataclass(frozen=True)
class Entry:
    where: str  # "module:class", imported only when the net is built
    about: str
    source: str  # the paper, or where else it is from
    family: str  # key of IDEAS: what the net is there to show
    parameters: int  # with the default options, for `home`; a test builds the net and counts
    macs: int  # multiply-adds for one image or sequence, likewise, in evaluation
    # What the paper feeds it; the constructor's defaults. Images: channels, height = width, classes; sequences:
    # symbols, steps, classes.
    home: tuple[int, int, int]
    smallest: int  # pixels, height = width, with the default options; steps of a sequence
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)  # what the name stands for: {"depth": 50}
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # other forms: option -> value
    takes: Literal["images", "sequences"] = "images"


STEM = Option("separable", "first layer: separable as Table 1 counts it, or one 7x7", among=("separable", "full"))
AUX = Option(True, "auxiliary classifiers while it trains")
AUX_POOL = Option("mean5x5", "pool of the auxiliary heads", among=("mean5x5", "adaptive"))
DROPOUT = Option(0.2, "share dropped before the last layer", low=0, high=0.99)
ORDER = Option(
    "figure", "branches join as the figures draw them, or as timm and the authors' code do", among=("figure", "timm")
)
SCALE = Option("0.17-0.10-0.20", "residuals are scaled by this in A, B and C; one number for all, 1 for none")

SHORTCUT = "A pads zero channels, B projects where the shape changes, C projects in every block"
SHORTCUT_A = Option("A", SHORTCUT, among=("A", "B", "C"))
SHORTCUT_B = Option("B", SHORTCUT, among=("A", "B", "C"))
STRIDE_ON = Option(
    "1x1", "where a bottleneck halves: first 1x1 as the paper, or 3x3 as most code", among=("1x1", "3x3")
)
PREACT_STEM = Option(
    "original",
    "norm and ReLU behind conv1 and in the first block; shared: behind conv1 only; bit: first block only",
    among=("original", "shared", "bit"),
)
DEPTH_6N = Option(20, "layers, 6n+2")
OPTION_B = {"torchvision": {"shortcut": "B"}, "timm": {"shortcut": "B"}}
ON_3X3 = {"torchvision": {"stride_on": "3x3"}, "timm": {"stride_on": "3x3"}}
BIT = {"timm": {"stride_on": "3x3", "stem": "bit"}}

DENSE = {
    "growth": Option(32, "channels that each layer adds: k", low=1),
    "compression": Option(0.5, "share of the channels that a transition keeps", low=0.01, high=1),
    "bottleneck": Option(True, "a 1x1 convolution in front of each 3x3"),
    "stem_channels": Option(0, "channels behind the first layer; 0 is the paper's", low=0),
    "stem": Option("7x7", "first layer: one 7x7, or three 3x3", among=("7x7", "deep")),
    "dropout": Option(0.0, "share dropped behind each convolution but the first", low=0, high=0.99),
    "checkpointed": Option(False, "less memory in training: the wide maps are computed again in the backward pass"),
}
DENSE_PRESETS = {"torchvision": {}, "timm": {}}  # the same net as the paper's

RECURRENT = {
    "input": Option(
        "one_hot",
        "a symbol as one 1 among zeros, or as a row of a table that is learnt",
        among=("one_hot", "embedding"),
    ),
    "embedding": Option(
        10, "numbers in a row of that table (input=embedding only)", low=1, needs=("input", "embedding")
    ),
    "hidden": Option(128, "units: what a layer carries from step to step, in each direction", low=1),
    "layers": Option(1, "layers, each of which reads the states of the one below", low=1),
    "bidirectional": Option(False, "a second pass from the end to the beginning, joined to the first"),
    "dropout": Option(0.0, "share dropped between two layers", low=0, high=0.99),
    "output": Option(
        "fc",
        "one linear layer; none: the state is the answer, so hidden = classes; softmax of it, before the loss's own",
        among=("fc", "none", "softmax", "fc_softmax"),
    ),
    "scale": Option(1.0, "logits are multiplied by this; a tanh state alone stays within 1", low=0.01),
    "biases": Option(
        1, "bias vectors a gate: torch and the deck's code have 2, for the input and for the state", among=(0, 1, 2)
    ),
}
GATED = {
    "reset": Option(
        "before",
        "reset the state before its matrix product (Cho 2014, the deck) or after (torch)",
        among=("before", "after"),
    ),
    "update": Option(
        "new", "side that z = 1 takes: the new candidate (the deck) or the old state (torch)", among=("new", "old")
    ),
}
LONG = {
    "forget_bias": Option("1.0", "what the forget gate's bias starts at; none: drawn like the others, as torch does"),
    "peepholes": Option(False, "gates see the cell: Gers, Schraudolph & Schmidhuber 2002"),
    "layer_norm": Option(False, "layer norm of each gate's sums and of the cell: Ba, Kiros & Hinton 2016"),
}
