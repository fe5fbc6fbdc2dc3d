"""lab.db: an index of a lab's folders. Nothing is in it that is not in the files; without it, it is made again."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.files import read_json
from daiving.study.plan import arm_from
from daiving.study.record import Lab, result_of, status_of

# A row that some other version or a damage has made so that it cannot be read: the lab's other rows can.
UNREADABLE = (KeyError, TypeError, AttributeError, OverflowError, FixableError)
SCHEMA = """
create table if not exists runs (
    id text primary key, changed integer, net text, task text, seed integer, epochs real, status text,
    accuracy real, loss real, seconds_per_epoch real
);
create table if not exists studies (id text primary key, task text, arms text, metric text, max_pairs integer);
pragma user_version = 1;
"""


def index(lab: Lab, *, write: bool) -> sqlite3.Connection:
    """The up-to-date index. With `write`, which only the driver of the lab may say, it is kept in lab.db; else, or
    where the file cannot be used, it is made in memory from the last one or from the folders."""
    if write:
        path = lab.root / "lab.db"
        for _ in range(2):
            with suppress(sqlite3.Error):
                db = sqlite3.connect(path)
                db.execute("pragma journal_mode = wal")
                db.executescript(SCHEMA)
                refresh(db, lab)
                return db
            # Damaged: it holds nothing of its own, so away with it, and once more.
            for name in ("lab.db", "lab.db-wal", "lab.db-shm"):
                with suppress(OSError):
                    (lab.root / name).unlink()
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{lab.root / 'lab.db'}?mode=ro", uri=True)) as stored:
        for table, columns in (("runs", 10), ("studies", 5)):
            rows = stored.execute(f"select * from {table}").fetchall()
            db.executemany(f"insert into {table} values ({','.join('?' * columns)})", rows)
    refresh(db, lab)
    return db


def refresh(db: sqlite3.Connection, lab: Lab) -> None:
    """Bring the index to what the folders say; only what has changed since is read."""
    known = dict(db.execute("select id, changed from runs"))
    folders = {path.name: path for path in children(lab.root / "runs")}
    db.executemany("delete from runs where id = ?", [(id,) for id in known.keys() - folders.keys()])
    for id, folder in folders.items():
        changed = last_change(folder)
        if known.get(id) != changed and (about := read_json(folder / "run.json")):
            with suppress(*UNREADABLE):
                db.execute(f"insert or replace into runs values ({','.join('?' * 10)})", row_of(folder, about, changed))
    known_studies = {id for (id,) in db.execute("select id from studies")}
    studies = {path.name: path for path in children(lab.root / "studies")}
    db.executemany("delete from studies where id = ?", [(id,) for id in known_studies - studies.keys()])
    for id in studies.keys() - known_studies:
        if row := read_json(studies[id] / "study.json"):
            with suppress(*UNREADABLE):
                plan = row["plan"]
                arms = ", ".join(arm["name"] for arm in plan["arms"])
                values = (id, plan["task"], arms, plan["metric"], plan["max_pairs"])
                db.execute("insert or replace into studies values (?, ?, ?, ?, ?)", values)
    db.commit()


def children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def last_change(folder: Path) -> int:
    """When the folder's state last changed, ns: each of these files is renamed into place."""
    times = [0]
    for name in ("run.json", "result.json", "error.json"):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime_ns)
    return max(times)


def row_of(folder: Path, about: dict[str, Any], changed: int) -> tuple[Any, ...]:
    arm, result = about["arm"], result_of(folder)
    metrics = result.metrics if result else {}
    return (
        folder.name,
        changed,
        arm_from(arm).label,
        about["task"]["name"],
        about["seed"],
        arm["recipe"]["epochs"],
        status_of(folder),
        metrics.get("accuracy"),
        metrics.get("loss"),
        result.seconds_per_epoch if result else None,
    )
