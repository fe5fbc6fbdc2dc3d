"""The table of nets, in the order in which a learner should meet them. Listing them needs no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daiving.errors import unknown
from daiving.nets.ideas import IDEAS as IDEAS
from daiving.options import Option, settle

DIGIT, THUMBNAIL, PHOTO, LARGE_PHOTO = (1, 28, 10), (3, 32, 10), (3, 224, 1000), (3, 299, 1000)


@dataclass(frozen=True)
class Entry:
    where: str  # "module:class", imported only when the net is built
    about: str
    source: str  # the paper, or where else it is from
    family: str  # key of IDEAS: what the net is there to show
    parameters: int  # with the default options, for `home`; a test builds the net and counts
    macs: int  # multiply-adds for one image, likewise, in evaluation
    home: tuple[int, int, int]  # channels, height = width, classes: what the paper feeds it; the constructor's defaults
    smallest: int  # pixels, height = width, with the default options
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)  # what the name stands for: {"depth": 50}
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # other forms: option -> value


STEM = Option("separable", "first layer: separable as Table 1 counts it, or one 7x7", among=("separable", "full"))
AUX = Option(True, "auxiliary classifiers while it trains")

NETS: Mapping[str, Entry] = {
    "majority": Entry(
        "daiving.nets.baseline:Majority", "looks at nothing: learns how frequent each class is",
        "the floor for every accuracy", "baseline", 10, 0, DIGIT, 1,
    ),
    "logistic": Entry(
        "daiving.nets.baseline:Logistic", "logistic regression: one linear layer on the pixels",
        "Cox 1958", "baseline", 7_850, 7_840, DIGIT, 1,
    ),
    "mnist_inception": Entry(
        "daiving.nets.mnist_inception:MnistInception", "the lecture's Inception net for digits, with or without its jump",
        "the deck; hunkim/PyTorchZeroToAll 11_1", "inception", 97_298, 6_019_200, DIGIT, 16,
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
    "googlenet": Entry(
        "daiving.nets.googlenet:GoogLeNet", "Inception v1: nine modules, two auxiliary heads",
        "arXiv 1409.4842, Table 1", "inception", 13_371_584, 1_498_677_248, PHOTO, 79,
        {
            "stem": STEM,
            "kernel5": Option(5, "kernel of the large branch", among=(5, 3)),
            "norm": Option("lrn", "local response norm behind the stem, or batch norm everywhere", among=("lrn", "bn")),
            "pool4": Option(3, "kernel of the pool before 5a", among=(3, 2)),
            "dropout": Option(0.4, "share dropped before the last layer"),
            "aux": AUX,
            "aux_pool": Option("mean5x5", "pool of the auxiliary heads", among=("mean5x5", "adaptive")),
            "module": Option("reduced", "figure 2(b) or 2(a)", among=("reduced", "naive")),
        },
        presets={
            "caffe": {"stem": "full"},
            "torchvision": {
                "stem": "full", "kernel5": 3, "norm": "bn", "pool4": 2, "dropout": 0.2, "aux_pool": "adaptive"
            },
        },
    ),
}  # fmt: skip


def presets(net: str) -> list[str]:
    """The names that `preset` may have for a net of the table: the paper's form, and other libraries'."""
    return ["paper", *NETS[net].presets]


def settled(net: str, given: Mapping[str, Any], also: Iterable[str] = ()) -> dict[str, Any]:
    """Every option of a net of the table: those given, then those of its `preset`, then the paper's.

    `also` are further names that the caller knows, for the did-you-mean. Raises `FixableError` for an unknown net,
    option or preset, and for a value that does not fit.
    """
    if net not in NETS:
        raise unknown("net", net, NETS, fix="see `daiving nets`, or name your own: path/to/file.py:Class.")
    entry, given = NETS[net], dict(given)
    preset = str(given.pop("preset", "paper"))
    if preset not in presets(net):
        raise unknown(f"preset of '{net}'", preset, presets(net))
    for key in given:
        if key not in entry.options:
            raise unknown(
                f"option of '{net}'" + (" or recipe field" if also else ""), key, [*entry.options, "preset", *also]
            )
    return settle("net", net, {**entry.presets.get(preset, {}), **given}, entry.options)
