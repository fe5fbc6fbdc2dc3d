"""What happens in a run, as plain values that `fit` yields and everybody else reads."""

from dataclasses import asdict, dataclass
from typing import Any

from daiving.errors import unknown


@dataclass(frozen=True)
class Step:
    """One step of the optimizer."""

    step: int  # from 1, over the whole run
    epoch: int  # from 1
    seen: int  # training examples shown so far in this epoch, this batch included
    loss: float  # mean over the batch, nats
    lr: float  # learning rate of this step
    grad_norm: float  # L2, before clipping


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split (the last may be a part of one), and its validation."""

    epoch: int  # from 1
    step: int  # steps done so far
    train_loss: float  # mean over the examples shown, nats, while the weights moved
    val_loss: float  # mean over the validation split, nats, of the averaged weights if there are any
    val_accuracy: float  # 0 to 1, likewise
    seconds: float  # wall time of the training steps alone
    share: float  # of the training split that was shown: 1 but for the last epoch, which may be a part of one
    best: bool  # lowest validation loss so far


@dataclass(frozen=True)
class Ended:
    """The last event of `fit`."""

    reason: str  # "finished" or "diverged"
    step: int
    detail: str = ""  # for a divergence: what was not finite


Event = Step | Epoch | Ended
KINDS: dict[str, type] = {"step": Step, "epoch": Epoch, "ended": Ended}
NAMES = {kind: name for name, kind in KINDS.items()}


def to_dict(event: Event) -> dict[str, Any]:
    """A row for JSON: the event's fields and its kind."""
    return {"event": NAMES[type(event)], **asdict(event)}


def from_dict(row: dict[str, Any]) -> Event:
    """The event of such a row; raises KeyError or TypeError when the row is none."""
    row = dict(row)
    name = row.pop("event")
    if name not in KINDS:
        raise unknown("event", name, KINDS)
    return KINDS[name](**row)
