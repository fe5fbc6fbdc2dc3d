"""Two nets that keep everyone honest: what is not better than these has learnt nothing of note.

Majority: the bias alone, so that training finds the log of each class's share and the answer is always the most
frequent class. Logistic regression (Cox, 1958): one linear layer on the pixels, no hidden unit.

Where we leave the sources: both are trained by the recipe like any other net, not by a closed form or by Newton's
method.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Majority(nn.Module):
    """The same logits for every input."""

    def __init__(self, *, in_channels: int = 1, num_classes: int = 10, image_size: int = 28) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.bias.expand(len(x), -1)


class Logistic(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, *, in_channels: int = 1, num_classes: int = 10, image_size: int = 28) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.fc(x.flatten(1))
