"""The table of nets, in the order in which a learner should meet them. Listing them needs no torch."""

from collections.abc import Mapping

from daiving.nets.entry import (
    AUX,
    AUX_POOL,
    BIT,
    DENSE,
    DENSE_PRESETS,
    DEPTH_6N,
    DIGIT,
    DROPOUT,
    GATED,
    HELLO,
    LARGE_PHOTO,
    LONG,
    ON_3X3,
    OPTION_B,
    ORDER,
    PHOTO,
    PREACT_STEM,
    RECURRENT,
    SCALE,
    SHORTCUT_A,
    SHORTCUT_B,
    STEM,
    STRIDE_ON,
    THUMBNAIL,
    Entry,
)
from daiving.options import Option

NETS: Mapping[str, Entry] = {
    "majority": Entry(
        "daiving.nets.baseline:Majority", "looks at nothing: learns how frequent each class is",
        "the floor for every accuracy", "baseline", 10, 0, DIGIT, 1,
    ),
    "logistic": Entry(
        "daiving.nets.baseline:Logistic", "logistic regression: one linear layer on the pixels",
        "Cox 1958", "baseline", 7_850, 7_840, DIGIT, 1,
    ),
    "mnist_inception": Entry(
        "daiving.nets.mnist_inception:MnistInception", "the lecture's net for digits, with or without its jump",
        "the deck; hunkim/PyTorchZeroToAll 11_1", "inception", 97_298, 6_019_200, DIGIT, 16,
        {
            "jump": Option(False, "the deck's conv3: a 9x9 convolution past conv2 and incept2"),
            "activation": Option(
                "none", "after each convolution of a module; none as in the deck", among=("none", "relu")
            ),
            "module": Option(
                "reduced", "with 1x1 convolutions in front, or without: the deck's figures b and a",
                among=("reduced", "naive"),
            ),
        },
    ),
    "googlenet": Entry(
        "daiving.nets.googlenet:GoogLeNet", "Inception v1: nine modules, two auxiliary heads",
        "arXiv 1409.4842, Table 1", "inception", 13_371_584, 1_498_677_248, PHOTO, 79,
        {
            "stem": STEM,
            "kernel5": Option(5, "kernel of the large branch", among=(5, 3)),
            "norm": Option("lrn", "local response norm behind the stem, or batch norm everywhere", among=("lrn", "bn")),
            "pool4": Option(3, "kernel of the pool before 5a", among=(3, 2)),
            "dropout": Option(0.4, "share dropped before the last layer", low=0, high=0.99),
            "aux": AUX,
            "aux_pool": AUX_POOL,
            "module": Option("reduced", "figure 2(b) or 2(a)", among=("reduced", "naive")),
        },
        presets={
            "caffe": {"stem": "full"},
            "torchvision": {
                "stem": "full", "kernel5": 3, "norm": "bn", "pool4": 2, "dropout": 0.2, "aux_pool": "adaptive"
            },
        },
    ),
    "bn_inception": Entry(
        "daiving.nets.bn_inception:BNInception", "Inception with batch norm: two 3x3 for each 5x5, no pools between",
        "arXiv 1502.03167, figure 5", "inception", 11_285_224, 2_032_600_064, PHOTO, 23,
        {
            "stem": Option(
                "full", "first layer: one 7x7 as in the table, or separable as in the text", among=("full", "separable")
            ),
            "pool_4cd": Option(
                128, "channels behind the pools of 4c, 4d: 128 as listed, or 96 as the sizes want", among=(128, 96)
            ),
            "dropout": Option(0.0, "share dropped before the last layer", low=0, high=0.99),
        },
        presets={"slim": {"stem": "separable", "pool_4cd": 96, "dropout": 0.2}},
    ),
    "inception_v2": Entry(
        "daiving.nets.inception_v2:InceptionV2", "the factorised net of Table 1; widths in its modules are ours",
        "arXiv 1512.00567, Table 1", "factorised", 29_022_768, 5_984_506_464, LARGE_PHOTO, 299,
        {
            "aux": AUX,
            "aux_pool": AUX_POOL,
        },
    ),
    "inception_v3": Entry(
        "daiving.nets.inception_v3:InceptionV3", "Inception v3 as released: rows and columns for large kernels",
        "arXiv 1512.00567; TF-slim's code", "factorised", 27_161_264, 5_713_216_096, LARGE_PHOTO, 299,
        {
            "aux": AUX,
            "aux_pool": AUX_POOL,
            "count_padding": Option(False, "average pools count their padding"),
            "dropout": DROPOUT,
        },
        presets={
            "torchvision": {"count_padding": True, "dropout": 0.5},
            "timm": {"count_padding": True, "dropout": 0.0, "aux": False},
        },
    ),
    "inception_v4": Entry(
        "daiving.nets.inception_v4:InceptionV4", "Inception v4: uniform modules A, B, C and reductions between them",
        "arXiv 1602.07261, figures 3 to 9", "factorised", 42_679_816, 12_253_974_624, LARGE_PHOTO, 75,
        {"order": ORDER, "dropout": DROPOUT},
        presets={"timm": {"order": "timm", "dropout": 0.0}},
    ),
    "inception_resnet_v1": Entry(
        "daiving.nets.inception_resnet:InceptionResNetV1", "Inception modules as residual blocks, at the cost of v3",
        "arXiv 1602.07261, figures 10 to 15", "inception_residual", 22_756_328, 6_206_361_696, LARGE_PHOTO, 75,
        {"scale": SCALE, "dropout": DROPOUT},
    ),
    "inception_resnet_v2": Entry(
        "daiving.nets.inception_resnet:InceptionResNetV2", "the wider one, behind v4's stem; or as it was released",
        "arXiv 1602.07261, figures 3, 15 to 19", "inception_residual", 32_433_928, 9_257_953_632, LARGE_PHOTO, 75,
        {
            "form": Option(
                "figures", "the paper's figures, or the modules of the released net", among=("figures", "released")
            ),
            "blocks": Option("5-10-5", "how many A, B and C", among=("5-10-5", "10-20-10")),
            "scale": SCALE,
            "order": ORDER,
            "dropout": DROPOUT,
        },
        presets={
            "released": {"form": "released", "blocks": "10-20-10", "order": "timm"},
            "timm": {"form": "released", "blocks": "10-20-10", "order": "timm", "dropout": 0.0},
        },
    ),
    "plain18": Entry(
        "daiving.nets.resnet:ResNet", "18 layers, no shortcut: ResNet-18 without its additions",
        "arXiv 1512.03385, Table 1", "plain", 11_515_688, 1_794_805_760, PHOTO, 17,
        fixed={"depth": 18, "shortcut": "none"},
    ),
    "plain34": Entry(
        "daiving.nets.resnet:ResNet", "34 layers, no shortcut: trains worse than 18 of them",
        "arXiv 1512.03385, Table 1", "plain", 21_623_848, 3_644_493_824, PHOTO, 17,
        fixed={"depth": 34, "shortcut": "none"},
    ),
    "cifar_plain": Entry(
        "daiving.nets.resnet_cifar:CifarResNet", "for small images, no shortcut: 6n+2 layers",
        "arXiv 1512.03385, 4.2", "plain", 269_722, 40_551_040, THUMBNAIL, 3,
        {"depth": DEPTH_6N}, fixed={"shortcut": "none"},
    ),
    "cifar_resnet": Entry(
        "daiving.nets.resnet_cifar:CifarResNet", "for small images: 6n+2 layers, in the paper up to 1202",
        "arXiv 1512.03385, 4.2", "residual", 269_722, 40_551_040, THUMBNAIL, 3,
        {"depth": DEPTH_6N, "shortcut": SHORTCUT_A},
    ),
    "resnet18": Entry(
        "daiving.nets.resnet:ResNet", "ResNet-18: eight blocks of two 3x3",
        "arXiv 1512.03385, Table 1", "residual", 11_515_688, 1_794_805_760, PHOTO, 17,
        {"shortcut": SHORTCUT_A}, {"depth": 18}, OPTION_B,
    ),
    "resnet34": Entry(
        "daiving.nets.resnet:ResNet", "ResNet-34: 16 blocks of two 3x3",
        "arXiv 1512.03385, Table 1", "residual", 21_623_848, 3_644_493_824, PHOTO, 17,
        {"shortcut": SHORTCUT_A}, {"depth": 34}, OPTION_B,
    ),
    "resnet50": Entry(
        "daiving.nets.resnet:ResNet", "ResNet-50: 16 bottlenecks of 1x1, 3x3, 1x1",
        "arXiv 1512.03385, Table 1", "residual", 25_557_032, 3_857_973_248, PHOTO, 17,
        {"shortcut": SHORTCUT_B, "stride_on": STRIDE_ON}, {"depth": 50}, ON_3X3,
    ),
    "resnet101": Entry(
        "daiving.nets.resnet:ResNet", "ResNet-101: 33 bottlenecks",
        "arXiv 1512.03385, Table 1", "residual", 44_549_160, 7_570_194_432, PHOTO, 17,
        {"shortcut": SHORTCUT_B, "stride_on": STRIDE_ON}, {"depth": 101}, ON_3X3,
    ),
    "resnet152": Entry(
        "daiving.nets.resnet:ResNet", "ResNet-152: 50 bottlenecks, which won ILSVRC 2015",
        "arXiv 1512.03385, Table 1", "residual", 60_192_808, 11_282_415_616, PHOTO, 17,
        {"shortcut": SHORTCUT_B, "stride_on": STRIDE_ON}, {"depth": 152}, ON_3X3,
    ),
    "cifar_preact": Entry(
        "daiving.nets.preact:CifarPreActResNet", "pre-activation for small images, in the paper up to 1001 layers",
        "arXiv 1603.05027", "preactivation", 1_703_258, 244_500_992, THUMBNAIL, 3,
        {
            "depth": Option(164, "layers: 9n+2, or 6n+2 with bottleneck=false"),
            "bottleneck": Option(True, "blocks of 1x1, 3x3, 1x1, or of two 3x3 as in the paper's 110 layers"),
        },
    ),
    "preact_resnet50": Entry(
        "daiving.nets.preact:PreActResNet", "pre-activation ResNet-50",
        "arXiv 1603.05027", "preactivation", 25_549_480, 3_857_973_248, PHOTO, 17,
        {"stride_on": STRIDE_ON, "stem": PREACT_STEM}, {"depth": 50}, BIT,
    ),
    "preact_resnet101": Entry(
        "daiving.nets.preact:PreActResNet", "pre-activation ResNet-101",
        "arXiv 1603.05027", "preactivation", 44_541_608, 7_570_194_432, PHOTO, 17,
        {"stride_on": STRIDE_ON, "stem": PREACT_STEM}, {"depth": 101}, BIT,
    ),
    "preact_resnet152": Entry(
        "daiving.nets.preact:PreActResNet", "pre-activation ResNet-152",
        "arXiv 1603.05027", "preactivation", 60_185_256, 11_282_415_616, PHOTO, 17,
        {"stride_on": STRIDE_ON, "stem": PREACT_STEM}, {"depth": 152}, BIT,
    ),
    "preact_resnet200": Entry(
        "daiving.nets.preact:PreActResNet", "pre-activation ResNet-200",
        "arXiv 1603.05027, Table 5", "preactivation", 64_666_280, 14_776_270_848, PHOTO, 17,
        {"stride_on": STRIDE_ON, "stem": PREACT_STEM}, {"depth": 200}, BIT,
    ),
    "densenet121": Entry(
        "daiving.nets.densenet:DenseNet", "dense net of 121 layers: four blocks, growth 32",
        "arXiv 1608.06993, Table 1", "dense", 7_978_856, 2_834_161_664, PHOTO, 29,
        DENSE, {"depth": 121}, DENSE_PRESETS,
    ),
    "densenet161": Entry(
        "daiving.nets.densenet:DenseNet", "dense net of 161 layers: growth 48, the authors' wide one",
        "arXiv 1608.06993, early version", "dense", 28_681_000, 7_727_907_072, PHOTO, 29,
        DENSE | {"growth": Option(48, "channels that each layer adds: k", low=1)}, {"depth": 161}, DENSE_PRESETS,
    ),
    "densenet169": Entry(
        "daiving.nets.densenet:DenseNet", "dense net of 169 layers",
        "arXiv 1608.06993, Table 1", "dense", 14_149_480, 3_359_843_328, PHOTO, 29,
        DENSE, {"depth": 169}, DENSE_PRESETS,
    ),
    "densenet201": Entry(
        "daiving.nets.densenet:DenseNet", "dense net of 201 layers",
        "arXiv 1608.06993, Table 1", "dense", 20_013_928, 4_291_365_888, PHOTO, 29,
        DENSE, {"depth": 201}, DENSE_PRESETS,
    ),
    "densenet264": Entry(
        "daiving.nets.densenet:DenseNet", "dense net of 264 layers, the paper's deepest for photos",
        "arXiv 1608.06993, Table 1", "dense", 33_337_704, 5_751_653_376, PHOTO, 29,
        DENSE, {"depth": 264}, {"timm": {"growth": 48, "stem": "deep"}},
    ),
    "cifar_densenet": Entry(
        "daiving.nets.densenet_cifar:CifarDenseNet", "dense net for thumbnails: three blocks, growth 12",
        "arXiv 1608.06993, Table 2", "dense", 1_019_722, 264_812_928, THUMBNAIL, 4,
        {
            "depth": Option(40, "layers: 3n + 4, or 6n + 4 with bottleneck"),
            "growth": Option(12, "channels that each layer adds: k", low=1),
            "bottleneck": Option(False, "a 1x1 convolution in front of each 3x3"),
            "compression": Option(1.0, "share of the channels that a transition keeps", low=0.01, high=1),
            "stem_channels": Option(0, "channels behind the first layer; 0 is the paper's: 16, or 2k with BC", low=0),
            "dropout": DENSE["dropout"],
            "checkpointed": DENSE["checkpointed"],
        },
        presets={"BC": {"bottleneck": True, "compression": 0.5}},
    ),
    "rnn": Entry(
        "daiving.nets.sequence:SequenceNet", "the simple recurrent net: state = tanh of input and state before it",
        "Elman 1990; the deck", "recurrent", 17_797, 105_984, HELLO, 1,
        RECURRENT, {"cell": "rnn"}, {"torch": {"biases": 2}}, "sequences",
    ),
    "gru": Entry(
        "daiving.nets.sequence:SequenceNet", "gated recurrent unit: two gates choose what of the state is new",
        "arXiv 1406.1078; the deck", "recurrent", 52_101, 310_272, HELLO, 1,
        RECURRENT | GATED, {"cell": "gru"}, {"torch": {"biases": 2, "reset": "after", "update": "old"}}, "sequences",
    ),
    "lstm": Entry(
        "daiving.nets.sequence:SequenceNet", "long short-term memory: a cell that is added to, behind three gates",
        "Hochreiter & Schmidhuber 1997; Gers et al. 2000; the deck", "recurrent", 69_253, 412_416, HELLO, 1,
        RECURRENT | LONG, {"cell": "lstm"}, {"torch": {"biases": 2, "forget_bias": "none"}}, "sequences",
    ),
}  # fmt: skip
