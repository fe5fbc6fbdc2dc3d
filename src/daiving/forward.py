"""One forward pass of a net on the `meta` device, where tensors have shapes and no contents, and what it shows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from daiving.nets.draw import LightMode

BATCH = 2  # batch norm trains on one number a channel from two images up


@dataclass
class Passed:
    """What was seen in one forward pass, by the dotted name of the module that was innermost at the time."""

    order: dict[str, None] = field(default_factory=dict)  # modules in the order in which they first ran
    taken: dict[str, tuple[int, ...]] = field(default_factory=dict)
    given: dict[str, tuple[int, ...]] = field(default_factory=dict)
    macs: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)  # bytes that outlive the pass, an image
    answer: type = Tensor

    def one_image(self) -> "Passed":
        """The same with the multiply-adds of one image of a training batch, as evaluation counts them."""
        return replace(self, macs=Counter({name: count // BATCH for name, count in self.macs.items()}))


def normed(x: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def convolved(
    x: Tensor,
    w: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    more: Any,
    groups: int,
) -> Tensor | None:
    steps = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=False)
    size = [(n + 2 * pad - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in steps]
    plain = x.dim() == w.dim() == 4 and x.shape[1] == w.shape[1] * groups and not transposed and min(size) > 0
    return x.new_empty(len(x), len(w), *size) if plain else None


# On the meta device torch works these out step by step, nine tenths of a deep net's time, and all that is asked here is
# the shape of the answer. None leaves it to torch, which also says what is wrong.
SHAPES: Mapping[Any, Callable[..., Any]] = {
    torch.ops.aten.native_batch_norm.default: normed,
    torch.ops.aten._native_batch_norm_legit.default: normed,
    torch.ops.aten.convolution.default: convolved,
    torch.ops.aten.relu_.default: lambda x: x,
}


class Watch(LightMode):
    """Counts the multiply-adds of every operation, and remembers which memory it made."""

    def __init__(self, run: Passed, inside: list[str]) -> None:
        super().__init__()
        self.run, self.inside = run, inside
        self.made: dict[StorageWeakRef, tuple[str, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = SHAPES[func](*args) if func in SHAPES and args[0].is_meta else None
        if out is None:
            out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.run.macs[self.inside[-1]] += count(*args, **(kwargs or {}), out_val=out) // 2
        for t in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if isinstance(t, Tensor):
                storage = t.untyped_storage()
                self.made.setdefault(StorageWeakRef(storage), (self.inside[-1], storage.nbytes()))
        return out


def passed(
    net: nn.Module,
    shape: Sequence[int],
    *,
    training: bool,
    device: str = "meta",
    dtype: torch.dtype = torch.float32,
) -> Passed:
    """One forward pass of zeros of `shape`, on copies of the net's tensors; int64 for a net of sequences."""
    batch = BATCH if training else 1
    run, inside = Passed(), [""]
    watch = Watch(run, inside)
    names = {m: name for name, m in reversed(list(net.named_modules()))}

    def enter(m: nn.Module, args: tuple[Any, ...]) -> None:
        if m not in names:  # made on the way: what it does is counted where it was made
            return
        inside.append(names[m])
        run.order.setdefault(names[m])
        run.taken.setdefault(names[m], joint_shape(args))

    def leave(m: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        if m in names:
            run.given.setdefault(inside.pop(), joint_shape(out))

    # For every module there is, which costs less than a hook for each of some thousand.
    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    tensors = {
        name: t if t.is_meta else t.detach().to(device, copy=True).requires_grad_(t.requires_grad)
        for name, t in (*net.named_parameters(), *net.named_buffers())
    }
    away = any(t.device.type != "meta" for t in (*net.parameters(), *net.buffers()))
    was = {m: m.training for m in names}
    try:
        net.train(training)
        with watch, torch.set_grad_enabled(training), torch.random.fork_rng(devices=[]):
            x = torch.zeros(batch, *shape, device=device, dtype=dtype)
            answer = torch.func.functional_call(net, tensors, (x,)) if away else net(x)
    finally:
        for hook in hooks:
            hook.remove()
        for m, mode in was.items():
            m.training = mode
    image, own = StorageWeakRef(x.untyped_storage()), {StorageWeakRef(t.untyped_storage()) for t in tensors.values()}
    first = next(iter(run.given))  # the first part that was done has the image, if it is kept
    watch.made[image] = (first, watch.made[image][1])
    del x
    for ref, (name, size) in watch.made.items():
        if not ref.expired() and ref not in own:
            run.kept[name] += size // batch
    run.answer = type(answer)
    del answer  # which held on to the graph, as a loss would
    return run


def joint_shape(value: Any) -> tuple[int, ...]:
    """The shape of a tensor without its batch axis; of several that are stacked or summed, that of the first."""
    first = value[0] if isinstance(value, tuple) and value else value  # pytree's way is slow for a thousand layers
    t = first if isinstance(first, Tensor) else next((x for x in tree_leaves(value) if isinstance(x, Tensor)), None)
    return tuple(t.shape[1:]) if t is not None else ()
