"""A net made faster for inference without changing what it computes, proved on random images or refused.

Four rewrites of its graph, each an identity in exact arithmetic:

    batch norm into the convolution before it       w' = w γ/σ,  b' = β + (b - μ) γ/σ          (evaluation mode)
    pool ─ 1x1  →  1x1 ─ pool                       a mean over places and a mix of channels commute
    1x1 ∥ 1x1 ∥ 1x1 of one input  →  one 1x1        their weights stacked, their answers split
    everything in channels_last                     the order in memory that the convolutions here work in
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from daiving.errors import FixableError
from daiving.nets.layers import Input

AGREE = 1e-4  # largest difference of an answer, relative to the largest answer


class AddBias(nn.Module):
    """A number a channel, added in place."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x.add_(self.bias)


class Whole(fx.Tracer):
    """Sees through every module but those of torch and the one that looks at shapes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Input) or super().is_leaf_module(m, module_qualified_name)


def fast(net: nn.Module, shape: Sequence[int] | None = None) -> nn.Module:
    """A copy of `net` for inference, equal to it up to rounding: n x c x h x w to n x classes, as before.

    `shape` (c, h, w) is that of the images it is proved on; a net whose first part is an `Input` knows it. The proof:
    on random images the largest difference of an answer is below 1e-4 of the largest answer. Raises `FixableError`
    where the proof fails, and for a net whose computation depends on the values of its input or that keeps no graph.
    """
    if shape is None:
        gate = next((m for m in net.modules() if isinstance(m, Input)), None)
        if gate is None:
            raise FixableError(
                "It is not known which images this net takes.",
                expected="a net with an Input, as the papers' have, or shape=(channels, height, width).",
                fix="give the shape: daiving.fast(net, (3, 224, 224)).",
            )
        shape = (gate.channels, gate.home, gate.home)
    still = copy.deepcopy(net).eval()
    try:
        tracer = Whole()
        graph = tracer.trace(still)
        quick = fx.GraphModule(tracer.root, graph)
    except Exception as error:  # fx raises what the net does with a value that is not there yet, of any kind
        raise FixableError(
            f"The graph of this net cannot be read: {first_line(error)}.",
            expected="a net whose computation does not depend on the values or shapes of its input.",
            fix="use the net as it is.",
        ) from None
    fold_norms(quick)
    swap_pools(quick)
    join_pointwise(quick)
    quick.graph.lint()
    quick.delete_all_unused_submodules()
    quick.recompile()
    for p in quick.requires_grad_(False).parameters():
        if p.dim() == 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last)
    prove(still, quick, shape)
    return quick


def modules_of(net: fx.GraphModule) -> dict[fx.Node, nn.Module]:
    """The module that each node of the graph calls, of those that are called once only."""
    called = dict(net.named_modules())
    calls = [node for node in net.graph.nodes if node.op == "call_module"]
    return {n: called[n.target] for n in calls if sum(other.target == n.target for other in calls) == 1}


def fold_norms(net: fx.GraphModule) -> None:
    modules = modules_of(net)
    for norm, m in modules.items():
        before: Any = norm.args[0] if norm.args else None
        if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None and only_user(before, norm):
            conv = modules.get(before)
            if isinstance(conv, nn.Conv2d):
                net.set_submodule(before.target, fuse_conv_bn_eval(conv, m))
                norm.replace_all_uses_with(before)
                net.graph.erase_node(norm)


def swap_pools(net: fx.GraphModule) -> None:
    modules = modules_of(net)
    for pool, m in modules.items():
        if not isinstance(m, nn.AvgPool2d) or m.stride not in (1, (1, 1)) or len(pool.users) != 1:
            continue
        (conv,) = pool.users
        mix = modules.get(conv)
        if not is_pointwise(mix) or not pool.args or conv.args != (pool,):
            continue
        source, bias = pool.args[0], mix.bias
        conv.args = (source,)
        pool.args = (conv,)
        conv.replace_all_uses_with(pool, delete_user_cb=lambda user, pool=pool: user is not pool)
        pool.prepend(conv)
        if bias is not None and m.count_include_pad and m.padding not in (0, (0, 0)):
            # A mean that counts the padding's zeros would thin the bias out at the border: it is added behind.
            mix = copy.deepcopy(mix)  # the net of the proof has it too
            mix.register_parameter("bias", None)
            net.set_submodule(str(conv.target), mix)
            name = f"{str(conv.target).replace('.', '_')}_bias"
            net.add_submodule(name, AddBias(bias.detach()))
            with net.graph.inserting_after(pool):
                added = net.graph.call_module(name, ())
            pool.replace_all_uses_with(added)
            added.args = (pool,)


def join_pointwise(net: fx.GraphModule) -> None:
    modules, called = modules_of(net), dict(net.named_modules())
    for source in list(net.graph.nodes):
        ours = [node for node in source.users if is_pointwise(modules.get(node))]
        if len(ours) < 2:
            continue
        convs: list[Any] = [modules[node] for node in ours]
        first, widths = convs[0], [c.out_channels for c in convs]
        joint = nn.Conv2d(first.in_channels, sum(widths), 1)
        biases = [c.weight.new_zeros(c.out_channels) if c.bias is None else c.bias for c in convs]
        joint.weight, joint.bias = (nn.Parameter(torch.cat(parts)) for parts in ([c.weight for c in convs], biases))
        name = "_".join(str(node.target).replace(".", "_") for node in ours)
        net.add_submodule(name, joint)
        with net.graph.inserting_after(source):
            whole = net.graph.call_module(name, (source,))
        after, start = whole, 0
        for node, width in zip(ours, widths, strict=True):
            with net.graph.inserting_after(after):
                after = net.graph.call_method("narrow", (whole, 1, start, width))
            start += width
            for user in node.users:
                if isinstance(called.get(user.target), nn.ReLU):  # autograd allows no work in place on a slice
                    net.set_submodule(str(user.target), nn.ReLU())
            node.replace_all_uses_with(after)
            net.graph.erase_node(node)


def is_pointwise(m: object) -> TypeGuard[nn.Conv2d]:
    """Whether it is a 1x1 convolution that looks at every place and every channel."""
    return isinstance(m, nn.Conv2d) and (m.kernel_size, m.stride, m.padding, m.groups) == ((1, 1), (1, 1), (0, 0), 1)


def only_user(node: Any, user: fx.Node) -> bool:
    return isinstance(node, fx.Node) and list(node.users) == [user]


@torch.inference_mode()
def prove(slow: nn.Module, quick: nn.Module, shape: Sequence[int]) -> None:
    """Hold both to the same random images; raises `FixableError` where they differ, or where the net cannot be run."""
    like = next(slow.parameters(), torch.zeros(()))
    for n in (1, 2):
        x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(n)).to(like)
        try:
            theirs = slow(x)
        except FixableError:
            raise
        except Exception as error:  # whatever a net says to images that it cannot take
            raise FixableError(
                f"This net cannot take images of {'x'.join(map(str, shape))}: {first_line(error)}.",
                expected="shape=(channels, height, width) of images that it takes.",
                fix="give the shape that the net was built for.",
            ) from None
        if not isinstance(theirs, Tensor):
            raise FixableError(
                f"This net answers with a {type(theirs).__name__}.",
                expected="a net that answers with one tensor: a score a class for each image.",
                fix="use the net as it is.",
            )
        difference = ((quick(x) - theirs).abs().max() / theirs.abs().max()).item()
        if not difference < AGREE:
            raise FixableError(
                f"The faster form of this net answers otherwise: by {difference:.2g} of its largest answer.",
                expected=f"a difference below {AGREE:g}, which is rounding.",
                fix="use the net as it is; a net whose numbers are not finite or very large fails here.",
            )


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
