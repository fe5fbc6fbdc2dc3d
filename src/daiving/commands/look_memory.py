"""daiving look --form memory: how the gradient fades through time, of untrained nets and of a trained run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from daiving.commands.named_net import Named
from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.options import show

if TYPE_CHECKING:
    from daiving.memory import Fading

SEQUENCES, SEEDS = 32, 5  # of untrained nets: random sequences, and draws of the weights
TESTED = 256  # sequences of a run's test split, at the most


def memory(nets: Sequence[Named], seed: int, run: Path | None) -> tuple[str, Callable[[], str]]:
    """The numbers as text, and the curve, which is drawn when it is asked for. `run` is a trained net's folder."""
    from daiving.show.memory_curve import memory_svg, memory_text

    if nets[0].steps < 2:
        raise FixableError(
            "A sequence of 1 step has nothing to remember.",
            expected="sequences of two steps or more.",
            fix="write for example --input 100x5, or leave --input out.",
        )
    found, about = trained(nets[0], run) if run else untrained(nets, seed)
    for one in found:
        if not one.mean[0]:
            raise FixableError(
                f"The loss of the last step has no gradient at all in {one.name}.",
                expected="a net whose last answer depends on the last input.",
                fix="take another net, or a run that was trained for a shorter time.",
            )
    return memory_text(found, about), lambda: memory_svg(found, about)


def untrained(nets: Sequence[Named], seed: int) -> tuple[list["Fading"], str]:
    """The named nets, or a single one beside the other families, each with several draws of its weights."""
    from daiving.memory import fading, random_sequences
    from daiving.nets.build import build

    shown = [*nets, *others(nets[0])] if len(nets) == 1 else list(nets)
    found = []
    for net in shown:
        x, y = random_sequences(SEQUENCES, net.steps, net.count, net.options["num_classes"], seed)
        drawn = [build(net.name, seed=seed + i, **net.options) for i in range(SEEDS)]
        found.append(fading(net.text, drawn, x, y))
    return found, f"untrained, {SEQUENCES} random sequences of {nets[0].steps} steps, {SEEDS} seeds"


def others(net: Named) -> list[Named]:
    """The other families, with those of the net's options that they have too."""
    if net.name not in NETS:
        return []
    beside = []
    for name, entry in NETS.items():
        if entry.takes != "sequences" or entry.family != NETS[net.name].family or name == net.name:
            continue
        own = NETS[net.name].options.keys() - entry.options.keys()
        given = {key: value for key, value in net.given.items() if key not in own}
        options = {key: value for key, value in net.options.items() if key not in own}
        words = ",".join(f"{key}={show(value)}" for key, value in given.items())
        beside.append(replace(net, text=f"{name}:{words}" if words else name, name=name, given=given, options=options))
    return beside


def trained(net: Named, run: Path) -> tuple[list["Fading"], str]:
    """A run's net as it was trained, and as it was before, on sequences of its test split."""
    import torch

    from daiving.files import read_json
    from daiving.memory import fading, last_labels
    from daiving.study.worker import make_net, task_data
    from daiving.tasks.batches import tight

    assert net.trained is not None
    about = read_json(run / "run.json")
    assert about is not None  # or there were no trained net
    data = task_data(about["task"])
    if data.fingerprint != about["task"]["fingerprint"]:
        raise FixableError(
            f"The data of the run {run.name} was changed since.",
            expected="the data that it was trained on, of which the test split is used.",
            fix="bring the data back, or train the net again.",
        )
    x, y = torch.from_numpy(data.test.x), torch.from_numpy(data.test.y)
    labels = last_labels(x, y)
    chosen = (labels >= 0).nonzero()[:TESTED, 0]
    x, y = tight(x[chosen], labels[chosen])
    before = make_net(net.trained.arm, data.facts, about["seed"])
    found = [fading("trained", [net.trained.net], x, y), fading("at the start", [before], x, y)]
    return found, f"{net.text}, {len(x)} sequence{'s' * (len(x) > 1)} of its test split"
