"""What a net costs, counted exactly: parameters and multiply-adds."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """What does not depend on the machine."""

    parameters: int
    macs: int  # multiply-adds of convolutions and matrix products for one example


def cost(net: nn.Module, shape: tuple[int, ...]) -> Cost:
    """The cost of one example of that shape (without the batch axis). The net's mode and buffers are left alone."""
    training = net.training
    net.eval()
    counter = FlopCounterMode(display=False)
    # Detached: the counter follows gradients as well, and trips over a net that answers with a bare parameter.
    tensors = {name: t.detach() for name, t in (*net.named_parameters(), *net.named_buffers())}
    with counter, torch.no_grad():
        torch.func.functional_call(net, tensors, (torch.zeros(1, *shape),))
    net.train(training)
    return Cost(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2)
