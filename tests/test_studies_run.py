"""Whole studies in whole processes: what users' nets do, Ctrl-C, two drivers, and asking again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from studies import alive, call, command, task, workers_of

import daiving
from daiving.study.execute import Done, Looked, Started

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


def study(folder, arms, **options):
    options = {"max_pairs": 4, "recipe": daiving.Recipe(epochs=2, batch=32), "lab": folder / "lab", **options}
    return daiving.Study(task=task(folder), arms=arms, **options)


TWO = {"linear": "nets.py:Plain", "wide": "nets.py:Plain:hidden=16"}


def test_a_study_runs_pair_by_pair_and_asked_again_does_nothing(tmp_path):
    asked = study(tmp_path, TWO)
    events = list(asked.steps(jobs=2))
    started = [(e.arm.name, e.seed) for e in events if isinstance(e, Started)]
    assert started[:4] == [("linear", 0), ("wide", 0), ("linear", 1), ("wide", 1)]
    assert len(started) == len([e for e in events if isinstance(e, Done)])
    first = asked.outcome().to_dict()
    again = study(tmp_path, TWO)
    assert [type(e) for e in again.steps()] == [Looked]
    assert again.outcome().to_dict() == first


def test_the_number_of_jobs_changes_no_result(tmp_path):
    one = study(tmp_path, TWO)
    list(one.steps(jobs=1))
    two = study(tmp_path, TWO, lab=tmp_path / "other")
    list(two.steps(jobs=3))
    read = [
        (root / "studies" / one.plan.id / "looks.jsonl").read_text() for root in (tmp_path / "lab", tmp_path / "other")
    ]
    assert read[0] == read[1] != ""


def test_a_study_stops_at_its_verdict_and_cancels_what_is_in_flight(tmp_path):
    asked = study(
        tmp_path,
        {"blind": "majority", "linear": "nets.py:Plain"},
        max_pairs=20,
        recipe=daiving.Recipe(epochs=0.5),
    )
    events = list(asked.steps(jobs=2))
    # The last look is not always the last event: another worker may have spoken at the same moment.
    comparison = [e for e in events if isinstance(e, Looked)][-1].comparisons[0]
    assert comparison.verdict == "A"
    done = [e for e in events if isinstance(e, Done)]
    assert len(comparison.pairs) < 8
    assert len(done) <= 2 * len(comparison.pairs) + 2  # the next pair may be done before a slow run
    assert "LINEAR BETTER" in str(asked.outcome())


@pytest.mark.parametrize(
    ("how", "said", "runs"),
    [
        ("raise", "RuntimeError: out of ideas", 1),
        ("exit", "it exited with 7", 2),
        ("quit", "SystemExit: 5", 1),
        ("kill", "its process was killed by signal 9", 2),
    ],
)
def test_a_net_that_ends_badly_fails_its_run_with_its_own_words(tmp_path, how, said, runs):
    text = task(tmp_path)
    answer = call(
        "compare", "good=nets.py:Plain", f"bad=nets.py:Ends:how={how}", "--task", text, "--jobs", 1, "--max-pairs", 3
    )
    assert answer.returncode == 1, answer
    assert f"The run of 'bad' with seed 0 failed: {said}" in answer.stderr
    assert "Traceback" not in answer.stderr
    log = Path(re.search(r"printed in (\S+), mend", answer.stderr)[1])
    assert log.read_text().count("about to end") == runs  # a process that was killed is tried once more
    assert ("out of ideas" in log.read_text()) is (how == "raise")
    error = json.loads((log.parent / "error.json").read_text())
    assert error["message"].startswith(said)
    assert f"why: {said}" in call("show", log.parent.name[:8]).stdout
    assert call("runs").stdout.count("finished") == 1  # the good one


def test_a_mended_net_is_trained_anew_and_the_other_arm_is_not(tmp_path):
    text = task(tmp_path)
    arms = ("good=logistic", "bad=nets.py:Ends:how=raise", "--task", text, "--max-pairs", 3, "--jobs", 1)
    assert call("compare", *arms).returncode == 1
    (kept,) = (tmp_path / "daiving-lab" / "runs").glob("*/result.json")
    before = kept.stat().st_mtime_ns
    mended = (tmp_path / "nets.py").read_text().replace('raise RuntimeError("out of ideas")', "pass")
    (tmp_path / "nets.py").write_text(mended)
    answer = call("compare", *arms)
    assert answer.returncode == 0, answer.stderr
    assert kept.stat().st_mtime_ns == before


def test_a_module_that_the_net_imports_is_a_part_of_what_it_is(tmp_path):
    for folder, width in (("one", 4), ("two", 32)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "net.py").write_text(
            "import helper\nfrom torch import nn\nclass Net(nn.Sequential):\n"
            "    def __init__(self):\n"
            "        super().__init__(nn.Flatten(), nn.Linear(36, helper.WIDTH), nn.Linear(helper.WIDTH, 3))\n"
        )
    asked = study(tmp_path, {"one": "one/net.py:Net", "two": "two/net.py:Net"}, max_pairs=3)
    reading = asked.run().reading
    assert {name: cost["parameters"] for name, cost in reading.costs.items()} == {"one": 163, "two": 1283}
    before = asked.plan.run_id(asked.plan.arms[0], 0)
    (tmp_path / "one" / "helper.py").write_text("WIDTH = 5\n")
    changed = study(tmp_path, {"one": "one/net.py:Net", "two": "two/net.py:Net"}, max_pairs=3)
    assert changed.plan.run_id(changed.plan.arms[0], 0) != before


def test_a_study_of_runs_that_are_all_there_still_knows_its_costs(tmp_path):
    study(tmp_path, TWO, max_pairs=4, first_seed=0).run()
    again = study(tmp_path, TWO, max_pairs=3)
    assert not [event for event in again.steps() if isinstance(event, Started)]
    assert again.outcome().reading.costs["linear"]["parameters"] == 36 * 3 + 3


def test_a_study_can_be_shown_before_it_has_run(tmp_path):
    outcome = study(tmp_path, TWO).outcome()
    assert "it takes three to see a spread" in " ".join(str(outcome).split())
    assert not (tmp_path / "lab").exists()


def test_a_part_of_an_epoch_is_scaled_to_a_whole_one_in_what_an_epoch_costs():
    from daiving.events import Epoch
    from daiving.study.worker import seconds_per_epoch

    def epoch(seconds, share):
        return Epoch(1, 1, 1.0, 1.0, 0.5, seconds, share, True)

    assert seconds_per_epoch([epoch(0.5, 0.25)]) == 2.0
    assert seconds_per_epoch([epoch(3.0, 1), epoch(5.0, 1), epoch(0.1, 0.5)]) == 4.0
    assert seconds_per_epoch([]) == 0.0


def test_a_net_that_is_changed_while_the_study_runs_is_not_mixed_with_what_it_was(tmp_path):
    events = study(tmp_path, TWO, max_pairs=3).steps(jobs=1)
    while not isinstance(next(events), Done):
        pass
    with (tmp_path / "nets.py").open("a") as file:
        file.write("\n# changed")
    with pytest.raises(daiving.FixableError, match="was changed while the study was going on"):
        list(events)


def test_diverged_runs_are_counted_and_shown_and_the_verdict_is_for_the_others(tmp_path):
    asked = study(tmp_path, {"good": "nets.py:Plain", "wild": "nets.py:Explodes"}, max_pairs=8)
    text = str(asked.run(jobs=2))
    (comparison,) = asked.outcome().reading.comparisons
    diverged = comparison.diverged[1]
    assert 0 < diverged < 8
    assert comparison.diverged[0] == 0
    assert comparison.converged == len(comparison.pairs) - diverged
    assert f"{diverged} of {len(comparison.pairs)} of wild" in " ".join(text.split())


def test_runs_that_all_diverge_give_too_few_pairs_and_no_winner(tmp_path):
    asked = study(tmp_path, {"good": "logistic", "wild": "logistic:lr=3e38,optimizer=sgd,clip=0"}, max_pairs=3)
    text = str(asked.run())
    assert "TOO FEW PAIRS" in text
    assert "better" not in text


@linux
def test_ctrl_c_stops_every_worker_and_says_how_to_go_on(tmp_path):
    text = task(tmp_path)
    arms = ("a=nets.py:Plain:pause=0.05", "b=nets.py:Plain:pause=0.05,hidden=9", "--task", text, "--max-pairs", "3")
    driver = subprocess.Popen(command("compare", *arms), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    workers = wait_for(lambda: list((tmp_path / "daiving-lab").glob("runs/*/run.json")) and workers_of(driver.pid))
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "daiving: stopped. To go on: daiving compare a=nets.py:Plain:pause=0.05" in said
    assert "Traceback" not in said
    assert not any(alive(pid) for pid in workers)


@linux
def test_workers_end_when_their_driver_is_killed(tmp_path):
    text = task(tmp_path)
    arms = ("a=nets.py:Plain:pause=0.5", "b=nets.py:Plain:pause=0.5,hidden=9", "--task", text, "--max-pairs", "3")
    driver = subprocess.Popen(command("compare", *arms), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    workers = wait_for(lambda: workers_of(driver.pid))
    driver.kill()
    driver.wait()
    wait_for(lambda: not any(alive(pid) for pid in workers))


def test_a_second_driver_of_one_lab_is_told_to_wait(tmp_path):
    text = task(tmp_path)
    arms = ("a=nets.py:Plain:pause=0.1", "b=nets.py:Plain:pause=0.1,hidden=9", "--task", text, "--max-pairs", "3")
    driver = subprocess.Popen(command("compare", *arms), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: list((tmp_path / "daiving-lab").glob("studies/*/study.json")))
        answer = call("compare", *arms)
        assert answer.returncode == 2
        assert "Another daiving is at work in the lab" in answer.stderr
        assert "--lab OTHER_FOLDER" in answer.stderr
        assert call("runs").returncode == 0  # looking is allowed
    finally:
        driver.kill()
        driver.wait()


def test_a_finished_study_is_shown_again_without_torch_or_charts(tmp_path):
    text = task(tmp_path)
    arms = ["compare", "a=logistic", "b=majority", "--task", text, "--max-pairs", "3", "--lab", "lab"]
    assert call(*arms).returncode == 0
    code = (
        "import sys; from daiving.cli import main; code = main(sys.argv[1:]);"
        "print([name for name in ('torch', 'altair', 'vl_convert', 'jinja2') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arms], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]", answer


def test_a_study_file_gives_the_same_study_as_the_flags(tmp_path):
    text = task(tmp_path)
    (tmp_path / "study.toml").write_text(
        f'task = "{text}"\nmax_pairs = 3\nsmallest = "5pp"\n[recipe]\nepochs = 1\n'
        '[arms.linear]\nnet = "logistic"\n[arms.wide]\nnet = "nets.py:Plain"\nhidden = 8\nlr = 0.02\n'
    )
    by_file = call("compare", "study.toml")
    arms = ("linear=logistic", "wide=nets.py:Plain:hidden=8,lr=0.02")
    by_flags = call("compare", *arms, "--task", text, "--max-pairs", 3, "--smallest", "5pp", "--epochs", 1)
    assert by_file.returncode == 0, by_file.stderr
    assert by_file.stdout.splitlines()[-1] == by_flags.stdout.splitlines()[-1]
    assert len(list((tmp_path / "daiving-lab" / "studies").iterdir())) == 1


def test_trained_alone_or_in_a_study_a_run_is_the_same_run(tmp_path):
    text = task(tmp_path)
    recipe = ("--epochs", 1, "--task", text)
    alone = call("train", "nets.py:Plain:hidden=8", "--seed", 1, *recipe)
    assert alone.returncode == 0, alone.stderr
    (path,) = (tmp_path / "daiving-lab" / "runs").glob("*/result.json")
    result = path.read_bytes()
    assert call("compare", "a=logistic", "b=nets.py:Plain:hidden=8", "--max-pairs", 3, *recipe).returncode == 0
    assert path.read_bytes() == result
    other = call("train", "nets.py:Plain:hidden=8", "--seed", 0, "--lab", "fresh", *recipe)
    (fresh,) = (tmp_path / "fresh" / "runs").glob("*/result.json")
    stored = json.loads((tmp_path / "daiving-lab" / "runs" / fresh.parent.name / "result.json").read_text())
    assert other.returncode == 0
    assert json.loads(fresh.read_text())["metrics"] == stored["metrics"]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def test_the_command_runs_as_a_module_and_prints_its_version():
    answer = call("--version", env=os.environ)
    assert answer.stdout == f"daiving {daiving.__version__}\n"
