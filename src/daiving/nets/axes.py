"""Which axis is which: the mistakes with sequences that torch lets pass without a word, put into words.

At batch 1, or with sizes that happen to be equal, a tensor with its axes in the wrong order has a shape that fits, and
the net trains on nonsense. What shapes can tell is checked in every call of `Recurrent`; what they cannot tell,
`check_axes` finds by trying: with sizes that all differ, no sequence may hear another, and no step a later one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from daiving.errors import FixableError


def layout(batch_first: bool) -> str:
    return "n x t x in (batch_first=True)" if batch_first else "t x n x in (batch_first=False)"


def check_input(x: Tensor, n_in: int, batch_first: bool, like: Tensor | None = None) -> None:
    """Raises `FixableError` unless x has three axes, the last of them the features, a step at least, and the numbers of
    the weights."""
    if not isinstance(x, Tensor) or (
        like is not None and x.dtype != like.dtype and not torch.is_autocast_enabled("cpu")
    ):
        raise FixableError(
            f"A recurrent net was given {kind(x) if isinstance(x, Tensor) else 'a ' + type(x).__name__} for x.",
            expected=f"a tensor of {kind(like) if like is not None else 'numbers'}, as the weights are.",
            fix="write x.to(weight), or torch.from_numpy(x) first; symbols go through one-hot or an embedding before.",
        )
    if x.dim() != 3 or x.shape[-1] != n_in:
        where = [i for i, size in enumerate(x.shape) if size == n_in]
        hint = f"; axis {where[0]} has that size: transpose it to the end" if x.dim() == 3 and where else ""
        raise FixableError(
            f"A recurrent net with {n_in} input features was given x of shape {shape(x)}.",
            expected=f"{layout(batch_first)} with in = {n_in}{hint}.",
            fix="give one sequence an axis of its own with x[None], or bring the axes into that order with transpose, "
            "never with view, which would mix the sequences.",
        )
    if 0 in x.shape:
        raise FixableError(
            f"A recurrent net was given x of shape {shape(x)}: nothing.",
            expected=f"{layout(batch_first)}, with one sequence and one step or more.",
            fix="leave out sequences that are empty.",
        )


def check_state(
    given: tuple[Tensor, ...], wanted: int, size: tuple[int, int, int], x: Tensor, batch_first: bool
) -> None:
    """Raises `FixableError` unless the state is `wanted` tensors of that size, layers·directions x n x hid."""
    if len(given) != wanted:
        raise FixableError(
            f"The state has {len(given)} tensor{'s' * (len(given) != 1)}, and the cell carries {wanted}.",
            expected="h and c, as a tuple (h, c): an LSTM's." if wanted == 2 else f"{wanted} of shape {size}.",
            fix="leave the state out to begin with zeros, or hand on the state that the net gave.",
        )
    _, n, _ = size
    for one in given:
        if tuple(one.shape) == size:
            continue
        if one.dim() == 3 and tuple(one.transpose(0, 1).shape) == size:
            why = "its first two axes are the wrong way round: batch_first is about x alone"
        elif one.dim() == 3 and one.shape[1] == x.shape[1 if batch_first else 0] != n:
            why = f"x has {one.shape[1]} on its other axis: x's first two axes may be the wrong way round"
        elif one.dim() == 2:
            why = "it lacks the axis of the layers"
        else:
            why = "that is another size"
        raise FixableError(
            f"The state has shape {shape(one)}, and x has shape {shape(x)}: {why}.",
            expected=f"layers·directions x n x hid = {' x '.join(map(str, size))}, with x {layout(batch_first)}.",
            fix="transpose what is turned round (view would mix the sequences), or leave the state out for zeros.",
        )


def check_kind(given: tuple[Tensor, ...], like: Tensor) -> None:
    """Raises `FixableError` unless the state's numbers are of the weights' type, and lie where they do."""
    for one in given:
        if one.dtype != like.dtype or one.device != like.device:
            raise FixableError(
                f"The state is {kind(one)}, and the weights are {kind(like)}.",
                expected="the state in the weights' type and on their device.",
                fix="write state.to(weight), or leave the state out for zeros.",
            )


def kind(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} on {x.device}"


def check_lengths(lengths: Tensor | Sequence[int], t: int, n: int, batch_first: bool) -> Tensor:
    """The lengths as int64. Raises `FixableError` unless there is a whole number for each of the n sequences. Their
    values, from 1 to t, are looked at where they can be: under a transform of torch.func they have none."""
    lengths = torch.as_tensor(lengths)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise FixableError(
            f"The lengths are {kind(lengths)}.",
            expected="whole numbers, the steps of each sequence.",
            fix="write lengths.long(), after a look at where they come from.",
        )
    lengths = lengths.long()
    if tuple(lengths.shape) != (n,):
        number = lengths.numel()
        other = " That is x's number of steps: its first two axes may be the wrong way round." * (number == t)
        raise FixableError(
            f"There are {number} lengths for {n} sequences.{other}",
            expected=f"one whole number a sequence, with x {layout(batch_first)}.",
            fix="count the sequences, or transpose x.",
        )
    if transformed() or torch.compiler.is_compiling() or lengths.device.type == "meta":
        return lengths
    low, high = (int(end) for end in torch.aminmax(lengths))
    if low < 1 or high > t:
        raise FixableError(
            f"A length is {low if low < 1 else high}, and x has {t} steps.",
            expected=f"lengths from 1 to {t}.",
            fix="leave out sequences that are empty, and pad x to the longest.",
        )
    return lengths


def check_axes(
    run: Callable[[Tensor], Tensor], n_in: int, *, symbols: bool = False, causal: bool = True, dtype: Any = None
) -> None:
    """Try `run`, which takes x, n x t x n_in, and answers with n x t x …, or with n x … for whole sequences. With
    `symbols`, x is n x t, whole numbers below n_in.

    Raises `FixableError` where a sequence's answer depends on another sequence, or (with `causal`, for answers a step)
    a step's answer on a later step: the axes are mixed up, a `view` stands where a transpose was meant, or a softmax
    runs over time. Leave `causal` off for nets that read in both directions. A module is tried in evaluation mode;
    random numbers are left as they were.
    """
    n, t = 3, 5

    def drawn(*size: int) -> Tensor:
        return torch.randint(n_in, size) if symbols else torch.rand(*size, n_in, dtype=dtype)

    def differ(x: Tensor) -> Tensor:
        return run(x) != before

    with torch.random.fork_rng(devices=[]), torch.no_grad(), evaluating(run):
        torch.manual_seed(0)
        x = drawn(n, t)
        before = run(x)
        if before.dim() < 2 or before.shape[0] != n:
            raise FixableError(
                f"Given {n} sequences of {t} steps, the net answers with shape {shape(before)}.",
                expected=f"{n} x {t} x …, an answer a step, or {n} x …, an answer a sequence.",
                fix="keep the sequences on the first axis; view(-1, classes) belongs into the loss.",
            )
        if differ(x).any():
            raise FixableError(
                "Asked twice, the net gives two answers, or one that is not a number.",
                expected="the same numbers for the same sequences, so that a change can be told.",
                fix="put it into evaluation mode with eval(), and look for NaN.",
            )
        for i in range(n):
            changed = x.clone()
            changed[i] = (x[i] + 1) % n_in if symbols else drawn(t)
            moved = differ(changed).flatten(1).any(dim=1)
            moved[i] = False
            if moved.any():
                raise mixed(f"sequence {int(moved.nonzero()[0])} depends on sequence {i}")
        if not causal or before.dim() < 3 or before.shape[1] != t:
            return
        for step in range(1, t):
            changed = x.clone()
            changed[:, step] = (x[:, step] + 1) % n_in if symbols else drawn(n)
            moved = differ(changed).transpose(0, 1).flatten(1).any(dim=1)[:step]
            if moved.any():
                raise mixed(f"step {int(moved.nonzero()[0])} depends on step {step}, which comes later")


@contextmanager
def evaluating(run: object) -> Iterator[None]:
    """A module in evaluation mode; anything else as it is."""
    if not isinstance(run, nn.Module) or not run.training:
        yield
        return
    run.eval()
    try:
        yield
    finally:
        run.train()


def mixed(what: str) -> FixableError:
    return FixableError(
        f"The answer for {what}.",
        expected="sequences that do not hear one another, and steps that do not hear later ones.",
        fix="look for axes in the wrong order, a view or reshape where transpose was meant, or a softmax over time.",
    )


def transformed() -> bool:
    """Whether somebody follows the operations, in whose hands tensors may have no values: a transform of torch.func
    (vmap, grad, …), a dispatch mode (a counter of operations), forward-mode differentiation, a tracer, an export."""
    # torch has no public question for the first three.
    transform = getattr(torch._C, "_are_functorch_transforms_active", bool)
    modes = getattr(torch._C, "_len_torch_dispatch_stack", int)
    dual = getattr(torch.autograd.forward_ad, "_current_level", -1) >= 0
    return transform() or modes() > 0 or dual or torch.jit.is_tracing() or torch.compiler.is_exporting()


def shape(x: Tensor) -> str:
    return " x ".join(map(str, x.shape))
