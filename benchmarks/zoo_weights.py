"""Do our nets compute what torchvision's and timm's compute, given their weights?

    python benchmarks/zoo_weights.py [--only inception_v4,resnet50] [--seed 1]

Each of theirs is built with random weights and random statistics of its batch norms, so that nothing agrees by being 0
or 1. Its state dict goes to a temporary file, as a downloaded one would lie there; ours is built from that file, with
the preset of that library. Both see the same random image, in evaluation, on one thread. A line for each net: the
largest difference of any logit beside the largest logit. Exit code 1 if a difference is above 1e-4 of that. Nothing is
downloaded.
"""

import argparse
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from common import about_the_machine
from daiving import build
from daiving.nets import NETS

BOUND = 1e-4  # of the largest logit
MISSING = """{} cannot be imported here, and this compares daiving's nets with those of torchvision and timm.
Expected are torchvision 0.29.1 and timm, beside torch 2.14.1, which that torchvision is made for.
In an environment of its own, do: pip install torch==2.14.1 torchvision==0.29.1 timm, then pip install -e . here."""


class Peer(NamedTuple):
    library: str  # its name is that of our preset
    ours: str
    theirs: str
    needs: Mapping[str, bool] = {}  # for their constructor


OWN_START = {"init_weights": False}  # their initialisation of these takes long, and is drawn over
PEERS = (
    Peer("torchvision", "googlenet", "googlenet", OWN_START),
    Peer("torchvision", "inception_v3", "inception_v3", OWN_START),
    Peer("torchvision", "resnet18", "resnet18"),
    Peer("torchvision", "resnet50", "resnet50"),
    Peer("torchvision", "densenet121", "densenet121"),
    Peer("timm", "inception_v3", "inception_v3"),
    Peer("timm", "inception_v4", "inception_v4"),
    Peer("timm", "inception_resnet_v2", "inception_resnet_v2"),
    Peer("timm", "preact_resnet50", "resnetv2_50"),
    Peer("timm", "densenet264", "densenet264d"),
)


def made(peer: Peer) -> nn.Module:
    """Their net, every tensor random: some libraries start the last layer of a residual with zeros."""
    library = importlib.import_module("torchvision.models" if peer.library == "torchvision" else "timm.models")
    net = getattr(library, peer.theirs)(**peer.needs)
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        elif isinstance(m, nn.BatchNorm2d):
            for t in (m.weight, m.running_var):
                nn.init.uniform_(t, 0.5, 1.5)
            for t in (m.bias, m.running_mean):
                nn.init.normal_(t, 0, 0.1)
    return net.eval()


@torch.no_grad()
def answers(peer: Peer, folder: Path) -> tuple[Tensor, Tensor]:
    """Their logits and ours for one image of the size that the net is for."""
    theirs = made(peer)
    file = folder / f"{peer.library}-{peer.theirs}.pth"
    torch.save(theirs.state_dict(), file)
    ours = build(peer.ours, weights=file, preset=peer.library).eval()
    file.unlink()
    channels, size, _ = NETS[peer.ours].home
    image = torch.randn(1, channels, size, size)
    return theirs(image), ours(image)


def main() -> None:
    missing = [library for library in ("torchvision", "timm") if importlib.util.find_spec(library) is None]
    if missing:
        print(MISSING.format(" and ".join(missing)), file=sys.stderr)
        sys.exit(2)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of our nets, with commas between (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and images (default 1)")
    flags = parser.parse_args()
    only = flags.only.split(",") if flags.only else sorted({peer.ours for peer in PEERS})
    if unknown := set(only) - {peer.ours for peer in PEERS}:
        parser.error(f"nothing to compare with {', '.join(sorted(unknown))}")
    print(about_the_machine())
    print(", ".join(f"{library} {importlib.import_module(library).__version__}" for library in ("torchvision", "timm")))
    print(f"{'library':<12} {'net':<20} {'difference':>10} {'logit':>8}")
    above = 0
    with tempfile.TemporaryDirectory() as folder:
        for peer in (peer for peer in PEERS if peer.ours in only):
            torch.manual_seed(flags.seed)
            theirs, ours = answers(peer, Path(folder))
            difference, largest = (theirs - ours).abs().max().item(), theirs.abs().max().item()
            wrong = not difference <= BOUND * largest  # so that nan is wrong
            above += wrong
            print(f"{peer.library:<12} {peer.ours:<20} {difference:>10.1e} {largest:>8.2g}{'  ABOVE' * wrong}")
    print(f"{above} above {BOUND:g} of the largest logit" if above else f"all within {BOUND:g} of the largest logit")
    sys.exit(above > 0)


if __name__ == "__main__":
    main()
