"""Attention looks only where there is something, padding changes nothing, the search finds what it should.

Source of the 384 M weights of the fixed-vector net: facts zoo.md, 2.8.
"""

from itertools import product

import numpy as np
import pytest
import torch
from unchecked import assert_explained

from daiving.nets.seq2seq import FixedVector, RNNsearch, score
from daiving.nets.seq2seq_search import beam_search, greedy

SIZES = dict(n_emb=4, n_hid=5, n_align=3, n_maxout=2)
SOURCE = torch.tensor([[1, 2, 3, 0], [4, -1, -1, -1], [0, 0, -1, -1]])
TARGET = torch.tensor([[2, 0], [-1, -1], [1, -1]])


def searching(seed=0, num_source=5, num_target=4, **options):
    """A small net whose numbers are large enough to show a mistake."""
    torch.manual_seed(seed)
    net = RNNsearch(num_source, num_target, init="torch", **(SIZES | options)).double()
    for p in net.parameters():
        torch.nn.init.normal_(p)
    return net


def fixed(seed=0, **options):
    torch.manual_seed(seed)
    net = FixedVector(5, 4, n_emb=4, n_hid=5, layers=2, **options).double()
    for p in net.parameters():
        torch.nn.init.normal_(p)
    return net


BOTH = pytest.mark.parametrize("make", [searching, fixed])


def test_attention_sums_to_one_over_the_source_and_is_exactly_zero_on_padding():
    shares = searching()(SOURCE, TARGET).attention
    assert shares.shape == (3, 3, 4)
    assert shares.sum(2).allclose(torch.ones((), dtype=torch.float64), atol=1e-14)
    there = (SOURCE >= 0)[:, None].expand_as(shares)
    assert shares[~there].eq(0).all()
    assert shares[there].gt(0).all()


@BOTH
def test_a_padded_batch_gives_what_each_pair_gives_alone(make):
    net = make()
    together, scores = net(SOURCE, TARGET), score(net, SOURCE, TARGET)
    answers = beam_search(net, SOURCE, width=3, longest=4)
    for row in range(3):
        source, target = (x[row : row + 1, : int((x[row] >= 0).sum())] for x in (SOURCE, TARGET))
        alone = net(source, target)
        t, s = alone.attention.shape[1:]
        assert alone.logits[0].allclose(together.logits[row, :t], rtol=0, atol=1e-12)
        assert alone.attention[0].allclose(together.attention[row, :t, :s], rtol=0, atol=1e-12)
        assert score(net, source, target).item() == pytest.approx(scores[row].item(), abs=1e-12)
        found = beam_search(net, source, width=3, longest=4)
        assert found.symbols[0].equal(answers.symbols[row][answers.symbols[row] >= 0])


@BOTH
def test_lists_and_narrow_numbers_are_taken(make):
    net = make()
    wanted, found = score(net, SOURCE, TARGET), greedy(net, SOURCE, longest=3)
    for changed in (lambda x: x.int(), lambda x: x.to(torch.int8), lambda x: x.tolist()):
        assert score(net, changed(SOURCE), changed(TARGET)).equal(wanted)
        assert greedy(net, changed(SOURCE), longest=3).symbols.equal(found.symbols)
    whole = TARGET[:1]
    assert score(net, SOURCE[:1], whole.to(torch.uint8)).equal(score(net, SOURCE[:1], whole))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("reads", ["old", "new"])
def test_a_step_of_the_decoder_is_the_papers_equations(reads):
    """Appendix A, written once more for one pair, symbol by symbol, in numpy."""
    net = searching(reads=reads)
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}

    def gru(x, s, name):
        (W_r, W_z, W), (U_r, U_z, U) = np.split(p[f"{name}.W"], 3), np.split(p[f"{name}.U"], 3)
        b_r, b_z, b = np.split(p[f"{name}.b"], 3)
        r, z = sigmoid(W_r @ x + U_r @ s + b_r), sigmoid(W_z @ x + U_z @ s + b_z)
        return (1 - z) * s + z * np.tanh(W @ x + U @ (r * s) + b)

    xs, there, back = p["source_table.weight"][[1, 2, 3]], [], []
    s = np.zeros(5)
    for x in xs:
        there.append(s := gru(x, s, "encoder.cells.0"))
    s = np.zeros(5)
    for x in xs[::-1]:
        back.insert(0, s := gru(x, s, "encoder.cells.1"))
    hs = [np.concatenate(pair) for pair in zip(there, back, strict=True)]
    s = np.tanh(p["first.weight"] @ back[0] + p["first.bias"])
    shares, logits = [], []
    for y in (np.zeros(4), p["target_table.weight"][2], p["target_table.weight"][0]):
        W_a, U_a, v_a = (p[f"attention.{name}.weight"] for name in "WUv")
        e = np.array([(v_a @ np.tanh(W_a @ s + p["attention.W.bias"] + U_a @ h)).item() for h in hs])
        alpha = np.exp(e) / np.exp(e).sum()
        c = sum(a * h for a, h in zip(alpha, hs, strict=True))
        s_new = gru(np.concatenate([y, c]), s, "decoder")
        read = np.concatenate([s if reads == "old" else s_new, y, c])
        t = p["readout.weight"] @ read + p["readout.bias"]
        t = np.array([max(t[0], t[1]), max(t[2], t[3])])
        logits.append(p["head.weight"] @ t + p["head.bias"])
        shares.append(alpha)
        s = s_new
    said = net(SOURCE[:1, :3], TARGET[:1])
    assert np.abs(said.logits[0].detach().numpy() - logits).max() < 1e-12
    assert np.abs(said.attention[0].detach().numpy() - shares).max() < 1e-12


def test_the_fixed_vector_is_the_state_behind_the_source_read_backwards():
    """The same with torch's own LSTM, whose first bias is ours and whose second is none."""
    net = fixed()

    def torchs(ours):
        lstm = torch.nn.LSTM(4, 5, 2, batch_first=True).double()
        for layer, cell in enumerate(ours.cells):
            for name, value in (("weight_ih", cell.W), ("weight_hh", cell.U), ("bias_ih", cell.b)):
                getattr(lstm, f"{name}_l{layer}").data = value.data
            getattr(lstm, f"bias_hh_l{layer}").data.zero_()
        return lstm

    _, state = torchs(net.encoder)(net.source_table(SOURCE[:1].flip(1)))
    out, _ = torchs(net.decoder)(net.target_table(torch.tensor([[net.end, 2, 0]])), state)
    assert net.head(out).allclose(net(SOURCE[:1], TARGET[:1]).logits, rtol=0, atol=1e-12)
    forwards = fixed(reverse=False)
    assert forwards(SOURCE[:1].flip(1), TARGET[:1]).logits.allclose(net(SOURCE[:1], TARGET[:1]).logits)


@BOTH
def test_wide_enough_a_beam_finds_the_most_probable_of_all_answers(make):
    """All 40 strings of at most 3 of the 3 letters, against the search; and what it says of its probability."""
    every = [word for length in range(4) for word in product(range(3), repeat=length)]
    targets = torch.tensor([[*word, *[-1] * (3 - len(word))] for word in every])
    for seed in range(5):
        net = make(seed)
        found = beam_search(net, SOURCE, width=27, longest=3)
        for row in range(3):
            scores = score(net, SOURCE[row : row + 1].expand(40, -1), targets)
            assert found.log_p[row].item() == pytest.approx(scores.max().item(), abs=1e-10)
            assert tuple(found.symbols[row][found.symbols[row] >= 0].tolist()) == every[int(scores.argmax())]


@BOTH
def test_a_beam_is_never_worse_than_greedy_and_both_know_their_probability(make):
    torch.manual_seed(1)
    source, better = torch.randint(0, 5, (20, 4)), 0
    for seed in range(5):
        net = make(seed)
        first = greedy(net, source, longest=6)
        for width in (1, 2, 4):
            found = beam_search(net, source, width=width, longest=6)
            assert (found.log_p >= first.log_p).all()
            better += int((found.log_p > first.log_p + 1e-9).sum())
            for one in (first, found):
                assert one.log_p.allclose(score(net, source, one.symbols), rtol=0, atol=1e-10)
                assert one.attention.equal(net(source, one.symbols).attention)
    assert better > 0


def test_greedy_takes_the_most_probable_symbol_each_time():
    net = searching()
    found = greedy(net, SOURCE, longest=5)
    likeliest = net(SOURCE, found.symbols).logits.argmax(2)
    for row in range(3):
        length = int((found.symbols[row] >= 0).sum())
        assert likeliest[row, :length].equal(found.symbols[row, :length])
        assert length == 5 or likeliest[row, length] == net.end


@BOTH
def test_the_gradient_reaches_all_weights(make):
    net = make()
    source, target = torch.tensor([[0, 1, 2, 3, 4]] * 2), torch.tensor([[0, 1, 2], [2, 1, 0]])
    score(net, source, target).sum().backward()
    assert [name for name, p in net.named_parameters() if not p.grad.abs().max() > 0] == []


def test_the_weights_are_as_many_as_the_papers_sizes_give():
    with torch.device("meta"):
        search, vector = RNNsearch(), FixedVector()
    k, m, n, a, maxout = 30_000, 620, 1000, 1000, 500
    wanted = 2 * k * m  # both tables
    wanted += 2 * 3 * n * (m + n + 1) + n * (n + 1)  # encoder, s_0
    wanted += a * n + a + a * 2 * n + a  # W_a, U_a, v_a
    wanted += 3 * n * (m + 2 * n + n + 1)  # decoder: W, C, U
    wanted += 2 * maxout * (n + m + 2 * n + 1) + k * (maxout + 1)  # t, W_o
    assert sum(p.numel() for p in search.parameters()) == wanted == 80_443_000
    matrices = [p for p in vector.parameters() if p.dim() == 2]
    assert sum(p.numel() for p in matrices) == 384_000_000
    recurrent = [p for part in (vector.encoder, vector.decoder) for p in part.parameters() if p.dim() == 2]
    assert sum(p.numel() for p in recurrent) == 64_000_000


def test_the_papers_first_weights():
    torch.manual_seed(0)
    net = RNNsearch(50, 40, n_emb=60, n_hid=40, n_align=80, n_maxout=20)
    for cell in (net.decoder, *net.encoder.cells):
        for U in cell.U.chunk(3):
            assert (U @ U.T).allclose(torch.eye(40), atol=1e-5)
        assert cell.b.eq(0).all()
    assert net.attention.v.weight.eq(0).all()
    for weight, deviation in ((net.attention.W.weight, 0.001), (net.readout.weight, 0.01), (net.decoder.W, 0.01)):
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)
    vector = FixedVector(50, 40, n_emb=20, n_hid=20, layers=2)
    assert max(p.abs().max().item() for p in vector.parameters()) == pytest.approx(0.08, rel=0.01)


def words(n, generator):
    """Strings of one to four of four letters, and the same reversed."""
    x = torch.randint(0, 4, (n, 4), generator=generator)
    lengths = torch.randint(1, 5, (n, 1), generator=generator)
    place = torch.arange(4).expand(n, 4)
    y = x.gather(1, (lengths - 1 - place).clamp(min=0))
    return x.masked_fill(place >= lengths, -1), y.masked_fill(place >= lengths, -1)


TINY = {
    "with attention": (RNNsearch, dict(n_emb=8, n_hid=24, n_align=16, n_maxout=16, init="torch"), 120),
    "through one vector": (FixedVector, dict(n_emb=8, n_hid=32, layers=1), 300),
}


@pytest.mark.parametrize("how", TINY)
def test_it_learns_to_turn_words_round_that_it_has_never_seen(how):
    make, sizes, steps = TINY[how]
    generator = torch.Generator().manual_seed(0)
    x, y = words(2000, generator)
    code = ((x + 1) * 5 ** torch.arange(4)).sum(1)
    held_out = (code % 4 == 0) & (x[:, 1] >= 0)  # by the word itself, so none of them is trained on; letters all are
    train, test = (x[~held_out], y[~held_out]), (x[held_out], y[held_out])
    torch.manual_seed(0)
    net = make(4, 5, **sizes)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(steps):
        rows = torch.randint(0, len(train[0]), (64,), generator=generator)
        optimizer.zero_grad()
        (-score(net, train[0][rows], train[1][rows]).mean()).backward()
        optimizer.step()
    found = greedy(net, test[0], longest=4)
    assert (found.symbols == test[1]).all(1).double().mean() > 0.95
    if make is RNNsearch:  # and it looks where the letter is: the first of a word of four is its last
        four = (test[0] >= 0).all(1)
        assert (found.attention[four, :4].argmax(2) == 3 - torch.arange(4)).double().mean() > 0.9


NET = searching()
MISTAKES = {
    "There are 3 sources and 2 targets": lambda: NET(SOURCE, TARGET[:2]),
    "A target holds the symbol 3, which is its end": lambda: NET(SOURCE, TARGET + 1),
    "A target holds the symbol 4": lambda: score(NET, SOURCE, TARGET.where(TARGET < 2, 4)),
    "A source holds the symbol 5": lambda: greedy(NET, SOURCE.where(SOURCE < 4, 5)),
    "A source holds the symbol -2": lambda: beam_search(NET, SOURCE - 1),
    "A source is empty": lambda: greedy(NET, TARGET),
    "A source is empty, and there": lambda: greedy(NET, SOURCE[:, :0]),
    "A source goes on behind a -1": lambda: NET(SOURCE.flip(1)[1:], TARGET[1:]),
    "A target goes on behind a -1": lambda: NET(SOURCE, TARGET.flip(1)),
    "longest=0 and width=1": lambda: greedy(NET, SOURCE, longest=0),
    "longest=50 and width=0": lambda: beam_search(NET, SOURCE, width=0),
    "longest=1.5 and width=1": lambda: greedy(NET, SOURCE, longest=1.5),
    "longest=50 and width=True": lambda: beam_search(NET, SOURCE, width=True),
    "The sources are of shape 4, int64": lambda: greedy(NET, SOURCE[0]),
    "The targets are of shape 3 x 2, float32": lambda: score(NET, SOURCE, TARGET.float()),
    "The targets are not one tensor": lambda: NET(SOURCE, [[0, 1], [2], []]),
    "no reads of RNNsearch called 'older'": lambda: searching(reads="older"),
    "no init of RNNsearch called 'papers'": lambda: RNNsearch(5, 4, init="papers", **SIZES),
    "The net answers NaN": lambda: greedy(broken(), SOURCE, longest=2),
}


def broken():
    net = searching()
    net.head.bias.data[0] = torch.nan
    return net


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_explained_in_three_sentences(words):
    assert_explained(MISTAKES[words], words)
