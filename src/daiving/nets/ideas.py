"""What each family of nets is there to show, in English and in Korean: the language of the deck."""

from collections.abc import Mapping
from typing import NamedTuple


class Idea(NamedTuple):
    en: str
    ko: str


IDEAS: Mapping[str, Idea] = {
    "baseline": Idea(
        "baseline: what is not better than this has learnt nothing",
        "기준선: 이보다 낫지 않으면 배운 것이 없다",
    ),
    "inception": Idea(
        "Inception: look with several kernel sizes at once, and pay for the large ones with 1x1 convolutions",
        "인셉션: 여러 크기의 커널로 동시에 보고, 큰 커널의 비용은 1x1 합성곱으로 줄인다",
    ),
    "factorised": Idea(
        "factorised Inception: a large kernel is two small ones, or a row and a column",
        "인수분해 인셉션: 큰 커널을 작은 커널 둘로, 또는 가로와 세로로 나눈다",
    ),
    "inception_residual": Idea(
        "Inception-ResNet: the branches compute what is added to their input",
        "인셉션-레즈넷: 여러 갈래가 입력에 더할 값을 계산한다",
    ),
    "plain": Idea(
        "plain net: layer upon layer; with depth even the training error grows",
        "일반(plain) 신경망: 층을 쌓기만 하면 깊어질수록 훈련 오차마저 커진다",
    ),
    "residual": Idea(
        "residual net: each block learns the difference from its input, which passes by on a shortcut",
        "잔차 신경망: 각 블록은 입력과의 차이만 배우고, 입력은 지름길로 지나간다",
    ),
    "preactivation": Idea(
        "pre-activation: norm and ReLU come before the convolution, so that the shortcut stays untouched",
        "사전 활성화: 정규화와 ReLU를 합성곱 앞에 두어 지름길을 그대로 보존한다",
    ),
    "dense": Idea(
        "dense net: each layer reads the maps of all layers before it, joined instead of added",
        "밀집 연결 신경망: 각 층이 앞선 모든 층의 특징 맵을 더하지 않고 이어 붙여 읽는다",
    ),
    "recurrent": Idea(
        "recurrent net: one cell reads a sequence step by step and carries what it must remember in its state",
        "순환 신경망: 셀 하나가 시퀀스를 한 스텝씩 읽고, 기억할 것은 상태에 담아 다음 스텝으로 넘긴다",
    ),
}
