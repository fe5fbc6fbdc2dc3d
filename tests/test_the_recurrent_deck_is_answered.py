"""The claims of the deck about what recurrent nets are, what they are for, and which equations they compute.

The numbers are those of facts/deck.md, sections 2.6, 2.7, 5 and 6; torch's own words are asked of torch.
"""

import numpy as np
import pytest
import torch
from torch import Generator, nn

from daiving.deck import applications, recurrent_axes, recurrent_cells, recurrent_equations, references, toys
from daiving.deck.evidence import CANNOT_TELL, NOT_SO, REPRODUCED, Evidence, stamped, store, stored


def said(evidence: Evidence) -> dict[str, str]:
    return {row[0]: row[1] for row in evidence.rows}


# ---- 21


def test_an_unrolled_net_is_the_loop_in_values_and_in_gradients():
    found = recurrent_cells.unrolled()
    assert found.verdict == REPRODUCED
    for _, states, gradients, shares in found.rows:
        assert float(states) < 1e-14
        assert float(gradients) < 1e-14
        first, *later = map(float, shares.split())
        assert first == 0 < min(later)
    assert found.drawing.startswith("<svg")
    assert all(f">{letter}<" in found.drawing for letter in "hiel")


def test_a_drawing_is_kept_beside_the_evidence_and_not_in_it(daiving, tmp_path):
    answer = daiving("deck", "21")
    assert answer.code == 0
    assert "Picture: daiving-lab/deck/21.svg" in answer.out.replace("\\", "/")
    assert (tmp_path / "daiving-lab/deck/21.svg").read_text().startswith("<svg")
    assert "<svg" not in (tmp_path / "daiving-lab/deck/21.json").read_text()
    kept = stored(tmp_path / "daiving-lab", 21)
    assert kept is not None
    assert kept.evidence.verdict == REPRODUCED


# ---- 22 to 28

STEPS = {
    "speech_recognition": 60, "music_generation": 150, "sentiment_classification": 120, "dna_analysis": 250,
    "machine_translation": 60, "video_recognition": 150, "entity_recognition": 60,
}  # fmt: skip


@pytest.mark.parametrize(("number", "name"), zip(applications.CHART, STEPS, strict=True))
def test_each_application_is_a_row_of_the_chart_and_a_toy_that_learns(number, name):
    found = getattr(applications, name)(steps=STEPS[name])
    assert found.verdict == REPRODUCED
    assert [row[0].split()[-1] for row in found.rows] == [str(n) for n in range(22, 29)]
    assert [row[0] for row in found.rows if row[0].startswith("▶")] == [f"▶ {number}"]
    if number in (25, 28):  # E20
        assert "y is x again" in found.reason
        assert "reading forwards only" in found.ours
    if number == 28:
        assert "“Name entity” for named entity" in found.reason
    if number == 22:
        assert "x: n x 20 x 8; y: n x 4" in found.notes[1]  # unequal


def test_a_toy_that_has_learnt_nothing_is_no_evidence():
    assert applications.sentiment_classification(steps=0).verdict == CANNOT_TELL


def test_what_is_marked_in_the_toys_is_what_their_rules_say():
    draws = Generator().manual_seed(3)
    x, y = toys.dna().draw(draws, 50)
    for row, marks in zip(x.tolist(), y.tolist(), strict=True):
        word = "".join("ACGT"[base] for base in row)
        inside = {
            i + k
            for i in range(len(word))
            for k in range(9)
            if word[i : i + 3] == "ATG" and word[i + 6 : i + 9] == "TAA"
        }
        assert [i for i, mark in enumerate(marks) if mark] == sorted(inside)
    x, y = toys.entities().draw(draws, 50)
    for row, tags in zip(x.tolist(), y.tolist(), strict=True):
        around = [None, *row, None]
        for i, (word, tag) in enumerate(zip(row, tags, strict=True)):
            before, after = around[i], around[i + 2]
            name = word not in (toys.SAYS, toys.IN)
            assert tag == (1 if name and after == toys.SAYS else 2 if name and before == toys.IN else 0)
    x, y = toys.translation().draw(draws, 50)
    for there, here in zip(x.tolist(), y.tolist(), strict=True):
        wanted = [s for w in reversed([w for w in there if w >= 0]) for s in ([w, w + 2] if w >= toys.LONG else [w])]
        assert [s for s in here if s >= 0] == wanted
    x, y = toys.sentiment().draw(draws, 50)
    for row, bad in zip(x.tolist(), y.tolist(), strict=True):
        at = next(i for i, word in enumerate(row) if word in (toys.GOOD, toys.BAD))
        assert bad == (row[at] == toys.BAD) ^ (row[at - 1] == toys.NOT)
    _, notes = toys.music().draw(draws, 50)
    assert toys.allowed(notes).all()
    assert not toys.allowed(notes.flip(1) + 1).any()


# ---- 29 to 31


def test_the_slides_line_runs_for_rnn_and_gru_and_fails_for_the_lstm():
    found = [recurrent_cells.rnn_cell(), recurrent_cells.gru_cell(), recurrent_cells.lstm_cell()]
    assert [one.verdict for one in found] == [REPRODUCED, REPRODUCED, NOT_SO]
    for one, parameters in zip(found, (16, 48, 64), strict=True):
        assert f"{parameters} parameters" in one.ours
        assert [row[1:] for row in one.rows[-5:]] == [("(1, 1, 4)", "(1, 1, 2)")] * 5
    assert "none, as the slide's GRU equations: 36" in found[1].notes[0]
    with pytest.raises(IndexError) as error:  # whatever this torch says, the claim repeats
        nn.LSTM(4, 2, batch_first=True)(torch.zeros(1, 1, 4), torch.zeros(1, 1, 2))
    assert str(error.value) in found[2].reason
    assert "h and c, as a tuple (h, c): an LSTM's. To fix:" in found[2].reason
    assert any("the digit 1 for the letter l, it fails: TypeError" in note for note in found[0].notes)


# ---- 32 and 33


def test_the_state_is_layers_times_directions_first_whatever_batch_first_says():
    found = recurrent_axes.hidden_layout()
    assert found.verdict == REPRODUCED
    assert {row[1:] for row in found.rows} == {
        ("1", "1", "(1, 3, 2)"), ("2", "1", "(2, 3, 2)"), ("2", "2", "(4, 3, 2)"), ("3", "2", "(6, 3, 2)"),
    }  # fmt: skip
    assert "nothing at batch 1 (it runs" in found.reason


def test_three_mixed_up_axes_run_silently_and_are_found_by_trying():
    found = recurrent_axes.named_axes()
    assert found.verdict == REPRODUCED
    right, wrong = found.rows[:2], found.rows[2:]
    assert all(row[1:] == ("0", "0", "nothing found") for row in right)
    assert all(float(row[1]) > 0.01 and "depends on" in row[3] for row in wrong)
    assert wrong[2][2] == "0"  # view for transpose: right at batch 1


# ---- 49 to 51


def test_the_slides_rnn_and_lstm_are_torchs_and_ours():
    for found in (recurrent_equations.rnn_equations(), recurrent_equations.lstm_equations()):
        assert found.verdict == REPRODUCED
        assert {name.split()[0].strip(",") for name in said(found)} >= {"daiving"}
        assert max(map(float, said(found).values())) < 1e-14
        assert any("--form memory" in note for note in found.notes)


def test_the_slides_gru_is_not_torchs_until_z_is_negated_and_the_reset_moved():
    found = recurrent_equations.gru_equations()
    assert found.verdict == NOT_SO
    swapped, reset, *equal = map(float, said(found).values())
    assert swapped > reset > 0.01
    assert len(equal) == 3
    assert max(equal) < 1e-14
    assert "where the state is one number" in list(said(found))[2]


def test_a_wrong_equation_is_not_called_equal(monkeypatch):
    real = recurrent_equations.slide_lstm

    def other(x, h, C, W, b):
        return real(x, h, C, {**W, "f": W["i"], "i": W["f"]}, b)

    monkeypatch.setattr(recurrent_equations, "slide_lstm", other)
    assert recurrent_equations.lstm_equations().verdict == NOT_SO


def test_the_slides_gru_by_hand():
    """One unit, one step, W = [of h, of x]: z = σ(0) = 1/2, r = σ(0) = 1/2, h̃ = tanh(2 r h + x)."""
    zero, W = np.zeros((1, 2)), np.array([[2.0, 1.0]])
    (((h,),),) = recurrent_equations.slide_gru(np.array([[[0.5]]]), np.array([[0.25]]), zero, zero, W)
    assert h == pytest.approx(0.125 + 0.5 * np.tanh(0.75))


# ---- 52


def test_of_eight_links_one_is_a_paper_and_three_say_what_they_are_about():
    found = references.references()
    assert found.verdict == CANNOT_TELL
    assert found.ours.startswith("8 links, 1 of them a paper; 3 say")
    listed = {row[0]: row[3] for row in found.rows}
    assert listed["ResNet"] == "link 5"
    assert listed["DenseNet (a tutorial of it)"] == "link 3"
    assert listed["GoogLeNet"] == "not in the list"


# ---- the command


def test_a_claim_about_word_vectors_is_given_the_data_folder(daiving, tmp_path, monkeypatch):
    from daiving.deck import words

    seen = []
    monkeypatch.setattr(words, "verb_tense", lambda data: seen.append(data) or Evidence("1", CANNOT_TELL, "Because."))
    assert daiving("deck", "47", "--data", tmp_path).code == 0
    assert daiving("deck", "47").code == 0
    assert seen == [tmp_path, None]


def test_a_drawing_is_stored_as_it_is(tmp_path):
    path = store(tmp_path, 21, stamped(Evidence("1", REPRODUCED, "So.", drawing="<svg/>"), 1, {}), "<svg/>")
    assert path.with_suffix(".svg").read_text() == "<svg/>"
