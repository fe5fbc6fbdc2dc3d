"""What one sees while a study runs: a line a pair, and a row for each run at work."""

import io

import pytest
from readings import study
from rich.console import Console

from daiving.commands.lab import told
from daiving.events import Epoch, Step
from daiving.show.log import plain
from daiving.show.terminal import Board
from daiving.study.execute import Done, Looked, Started, Told
from daiving.study.reading import compare


@pytest.fixture
def reading(tmp_path):
    return study(tmp_path, {"plain": [0.93, 0.94, 0.92, None], "jump": [0.95, 0.95, 0.96, 0.95]})


def seen(board):
    out = io.StringIO()
    Console(file=out, width=80).print(board.display())
    return out.getvalue()


def test_each_pair_gets_one_line_with_its_difference_and_the_interval_from_the_third_on(reading):
    board, lines, done = Board(reading.plan, 4000), [], {}
    for seed in range(4):
        for arm in reading.plan.arms:
            done[arm.name, seed] = reading.results[arm.name, seed]
            lines += board.take(Looked(compare(reading.plan, done)))
    assert [line[:6] for line in lines] == ["seed 0", "seed 1", "seed 2", "seed 3"]
    assert "plain 93.00 %   jump 95.00 %   +2.00 pp" in lines[0]
    assert ["[" in line for line in lines] == [False, False, True, False]
    assert "plain diverged   jump 95.00 %" in lines[3]
    assert max(map(len, lines)) <= 80


def test_a_run_at_work_has_a_row_until_it_is_done(reading):
    board = Board(reading.plan, 4000)
    arm, result = reading.plan.arms[1], reading.results["jump", 0]
    board.take(Looked(compare(reading.plan, {})))
    board.take(Started(result.id, arm, 0))
    assert "starting" in seen(board)
    board.take(Told(result.id, Step(94, 2, 2000, 0.25, 0.01, 1.0)))
    middle = seen(board)
    assert "jump" in middle
    assert "epoch 2 of 4  loss 0.250" in middle
    assert middle.count("━") == 9  # 1.5 of 4 epochs, of 24 characters
    board.take(Told(result.id, Epoch(4, 252, 0.1, 0.2, 0.95, 5.0, 1.0, True)))
    assert seen(board).count("━") == 24
    board.take(Done(result, arm, 0))
    assert "epoch" not in seen(board)
    assert "0 of at most 20 pairs done. Ctrl-C stops, and nothing is lost." in seen(board)
    assert max(map(len, seen(board).splitlines())) <= 80


def test_an_epochs_line_fits_80_columns(digits):
    (line,) = plain([Epoch(100, 6300, 12.3456, 12.3456, 1.0, 599.9, 9999.9, True)], digits)
    assert len(line) <= 80
    assert line.endswith("best")


def test_of_many_epochs_the_first_the_last_every_tenth_and_the_best_are_shown():
    history = [{"epoch": epoch, "best": epoch in (1, 2, 37)} for epoch in range(1, 101)]
    assert [row["epoch"] for row in told(history)] == [1, 10, 20, 30, 37, 40, 50, 60, 70, 80, 90, 100]
    assert told(history[:20]) == history[:20]
