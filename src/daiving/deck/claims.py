"""The table of the deck's claims, in its order, each with the function that answers it. Listing them needs no torch.

The half about convolutional nets stands here, the other one in `claims_recurrent.py`.
"""

from collections.abc import Mapping

from daiving.deck.claim import MOMENT, NONE, Claim
from daiving.deck.claims_recurrent import RECURRENT

INCEPTION, DEPTH, RESIDUAL, DENSE = "Inception", "Depth", "Residual", "Dense"

CONVOLUTIONAL: Mapping[int, Claim] = {
    1: Claim(
        INCEPTION, "Naive module: 1x1, 3x3 and 5x5 convolutions and a 3x3 max pool side by side, joined.", "",
        NONE, MOMENT, "modules:naive_module",
    ),
    2: Claim(
        INCEPTION, "Module with dimension reductions: a 1x1 in front of 3x3 and 5x5, one behind the pool.", "",
        NONE, MOMENT, "modules:reduced_module",
    ),
    3: Claim(
        INCEPTION, "Figure 6: 5x5 convolutions in the naive module are expensive.", "",
        "a number that the slide's text has lost", MOMENT, "modules:naive_five",
    ),
    4: Claim(
        INCEPTION, "Figure 7: 1x1 convolutions reduce the dimensions in front of the expensive 5x5.", "",
        "a number that the slide's text has lost", MOMENT, "modules:reducers",
    ),
    5: Claim(
        INCEPTION, "The code's InceptionA is the module of figures (a) and (b).", "",
        "16 + 24 + 24 + 24 = 88 channels", MOMENT, "linear:linear_module",
    ),
    6: Claim(
        INCEPTION, "The net for MNIST: conv2 reads 88 channels, the last layer 1408 numbers.", "",
        "88, 1408", MOMENT, "modules:mnist_net",
    ),
    7: Claim(
        INCEPTION, "Nine epochs on MNIST.", "",
        "98.64 %, loss 0.0446 (one run)", "about 2 hours of one core: at most 10 runs of 9 epochs on full MNIST",
        "trained:nine_epochs", trains=True,
    ),
    8: Claim(
        INCEPTION, "The log of a training: a line every ten batches of 64.", "",
        "Train Epoch: 9 [48000/60000 (80%)] Loss: 0.049192", MOMENT, "trained:log_format",
    ),
    9: Claim(
        INCEPTION, "The block diagram of Inception v3, with a legend of seven symbols.", "",
        "7 symbols", MOMENT, "versions:legend",
    ),
    10: Claim(
        INCEPTION, "v1: the first model with the Inception module.", "Inception module을 제시한 최초의 모델",
        NONE, MOMENT, "versions:version_1",
    ),
    11: Claim(
        INCEPTION, "v2: convolutions limited to 3x3 (VGG style), for fewer parameters and operations.",
        "파라미터 수, 연산량, 복잡도를 줄이기 위해 convolution 필터를 3x3만으로 제한함.(VGG style 도입)",
        "3x3 only", MOMENT, "versions:version_2",
    ),
    12: Claim(
        INCEPTION, "v3: the structure of v2 with another optimizer and other arguments; the one mainly used.",
        "v2에서 구조는 바뀌지 않고 일부 optimizer 종류와 convolution argument만 바뀜, 우리가 주로 사용하는 모델",
        "structure unchanged", MOMENT, "versions:version_3",
    ),
    13: Claim(
        INCEPTION, "v4: published in 2015 to add ResNet, with three new inception layers A, B, C.",
        "2015년에 Resnet을 추가하기 위해 발표, 세부적으로 달라진 inception layer 3개 사용(A, B, C)",
        "2015; 3 layers", MOMENT, "versions:version_4",
    ),
    14: Claim(
        DEPTH, "① Stacking layers: vanishing gradients.", "",
        NONE, "about 5 s", "depth:vanishing",
    ),
    15: Claim(
        DEPTH, "② Back propagation kind of gives up …", "",
        NONE, "about 5 s", "depth:gives_up",
    ),
    16: Claim(
        DEPTH, "③ Degradation: with depth accuracy saturates, then degrades rapidly.", "",
        NONE, "about 60 s", "depth:degradation",
    ),
    17: Claim(
        RESIDUAL, "Deep residual learning: a residual net against a plain net.", "",
        NONE, "about 2 min", "depth:residual",
    ),
    18: Claim(
        RESIDUAL, "\"Inception Resnet\": conv3 makes the net a residual one.", "",
        NONE, MOMENT, "linear:jump_is_linear",
    ),
    19: Claim(
        RESIDUAL, "Inception against Inception Resnet, four epochs on MNIST.", "",
        "97.71 % VS 97.60 % (one run each)", "about 3 hours of one core: at most 20 runs of 4 epochs on full MNIST",
        "trained:four_epochs", trains=True,
    ),
    20: Claim(
        DENSE, "Figure 1: a 5-layer dense block with growth rate 4; each layer takes all maps before it.", "",
        "5 layers, k = 4", MOMENT, "modules:dense_block",
    ),
}  # fmt: skip

CLAIMS: Mapping[int, Claim] = {**CONVOLUTIONAL, **RECURRENT}
CHEAP = tuple(number for number, claim in CLAIMS.items() if not claim.trains)
