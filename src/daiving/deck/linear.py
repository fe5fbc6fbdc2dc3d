"""Claims 5 and 18: what a net without ReLUs is. The deck's module folds into one convolution, its jump into one matrix.

Both folds are exact and written out here: convolutions without anything between them are one convolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.anatomy import cost
from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.nets.build import build
from daiving.nets.mnist_inception import InceptionReduced

EXACT = 1e-10  # in float64, on numbers of the order of one

Kernel = tuple[Tensor, Tensor]  # out x in x h x w, and a bias an output


def then(first: Kernel, second: Kernel) -> Kernel:
    """One kernel for two convolutions: the second one's weights, each smeared by the first one's kernel."""
    (a, bias_a), (b, bias_b) = first, second
    size = a.shape[-1] + b.shape[-1] - 1
    # Convolving the kernels: pad b so that the (flipped) a meets it everywhere, with a's inputs as the new inputs.
    flipped = a.flip(2, 3).transpose(0, 1)
    joint = F.conv2d(b, flipped, padding=a.shape[-1] - 1)
    assert joint.shape[-1] == size
    return joint, bias_b + (b.sum((2, 3)) @ bias_a)


def centred(kernel: Kernel, size: int) -> Kernel:
    """The same convolution with a larger kernel, zeros around."""
    w, bias = kernel
    margin = (size - w.shape[-1]) // 2
    return F.pad(w, (margin,) * 4), bias


def folded(module: InceptionReduced) -> nn.Conv2d:
    """The deck's InceptionA as one 5x5 convolution. Equal inside; on a border of two pixels it differs, since the
    module pads what lies between its convolutions with zeros, and one convolution has nothing in between."""

    def of(conv: nn.Conv2d) -> Kernel:
        assert conv.bias is not None
        return conv.weight.detach(), conv.bias.detach()

    c_in = module.branch1x1.in_channels
    pool = torch.eye(c_in, dtype=module.branch1x1.weight.dtype)[:, :, None, None].expand(-1, -1, 3, 3) / 9
    arms = [
        of(module.branch1x1),
        then(of(module.branch5x5_1), of(module.branch5x5_2)),
        then(then(of(module.branch3x3dbl_1), of(module.branch3x3dbl_2)), of(module.branch3x3dbl_3)),
        then((pool, torch.zeros(c_in, dtype=pool.dtype)), of(module.branch_pool)),
    ]
    weights, biases = zip(*(centred(arm, 5) for arm in arms), strict=True)
    one = nn.Conv2d(c_in, module.c_out, 5, padding=2, dtype=pool.dtype)
    one.weight.data, one.bias.data = torch.cat(weights), torch.cat(biases)  # type: ignore[union-attr]
    return one


@torch.no_grad()
def linear_module() -> Evidence:
    """Claim 5: the deck's InceptionA is an affine map, and which."""
    deck = build("mnist_inception", seed=0).double().get_submodule("incept1")
    relu = build("mnist_inception", seed=0, activation="relu").double().get_submodule("incept1")
    assert isinstance(deck, InceptionReduced)
    one = folded(deck)
    x, y = torch.randn(2, 4, 10, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    without, with_relu = additivity(deck, x, y), additivity(relu, x, y)
    difference = (deck(x) - one(x)).abs()
    inside, border = difference[..., 2:-2, 2:-2].max().item(), difference.max().item()
    counts = [sum(p.numel() for p in m.parameters()) for m in (deck, one)]
    linear = without < EXACT and inside < EXACT < with_relu
    return Evidence(
        f"one 5x5 convolution does the same ({counts[1]:,} for {counts[0]:,} parameters; error {inside:.0e})",
        NOT_SO if linear else REPRODUCED,
        "The figures' module is not linear, the code's is: its ReLUs and norms were lost, so its four branches are one "
        "5x5 convolution (but for a border of two pixels). It is also another module: mean pool for max, two 3x3 for "
        "one, the branch names of torchvision's v3. activation=relu puts the ReLUs back."
        if linear
        else "No linearity was found.",
        ("what", "value"),
        (
            ("f(x+y) + f(0) − f(x) − f(y), as the deck has it", f"{without:.1e}"),
            ("the same with a ReLU behind each convolution", f"{with_relu:.2f}"),
            ("module − one 5x5 convolution, inside", f"{inside:.1e}"),
            ("module − one 5x5 convolution, border included", f"{border:.2f}"),
            ("parameters of the module", f"{counts[0]:,}"),
            ("parameters of the one convolution", f"{counts[1]:,}"),
            ("channels out", str(deck.c_out)),
        ),
        ("float64, random weights (seed 0), four random inputs of 10x12x12; largest absolute values.",),
    )


def additivity(f: nn.Module, x: Tensor, y: Tensor) -> float:
    """How far `f` is from an affine map."""
    return (f(x + y) + f(torch.zeros_like(x)) - f(x) - f(y)).abs().max().item()


@torch.no_grad()
def jump_is_linear() -> Evidence:
    """Claim 18: all that the jump does to the scores is one matrix behind the first pooled layer."""
    net = build("mnist_inception", seed=0, jump=True).double().eval()
    conv1, incept1, conv2, incept2, conv3, mp, fc = (
        net.get_submodule(name) for name in ("conv1", "incept1", "conv2", "incept2", "conv3", "mp", "fc")
    )
    x = torch.rand(64, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = mp(conv1(x)).relu()  # n x 10 x 12 x 12, 1440 numbers

    def jump(h: Tensor) -> Tensor:
        """Its part of the scores."""
        return conv3(incept1(h)).flatten(1) @ net.get_parameter("fc.weight").T

    # The matrix of a linear map is its slope anywhere, its bias what it makes of zero.
    size = h[0].numel()
    with torch.enable_grad():
        nothing = torch.zeros_like(h[:1]).requires_grad_()
        constant = jump(nothing)[0]
        slopes = [torch.autograd.grad(score, nothing, retain_graph=True)[0].flatten() for score in constant]
    linear = nn.Linear(size, 10, dtype=torch.float64)
    linear.weight.data, linear.bias.data = torch.stack(slopes), constant.detach()
    main = fc(incept2(mp(conv2(incept1(h))).relu()).flatten(1))
    error = (net(x) - main - linear(h.flatten(1))).abs().max().item()
    plain, whole = (cost(build("mnist_inception", jump=on), (1, 28, 28)) for on in (False, True))
    bypass_weights = sum(p.numel() for p in conv3.parameters())
    weights = sum(p.numel() for p in linear.parameters())
    bypass = error < EXACT
    return Evidence(
        f"{whole.parameters:,} parameters; the jump equals Linear({size}, 10), error {error:.0e}",
        NOT_SO if bypass else REPRODUCED,
        f"The net builds (its 9x9 is forced by the sizes), but it is not residual: no identity, no block, a linear "
        f"bypass. The {bypass_weights:,} parameters of conv3 do what {weights:,} would, for "
        f"{whole.parameters / plain.parameters:.2f} times the parameters and {whole.macs / plain.macs:.2f} times the "
        f"MACs."
        if bypass
        else "The jump is no linear map of the first pooled layer.",
        ("what", "parameters", "MACs"),
        (
            ("plain", f"{plain.parameters:,}", f"{plain.macs:,}"),
            ("with jump", f"{whole.parameters:,}", f"{whole.macs:,}"),
            ("conv3, 9x9", f"{bypass_weights:,}", f"{whole.macs - plain.macs:,}"),
            (f"Linear({size}, 10) in its place", f"{weights:,}", f"{size * 10:,}"),
        ),
        (f"float64, random weights (seed 0), 64 random images: the scores differ by {error:.1e} at most.",),
    )
