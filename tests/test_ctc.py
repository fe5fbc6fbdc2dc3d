"""CTC is its definition: a sum over all paths, which for a few steps can be taken one by one.

Source of the weight count of CTC-3l-250h: facts zoo.md, 2.8; of 114,662: Graves et al. 2006, section 5.2.
"""

from itertools import groupby, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from unchecked import assert_explained

from daiving.errors import FixableError
from daiving.nets.ctc import CTCNet, ctc_loss
from daiving.nets.ctc_decode import best_path, prefix_search


def collapse(path, blank):
    return tuple(label for label, _ in groupby(path) if label != blank)


def labellings(logits, blank):
    """Every labelling of a few steps with its probability: eq. 2 and 3, path by path."""
    y, sums = logits.softmax(1), {}
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        labels = collapse(path, blank)
        sums[labels] = sums.get(labels, 0) + y[range(len(path)), path].prod()
    return sums


def padded(targets, width=None):
    width = max(map(len, targets)) if width is None else width
    return torch.tensor([[*target, *[-1] * (width - len(target))] for target in targets]).view(len(targets), width)


def batch(n=7, t=9, k=5, seed=0):
    """Sequences of many lengths; repeats, an empty target and a tight fit among the targets; the last is the blank."""
    torch.manual_seed(seed)
    logits = torch.randn(n, t, k, dtype=torch.float64) * 2
    targets = padded([[0, 0, 1], [3], [], [1, 1, 1], [0, 1, 2, 3, 2, 1], [2, 2], [0, 3, 3, 3, 0]][:n])
    return logits, targets, torch.tensor([9, 1, 4, 5, 6, 9, 8][:n])


SMALL = dict(t=st.integers(1, 5), k=st.integers(2, 3), seed=st.integers(0, 999), data=st.data())


@settings(max_examples=40, deadline=None)
@given(**SMALL)
def test_the_loss_is_the_sum_over_all_paths(t, k, seed, data):
    blank = data.draw(st.integers(0, k - 1))
    logits = 2 * torch.randn(t, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    sums = labellings(logits, blank)
    all_of_them = ctc_loss(logits.expand(len(sums), t, k), padded(list(sums), t), blank=blank)
    assert torch.allclose(all_of_them, -torch.stack(list(sums.values())).log(), rtol=0, atol=1e-10)
    assert (-all_of_them).exp().sum().item() == pytest.approx(1, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(**SMALL)
def test_prefix_search_finds_the_most_probable_labelling(t, k, seed, data):
    blank = data.draw(st.integers(0, k - 1))
    logits = torch.randn(t, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    sums = labellings(logits, blank)
    found = prefix_search(logits, blank=blank)
    assert sums[found.labels].item() == pytest.approx(max(sums.values()).item(), abs=1e-12)
    assert found.log_p == pytest.approx(sums[found.labels].log().item(), abs=1e-10)


def test_prefix_search_is_right_where_the_best_path_is_wrong():
    logits = torch.tensor([[0.4, 0.6], [0.4, 0.6]]).log()  # "" has .36; "a" has .16 + .24 + .24
    assert best_path(logits[None]).shape == (1, 0)
    found = prefix_search(logits)
    assert found.labels == (0,)
    assert found.log_p == pytest.approx(torch.tensor(0.64).log().item(), abs=1e-6)


def test_prefix_search_may_cut_where_the_blank_is_sure():
    torch.manual_seed(1)
    logits = 2 * torch.randn(12, 4, dtype=torch.float64)
    logits[[3, 4, 8], 3] = 20.0
    whole, cut = prefix_search(logits), prefix_search(logits, split=0.9999)
    assert cut.labels == whole.labels
    assert cut.log_p == pytest.approx(whole.log_p, abs=1e-9)


def test_value_and_gradient_equal_torch():
    logits, targets, lengths = batch()
    weights = torch.rand(len(logits), dtype=torch.float64)
    answers = []
    for theirs in (False, True):
        u = logits.clone().requires_grad_()
        if theirs:
            log_y = u.log_softmax(2).transpose(0, 1)
            counts = (targets >= 0).sum(1)
            loss = F.ctc_loss(log_y, targets.clamp(min=0), lengths, counts, blank=4, reduction="none")
        else:
            loss = ctc_loss(u, targets, lengths)
        (loss * weights).sum().backward()
        answers.append((loss.detach(), u.grad))
    (ours, ours_d), (torchs, torchs_d) = answers
    assert torch.isfinite(ours).all()
    assert (ours - torchs).abs().max() < 1e-10
    assert (ours_d - torchs_d).abs().max() < 1e-10
    behind = torch.arange(9) >= lengths[:, None]
    assert ours_d[behind].eq(0).all()


def test_the_gradient_is_the_numerical_one():
    logits, targets, lengths = batch(n=4, t=5)
    lengths = lengths.clamp(max=5)
    torch.autograd.gradcheck(lambda u: ctc_loss(u, targets, lengths), logits.requires_grad_())


def test_a_second_derivative_is_refused_and_torch_func_has_it():
    u, targets, lengths = batch(n=2, t=4)[0].requires_grad_(), padded([[0, 0, 1], [3]]), torch.tensor([4, 3])

    def loss(u):
        return ctc_loss(u, targets, lengths).sum()

    def first(u):
        return torch.autograd.grad(loss(u), u)[0].flatten()

    with pytest.raises(FixableError, match="second derivative"):
        torch.autograd.grad(loss(u), u, create_graph=True)
    found = torch.func.hessian(loss)(u.detach()).reshape(u.numel(), u.numel())
    steps = 1e-6 * torch.eye(u.numel(), dtype=u.dtype).view(-1, *u.shape)
    numerical = torch.stack([(first(u + step) - first(u - step)) / 2e-6 for step in steps])
    assert (found - numerical).abs().max() < 1e-7
    assert found.abs().max() > 0.1


def test_each_sequence_has_its_own_gradient_under_torch_func():
    logits, targets, lengths = batch()
    logits[0, :4, 1] = -torch.inf
    lengths[3] = 4  # 1 1 1 needs five steps: inf, and no gradient
    logits[torch.arange(9) >= lengths[:, None]] = torch.nan
    u = logits.clone().requires_grad_()
    loss = ctc_loss(u, targets, lengths)
    loss.sum().backward()
    one = torch.func.grad_and_value(lambda u, y, end: ctc_loss(u[None], y[None], end[None])[0])
    grads, losses = torch.func.vmap(one)(logits, targets, lengths)
    assert losses.allclose(loss.detach(), rtol=0, atol=1e-12)
    assert grads.isnan().flatten(1).any(1).tolist() == loss.isinf().tolist()
    possible = loss.isfinite()
    assert grads[possible].allclose(u.grad[possible], rtol=0, atol=1e-12)


def test_lists_and_narrow_numbers_are_taken():
    logits, targets, lengths = batch()
    wanted = ctc_loss(logits, targets, lengths)
    assert ctc_loss(logits, targets.tolist(), lengths.tolist()).equal(wanted)
    assert ctc_loss(logits, targets.to(torch.int8), lengths.to(torch.uint8)).equal(wanted)
    assert ctc_loss(logits, [[]] * 7).equal(ctc_loss(logits, targets[:, :0]))
    assert best_path(logits, lengths.tolist()).equal(best_path(logits, lengths))


def test_padding_changes_nothing():
    logits, targets, lengths = batch()
    together = ctc_loss(logits, targets, lengths)
    for row, end in enumerate(lengths.tolist()):
        target = targets[row][targets[row] >= 0]
        alone = ctc_loss(logits[row : row + 1, :end], target[None])
        assert alone.item() == pytest.approx(together[row].item(), abs=1e-12)
    logits[torch.arange(9) >= lengths[:, None]] = float("nan")
    assert ctc_loss(logits, targets, lengths).equal(together)


def test_five_hundred_steps_do_not_underflow_in_single_precision():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 500, 40), torch.randint(0, 39, (2, 60))
    u = logits.clone().requires_grad_()
    loss = ctc_loss(u, targets)
    loss.sum().backward()
    exact = ctc_loss(logits.double(), targets)
    assert exact.min() > 700  # e^-700: the probability itself is far below what a float32, or a float64, can hold
    assert loss.detach().double().allclose(exact, rtol=1e-5)
    assert u.grad.isfinite().all()
    assert u.grad.abs().max() > 0.1


def test_labels_that_are_ruled_out_and_half_precision_have_gradients():
    logits, targets, _ = batch(n=1)
    logits[0, :4, 1] = -torch.inf  # the third label cannot come before the fifth step
    for u in (logits.requires_grad_(), logits.detach().bfloat16().requires_grad_()):
        ctc_loss(u, targets).sum().backward()
        assert u.grad.isfinite().all()
        assert u.grad.dtype == u.dtype


def test_a_target_that_no_path_spells_costs_infinity_and_leaves_the_others_alone():
    logits, targets, lengths = batch()
    lengths[3] = 4  # 1 1 1 needs five steps
    u = logits.requires_grad_()
    loss = ctc_loss(u, targets, lengths)
    assert loss.isinf().tolist() == [False, False, False, True, False, False, False]
    loss.sum().backward()
    assert u.grad.isnan().flatten(1).any(1).tolist() == loss.isinf().tolist()


@settings(max_examples=30, deadline=None)
@given(
    paths=st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4),
    blank=st.integers(0, 3),
    data=st.data(),
)
def test_the_best_path_is_collapsed(paths, blank, data):
    lengths = torch.tensor([data.draw(st.integers(1, 6)) for _ in paths])
    logits = F.one_hot(torch.tensor(paths), 4).double()
    wanted = [collapse(path[:end], blank) for path, end in zip(paths, lengths.tolist(), strict=True)]
    found = best_path(logits, lengths, blank=blank)
    assert found.equal(padded(wanted))


def test_the_nets_have_the_weights_of_their_papers():
    with torch.device("meta"):
        nets = CTCNet(), CTCNet(26, 100, layers=1)
    assert [sum(p.numel() for p in net.parameters()) for net in nets] == [3_787_562, 114_662]


def test_the_net_learns_to_spell_what_it_was_never_shown_the_times_of():
    """Ten frames of noise around three bumps, whose kind is the label: the loss falls, and the labels come out."""
    torch.manual_seed(0)
    targets = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 1, 0], [2, 0, 0], [0, 2, 1], [1, 0, 2]])
    x = 0.1 * torch.randn(6, 10, 3)
    for place in range(3):
        x[torch.arange(6), 3 * place + 1, targets[:, place]] += 3
    net = CTCNet(3, 8, layers=1, num_labels=3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = ctc_loss(net(x), targets).mean()
        loss.backward()
        optimizer.step()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())
    assert best_path(net(x)).equal(targets)
    lengths = torch.tensor([10, 9, 10, 10, 8, 10])
    alone = net(x[4:5, :8])
    assert net(x, lengths)[4, :8].allclose(alone[0], atol=1e-6)


LOGITS = torch.zeros(2, 3, 4)
TARGETS = torch.tensor([[0, 1], [2, -1]])
MISTAKES = {
    "Target 0 needs 3 steps, and its sequence has 2": lambda: ctc_loss(
        LOGITS, torch.tensor([[1, 1], [2, -1]]), torch.tensor([2, 3]), impossible="error"
    ),
    "Target 1 has 3 at place 0: the blank": lambda: ctc_loss(LOGITS, torch.tensor([[0, 1], [3, -1]])),
    "Target 1 has 0 at place 1: the blank": lambda: ctc_loss(LOGITS, torch.tensor([[1, 1], [2, 0]]), blank=0),
    "Target 0 has 4 at place 1: no unit of the 4": lambda: ctc_loss(LOGITS, torch.tensor([[0, 4], [2, -1]])),
    "A target goes on behind a -1: number 0 has 1 at place 1": lambda: ctc_loss(
        LOGITS, torch.tensor([[-1, 1], [2, -1]])
    ),
    "There are 1 targets for 2 sequences": lambda: ctc_loss(LOGITS, TARGETS[:1]),
    "A length is 4, and x has 3 steps": lambda: ctc_loss(LOGITS, TARGETS, torch.tensor([4, 2])),
    "A length is 0, and x has 3 steps": lambda: best_path(LOGITS, torch.tensor([3, 0])),
    "There are 1 lengths for 2 sequences": lambda: ctc_loss(LOGITS, TARGETS, torch.tensor([3])),
    "CTC was given outputs of shape 2 x 0 x 4": lambda: best_path(LOGITS[:, :0]),
    "CTC was given outputs of shape 2 x 3 x 1": lambda: best_path(LOGITS[:, :, :1]),
    "The blank is unit 4, and there are 4 units": lambda: best_path(LOGITS, blank=4),
    "There is no way with impossible targets called 'infinite'": lambda: ctc_loss(
        LOGITS, TARGETS, impossible="infinite"
    ),
    "The blank is unit True": lambda: ctc_loss(LOGITS, TARGETS, blank=True),
    "CTC was given outputs of shape 2 x 4, float32": lambda: ctc_loss(LOGITS[:, 0], TARGETS),
    "CTC was given outputs of shape 2 x 3 x 4, int64": lambda: best_path(LOGITS.long()),
    "Prefix search was given outputs of shape 2 x 3 x 4": lambda: prefix_search(LOGITS),
    "The targets are of shape 2 x 2, float32": lambda: ctc_loss(LOGITS, TARGETS.float()),
    "The targets are of shape 2, int64": lambda: ctc_loss(LOGITS, TARGETS[0]),
    "The targets are not one tensor": lambda: ctc_loss(LOGITS, [[0, 1], [2]]),
    "The lengths are float32": lambda: ctc_loss(LOGITS, TARGETS, [3.0, 2.0]),
    "12 of the 12 outputs are of no use: sequence 0 has nan at step 0": lambda: prefix_search(LOGITS[0] * torch.nan),
    "sequence 1 has inf at step 2": lambda: best_path(LOGITS + one_odd(torch.inf)),
    "sequence 1 has nan at step 2": lambda: ctc_loss(LOGITS + one_odd(torch.nan), TARGETS),
    "sequence 0 has -inf at step 0, for every unit": lambda: ctc_loss(LOGITS - torch.inf, TARGETS),
    "Prefix search has continued 1 prefixes": lambda: prefix_search(LOGITS[0], most=1),
}


def one_odd(value):
    odd = torch.zeros(2, 3, 4)
    odd[1, 2, 3] = value
    return odd


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_explained_in_three_sentences(words):
    assert_explained(MISTAKES[words], words)
