"""The table of nets, in the order in which a learner should meet them. Listing them needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from daiving.options import Option


@dataclass(frozen=True)
class Entry:
    where: str  # "module:function", imported only when the net is built
    about: str
    source: str  # the paper, or where else it is from
    parameters: int  # with the default options, 1 channel, 10 classes, 28x28; a test builds the net and counts
    macs: int  # multiply-adds for one image, likewise
    options: Mapping[str, Option]


NETS: Mapping[str, Entry] = {
    "majority": Entry(
        "daiving.nets.baseline:Majority",
        "looks at nothing: learns how frequent each class is",
        "the floor for every accuracy",
        10,
        0,
        {},
    ),
    "logistic": Entry(
        "daiving.nets.baseline:Logistic",
        "logistic regression: one linear layer on the pixels",
        "Cox 1958",
        7_850,
        7_840,
        {},
    ),
    "mnist_inception": Entry(
        "daiving.nets.mnist_inception:MnistInception",
        "the lecture's Inception net for digits, with or without its jump",
        "the deck; hunkim/PyTorchZeroToAll 11_1",
        97_298,
        6_019_200,
        {
            "jump": Option(False, "the deck's conv3: a 9x9 convolution past conv2 and incept2"),
            "activation": Option(
                "none", "after each convolution of a module; none as in the deck", among=("none", "relu")
            ),
            "module": Option(
                "reduced", "with 1x1 convolutions in front, or without: the deck's figures b and a",
                among=("reduced", "naive"),
            ),
        },
    ),
}  # fmt: skip
