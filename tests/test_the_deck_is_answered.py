"""Every claim of the deck's CNN half has an answer that was computed, a verdict that follows, and a cost said before.

The numbers are those of facts/deck.md, sections 3 to 6.
"""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from daiving.deck import depth, linear, mlp, modules, trained, versions
from daiving.deck.claims import CHEAP, CLAIMS
from daiving.deck.evidence import (
    CANNOT_TELL,
    NOT_SO,
    REPRODUCED,
    VERDICTS,
    WITHIN_NOISE,
    Bench,
    Evidence,
    Figure,
    stamped,
    store,
    stored,
)
from daiving.deck.picture import picture

CHAPTERS = tuple(dict.fromkeys(claim.chapter for claim in CLAIMS.values()))
SMALL = dict(seeds=(0, 1, 2), rates=(0.01,), epochs=3)


def cells(evidence: Evidence, row: int) -> str:
    return " | ".join(evidence.rows[row])


# ---- the table


def test_each_claim_from_1_to_52_has_a_line_a_function_and_a_cost():
    assert list(CLAIMS) == list(range(1, 53))
    for claim in CLAIMS.values():
        module, name = claim.where.split(":")
        assert callable(getattr(importlib.import_module(f"daiving.deck.{module}"), name))
        assert claim.says.endswith((".", "…"))
        assert claim.figure
        assert claim.cost.startswith("about ")
    assert [number for number, claim in CLAIMS.items() if claim.trains] == [7, 19]
    assert [number for number, claim in CLAIMS.items() if claim.korean] == [10, 11, 12, 13, 33, 38, 40, 41]


def test_listing_and_the_help_need_neither_torch_nor_a_drawing_library(tmp_path):
    code = (
        "import sys; from daiving.cli import main; main(['deck']); main(['deck', '--json'])\n"
        "heavy = {'torch', 'altair', 'vl_convert', 'scipy.stats', 'mlxtend'} & set(sys.modules)\n"
        "print('heavy:', len(heavy), *heavy, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stderr.strip() == "heavy: 0"
    assert not any(tmp_path.iterdir())  # to list is to read


# ---- claims 1 to 6 and 20: counts and costs


def test_the_naive_module_of_3a_gives_416_channels():
    found = modules.naive_module()
    assert found.verdict == REPRODUCED
    assert "192 → 416" in cells(found, 0)
    assert "3x3 max pool" in cells(found, 0)


def test_the_reduced_module_of_3a_has_256_channels_and_128_million_macs():
    found = modules.reduced_module()
    assert found.verdict == REPRODUCED
    assert "416 | 387,520 | 303,464,448" in cells(found, 0)
    assert "256 | 164,064 | 128,049,152" in cells(found, 1)


def test_a_naive_5x5_costs_120_million_multiply_adds_in_3a():
    found = modules.naive_five()
    assert found.verdict == REPRODUCED
    assert [row[2:] for row in found.rows] == [("120,422,400",) * 2, ("112,896,000",) * 2]


def test_the_reducer_reduces_in_googlenet_and_makes_the_decks_own_branch_63_percent_dearer():
    found = modules.reducers()
    assert found.verdict == NOT_SO
    assert "120,422,400 | 12,443,648 | 9.7 times cheaper" in cells(found, 0)
    assert "112,896,000 | 5,268,480 | 21.4 times cheaper" in cells(found, 1)
    assert [row[-1] for row in found.rows[2:]] == ["+63%", "+20%", "−17%", "−6%"]
    assert "63% dearer" in found.reason


def test_the_mnist_net_has_97_298_parameters_and_6_019_200_macs():
    found = modules.mnist_net()
    assert found.verdict == REPRODUCED
    assert found.rows[1:3] == (
        ("incept1", "88x12x12", "19,104", "2,730,240"),
        ("conv2", "20x8x8", "44,020", "2,816,000"),
    )
    assert found.rows[-1] == ("all", "10", "97,298", "6,019,200")


def test_the_drawn_dense_block_has_four_layers_and_five_would_give_26_channels():
    found = modules.dense_block()
    assert found.verdict == NOT_SO
    assert [row[1] for row in found.rows] == ["10", "14", "18", "22", "26"]
    assert [int(row[2]) for row in found.rows] == [L * (L + 1) // 2 for L in range(1, 6)]


# ---- claims 5 and 18: linearity


def test_the_decks_module_is_one_5x5_convolution_of_22_088_parameters():
    found = linear.linear_module()
    assert found.verdict == NOT_SO
    said = dict(found.rows)
    assert said["parameters of the module"] == "19,104"
    assert said["parameters of the one convolution"] == "22,088"
    assert float(said["module − one 5x5 convolution, inside"]) < 1e-13
    assert float(said["module − one 5x5 convolution, border included"]) > 0.01
    assert float(said["f(x+y) + f(0) − f(x) − f(y), as the deck has it"]) < 1e-13
    assert float(said["the same with a ReLU behind each convolution"]) > 0.1


def test_two_kernels_composed_are_the_two_convolutions_one_after_the_other():
    torch.manual_seed(0)
    a, b = (
        (torch.randn(4, 3, 3, 3).double(), torch.randn(4).double()),
        (
            torch.randn(2, 4, 5, 5).double(),
            torch.randn(2).double(),
        ),
    )
    x = torch.randn(1, 3, 12, 9).double()
    one = torch.nn.functional.conv2d(x, *linear.then(a, b))
    two = torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, *a), *b)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_the_jump_equals_linear_1440_to_10_and_costs_7_45_times_the_parameters():
    found = linear.jump_is_linear()
    assert found.verdict == NOT_SO
    assert found.rows[1] == ("with jump", "724,650", "16,055,424")
    assert found.rows[2] == ("conv3, 9x9", "627,352", "10,036,224")
    assert float(found.ours.rpartition("error ")[2]) < 1e-10
    assert "7.45 times the parameters and 2.67 times the MACs" in found.reason


# ---- claims 9 to 13: the versions


def test_the_legend_has_every_symbol_that_inception_v3_needs():
    found = versions.legend()
    assert found.verdict == REPRODUCED
    assert [row[0] for row in found.rows][:6] == [
        "Convolution", "AvgPool", "MaxPool", "Concat", "Dropout", "Fully connected",
    ]  # fmt: skip


def test_the_line_of_v1_is_right_and_those_of_v2_v3_and_v4_are_not():
    assert versions.version_1().verdict == REPRODUCED
    found = [versions.version_2(), versions.version_3(), versions.version_4()]
    assert [one.verdict for one in found] == [NOT_SO] * 3
    assert "1x7" in cells(found[0], 0)
    assert "5x5" in {row[0]: row[3] for row in found[1].rows}["inception_v3"]
    assert "5x5" not in {row[0]: row[3] for row in found[1].rows}["inception_v2"]
    assert [row[1] for row in found[2].rows] == ["0", "20", "20"]
    assert [note.partition(":")[0] for note in found[2].notes] == ["v4, 4 times", "v4, 7 times", "v4, 3 times"]


# ---- claims 14 to 17: depth


def test_sigmoid_gradients_vanish_with_depth_and_those_of_batch_norm_do_not():
    found = depth.vanishing(seeds=(0, 1), depths=(2, 8, 20))
    assert found.verdict == REPRODUCED
    sigmoid, plain = found.figure.lines.values()
    assert sigmoid[0][1] > 1e-2 > 1e-4 > sigmoid[1][1] > 1e-7 > sigmoid[2][1] > 0
    assert min(row[1] for row in plain) > 0.1


def test_what_gives_up_is_not_said_so_it_cannot_be_told():
    found = depth.gives_up(seeds=(0, 1), epochs=1)
    assert found.verdict == CANNOT_TELL
    sigmoid, _ = found.figure.lines.values()
    assert all(a[1] < b[1] for a, b in pairwise(sigmoid))


def test_deeper_plain_nets_train_worse_although_their_gradients_do_not_vanish():
    found = depth.degradation(depths=(2, 24), **SMALL)
    assert found.verdict == REPRODUCED
    ((_, shallow, *_), (_, deep, *_)) = found.figure.lines["plain: relu(bn(Wx))"]
    assert shallow > deep + 20


def test_residual_nets_of_equal_parameters_train_where_plain_ones_do_not():
    found = depth.residual(depths=(21,), **{**SMALL, "epochs": 2})
    assert found.verdict == REPRODUCED
    last = {name: rows[-1][1] for name, rows in found.figure.lines.items()}
    assert last["relu(x + F(x)), F of 2 layers"] > last["plain: relu(bn(Wx))"] + 10


def test_stacked_nets_are_the_nets_one_by_one():
    x, _ = mlp.digits()
    for kind in mlp.KINDS:
        both, one = mlp.Stack(kind, 5, (3, 4)), mlp.Stack(kind, 5, (4,))
        torch.testing.assert_close(both(x[:20].expand(2, -1, -1))[1], one(x[:20].expand(1, -1, -1))[0])


def test_a_net_of_the_stack_is_what_torchs_own_modules_compute():
    x, _ = mlp.digits()
    stack = mlp.Stack("original", 3, (0,))
    w = [p[0] for p in stack.weights]

    def norm(h):
        return torch.nn.functional.batch_norm(h, None, None, training=True)

    h = norm(x[:30] @ w[0]).relu()
    h = (h + norm(norm(h @ w[1]).relu() @ w[2])).relu()
    torch.testing.assert_close(stack(x[:30].expand(1, -1, -1))[0], h @ stack.out[0])


# ---- claims 7, 8 and 19: trainings


def test_our_deck_log_prints_all_19_lines_of_the_deck():
    found = trained.log_format()
    assert found.verdict == REPRODUCED
    assert found.ours.startswith("19 of the deck's 19")
    assert found.rows[0][0] == found.rows[0][1] == "Train Epoch: 9 [48000/60000 (80%)] Loss: 0.049192"


def test_97_71_against_97_60_is_z_051_and_p_061():
    z, p = trained.two_counts(*trained.DECK_4)
    assert (round(z, 2), round(p, 2)) == (0.51, 0.61)


def test_the_interval_for_one_more_run_is_wider_than_that_of_the_mean():
    # t(2; .975) = 4.303, s = 1: 4.303 sqrt(1 + 1/3) = 4.968
    assert trained.prediction([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 4.968, 2 + 4.968), abs=1e-3)


@pytest.mark.parametrize("function", [trained.nine_epochs, trained.four_epochs])
def test_a_trained_claim_is_a_study_that_goes_on_and_whose_second_call_trains_nothing(function, tmp_path, monkeypatch):
    first = function(Bench(tmp_path, jobs=2), task="digits", epochs=0.02, pairs=3)
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/result.json")}
    assert len(results) == 6

    def none(*arguments):
        raise AssertionError("a run was started again")

    monkeypatch.setattr("daiving.study.execute.start", none)
    assert function(Bench(tmp_path), task="digits", epochs=0.02, pairs=3) == first
    assert results == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/result.json")}
    if function is trained.four_epochs:
        assert "p = 0.61" in first.reason
    else:
        assert first.verdict == NOT_SO  # a fiftieth of an epoch reaches no 98.64 %
        assert "outside" in first.reason
    assert "pairs" in first.reason


def test_the_word_on_the_four_epochs_is_that_of_our_pairs(tmp_path, monkeypatch):
    real = trained.studied
    for ours, word in (("B", REPRODUCED), ("A", NOT_SO), ("alike", NOT_SO), ("undecided", CANNOT_TELL)):

        def decided(bench, study, ours=ours):
            reading = real(bench, study)
            return replace(reading, comparisons=tuple(replace(one, verdict=ours) for one in reading.comparisons))

        monkeypatch.setattr(trained, "studied", decided)
        assert trained.four_epochs(Bench(tmp_path), task="digits", epochs=0.02, pairs=3).verdict == word


def test_a_figure_inside_the_spread_of_our_runs_is_within_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "DECK_9", (0.10, 2.30))  # what a net that has learnt nothing reaches
    found = trained.nine_epochs(Bench(tmp_path), task="digits", epochs=0.01, pairs=3)
    assert found.verdict in (WITHIN_NOISE, NOT_SO)
    low, _, high = found.rows[0][3].replace(" %", "").partition(" to ")
    assert (found.verdict == WITHIN_NOISE) == (float(low) <= 10.0 <= float(high))


def test_where_mnist_is_not_to_be_had_the_claim_says_so_in_three_sentences(daiving, tmp_path):
    answer = daiving("deck", 19, "--data", tmp_path / "nowhere")
    assert answer.code == 2
    assert "Expected:" in answer.err
    assert "To fix:" in answer.err
    assert "Cost: about" in answer.out  # said before


# ---- the command


def test_a_claim_says_its_cost_first_and_is_then_in_the_list(daiving, tmp_path):
    before = daiving("deck")
    assert "52 not run yet" in before.out
    ran = daiving("deck", "6", "20")
    assert ran.code == 0
    assert ran.out.index("Cost: about 3 s") < ran.out.index("97,298")
    assert (tmp_path / "daiving-lab" / "deck" / "6.json").exists()
    after = daiving("deck")
    assert "97,298 parameters, 6,019,200 MACs" in after.out.replace("\n          ", " ")
    assert "1 reproduced, 1 not so, 50 not run yet." in after.out
    assert max(map(len, daiving("deck", "--help").out.splitlines())) <= 80
    for text in (before.out, ran.out, after.out):
        assert max(map(len, text.splitlines())) <= 80
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert [line for line in after.out.splitlines() if line in CHAPTERS] == list(CHAPTERS)  # each heads its claims


def test_cheap_are_all_but_the_two_studies(daiving):
    from daiving.commands.deck import chosen

    assert chosen(["cheap"]) == list(CHEAP) == [n for n in range(1, 53) if n not in (7, 19)]
    assert chosen(["5", "cheap"])[0] == 5
    assert chosen(["5", "1", "5"]) == [5, 1]


def test_json_is_the_evidence_and_nothing_else(daiving):
    answer = daiving("deck", "3", "--json")
    assert "Cost: about 3 s." in answer.err  # said before, where it does not mix with the JSON
    (one,) = json.loads(answer.out)
    assert one["evidence"]["verdict"] == REPRODUCED
    assert one["claim"] == 3
    assert one["environment"]["torch"] == torch.__version__
    listed = json.loads(daiving("deck", "--json").out)
    assert [row["claim"] for row in listed if row["evidence"]] == [3]


def test_korean_is_the_decks_own_where_it_has_some(daiving):
    listed = daiving("deck", "--lang", "ko").out
    assert "Inception module을 제시한 최초의 모델" in listed
    assert "Nine epochs on MNIST." in listed
    assert "Shape = (배치 수, 시퀀스 크기, input 크기)" in listed


@pytest.mark.parametrize("words", [["99"], ["foo"], ["1", "0"], ["6", "--lang", "fr"], ["6", "--jobs", "0"]])
def test_bad_input_is_answered_in_three_sentences_before_anything_is_computed(words, daiving, tmp_path):
    answer = daiving("deck", *words)
    assert answer.code == 2
    assert "Expected:" in answer.err
    assert "To fix:" in answer.err
    assert not any(tmp_path.iterdir())


def test_a_stop_in_the_second_claim_keeps_the_first(daiving, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(modules, "dense_block", stop)
    answer = daiving("deck", "6", "20")
    assert answer.code == 130
    assert "1 reproduced, 51 not run yet." in daiving("deck").out


def test_stored_evidence_reads_back_and_a_damaged_file_counts_as_not_run(tmp_path):
    figure = Figure("layers", "accuracy [%]", {"a": [[2, 90.0, 88.0, 91.0], [4, 80.0, 75.0, 84.0]]})
    evidence = Evidence("1", REPRODUCED, "It is.", ("a", "b"), (("1", "2"),), ("a note",), figure)
    path = store(tmp_path, 16, stamped(evidence, 1.5, {"torch": "2"}), picture(figure, "A & B"))
    found = stored(tmp_path, 16)
    assert found is not None
    assert found.evidence == evidence
    assert path.with_suffix(".svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    for torn in ("", "{", '{"claim": 16}', path.read_text().replace(REPRODUCED, "proved"), '{"evidence": 3}'):
        path.write_text(torn)
        assert stored(tmp_path, 16) is None
    with pytest.raises(ValueError, match="no verdict"):
        stamped(Evidence("1", "proved", ""), 0, {})
    assert len(VERDICTS) == 4
