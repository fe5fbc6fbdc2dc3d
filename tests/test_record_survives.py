"""Power cuts, kills, full disks and damaged files: nothing finished is lost, nothing torn is believed."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from studies import call, command, task, workers_of

import daiving
from daiving import files
from daiving.api import planned, task_row
from daiving.recipe import Recipe
from daiving.study import keep
from daiving.study.index import index
from daiving.study.process import prepare_run
from daiving.study.record import Lab, read_lines, result_of
from daiving.study.worker import run

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="cuts the power of a forked process")
RECIPE = Recipe(epochs=3, batch=64)


@pytest.fixture
def text(tmp_path):
    return task(tmp_path, n=200)


def start(lab, text, net="nets.py:Plain:hidden=8"):
    lab = Lab(lab)
    lab.prepare()
    plan, _ = planned(text, {"net": net}, RECIPE, lab.root, None)
    return prepare_run(plan, lab, plan.arms[0], 1, task_row(plan, lab, None))


def to_the_end(folder):
    for _ in run(folder):
        pass
    return folder


def remains(folder):
    """All that a finished run leaves, less what no two runs share: times, memory, the environment."""
    result = json.loads((folder / "result.json").read_text())
    del result["seconds_per_epoch"], result["peak_memory"]
    for epoch in result["history"]:
        del epoch["seconds"]
    events = [{k: v for k, v in row.items() if k != "seconds"} for row in read_lines(folder / "events.jsonl")[0]]
    return result, events, (folder / "model.safetensors").read_bytes(), (folder / "right.bits").read_bytes()


def cut_off_at(k, folder, torn):
    """Run in a forked process that dies, with no clean-up, at its k-th touch of the disk; True if it came so far.

    With `torn` the write before that is left half done: the last bytes of the file it appended to are gone.
    """
    pid = os.fork()
    if pid == 0:
        touched, last = 0, None

        def die_at_the_kth(event, arguments):
            nonlocal touched, last
            writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if not (writes or event in ("os.rename", "os.remove")) or str(folder) not in str(arguments[0]):
                return
            touched += 1
            if touched == k:
                if torn and last and Path(last).exists():
                    os.truncate(last, max(0, os.path.getsize(last) - 7))
                os._exit(9)
            last = arguments[0] if writes and arguments[1] == "a" else None

        try:
            sys.addaudithook(die_at_the_kth)
            to_the_end(folder)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@posix
@pytest.mark.parametrize("torn", [False, True])
def test_a_run_cut_off_at_any_write_ends_as_the_run_that_was_not(tmp_path, text, torn):
    whole = remains(to_the_end(start(tmp_path / "whole", text)))
    k = 1
    while True:
        folder = start(tmp_path / f"cut{k}", text)
        if not cut_off_at(k, folder, torn):
            break
        seen = {row["epoch"] for row in read_lines(folder / "events.jsonl")[0] if row["event"] == "epoch"}
        trained = {event.epoch for event in run(folder) if type(event).__name__ == "Epoch"}
        assert not seen & trained, f"an epoch was trained twice after the cut at write {k}"
        assert remains(folder) == whole, f"cut at write {k}"
        k += 1
    assert k > 12  # the cuts were there


@posix
def test_a_run_cut_off_again_and_again_still_arrives(tmp_path, text):
    whole = remains(to_the_end(start(tmp_path / "whole", text)))
    folder, cuts = start(tmp_path / "cut", text), 0
    while cut_off_at(4 + cuts, folder, torn=True):  # each time a little later, or it could never arrive
        cuts += 1
    assert cuts >= 5
    assert remains(to_the_end(folder)) == whole


@posix
def test_driver_and_workers_killed_at_random_moments_give_the_same_verdict(tmp_path):
    text, chance = task(tmp_path), random.Random(20)
    arms = ("linear=nets.py:Plain:pause=0.05", "wide=nets.py:Plain:pause=0.05,hidden=16")
    rest = (*arms, "--task", text, "--max-pairs", "4", "--epochs", "4")
    assert call("compare", *rest, "--lab", "whole").returncode == 0
    (whole,) = (tmp_path / "whole" / "studies").iterdir()
    kills = 0
    while kills < 8:
        driver = subprocess.Popen(command("compare", *rest, "--lab", "cut"), stdout=-3, stderr=-3)
        while not (victims := workers_of(driver.pid)) and driver.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        if driver.poll() is not None:
            break
        victims = workers_of(driver.pid) or victims
        who = chance.choice(["driver", "worker", "both"])
        if who in ("worker", "both") and victims:
            for pid in victims if who == "both" else victims[:1]:
                kill(pid)
        if who in ("driver", "both"):
            kill(driver.pid)
        else:  # the driver has seen it die, and tries once more by itself
            time.sleep(0.3)
            kill(driver.pid)
        driver.wait()
        kills += 1
    assert kills >= 3
    answer = call("compare", *rest, "--lab", "cut")
    assert answer.returncode == 0, answer.stderr
    cut = tmp_path / "cut" / "studies" / whole.name
    assert (cut / "looks.jsonl").read_bytes() == (whole / "looks.jsonl").read_bytes()
    for result in (tmp_path / "whole" / "runs").glob("*/result.json"):
        assert remains(tmp_path / "cut" / "runs" / result.parent.name) == remains(result.parent)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


ARMS = ("a=logistic", "b=nets.py:Plain:hidden=8", "--task", "arrays:file=blobs.npz", "--max-pairs", 3, "--epochs", 1)


@pytest.fixture(scope="module")
def a_finished_study(tmp_path_factory):
    """A folder with a lab in which the study of ARMS is finished, and what it printed; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("finished")
    task(folder)
    done = call("compare", *ARMS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def first(a_finished_study, tmp_path):
    """The same in this test's own folder."""
    folder, done = a_finished_study
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return done


@pytest.mark.parametrize("damage", ["middle", "torn", "gone", "binary"])
def test_a_damaged_event_file_changes_no_verdict_and_is_named(tmp_path, first, damage):
    path = next((tmp_path / "daiving-lab").glob("runs/*/events.jsonl"))
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        lines = content.splitlines(keepends=True)
        lines[1] = {"middle": b'{"event": "st\n', "torn": lines[1], "binary": b"\xff\x00\n"}[damage]
        path.write_bytes(b"".join(lines) if damage != "torn" else content[:-9])
    again = call("compare", *ARMS)
    assert again.returncode == 0, again.stderr
    named = f"({path.parent.name}) has 1 damaged line(s), the first is line 2" in " ".join(again.stdout.split())
    assert named is (damage in ("middle", "binary"))
    assert again.stdout.partition("Report")[0].endswith(verdict(first.stdout)), again.stdout
    assert call("show", path.parent.name).returncode == 0


def verdict(text):
    return text[text.index("UNDECIDED" if "UNDECIDED" in text else "BETTER") :].partition("Report")[0]


@pytest.mark.parametrize("file", ["events.jsonl", "checkpoint.safetensors"])
def test_an_unfinished_run_with_a_damaged_file_still_ends_as_it_should(tmp_path, text, file):
    whole = remains(to_the_end(start(tmp_path / "whole", text)))
    folder = start(tmp_path / "cut", text)
    for event in run(folder):
        if type(event).__name__ == "Epoch" and event.epoch == 2:
            break
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 3])
    result, events, *rest = remains(to_the_end(folder))
    if file == "events.jsonl":  # single steps of the damaged epoch are lost; the checkpoint knows the rest
        kept = [row for row in events if row["event"] != "step"]
        assert kept == [row for row in whole[1] if row["event"] != "step"]
    else:
        assert events == whole[1]
    assert (result, *rest) == (whole[0], *whole[2:])


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": "x"}', b"\xff\xfe"])
def test_a_torn_result_is_not_believed_and_is_done_again(tmp_path, text, content):
    folder = to_the_end(start(tmp_path / "lab", text))
    expected = remains(folder)
    (folder / "result.json").write_bytes(content)
    assert result_of(folder) is None
    assert remains(to_the_end(folder)) == expected


def test_answers_that_do_not_fit_their_result_are_not_believed(tmp_path, text):
    folder = to_the_end(start(tmp_path / "lab", text))
    bits = (folder / "right.bits").read_bytes()
    assert result_of(folder).right() is not None
    for wrong in (bits[:-1], bytes([bits[0] ^ 255]) + bits[1:]):
        (folder / "right.bits").write_bytes(wrong)
        assert result_of(folder).right() is None


@pytest.mark.parametrize("what", ["deleted", "garbage", "emptied", "folder"])
def test_the_index_can_be_lost_or_damaged(tmp_path, first, what):
    before = call("runs").stdout
    db = tmp_path / "daiving-lab" / "lab.db"
    assert db.exists()
    db.unlink()
    if what == "garbage":
        db.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    elif what == "emptied":
        db.write_bytes(b"")
    elif what == "folder":
        db.mkdir()
    assert call("runs").stdout == before
    assert call("compare", *ARMS).returncode == 0
    with index(Lab(tmp_path / "daiving-lab"), write=True) as made:
        assert made.execute("select count(*) from runs").fetchone() == (6,)


@pytest.mark.parametrize("content", [b"[1]", b"{}", b'{"arm": 3}', b"{", b'{"arm": {}, "task": {}, "seed": 1e99}'])
def test_a_run_whose_description_is_damaged_does_not_hide_the_others(tmp_path, first, content):
    (tmp_path / "daiving-lab" / "lab.db").unlink()
    path = next((tmp_path / "daiving-lab").glob("runs/*/run.json"))
    path.write_bytes(content)
    shown = call("runs")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("finished") == 5
    assert call("compare", *ARMS).returncode == 0
    for command_ in (("show", path.parent.name), ("export", path.parent.name)):
        assert "Traceback" not in call(*command_).stderr


def test_the_index_forgets_runs_whose_folders_are_gone(tmp_path, text):
    folder = to_the_end(start(tmp_path / "lab", text))
    lab = Lab(tmp_path / "lab")
    assert index(lab, write=True).execute("select status from runs").fetchall() == [("finished",)]
    (folder / "result.json").unlink()
    assert index(lab, write=True).execute("select status from runs").fetchall() == [("unfinished",)]
    shutil.rmtree(folder)
    assert index(lab, write=True).execute("select status from runs").fetchall() == []


def test_a_lab_that_cannot_be_written_is_said_at_once(tmp_path, text):
    (tmp_path / "file").write_text("in the way")
    answer = call("compare", "a=logistic", "b=majority", "--task", text, "--lab", "file/lab")
    assert answer.returncode == 2
    assert "cannot be written to" in answer.stderr
    assert "--lab FOLDER" in answer.stderr


def room(folder):
    return os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MiB, where this machine lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", place])


def test_a_read_only_lab_can_be_read_and_is_not_written(tmp_path, text, tiny_disk):
    arms = ("a=logistic", "b=majority", "--task", text, "--max-pairs", 3, "--epochs", 1, "--lab", tiny_disk)
    assert call("compare", *arms).returncode == 0
    (study,) = (tiny_disk / "studies").iterdir()
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    assert "finished" in call("runs", "--lab", tiny_disk).stdout
    shown = call("show", study.name, "--lab", tiny_disk)
    assert shown.returncode == 0, shown.stderr
    answer = call("compare", *arms[:2], "--task", text, "--max-pairs", 4, "--lab", tiny_disk)
    assert answer.returncode == 2
    assert "cannot be written to (Read-only file system)" in answer.stderr


def test_a_full_disk_stops_the_study_and_loses_nothing(tmp_path, text, tiny_disk):
    arms = (
        "a=nets.py:Plain:hidden=8",
        "b=nets.py:Plain:hidden=16",
        "--task",
        text,
        "--max-pairs",
        "3",
        "--epochs",
        "2",
    )
    assert call("compare", *arms, "--lab", "whole").returncode == 0
    for filled in (940, 1008, 1016, 1024):  # KiB of 1024: full for the workers, and full for the driver
        (tiny_disk / "filler").write_bytes(bytes(min(filled, room(tiny_disk) // 1024) * 1024))
        answer = call("compare", *arms, "--lab", tiny_disk)
        assert answer.returncode in (1, 2), filled
        assert "No space left on device" in answer.stderr
        assert "Traceback" not in answer.stderr
        (tiny_disk / "filler").unlink()
    answer = call("compare", *arms, "--lab", tiny_disk)
    assert answer.returncode == 0, answer.stderr
    looks = [next((root / "studies").iterdir()) / "looks.jsonl" for root in (tmp_path / "whole", tiny_disk)]
    assert looks[0].read_bytes() == looks[1].read_bytes()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_write_that_fails_leaves_the_run_as_it_was(tmp_path, text, monkeypatch, number):
    whole = remains(to_the_end(start(tmp_path / "whole", text)))
    folder, calls, fsync = start(tmp_path / "cut", text), 0, os.fsync

    def full(descriptor):
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        to_the_end(folder)
    assert not list(folder.glob(".*.tmp"))
    assert remains(to_the_end(folder)) == whole
    assert keep.os is files.os  # both write by the function that was made to fail


def test_a_study_under_another_cap_says_that_its_seeds_were_looked_at(tmp_path, text):
    arms = {"a": "logistic", "b": "majority"}
    recipe = daiving.Recipe(epochs=1)
    first = daiving.Study(task=text, arms=arms, recipe=recipe, max_pairs=3, lab="lab")
    assert "has looked at some of these pairs" not in str(first.run())
    again = daiving.Study(task=text, arms=arms, recipe=recipe, max_pairs=6, lab="lab")
    assert f"The study {first.plan.id} (cap 3) has looked at some of these pairs before" in " ".join(
        str(again.run()).split()
    )
    assert "has looked at" not in str(first.outcome())  # it was the first, and stays it
    swapped = daiving.Study(task=text, arms=dict(reversed(arms.items())), recipe=recipe, max_pairs=3, lab="lab")
    assert "has looked at" in str(swapped.run())
    fresh = daiving.Study(task=text, arms=arms, recipe=recipe, max_pairs=6, first_seed=6, lab="lab")
    assert "has looked at" not in str(fresh.run())
