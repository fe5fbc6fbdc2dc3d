"""Skip-gram is the paper's: its pairs, its loss and gradient, its noise; and where training ends is known."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from daiving.errors import FixableError
from daiving.nets import skipgram
from daiving.nets.skipgram import SkipGram, drawn, kept_share, noise, pairs, read, train, vectors
from daiving.skipgram_settings import Settings
from daiving.vector_files import load

SMALL = Settings(dim=8, window=2, epochs=3, min_count=1, subsample=0.0, batch=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_of_a_pair_is_minus_equation_4():
    net = SkipGram(5, 3)
    torch.nn.init.normal_(net.v_out, generator=seeded())
    found = net(torch.tensor([1]), torch.tensor([2]), torch.tensor([[0, 4, 4]])).item()
    v, u = net.v.tolist()[1], net.v_out.tolist()

    def log_sigmoid(sign: float, word: int) -> float:
        return -math.log1p(math.exp(-sign * sum(a * b for a, b in zip(v, u[word], strict=True))))

    assert found == pytest.approx(-log_sigmoid(1, 2) - log_sigmoid(-1, 0) - 2 * log_sigmoid(-1, 4), abs=1e-6)


def test_a_step_goes_down_the_gradient_of_that_loss_also_where_words_repeat():
    draw = seeded(1)
    net = SkipGram(6, 4).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, generator=draw)
    middle, neighbour = torch.randint(6, (2, 40), generator=draw)
    negatives = torch.randint(6, (40, 3), generator=draw)
    before = [p.detach().clone() for p in net.parameters()]
    loss = net(middle, neighbour, negatives).sum()
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    assert float(net.step(middle, neighbour, negatives, 0.1)) == pytest.approx(loss.item())
    for p, was, slope in zip(net.parameters(), before, slopes, strict=True):
        torch.testing.assert_close(p.detach(), was - 0.1 * slope, rtol=0, atol=1e-12)


def test_negatives_come_from_the_unigram_distribution_to_the_three_quarters():
    counts = torch.tensor([1000, 300, 50, 7, 1])
    found = torch.bincount(drawn(noise(counts).cumsum(0), (8000, 5), seeded()).flatten(), minlength=5)
    shares = {power: counts.double() ** power / (counts.double() ** power).sum() for power in (0.75, 1.0)}
    assert chisquare(found, 40_000 * shares[0.75]).pvalue > 1e-3
    assert chisquare(found, 40_000 * shares[1.0]).pvalue < 1e-9  # the test would see another power


def test_pairs_are_all_neighbours_in_the_sentence_the_nearer_the_more_often():
    ids, sentence = torch.arange(2000), torch.arange(2000) // 100
    near = Counter((int(a), int(b)) for a, b in zip(*pairs(ids, sentence, 1, seeded()), strict=True))
    every = {(i, j) for i in range(2000) for j in (i - 1, i + 1) if 0 <= j < 2000 and i // 100 == j // 100}
    assert near == dict.fromkeys(every, 1)
    middle, neighbour = pairs(ids, sentence, 4, seeded())
    assert (middle // 100 == neighbour // 100).all()
    apart = Counter((middle - neighbour).abs().tolist())
    assert set(apart) == {1, 2, 3, 4}
    for far in apart:  # R is one of 1 to 4, each as likely: a share of (5 − far) / 4 reaches so far
        assert apart[far] / (2 * 20 * (100 - far)) == pytest.approx((5 - far) / 4, abs=0.04)


def test_of_a_frequent_word_the_root_of_t_over_its_share_is_kept_and_of_a_rare_one_all():
    found = kept_share(torch.tensor([9000, 990, 9, 1]), 1e-3)
    assert found.tolist() == pytest.approx([math.sqrt(1e-3 / 0.9), math.sqrt(1e-3 / 0.099), 1, 1])
    assert kept_share(torch.tensor([9000, 1]), 0.0).tolist() == [1, 1]


def test_trained_to_its_end_v_times_v_out_is_the_pointwise_mutual_information_less_log_k():
    """Levy & Goldberg, 2014, equation 7, with this paper's noise: a wrong gradient or noise would end elsewhere."""
    joint = np.array([[1, 8, 4, 3], [8, 2, 3, 3], [4, 3, 1, 2], [3, 3, 2, 1]]) * 20
    text = "\n".join(f"{a} {b}" for i, a in enumerate("abcd") for j, b in enumerate("abcd") for _ in range(joint[i, j]))
    corpus = read(text)
    order = ["abcd".index(word) for word in corpus.words]
    settings = Settings(dim=4, window=1, negatives=2, epochs=40, min_count=1, subsample=0.0, lr=0.1, batch=32)
    net = SkipGram(4, 4)
    torch.nn.init.normal_(net.v, generator=seeded())
    for _ in train(net, corpus, settings):
        pass
    seen = (joint + joint.T)[np.ix_(order, order)]
    given = seen / seen.sum(1, keepdims=True)
    raised = corpus.counts.numpy() ** 0.75  # not `noise`: the code shall not be its own judge
    expected = np.log(given / (raised / raised.sum())) - math.log(2)
    assert (net.v @ net.v_out.T).detach().numpy() == pytest.approx(expected, abs=0.15)


def test_the_loss_falls_and_a_seed_gives_the_same_vectors_again():
    corpus = read("the cat sat on the mat\nthe dog lay on the rug\n" * 60)

    def trained(seed: int):
        net = SkipGram(len(corpus.words), SMALL.dim, seed)
        losses = [epoch.loss for epoch in train(net, corpus, Settings(**{**vars(SMALL), "seed": seed, "lr": 0.1}))]
        return losses, vectors(net, corpus).table

    losses, table = trained(0)
    assert losses[0] > losses[1] > losses[2]
    assert losses[0] < 6 * math.log(2) + 1e-6  # where it starts, with v' at zero: six choices of two
    assert np.array_equal(table, trained(0)[1])
    assert not np.array_equal(table, trained(1)[1])


def test_words_are_in_small_letters_the_frequent_first_and_rare_ones_leave_no_gap():
    corpus = read("The cat's sat; the DOG\nrare the cat's 서울 서울", min_count=2)
    assert corpus.words == ("the", "cat's", "서울")
    assert corpus.counts.tolist() == [3, 2, 2]
    assert [corpus.words[i] for i in corpus.ids] == ["the", "cat's", "the", "the", "cat's", "서울", "서울"]
    assert corpus.sentence.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_text_is_trained_on_and_its_vectors_are_kept(daiving, tmp_path):
    (tmp_path / "t.txt").write_text("a man and a woman\na king and a queen\n" * 20)
    answer = daiving(
        "words",
        "t.txt",
        "--dim",
        8,
        "--epochs",
        2,
        "--min-count",
        3,
        "--subsample",
        0,
        "--save",
        "t.bin",
        "--arrows",
        "t.svg",
    )
    assert answer.code == 0, answer.err
    assert "epoch   2/2   loss" in answer.out
    assert load(tmp_path / "t.bin").table.shape == (6, 8)
    assert "Male-Female (2 pairs)" in answer.out


@pytest.mark.parametrize(
    ("text", "flags", "wrong"),
    [
        ("", (), "The text is empty: there is no word in it."),
        (" .,;\n", (), "The text is empty: there is no word in it."),
        ("word Word word", (), "The text has a single distinct word, 'word'."),
        ("a b c", (), "None of the text's 3 distinct words stands there 5 times."),
        ("a\nb\n" * 9, (), "No two words of the text are neighbours."),
        ("a b c " * 9, (), "With subsample 0.001 no two neighbours are left of a text of 27 words."),
        ("a b c " * 9, ("--dim", "0"), "dim is 0."),
        ("a b c " * 9, ("--dim", "100000000"), "Expected: from 1 to 10,000 (numbers in a vector)."),
        ("a b c " * 9, ("--lr", "nan"), "lr is nan."),
        ("a b c " * 9, ("--lr", "1e38", "--subsample", "0"), "The loss is not finite any more in epoch"),
    ],
)
def test_a_text_or_setting_that_gives_no_vectors_is_refused(daiving, tmp_path, text, flags, wrong):
    (tmp_path / "t.txt").write_text(text)
    answer = daiving("words", "t.txt", *flags)
    assert (answer.code, wrong in answer.err) == (2, True), answer


def test_a_lack_of_memory_is_told_and_another_error_is_not_hidden(daiving, tmp_path, monkeypatch):
    (tmp_path / "t.txt").write_text("a b c " * 9)
    for raised in (lambda *_: torch.empty(1 << 45), lambda *_: bytearray(1 << 62)):  # torch's error, and Python's
        monkeypatch.setattr(skipgram, "drawn", raised)
        answer = daiving("words", "t.txt", "--subsample", 0)
        assert answer.code == 2
        assert "Memory does not suffice to train vectors of 100 numbers on 't.txt'." in answer.err
        assert "choose a smaller --dim" in answer.err
    monkeypatch.setattr(skipgram, "drawn", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        daiving("words", "t.txt", "--subsample", 0)


def test_a_mark_in_front_is_no_word_and_decomposed_letters_are_composed(daiving, tmp_path):
    (tmp_path / "t.txt").write_text("\ufeffcafe\u0301 cafe\n" * 9, encoding="utf-8")
    answer = daiving("words", "t.txt", "--subsample", 0, "--epochs", 1, "--save", "t.npz")
    assert answer.code == 0, answer.err
    assert set(load(tmp_path / "t.npz").words) == {"café", "cafe"}


def test_settings_are_checked_where_they_are_made():
    with pytest.raises(FixableError, match="window is 0"):
        Settings(window=0)
