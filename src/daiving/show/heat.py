"""States and gates of every step as heat maps: SVG with time to the right, and a table of numbers for the terminal.

Colour stands for the value itself: as strong as the value is large, in one hue above zero and in another below; no
colour at all is zero, on light and dark pages alike.
"""

from collections.abc import Sequence

from daiving.rolled import Rolled, Seen, printable, where
from daiving.show.canvas import BOLD, SMALL, Piece, group, number, rect, text, wide
from daiving.show.closed import finished
from daiving.show.equations import NAMES
from daiving.show.palette import LINE, QUIET

ABOVE, BELOW = "#0b78c2", "#d4620e"  # in no palette, so that no style sheet changes them
WIDE = 1000  # px: panels stand beside one another up to here
TIPS = 3000  # cells in one picture that tell their value to a pointer: more make the file heavy
DRAWN, UNITS = 32, 8  # units shown in a picture, and in the terminal: those that move most
COLUMNS = 11  # steps in one block of the terminal's numbers


def heat_svg(net: Rolled, seen: Sequence[Seen], said: str = "", *, alone: bool = True) -> str:
    """Every quantity in a panel of its own, a row a unit, a column a step. `said` stands below."""
    rows = busiest(seen, DRAWN)
    tips = sum(len(one.values) * len(rows[one.cell]) for one in seen) <= TIPS
    panels = [panel(net, one, rows[one.cell], tips) for one in seen]
    places: list[tuple[float, float, tuple[int, int]]] = []
    x, y, high, before = 0.0, 0.0, 0.0, None
    for one, piece in zip(seen, panels, strict=True):
        cell = one.cell
        if x and (cell != before or x + piece.width > WIDE):
            x, y, high = 0.0, y + high + 18, 0.0
        if cell != before:
            y, before = y + 22, cell
        places.append((x, y, cell))
        x, high = x + piece.width + 22, max(high, piece.height)
    bottom, units = y + high, len(seen[0].values[0])
    said = "; ".join(
        [*([said] if said else []), *([f"the {DRAWN} of {units} units whose h moves most"] * (units > DRAWN))]
    )
    width = max(x + piece.width for (x, _, _), piece in zip(places, panels, strict=True))

    def paint(left: float, top: float) -> str:
        out, named = "", None
        for (x, y, cell), piece in zip(places, panels, strict=True):
            if cell != named:
                out += text(left, top + y - 12, where(*cell, net.directions), anchor="start", more=BOLD)
                named = cell
            out += piece.paint(left + x, top + y)
        return out + (text(left, top + bottom + 18, said, size=SMALL, anchor="start", fill=QUIET) if said else "")

    full_is = "full colour: 1" + (", for c its largest number" * any(one.name == "c" for one in seen))
    key = ((ABOVE, "above 0"), (BELOW, "below 0"), ("none", f"0; {full_is}"))
    words = f"{net.family}: {', '.join(dict.fromkeys(one.name for one in seen))} at each of {net.steps} steps"
    whole = Piece(max(width, wide(said, SMALL)), bottom + (28 if said else 0), 0, paint)
    return finished(whole, f"{words}.", (), alone, key)


def panel(net: Rolled, seen: Seen, units: Sequence[int], tips: bool) -> Piece:
    """One quantity of one cell: its name above, its units below one another, the letters below."""
    steps, scale = len(seen.values), full(seen)
    w, h = max(9.0, min(20.0, 600 / steps)), max(9.0, min(18.0, 240 / len(units)))
    title = " ".join([seen.name, NAMES.get(seen.name, "")]) + (f", to ±{scale:.3g}" if seen.name == "c" else "")
    edge = 26  # room for the units' numbers
    width, height = max(edge + w * steps, wide(title, SMALL)), 18 + h * len(units) + 20

    def paint(x: float, y: float) -> str:
        out, top, left = text(x, y + 7, title, size=SMALL, anchor="start"), y + 18, x + edge
        for step, row in enumerate(seen.values):
            for place, unit in enumerate(units):
                about = f"step {step + 1}, unit {unit}" if tips else ""
                out += tile(left + w * step, top + h * place, w, h, row[unit], scale, about)
        out += rect(left, top, w * steps, h * len(units), "none", stroke=LINE, round=0)
        for place, unit in enumerate(units):
            out += text(left - 5, top + h * (place + 0.5), str(unit), size=min(10, int(h)), anchor="end", fill=QUIET)
        for step in range(steps):
            if w >= 14 or step % 2 == 0 or net.letters:
                name = letter(net, step)
                out += text(left + w * (step + 0.5), top + h * len(units) + 10, name, size=SMALL if w >= 12 else 8)
        return group(seen.name, "", out, "panel")

    return Piece(width, height, 0, paint)


def full(seen: Seen) -> float:
    """The value that has the full colour."""
    return seen.largest or 1.0 if seen.name == "c" or seen.largest > 1 else 1.0


def tile(x: float, y: float, w: float, h: float, value: float, scale: float, about: str) -> str:
    """A value as a coloured rectangle, which also carries it as a number."""
    colour, strength = (ABOVE if value >= 0 else BELOW), min(abs(value) / scale, 1.0)
    place = f'x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}"'
    told = f"<title>{about}: {value:.3f}</title>" if about else ""
    return f'<rect {place} fill="{colour}" fill-opacity="{strength:.3f}" data-value="{value:.4g}">{told}</rect>'


def heat_text(net: Rolled, seen: Sequence[Seen]) -> str:
    """The same as numbers, at most 80 columns wide; of many units those that move most."""
    lines: list[str] = []
    cell, rows = None, busiest(seen, UNITS)
    for one in seen:
        if one.cell != cell:
            cell, units = one.cell, len(one.values[0])
            some = f": the {UNITS} of {units} units whose {one.name} moves most" if units > UNITS else ""
            lines += [""] * bool(lines) + [f"{where(*cell, net.directions)}{some}"]
        lines.append(f"  {one.name}  {NAMES.get(one.name, '')}")
        for first in range(0, len(one.values), COLUMNS):
            part = range(first, min(first + COLUMNS, len(one.values)))
            lines.append("    unit " + "".join(f"{letter(net, step):>6}" for step in part))
            for unit in rows[one.cell]:
                lines.append(f"    {unit:>4} " + "".join(f"{one.values[step][unit]:>6.2f}" for step in part))
    return "\n".join(line.rstrip() for line in lines)


def letter(net: Rolled, step: int) -> str:
    return printable(net.letters[step]) if net.letters else str(step + 1)


def busiest(seen: Sequence[Seen], most: int) -> dict[tuple[int, int], list[int]]:
    """For each cell its units in order: all, or those `most` whose first quantity, h, moves most over the steps."""
    rows: dict[tuple[int, int], list[int]] = {}
    for one in seen:
        if one.cell not in rows:
            by_spread = sorted(range(len(one.values[0])), key=lambda unit, one=one: -spread(one, unit))
            rows[one.cell] = sorted(by_spread[:most])
    return rows


def spread(seen: Seen, unit: int) -> float:
    row = [step[unit] for step in seen.values]
    return max(row) - min(row)
