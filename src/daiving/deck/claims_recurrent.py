"""The second half of the table of claims: recurrent nets, and the list of references."""

from collections.abc import Mapping

from daiving.deck.claim import MOMENT, NONE, Claim

UNROLLED, USES, CELLS = "RNN unrolled", "Applications", "Cells and shapes"
WORD, HEADS, VECTORS = "hihell", "What answers", "One hot VS embedding"
EQUATIONS, REFERENCES = "Equations", "References"
SEEDS = "about 10 s: 2,000 nets of each kind shown"

RECURRENT: Mapping[int, Claim] = {
    21: Claim(
        UNROLLED, "The picture of a recurrent net unrolled: the same cell at every step.", "",
        NONE, MOMENT, "recurrent_cells:unrolled",
    ),
    22: Claim(
        USES, "Speech recognition: a sound to \"Fuzzy Wuzzy was a bear. Fuzzy Wuzzy had no hair\".", "",
        NONE, MOMENT, "applications:speech_recognition",
    ),
    23: Claim(
        USES, "Music generation: from ∅ to music.", "",
        NONE, MOMENT, "applications:music_generation",
    ),
    24: Claim(
        USES, "Sentiment classification: \"Decent effort. The plot could have been better.\" to a sentiment.", "",
        NONE, MOMENT, "applications:sentiment_classification",
    ),
    25: Claim(
        USES, "DNA sequence analysis: ACTGTACCCATGTGACTGCCC to the same letters.", "",
        NONE, "about 5 s", "applications:dna_analysis",
    ),
    26: Claim(
        USES, "Machine translation: \"El que no arriesga, no gana.\" to an English sentence.", "",
        NONE, "about 5 s", "applications:machine_translation",
    ),
    27: Claim(
        USES, "Video activity recognition: a film to Running.", "",
        NONE, MOMENT, "applications:video_recognition",
    ),
    28: Claim(
        USES, "Name entity recognition: \"Ygritte says Jon Snow knows nothing.\" to the same words.", "",
        NONE, MOMENT, "applications:entity_recognition",
    ),
    29: Claim(
        CELLS, "nn.RNN from 4 to 2, letter by letter through hello.", "",
        "(1, 1, 4) to (1, 1, 2)", MOMENT, "recurrent_cells:rnn_cell",
    ),
    30: Claim(
        CELLS, "nn.GRU in its place, with the same hidden.", "",
        "(1, 1, 4) to (1, 1, 2)", MOMENT, "recurrent_cells:gru_cell",
    ),
    31: Claim(
        CELLS, "nn.LSTM in its place, with the same hidden.", "",
        "(1, 1, 4) to (1, 1, 2)", MOMENT, "recurrent_cells:lstm_cell",
    ),
    32: Claim(
        CELLS, "hidden is (num_layers * num_directions, batch, hidden_size) whether batch_first=True or False.", "",
        "(1, 1, 2)", MOMENT, "recurrent_axes:hidden_layout",
    ),
    33: Claim(
        CELLS, "Shape = (batch size, sequence length, input size).", "Shape = (배치 수, 시퀀스 크기, input 크기)",
        "(3, 5, 4)", MOMENT, "recurrent_axes:named_axes",
    ),
    34: Claim(
        WORD, "One-hot lookup: hihell is to become ihello, the same letters one step on.", "",
        "x = 0 1 0 2 3 3, y = 1 0 2 3 3 4", MOMENT, "letters:one_hot",
    ),
    35: Claim(
        WORD, "out.view(-1, num_classes) before the loss.", "",
        "[1, 1, 5] becomes [1, 5]", MOMENT, "letters:view",
    ),
    36: Claim(
        WORD, "CrossEntropyLoss = LogSoftmax + NLLLoss.", "",
        NONE, MOMENT, "letters:cross_entropy",
    ),
    37: Claim(
        WORD, "The loop: letter by letter, 100 epochs, the losses of the letters added up.", "",
        "code, without what it prints", MOMENT, "letters:loop",
    ),
    38: Claim(
        WORD, "The code with a sequence: the whole word at once, 100 epochs.", "시퀀스 사용 코드",
        "0.458, ihello", SEEDS, "letters:sequence",
    ),
    39: Claim(
        WORD, "The loop and the sequence, side by side.", "",
        NONE, MOMENT, "letters:same",
    ),
    40: Claim(
        HEADS, "Softmax applied to what the net answers.", "소프트 맥스 적용",
        "1.201, ihello; a matrix of 6x5 probabilities", SEEDS, "answers:softmax",
    ),
    41: Claim(
        HEADS, "No value of e/(e+(k-1)/e) = e²/(e²+k-1) = 0.71 or more can be had.",
        "e/(e+(k-1)/e) = e²/(e²+k-1) = 0.71 이상의 값을 얻을 수 없다.",
        "0.71", SEEDS, "bounds:limit",
    ),
    42: Claim(
        HEADS, "That bound is why the loss gets stuck.", "",
        "0.458, 1.201", "about 60 s", "bounds:explanation",
    ),
    43: Claim(
        HEADS, "A linear layer in place of the softmax.", "",
        "0.001, ihello", SEEDS, "answers:linear",
    ),
    44: Claim(
        HEADS, "Of the four nets with and without linear layer and softmax, the one not shown: both.", "",
        NONE, "about 60 s: 2,000 nets of each of 12 kinds", "answers:grid",
    ),
    45: Claim(
        VECTORS, "One hot VS embedding: a table of 5 x 10 in front.", "",
        "0.007, ihello", SEEDS, "answers:embedding",
    ),
    46: Claim(
        VECTORS, "Word vectors, the picture Male-Female.", "",
        NONE, "about 10 s", "words:male_female", data=True,
    ),
    47: Claim(
        VECTORS, "Word vectors, the picture Verb tense.", "",
        NONE, "about 10 s", "words:verb_tense", data=True,
    ),
    48: Claim(
        VECTORS, "Word vectors, the picture Country-Capital.", "",
        NONE, "about 10 s", "words:country_capital", data=True,
    ),
    49: Claim(
        EQUATIONS, "RNN: a = b + W h + U x, h = tanh a, o = c + V h, ŷ = softmax o.", "",
        NONE, MOMENT, "recurrent_equations:rnn_equations",
    ),
    50: Claim(
        EQUATIONS, "GRU: z = σ(W_z [h, x]), r = σ(W_r [h, x]), h̃ = tanh(W [r*h, x]), h = (1-z)*h + z*h̃.", "",
        NONE, MOMENT, "recurrent_equations:gru_equations",
    ),
    51: Claim(
        EQUATIONS, "LSTM: gates f, i, o = σ(W [h, x] + b), C = f*C + i*tanh(W_C [h, x] + b_C), h = o*tanh C.", "",
        NONE, MOMENT, "recurrent_equations:lstm_equations",
    ),
    52: Claim(
        REFERENCES, "The list of references.", "",
        "8 links", MOMENT, "references:references",
    ),
}  # fmt: skip
