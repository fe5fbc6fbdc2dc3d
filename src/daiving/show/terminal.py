"""What a study looks like in a terminal: while it runs, and when it is over."""

import io
import math
from collections.abc import Generator
from contextlib import closing
from statistics import median

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from daiving.events import Epoch, Step
from daiving.show import words
from daiving.study.execute import Done, Looked, Noted, Progress, Started, Told
from daiving.study.plan import METRICS, Plan
from daiving.study.reading import Comparison, Reading, value
from daiving.study.verdict import spread
from daiving.tasks.data import Data

BAR = 24  # characters of a progress bar
WIDTH = 80


def verdict_text(reading: Reading) -> str:
    """The verdict table of a study as plain text, 80 columns wide."""
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False)
    plan = reading.plan
    for note in reading.notes:
        console.print(f"Note: {note}", markup=False)
    for arm in plan.arms:
        console.print(words.arm_line(plan, arm), markup=False)
    console.print()
    console.print(arms_table(reading))
    for comparison in reading.comparisons:
        console.print()
        console.print(words.verdict_word(comparison).upper(), markup=False)
        for sentence in (
            words.verdict_sentence(plan, comparison),
            words.given_converged(plan, comparison),
            words.robust_sentence(plan, comparison),
            words.images_sentence(comparison),
            words.seconds_sentence(comparison),
        ):
            if sentence:
                console.print(sentence, markup=False)
        if settling := words.settle(plan, comparison):
            console.print(f"To settle it: {settling}", markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def arms_table(reading: Reading) -> Table:
    """Cost beside the metric, one row an arm, with n and spread."""
    metric = reading.plan.metric
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("arm", f"test {metric} (n)", "parameters", "MACs", "s/epoch", "MiB", "diverged"):
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=name != "arm")
    for arm in reading.plan.arms:
        runs = reading.runs(arm.name)
        converged = [run for run in runs if value(reading.plan, run) is not None]
        cost = reading.costs.get(arm.name, {})
        mean, sd = spread([run.metrics[metric] for run in converged]) if converged else (math.nan, 0.0)
        seconds = [run.seconds_per_epoch for run in converged if run.timed]
        memory = [run.peak_memory for run in runs if run.peak_memory]
        table.add_row(
            Text(arm.name, overflow="fold"),
            f"{words.level(mean, metric)} ± {words.number(sd, metric, sign=False)} ({len(converged)})"
            if converged
            else "–",
            f"{cost['parameters']:,}" if cost else "–",
            f"{cost['macs']:,}" if cost else "–",
            f"{median(seconds):.3g}" if seconds else "–",
            f"{max(memory):.0f}" if memory else "–",
            str(len(runs) - len(converged)),
        )
    return table


def watch(progress: Generator[Progress, None, None], plan: Plan, data: Data) -> None:
    """Show a study while it runs: a moving display on a terminal, a line for each pair elsewhere."""
    console = Console(highlight=False)
    for note in data.notes:
        console.print(f"Note: {note}", markup=False)
    board = Board(plan, len(data.train))
    if not console.is_terminal:
        with closing(progress):  # Ctrl-C must stop the workers before anything else is said
            for event in progress:
                for line in board.take(event):
                    console.print(line, markup=False, soft_wrap=True)
        return
    with (
        closing(progress),
        Live(console=console, refresh_per_second=8, transient=True, get_renderable=board.display) as live,
    ):
        for event in progress:
            for line in board.take(event):
                live.console.print(line, markup=False)


class Board:
    """What is going on: takes each event, gives back the lines that it makes worth printing."""

    def __init__(self, plan: Plan, examples: int) -> None:
        self.plan, self.examples = plan, examples  # examples in the training split
        self.running: dict[str, Started] = {}
        self.latest: dict[str, Step | Epoch] = {}
        self.comparisons: tuple[Comparison, ...] = ()
        self.shown: set[tuple[str, int]] = set()

    def take(self, event: Progress) -> list[str]:
        match event:
            case Started():
                self.running[event.run] = event
            case Told(run, Step() | Epoch() as told):
                self.latest[run] = told
            case Done():
                self.running.pop(event.result.id, None)
                self.latest.pop(event.result.id, None)
            case Looked(comparisons):
                self.comparisons = comparisons
                return [line for comparison in comparisons for line in self.pair_lines(comparison)]
            case Noted(text):
                return [text]
        return []

    def pair_lines(self, comparison: Comparison) -> list[str]:
        """A line for each pair that is new, with the interval that was read after it."""
        lines = []
        metric = self.plan.metric
        sign = METRICS[metric].sign
        n = 0
        for pair in comparison.pairs:
            n += pair.difference is not None
            if (comparison.other, pair.seed) in self.shown:
                continue
            self.shown.add((comparison.other, pair.seed))
            values = [
                f"{name} {'diverged' if value is None else words.level(value, metric)}"
                for name, value in ((comparison.first, pair.first), (comparison.other, pair.other))
            ]
            line = f"seed {pair.seed:<3} {'   '.join(values)}"
            if pair.difference is not None:
                line += f"   {words.difference(pair.difference, metric)}"
                look = next((look for look in comparison.looks if look.pairs == n), None)
                if look:
                    low, high = (look.low, look.high) if sign > 0 else (-look.high, -look.low)
                    line += f"   [{words.interval(low, high, metric)}]"
            lines.append(line)
        return lines

    def display(self) -> Group:
        """The runs at work, a row each, and how far the study is."""
        table = Table.grid(padding=(0, 2))
        rows: dict[str, list[Started]] = {}  # packed runs go side by side: one row for all of them
        for run, started in self.running.items():
            rows.setdefault(started.packed or run, []).append(started)
        for first, *more in rows.values():
            told = self.latest.get(first.run)
            seeds = f"seeds {first.seed} and {len(more)} more" if more else f"seed {first.seed}"
            table.add_row(first.arm.name, seeds, *progress_of(told, first.arm.recipe.epochs, self.examples))
        open_ = [c for c in self.comparisons if not c.verdict]
        if open_:
            done = min(len(c.pairs) for c in open_)
            said = f"{done} of at most {self.plan.max_pairs} pairs done. Ctrl-C stops, and nothing is lost."
            return Group(table, Text(said, style="dim"))
        return Group(table)


def progress_of(told: Step | Epoch | None, epochs: float, examples: int) -> tuple[str, str]:
    """A bar, and where the run stands."""
    if told is None:
        return "·" * BAR, "starting"
    done = told.epoch if isinstance(told, Epoch) else told.epoch - 1 + told.seen / examples
    filled = min(BAR, round(BAR * done / epochs))
    loss = told.train_loss if isinstance(told, Epoch) else told.loss
    return "━" * filled + "·" * (BAR - filled), f"epoch {told.epoch} of {epochs:g}  loss {loss:.3f}"
