"""Neural Machine Translation by Jointly Learning to Align and Translate, Bahdanau, Cho & Bengio, 2014.
https://arxiv.org/abs/1409.0473

    x₁ … x_s ─ table ─ GRU → ┐
                       GRU ← ┴ h₁ … h_s ─── attention ── c_i ─┐
                                                ↑ s_{i-1}     │
                       y_{i-1} ─ table ─────────┼──────────── GRU ── s_i
                                                └─ y_{i-1}, c_i ── maxout ── linear ── y_i

`RNNsearch` is that paper's net. `FixedVector` has no attention: Sutskever, Vinyals & Le, "Sequence to Sequence Learning
with Neural Networks", 2014, https://arxiv.org/abs/1409.3215. Both are trained with the right symbols as y_{i-1}: the
loss is `-score(net, source, target).mean()`. What they say by themselves is found in `seq2seq_search.py`.

Where this leaves the papers
    RNNsearch: the paper leaves its biases out of the equations; here each sum of products has one, but not v (softmax
    cancels it). Section 3.1 has y_i depend on s_i, appendix A.2.2 on s_{i-1}: the appendix, which spells it out, is the
    default, reads="new" is the other. It is silent about y_0: zeros, as in Cho et al., 2014. Padding is masked: it gets
    no attention at all, and a batch gives what its pairs give alone. init="paper" is appendix B.1, for 1000 units;
    "torch" leaves the small nets their larger numbers.
    FixedVector: nowhere that we know of; without its biases the default has the paper's 384 M weights. Cho et al.'s
    decoder, https://arxiv.org/abs/1406.1078, which reads the vector anew in every step, is not here.

Legend: `n` pairs, `s` steps of the source, `t` symbols of the target, `k` target symbols; -1 stands behind a sequence's
end. The last of the k symbols ends an answer: targets are given without it, both nets put it behind them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from daiving.errors import FixableError, unknown
from daiving.nets import padding
from daiving.nets.cells import GRU, LSTM
from daiving.nets.recurrent import Recurrent

Symbols = Integer[Tensor, "_ _"] | Sequence
Tensors = tuple[Tensor, ...]


class Said(NamedTuple):
    logits: Float[Tensor, "n t_1 k"]  # for the t symbols of the target and for its end
    attention: Float[Tensor, "n t_1 s"]  # share of each source step, 0 to 1; s is 0 in a net without attention


class Step(NamedTuple):
    logits: Float[Tensor, "n k"]
    state: Tensors  # each n x …
    attention: Float[Tensor, "n s"]


class Attended(NamedTuple):
    context: Float[Tensor, "n two_hid"]
    shares: Float[Tensor, "n s"]  # sum to 1 over the source's own steps, exactly 0 on padding


class AdditiveAttention(nn.Module):
    """Where to look, given the last state s (section 3.1, appendix A.1.2).

    e_j = v · tanh(W s + U h_j + b)     α = softmax(e)     c = Σ_j α_j h_j

    U h_j, the `keys`, do not depend on s: they are computed once for a source.
    """

    def __init__(self, n_hid: int, n_source: int, n_align: int) -> None:
        super().__init__()
        self.W = nn.Linear(n_hid, n_align)
        self.U = nn.Linear(n_source, n_align, bias=False)
        self.v = nn.Linear(n_align, 1, bias=False)

    def forward(
        self,
        s: Float[Tensor, "n hid"],
        h: Float[Tensor, "n s two_hid"],
        keys: Float[Tensor, "n s align"],
        there: Bool[Tensor, "n s"],
    ) -> Attended:
        e = self.v(torch.tanh(self.W(s)[:, None] + keys))[:, :, 0]
        shares = e.masked_fill(~there, -torch.inf).softmax(1)
        return Attended((shares[:, None] @ h)[:, 0], shares)


class RNNsearch(nn.Module):
    """Section 3 and appendix A: n x s source symbols and n x t target symbols to `Said`. The defaults are the paper's.

    Raises `FixableError` for another `reads` or `init`, for sequences that are not rows of whole numbers, for symbols
    that there are not, empty sources, and targets that hold the end themselves.
    """

    def __init__(
        self,
        num_source: int = 30_000,
        num_target: int = 30_000,
        *,
        n_emb: int = 620,
        n_hid: int = 1000,
        n_align: int = 1000,
        n_maxout: int = 500,
        reads: Literal["old", "new"] = "old",
        init: Literal["paper", "torch"] = "paper",
    ) -> None:
        super().__init__()
        for name, value, among in (("reads", reads, ("old", "new")), ("init", init, ("paper", "torch"))):
            if value not in among:
                raise unknown(f"{name} of RNNsearch", str(value), among)
        self.num_source, self.num_target, self.end, self.reads = num_source, num_target, num_target - 1, reads
        self.source_table = nn.Embedding(num_source, n_emb)
        self.target_table = nn.Embedding(num_target, n_emb)  # E
        self.encoder = Recurrent(GRU, n_emb, n_hid, bidirectional=True)
        self.first = nn.Linear(n_hid, n_hid)  # W_s
        self.attention = AdditiveAttention(n_hid, 2 * n_hid, n_align)
        self.decoder = GRU(n_emb + 2 * n_hid, n_hid)  # its W is [W C]
        self.readout = nn.Linear(3 * n_hid + n_emb, 2 * n_maxout)  # [U_o V_o C_o]
        self.head = nn.Linear(n_maxout, num_target)  # W_o
        if init == "paper":
            as_bahdanau(self)

    def forward(self, source: Symbols, target: Symbols) -> Said:
        source, target = checked_pair(self, source, target)
        memory, state = self.read(source)
        ys = before(target)
        moves = []
        for y in ys.unbind(1):
            moves.append(self.move(y, state[0], memory))
            state = moves[-1][1]
        read, _, context, shares = zip(*moves, strict=True)
        logits = self.say(ys, torch.stack(read, dim=1), torch.stack(context, dim=1))
        return Said(logits, torch.stack(shares, dim=1))

    def read(self, source: Int[Tensor, "n s"]) -> tuple[Tensors, Tensors]:
        """The source's annotations, their keys and which of them there are; and s_0 = tanh(W_s ←h₁)."""
        there = source >= 0
        h = self.encoder(self.source_table(source.clamp(min=0)), lengths=there.sum(1)).outputs
        s_0 = self.first(h[:, 0, h.shape[2] // 2 :]).tanh()
        return (h, self.attention.U(h), there), (s_0,)

    def step(self, y: Int[Tensor, " n"], state: Tensors, memory: Tensors) -> Step:
        """One symbol on: `y` is what was said last, -1 if nothing was."""
        read, state, context, shares = self.move(y, state[0], memory)
        return Step(self.say(y[:, None], read[:, None], context[:, None])[:, 0], state, shares)

    def move(self, y: Tensor, s: Tensor, memory: Tensors) -> tuple[Tensor, Tensors, Tensor, Tensor]:
        context, shares = self.attention(s, *memory)
        s_new = self.decoder(torch.cat([self.embed(y), context], dim=1), s).h
        return s if self.reads == "old" else s_new, (s_new,), context, shares

    def say(self, y: Tensor, read: Tensor, context: Tensor) -> Tensor:
        """A.2.2: t = the larger of each two of U_o s + V_o E y + C_o c; logits = W_o t. All n x t x …"""
        t = self.readout(torch.cat([read, self.embed(y), context], dim=2))
        return self.head(t.unflatten(2, (-1, 2)).amax(3))

    def embed(self, y: Tensor) -> Tensor:
        return self.target_table(y.clamp(min=0)) * (y >= 0)[..., None]


class FixedVector(nn.Module):
    """Sutskever, Vinyals & Le: LSTM layers read the source, and others begin with the state that it left in them.

    n x s source symbols and n x t target symbols to `Said`. The source is read from its end to its beginning
    (section 3.3) unless reverse=False. The first symbol that the decoder reads is the end: that of the source. All
    weights from U(-0.08, 0.08). Raises what `RNNsearch` raises.
    """

    def __init__(
        self,
        num_source: int = 160_000,
        num_target: int = 80_000,
        *,
        n_emb: int = 1000,
        n_hid: int = 1000,
        layers: int = 4,
        reverse: bool = True,
    ) -> None:
        super().__init__()
        self.num_source, self.num_target, self.end, self.reverse = num_source, num_target, num_target - 1, reverse
        self.source_table = nn.Embedding(num_source, n_emb)
        self.target_table = nn.Embedding(num_target, n_emb)
        self.encoder = Recurrent(LSTM, n_emb, n_hid, layers=layers)
        self.decoder = Recurrent(LSTM, n_emb, n_hid, layers=layers)
        self.head = nn.Linear(n_hid, num_target)
        for p in self.parameters():
            nn.init.uniform_(p, -0.08, 0.08)

    def forward(self, source: Symbols, target: Symbols) -> Said:
        source, target = checked_pair(self, source, target)
        _, state = self.read(source)
        logits, _ = self.say(before(target), state)
        return Said(logits, logits.new_zeros(*logits.shape[:2], 0))

    def read(self, source: Int[Tensor, "n s"]) -> tuple[Tensors, Tensors]:
        """Nothing to look at later; and h and c of each layer, n x layers x hid."""
        lengths = (source >= 0).sum(1)
        if self.reverse:
            source = source.gather(1, padding.turned(lengths, source.shape[1])[0])
        through = self.encoder(self.source_table(source.clamp(min=0)), lengths=lengths)
        return (), tuple(one.transpose(0, 1) for one in through.state)

    def step(self, y: Int[Tensor, " n"], state: Tensors, _memory: Tensors) -> Step:
        """One symbol on: `y` is what was said last, -1 if nothing was."""
        logits, state = self.say(y[:, None], state)
        return Step(logits[:, 0], state, logits.new_zeros(len(y), 0))

    def say(self, y: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        through = self.decoder(
            self.target_table(torch.where(y < 0, self.end, y)), tuple(one.transpose(0, 1) for one in state)
        )
        return self.head(through.outputs), tuple(one.transpose(0, 1) for one in through.state)


def score(net: RNNsearch | FixedVector, source: Symbols, target: Symbols) -> Float[Tensor, " n"]:
    """ln p(target and its end | source) of each pair, in nats; minus its mean is the papers' loss."""
    logits = net(source, target).logits
    target = padding.whole(target, "target", logits.device)
    wanted = F.pad(target, (0, 1), value=-1)
    wanted[torch.arange(len(target), device=target.device), (target >= 0).sum(1)] = net.end
    return -F.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=-1, reduction="none").sum(1)


def before(target: Tensor) -> Tensor:
    """What was said before each symbol of the target and before its end: -1, nothing, before the first."""
    return F.pad(target, (1, 0), value=-1)


def as_bahdanau(net: RNNsearch) -> None:
    """Appendix B.1: recurrent matrices orthogonal, W_a, U_a from N(0, 0.001²), v_a and biases 0, else N(0, 0.01²)."""
    for name, p in net.named_parameters():
        if name.endswith(("bias", ".b", "attention.v.weight")):
            nn.init.zeros_(p)
        elif name.endswith(".U"):
            for gate in p.data.chunk(3):
                nn.init.orthogonal_(gate)
        else:
            nn.init.normal_(p, std=0.001 if name.startswith("attention") else 0.01)


def checked_pair(net: RNNsearch | FixedVector, source: Symbols, target: Symbols) -> tuple[Tensor, Tensor]:
    """Both as int64, when they fit the net and each other."""
    source, target = checked_source(net, source), padding.whole(target, "target", net.head.weight.device)
    if len(target) != len(source):
        raise FixableError(
            f"There are {len(source)} sources and {len(target)} targets.",
            expected="a target for each source, on the first axis of both.",
            fix="pair them up; an empty target is a row of -1.",
        )
    check_symbols("target", target, net.end)
    if padding.known(target) and (target == net.end).any():
        raise FixableError(
            f"A target holds the symbol {net.end}, which is its end: the net puts it there itself.",
            expected=f"symbols from 0 to {net.end - 1}, and -1 behind the target's last.",
            fix="leave the end out, or build the net with one symbol more.",
        )
    return source, target


def checked_source(net: RNNsearch | FixedVector, source: Symbols) -> Tensor:
    source = padding.whole(source, "source", net.head.weight.device)
    check_symbols("source", source, net.num_source - 1)
    if source.numel() == 0 or (padding.known(source) and (source[:, 0] < 0).any()):
        raise FixableError(
            "A source is empty, and there is nothing to begin from.",
            expected="one symbol or more in each source, and one source or more.",
            fix="leave empty sources out.",
        )
    return source


def check_symbols(what: str, x: Tensor, highest: int) -> None:
    if not padding.known(x):
        return
    if x.numel() and not -1 <= int(x.min()) <= int(x.max()) <= highest:
        wrong = x.min() if x.min() < -1 else x.max()
        raise FixableError(
            f"A {what} holds the symbol {int(wrong)}.",
            expected=f"numbers from 0 to {highest}, and -1 behind a {what}'s last.",
            fix="number the symbols without gaps, or build the net with as many as there are.",
        )
    padding.check_ends(x, what)
