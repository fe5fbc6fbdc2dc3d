"""A cell, and the net unrolled, in characters: time to the right, layers upwards, at most 80 columns wide."""

from daiving.rolled import Rolled, printable, where
from daiving.show.unrolled import columns

WIDTH = 80
LEFT = 19  # columns for what a row is

RNN = """
h ─┬─ tanh ── h'
x ─┘
"""
GRU = """
h ──────────────────────────────────────⊙───────+── h'
                                        │       │
x, h ─┬─ σ ─ z update gate ──┬─[high]──┘       │
      │                      └─[low]──⊙───────┘
      └─ σ ─ r reset gate ─┐            │
h ─────[inner]─────────────⊙─┬─ tanh ─ n candidate
x ───────────────────────────┘
"""
LSTM = """
c ────────────────────────────⊙────────+─────┬──── c'
                              │        │     │
x, h ─┬─ σ ─── f forget gate ─┘        │     │
      ├─ σ ─── i input gate ──⊙────────┘     │
      ├─ tanh  g candidate ───┘{shown}
      └─ σ ─── o output gate ────────────────⊙──── h'
"""


def cell_text(net: Rolled) -> str:
    """One step of a cell, read from left to right."""
    if net.family == "RNN":
        return RNN.strip("\n")
    if net.family == "GRU":
        high, low = (" 1 - z ", "───────")[:: 1 if net.update == "new" else -1]
        inner = "───────" if net.reset == "before" else " U_n h "
        drawn = GRU.replace("[high]", high).replace("[low]", low).replace("[inner]", inner)
        return drawn.strip("\n")
    if net.family == "LSTM":
        drawn = LSTM.format(shown="    LN, tanh" if net.layer_norm else "          tanh").strip("\n")
        seen = "\nWith peepholes f and i see c too, and o sees c'." if net.peepholes else ""
        return "\n".join(line.rstrip() for line in drawn.splitlines()) + seen
    return f"x, h ── {net.family} ── h'"


def unrolled_text(net: Rolled) -> str:
    """The net on a grid of time and layers; steps in the middle are left out where they do not fit."""
    both, many = net.directions == 2, WIDTH - LEFT
    cell_name = net.family[:8]  # of a user's own cell its beginning
    wide = len(cell_name) + 3
    wide = wide if wide * net.steps <= many else len(cell_name) + 1
    steps = columns(net.steps, max(3, many // wide))
    drawn = [step is not None for step in steps]
    last = [False] * (len(steps) - 1) + [True]

    def row(name: str, sign: str, at: list[bool]) -> str:
        cells = [sign if here else "" if there or at is last else "…" for here, there in zip(at, drawn, strict=True)]
        return (f"{cut(name):<{LEFT}}" + "".join(f"{cell:<{wide}}" for cell in cells)).rstrip()

    def up(at: list[bool]) -> str:
        return (" " * LEFT + "".join(f"{'↑' if here else '':<{wide}}" for here in at)).rstrip()

    answers = drawn if net.each_step else last
    lines = [row(net.head or "answer", "□" if net.head else "↑", answers), *([up(answers)] if net.head else [])]
    for cell in reversed(net.cells):
        place = where(cell.layer, cell.direction, net.directions)
        boxes = [chained(cell_name if here else "…", wide, cell.direction) for here in drawn]
        boxes[-1] = cell_name
        lines.append(f"{place:<{LEFT}}" + "".join(boxes))
        lines += [up(drawn)] * (cell.direction == 0)
    if net.front:
        lines += [row(net.front, "□", drawn), up(drawn)]
    names = ["…" if step is None else printable(net.letters[step]) if net.letters else f"x{step + 1}" for step in steps]
    lines.append((f"{'time →':<{LEFT}}" + "".join(f"{name:<{wide}}" for name in names)).rstrip())
    lines += ["", f"Each cell hands {net.states} on to the next step; all steps have the same weights."]
    if both:
        lines.append("Both directions read what is below them, and are joined for what is above.")
    if both and not net.each_step:
        lines += ["The answer reads the forward state of the last step and the backward state of", "the first."]
    return "\n".join(lines)


def cut(name: str) -> str:
    return name if len(name) < LEFT else f"{name[: LEFT - 2]}…"


def chained(name: str, wide: int, direction: int) -> str:
    """A cell and the arrow between it and the next column's."""
    if wide - len(name) < 3:
        return name + "→←"[direction]
    shaft = "─" * (wide - len(name) - 3)
    return f"{name} ←{shaft} " if direction else f"{name} {shaft}→ "
