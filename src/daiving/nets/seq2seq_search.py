"""What a sequence-to-sequence net answers: the most probable symbol each time, or a beam of beginnings at once.

Beam search: Sutskever, Vinyals & Le, 2014 (section 3.2), https://arxiv.org/abs/1409.3215. A beginning that ends leaves
the beam for the list of answers; the search stops when no beginning in the beam can still become a better one.

Where this leaves the paper: an answer has at most `longest` symbols, and the one that reaches it must end there, so
that all answers are whole and their probabilities can be compared. A narrow beam can lose what greedy decoding finds;
so the greedy answer is one of the candidates, and the beam's is never less probable. No normalisation by length.
"""

from numbers import Integral
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from daiving.errors import FixableError
from daiving.nets.seq2seq import FixedVector, RNNsearch, Symbols, Tensors, checked_source

Net = RNNsearch | FixedVector


class Answer(NamedTuple):
    symbols: Int[Tensor, "n t"]  # -1 behind an answer's end
    log_p: Float[Tensor, " n"]  # ln p(answer and its end | source), nats
    attention: Float[Tensor, "n t_1 s"]  # for each symbol and for the end: where the net looked, shares from 0 to 1


@torch.no_grad()
def greedy(net: Net, source: Symbols, *, longest: int = 50) -> Answer:
    """The most probable symbol, then the most probable one behind it, until that is the end.

    Raises `FixableError` for `longest` that is no whole number from 1, for sources that the net cannot read, and when
    the net answers NaN.
    """
    source = checked(net, source, longest)
    return answer(net, source, *follow(net, source, longest, *net.read(source)))


@torch.no_grad()
def beam_search(net: Net, source: Symbols, *, width: int = 12, longest: int = 50) -> Answer:
    """The most probable answer that `width` beginnings at a time lead to. Raises what `greedy` raises."""
    source = checked(net, source, longest, width)
    memory, state = net.read(source)
    best, best_log_p = follow(net, source, longest, memory, state)
    n, rows = len(source), torch.arange(len(source), device=source.device)
    memory, state = (tuple(one.repeat_interleave(width, 0) for one in part) for part in (memory, state))
    y = source.new_full((n * width,), -1)
    said = source.new_zeros(n, width, 0)
    log_p = best_log_p.new_full((n, width), -torch.inf)
    log_p[:, 0] = 0  # at first there is one beginning: nothing
    for i in range(longest + 1):
        step = net.step(y, state, memory)
        longer = log_p[:, :, None] + step.logits.log_softmax(1).unflatten(0, (n, width))  # n width k
        ended, which = longer[:, :, net.end].max(1)
        better = ended > best_log_p
        whole = F.pad(said[rows, which], (0, longest - i), value=-1)
        best, best_log_p = torch.where(better[:, None], whole, best), torch.where(better, ended, best_log_p)
        longer[:, :, net.end] = -torch.inf
        log_p, flat = longer.flatten(1).topk(width, dim=1)
        if i == longest or (log_p[:, 0] <= best_log_p).all():  # what is added to a beginning makes it less probable
            break
        parent, symbol = flat // net.num_target, flat % net.num_target
        said = torch.cat([said.gather(1, parent[:, :, None].expand(-1, -1, i)), symbol[:, :, None]], dim=2)
        state = tuple(one[(rows[:, None] * width + parent).flatten()] for one in step.state)
        y = symbol.flatten()
    return answer(net, source, best, best_log_p)


def follow(net: Net, source: Tensor, longest: int, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensor]:
    """Greedily, from what was read: n x longest symbols, and ln of their probabilities with their ends."""
    y = source.new_full((len(source),), -1)
    said, total, done = [], torch.zeros((), device=source.device), torch.zeros_like(y, dtype=torch.bool)
    for i in range(longest + 1):
        step = net.step(y, state, memory)
        log_p, state = step.logits.log_softmax(1), step.state
        y = log_p.argmax(1) if i < longest else torch.full_like(y, net.end)
        total = total + log_p.gather(1, y[:, None])[:, 0].masked_fill(done, 0)
        done = done | (y == net.end)
        said.append(y.masked_fill(done, -1))
        if done.all():
            break
    symbols = torch.stack(said, dim=1)
    return F.pad(symbols, (0, longest - symbols.shape[1]), value=-1), total


def answer(net: Net, source: Tensor, symbols: Tensor, log_p: Tensor) -> Answer:
    if log_p.isnan().any():
        raise FixableError(
            "The net answers NaN, and nothing can be read off that.",
            expected="numbers.",
            fix="look where the training diverged: a smaller learning rate, or a limit on the gradient's norm.",
        )
    symbols = symbols[:, : int((symbols >= 0).sum(1).max())]
    return Answer(symbols, log_p, net(source, symbols).attention)


def checked(net: Net, source: Symbols, longest: int, width: int = 1) -> Tensor:
    """The source as int64, when all of this fits."""
    for one in (longest, width):
        if isinstance(one, bool) or not isinstance(one, Integral) or one < 1:
            raise FixableError(
                f"An answer cannot be searched for with longest={longest} and width={width}.",
                expected="whole numbers: at least one symbol, its end not counted, and one beginning at a time.",
                fix="leave them out to get 50 symbols and 12 beginnings.",
            )
    return checked_source(net, source)
