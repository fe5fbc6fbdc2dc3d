"""The loops over the steps, forwards and backwards, in torch's operations: the lecture's derivation, line by line.

Each pair `rnn` and `rnn_back`, `lstm` and `lstm_back`, … is a function and its gradient. Forwards: `xs` is W x + b of
all steps, t x n x gates·hid; `kept`, if it is a list, receives what the way back needs. Backwards: what was kept, then
the gradients of h of every step (None if nothing reads it) and of the last state; answers with those of xs, the first
state, U.

Every derivative of a step is the incoming gradient times a factor φ that the forward pass already decides. The factors
are computed for many steps at once, and the loop backwards only multiplies and adds. What is left in a loop goes into
memory that was set aside before it.

Notation: δa is the gradient of the loss by a; h⁻ and c⁻ are the state before the step; ā is what goes into a gate's σ
or tanh. The same loops stand in loops_kernels.h for a compiler, under the same names.
"""

import torch
from torch import Tensor

from daiving.nets.loops_parts import (
    Kept,
    at_their_steps,
    from_above,
    last,
    over_time,
    plus,
    room,
    span,
    spans,
    states,
)

# --- RNN: ā = xs + U h⁻, h = tanh(ā)


def rnn(_: None, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    every = states(h, len(xs))
    steps, Ut = every.unbind(0), U.t()
    for x, before, h in zip(xs.unbind(0), steps, steps[1:], strict=False):
        torch.addmm(x, before, Ut, out=h).tanh_()
    if kept is not None:
        kept += [every, U]
    return every[1:], last(every, None)


def rnn_back(_: None, every: Tensor, U: Tensor, d_hs: Tensor | None, d_last: Tensor | None) -> tuple[Tensor, ...]:
    """δā = (1 - h²) ⊙ δh        δh⁻ = Uᵀ δā + what comes from above"""
    hs = every[1:]
    above, d_a = from_above(d_hs, hs), torch.empty_like(hs)
    d_as, d_h, one = d_a.unbind(0), plus(above[-1], d_last), hs.new_ones(())
    for start, end in spans(len(hs), hs[0].numel()):
        factor = torch.addcmul(one, hs[start:end], hs[start:end], value=-1).unbind(0)
        for t in range(end - 1, start - 1, -1):
            a = torch.mul(d_h, factor[t - start], out=d_as[t])
            d_h = torch.addmm(above[t - 1], a, U) if t else a.mm(U)
    return d_a, d_h, over_time(d_a, every[:-1])


# --- LSTM: i, f, o = σ(ā), g = tanh(ā), c = f ⊙ c⁻ + i ⊙ g, h = o ⊙ tanh(c)


def lstm(
    lengths: Tensor | None, kept: Kept | None, xs: Tensor, h: Tensor, c: Tensor, U: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    t, n, hid = len(xs), *h.shape
    every, cells = states(h, t), states(c, t)
    gates, g, squashed = (room(kept, xs, n, width * hid) for width in (4, 1, 1))
    steps, cs, Ut = every.unbind(0), cells.unbind(0), U.t()
    views = list(zip(gates, *gates.split(hid, 2), g, squashed, strict=True)) * (1 if kept is not None else t)
    for x, (a, i, f, a_g, o, g_, tanh_c), before, h, c_, c in zip(
        xs.unbind(0), views, steps, steps[1:], cs, cs[1:], strict=False
    ):
        torch.addmm(x, before, Ut, out=a)
        torch.tanh(a_g, out=g_)
        a.sigmoid_()  # of all four blocks, since one call is cheaper than two; g's is not used
        torch.mul(f, c_, out=c).addcmul_(i, g_)
        torch.mul(o, torch.tanh(c, out=tanh_c), out=h)
    if kept is not None:
        kept += [every, cells, gates, g, squashed, U]
    return every[1:], last(every, lengths), last(cells, lengths)


def lstm_back(
    lengths: Tensor | None,
    every: Tensor,
    cells: Tensor,
    gates: Tensor,
    g: Tensor,
    squashed: Tensor,
    U: Tensor,
    d_hs: Tensor | None,
    d_last: Tensor | None,
    d_c_last: Tensor | None,
) -> tuple[Tensor, ...]:
    """δc = φ_c ⊙ δh + f ⊙ δc of the step behind            φ_c = o (1 - tanh² c)
    δī = g i (1 - i) ⊙ δc      δf̄ = c⁻ f (1 - f) ⊙ δc      δḡ = i (1 - g²) ⊙ δc      δō = tanh(c) o (1 - o) ⊙ δh
    δh⁻ = Uᵀ δā + what comes from above
    """
    t, n, hid = g.shape
    d_a = torch.empty_like(gates)
    written = list(zip(d_a, d_a[:, :, : 3 * hid].view(t, n, 3, hid), d_a[:, :, 3 * hid :], strict=True))
    d_hs, d_last = at_their_steps(d_hs, d_last, lengths, g)
    d_cs, d_c_last = at_their_steps(None, d_c_last, lengths, g)
    above = from_above(d_hs, g)
    d_h = plus(above[-1], d_last)
    d_c = torch.zeros_like(g[0]) if d_c_last is None else d_c_last
    factors = g.new_empty(span(t, n * 4 * hid), n, 4, hid)
    for start, end in spans(t, n * 4 * hid):
        i, f, _, o = gates[start:end].split(hid, 2)
        g_, tanh_c = g[start:end], squashed[start:end]
        slope = torch.addcmul(gates[start:end], gates[start:end], gates[start:end], value=-1)  # σ (1 - σ)
        s_i, s_f, _, s_o = slope.split(hid, 2)
        phi = factors[: end - start]
        torch.mul(s_i, g_, out=phi[:, :, 0])
        torch.mul(s_f, cells[start:end], out=phi[:, :, 1])
        torch.addcmul(i, i * g_, g_, value=-1, out=phi[:, :, 2])
        torch.mul(s_o, tanh_c, out=phi[:, :, 3])
        phi_c = torch.addcmul(o, o * tanh_c, tanh_c, value=-1)
        steps = list(zip(phi[:, :, :3], phi[:, :, 3], phi_c, f, strict=True))
        for k in range(end - 1, start - 1, -1):
            phi_ifg, phi_o, phi_k, keep = steps[k - start]
            every_a, ifg, o_bar = written[k]
            if d_cs is not None:
                d_c = d_c + d_cs[k]
            d_c = torch.addcmul(d_c, d_h, phi_k)
            torch.mul(d_c[:, None], phi_ifg, out=ifg)
            torch.mul(d_h, phi_o, out=o_bar)
            d_c *= keep
            d_h = torch.addmm(above[k - 1], every_a, U) if k else every_a.mm(U)
    return d_a, d_h, d_c, over_time(d_a, every[:-1])


# --- GRU, both forms: w is the weight of the candidate (z, or 1 - z), and h = (1 - w) ⊙ h⁻ + w ⊙ n


def mixing(new: bool, z: Tensor) -> tuple[Tensor, Tensor]:
    """w and 1 - w."""
    return (z, 1 - z) if new else (1 - z, z)


def gru_after(
    new: bool, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor, late: Tensor | None
) -> tuple[Tensor, Tensor]:
    """ā_rz = xs_rz + U_rz h⁻, m = U_n h⁻ + b_Un, n = tanh(xs_n + r ⊙ m)"""
    t, n, hid = len(xs), *h.shape
    every = states(h, t)
    product, rz, candidate = (room(kept, xs, n, width * hid) for width in (3, 2, 1))
    steps, Ut = every.unbind(0), U.t()
    bias = None if late is None else torch.cat([late.new_zeros(2 * hid), late])
    p_rz, p_n = product.split([2 * hid, hid], 2)
    r, z = rz.split(hid, 2)
    views = list(zip(product, p_rz, p_n, rz, r, z, candidate, strict=True)) * (1 if kept is not None else t)
    for x_rz, x_n, (p, p_rz_, m, rz_, r_, z_, n_), before, h in zip(
        *(part.unbind(0) for part in xs.split([2 * hid, hid], 2)), views, steps, steps[1:], strict=False
    ):
        torch.mm(before, Ut, out=p) if bias is None else torch.addmm(bias, before, Ut, out=p)
        torch.add(x_rz, p_rz_, out=rz_).sigmoid_()
        torch.addcmul(x_n, r_, m, out=n_).tanh_()
        torch.lerp(before, n_, z_, out=h) if new else torch.lerp(n_, before, z_, out=h)
    if kept is not None:
        kept += [every, p_n, rz, candidate, U, late]
    return every[1:], last(every, None)


def gru_after_back(
    new: bool,
    every: Tensor,
    m: Tensor,
    rz: Tensor,
    candidate: Tensor,
    U: Tensor,
    late: Tensor | None,
    d_hs: Tensor | None,
    d_last: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """δn̄ = w (1 - n²) ⊙ δh       δr̄ = r (1 - r) m ⊙ δn̄       δz̄ = ± z (1 - z) (n - h⁻) ⊙ δh       δm = r ⊙ δn̄
    δh⁻ = (1 - w) ⊙ δh + Uᵀ (δr̄, δz̄, δm) + what comes from above

    All four are δh times a factor, so that one product a step gives them. They lie as (m, r, z, n): the first three are
    what U reads, the last three what x does.
    """
    t, n, hid = candidate.shape
    hs, before = every[1:], every[:-1]
    above, d = from_above(d_hs, hs), candidate.new_empty(t, n, 4, hid)
    to_U, ds = d.view(t, n, 4 * hid)[:, :, : 3 * hid], d.unbind(0)
    U_mrz, reads = torch.cat([U[2 * hid :], U[: 2 * hid]]), to_U.unbind(0)
    d_h = plus(above[-1], d_last)
    factors = candidate.new_empty(span(t, n * 4 * hid), n, 4, hid)
    for start, end in spans(t, n * 4 * hid):
        phi, c, r, z = factors[: end - start], candidate[start:end], *rz[start:end].split(hid, 2)
        w, rest = mixing(new, z)
        phi_m, phi_r, phi_z, phi_n = phi.unbind(2)
        torch.addcmul(w, w * c, c, value=-1, out=phi_n)
        torch.mul(phi_n, r, out=phi_m)
        torch.mul(phi_m - phi_m * r, m[start:end], out=phi_r)
        torch.mul(z - z * z, c - before[start:end] if new else before[start:end] - c, out=phi_z)
        phis, rests = phi.unbind(0), rest.unbind(0)
        for k in range(end - 1, start - 1, -1):
            torch.mul(d_h[:, None], phis[k - start], out=ds[k])
            d_h = torch.addcmul(above[k - 1], d_h, rests[k - start]) if k else d_h * rests[0]
            d_h.addmm_(reads[k], U_mrz)
    d_U = over_time(to_U, before)
    d_late = to_U[:, :, :hid].sum((0, 1)) if late is not None else None
    return d.view(t, n, 4 * hid)[:, :, hid:], d_h, torch.cat([d_U[hid:], d_U[:hid]]), d_late


def gru_before(new: bool, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    """ā_rz = xs_rz + U_rz h⁻, s = r ⊙ h⁻, n = tanh(xs_n + U_n s)"""
    t, n, hid = len(xs), *h.shape
    every = states(h, t)
    rz, shown, candidate = (room(kept, xs, n, width * hid) for width in (2, 1, 1))
    steps, (Ut_rz, Ut_n) = every.unbind(0), U.t().split([2 * hid, hid], 1)
    views = list(zip(rz, *rz.split(hid, 2), shown, candidate, strict=True)) * (1 if kept is not None else t)
    for x_rz, x_n, (rz_, r, z, s, n_), before, h in zip(
        *(part.unbind(0) for part in xs.split([2 * hid, hid], 2)), views, steps, steps[1:], strict=False
    ):
        torch.addmm(x_rz, before, Ut_rz, out=rz_).sigmoid_()
        torch.addmm(x_n, torch.mul(r, before, out=s), Ut_n, out=n_).tanh_()
        torch.lerp(before, n_, z, out=h) if new else torch.lerp(n_, before, z, out=h)
    if kept is not None:
        kept += [every, rz, shown, candidate, U]
    return every[1:], last(every, None)


def gru_before_back(
    new: bool,
    every: Tensor,
    rz: Tensor,
    shown: Tensor,
    candidate: Tensor,
    U: Tensor,
    d_hs: Tensor | None,
    d_last: Tensor | None,
) -> tuple[Tensor, ...]:
    """δn̄ = w (1 - n²) ⊙ δh       δs = U_nᵀ δn̄       δr̄ = r (1 - r) h⁻ ⊙ δs       δz̄ = ± z (1 - z) (n - h⁻) ⊙ δh
    δh⁻ = (1 - w) ⊙ δh + r ⊙ δs + U_rzᵀ (δr̄, δz̄) + what comes from above
    """
    t, n, hid = candidate.shape
    hs, before = every[1:], every[:-1]
    above, d = from_above(d_hs, hs), candidate.new_empty(t, n, 3 * hid)
    U_rz, U_n = U.split([2 * hid, hid])
    d_rz, d_n = d.split([2 * hid, hid], 2)
    written = list(zip(d_rz.view(t, n, 2, hid), d_rz, d_n, strict=True))
    d_h, both = plus(above[-1], d_last), candidate.new_empty(n, 2, hid)  # δs and δh, side by side
    d_s, factors = both[:, 0], candidate.new_empty(span(t, n * 4 * hid), n, 2, hid)
    for start, end in spans(t, n * 4 * hid):
        phi, c, r, z = factors[: end - start], candidate[start:end], *rz[start:end].split(hid, 2)
        w, rest = mixing(new, z)
        h = before[start:end]
        phi_n = torch.addcmul(w, w * c, c, value=-1).unbind(0)
        torch.mul(r - r * r, h, out=phi[:, :, 0])
        torch.mul(z - z * z, c - h if new else h - c, out=phi[:, :, 1])
        phis, rests, rs = phi.unbind(0), rest.unbind(0), r.unbind(0)
        for k in range(end - 1, start - 1, -1):
            gates, gates_flat, n_bar = written[k]
            torch.mm(torch.mul(d_h, phi_n[k - start], out=n_bar), U_n, out=d_s)
            both[:, 1] = d_h
            torch.mul(both, phis[k - start], out=gates)
            d_h = torch.addcmul(above[k - 1], d_h, rests[k - start]) if k else d_h * rests[0]
            d_h.addcmul_(d_s, rs[k - start]).addmm_(gates_flat, U_rz)
    return d, d_h, torch.cat([over_time(d_rz, before), over_time(d_n, shown)])
