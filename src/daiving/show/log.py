"""A run's events as lines: for people, or as the lecture prints them."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from daiving.events import Ended, Epoch, Event, Step
from daiving.tasks.data import Data

EVERY = 10  # steps from one line of the deck's log to the next


def plain(events: Iterable[Event], data: Data) -> Iterator[str]:
    """One line an epoch, 80 columns at most while losses and seconds are what they mostly are."""
    for event in events:
        if isinstance(event, Epoch):
            yield (
                f"epoch {event.epoch:>3}  train loss {event.train_loss:.4f}  val loss {event.val_loss:.4f}, "
                f"accuracy {event.val_accuracy:6.2%}  {event.seconds:5.1f} s{'  best' if event.best else ''}"
            )
        elif isinstance(event, Ended) and event.reason == "diverged":
            yield f"stopped: {event.detail}"


def deck(events: Iterable[Event], data: Data) -> Iterator[str]:
    """The lines of the deck (lesson 11_1 of hunkim/PyTorchZeroToAll), every tenth batch of an epoch from its first.

    `seen` counts as there: examples before the batch. The line after an epoch is about the validation split, since no
    epoch may look at the test split; the test line comes once, at the end.
    """
    n, val = len(data.train), data.val.scored
    number, before, epoch, batches = 0, 0, 0, 1  # of the batch in its epoch, and the examples before it
    for event in events:
        if isinstance(event, Step):
            if event.epoch != epoch:
                # The deck's percent counts batches, not examples; the first step has seen one whole batch.
                number, before, epoch, batches = 0, 0, event.epoch, -(-n // event.seen)
            if number % EVERY == 0:
                yield f"Train Epoch: {epoch} [{before}/{n} ({100 * number / batches:.0f}%)]\tLoss: {event.loss:.6f}"
            number, before = number + 1, event.seen
        elif isinstance(event, Epoch):
            right = round(event.val_accuracy * val)
            yield f"\nValidation set: Average loss: {event.val_loss:.4f}, Accuracy: {right}/{val} ({right / val:.0%})\n"


def none(events: Iterable[Event], data: Data) -> Iterator[str]:
    """Nothing, though the run goes on."""
    for _ in events:
        yield from ()


LOGS: Mapping[str, Callable[[Iterable[Event], Data], Iterator[str]]] = {"plain": plain, "deck": deck, "none": none}
