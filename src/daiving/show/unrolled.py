"""A recurrent net unrolled, as SVG: time to the right, layers upwards in one direction or both, the head on top.

Every column is the same cells with the same weights; only what they are fed and what they remember differs.
"""

from daiving.rolled import Rolled, printable, where
from daiving.show.canvas import BOLD, SMALL, Piece, group, line, number, rect, text, wide
from daiving.show.cell_picture import dot
from daiving.show.palette import BLOCK, QUIET, fill

MOST, MOST_NAMELESS = 24, 12  # columns, with letters and without; longer sequences are drawn without their middle
CELL, THIN, BETWEEN, RISE = 32, 22, 36, 30  # px: heights of a cell and of other boxes, and of the room above them
APART = 34  # px: between the cells of two steps
ROOM = 128  # px at the left, for what the rows are


def columns(steps: int, most: int) -> list[int | None]:
    """The steps that are drawn, from 0 on; None stands for those left out."""
    if steps <= most:
        return list(range(steps))
    first = most // 2
    return [*range(first), None, *range(steps - (most - first - 1), steps)]


def unrolled_key(net: Rolled) -> tuple[tuple[str, str], ...]:
    cell = BLOCK, "cell: the same weights at every step"
    return (
        cell,
        *(((fill("input"), "symbol as numbers"),) if net.front else ()),
        *(((fill("linear"), "answer"),) if net.head else ()),
    )


def unrolled_piece(net: Rolled) -> Piece:
    grid = Grid(net)
    inside = "".join(grid.column(place, step) for place, step in enumerate(grid.steps))
    inside += grid.through_time() + grid.names() + grid.top()
    drawn = f'<g data-name="unrolled">{inside}</g>'
    return Piece(
        grid.width, grid.height, 0, lambda x, y: f'<g transform="translate({number(x)} {number(y)})">{drawn}</g>'
    )


class Grid:
    """Where everything stands."""

    def __init__(self, net: Rolled) -> None:
        self.net, self.steps = net, columns(net.steps, MOST if net.letters else MOST_NAMELESS)
        self.both = net.directions == 2
        self.front = net.front.partition(",")[0]
        self.cell = max(wide(net.family) + 18, 50)
        self.shift = 26 if self.both else 0  # a backward cell stands so much to the right of the forward one
        self.middle = (self.cell + self.shift) / 2  # of a column, from its left
        longest = max((wide(letter) for letter in map(self.symbol, range(net.steps))), default=0)
        least = max(self.cell + self.shift + APART, wide(self.front, SMALL) + 26, longest + 14)
        self.pitch = max(least, wide(net.head, SMALL) + 28 if net.head and net.each_step else 0)
        self.layer = CELL * net.directions + (14 if self.both else 0) + BETWEEN + (14 if self.both else 0)
        self.width = ROOM + self.pitch * len(self.steps) + 24
        self.answer_y = 8.0
        self.head_y = 34.0 if net.head else 20.0
        self.top_y = self.head_y + (THIN if net.head else 0) + RISE  # top of the uppermost layer
        self.front_y = self.top_y + self.layer * net.layers - BETWEEN - (14 if self.both else 0) + RISE
        self.letter_y = self.front_y + (THIN + 26 if self.front else 8)
        self.height = self.letter_y + 50

    def x(self, place: int) -> float:
        return ROOM + self.pitch * place

    def y(self, layer: int, direction: int) -> float:
        """The top of a cell: layers upwards, the backward cell above the forward one."""
        top = self.top_y + self.layer * (self.net.layers - 1 - layer)
        return top + (CELL + 14 if self.both and direction == 0 else 0)

    def stem(self, direction: int) -> float:
        """Where the line into a cell and out of it runs, from the column's left: clear of the other direction's."""
        if not self.both:
            return self.cell / 2
        return self.shift / 2 if direction == 0 else self.cell + self.shift / 2

    def symbol(self, step: int) -> str:
        return printable(self.net.letters[step]) if self.net.letters else f"x{step + 1}"

    def column(self, place: int, step: int | None) -> str:
        """One step: symbol, front, a cell of each layer and direction, head."""
        x, net = self.x(place), self.net
        if step is None:
            rows = [self.y(cell.layer, cell.direction) + CELL / 2 for cell in net.cells] + [self.letter_y]
            return "".join(text(x + self.middle, y, "…", fill=QUIET) for y in rows)
        bottom = self.front_y + THIN if self.front else self.letter_y - 10
        out = group(
            f"step {step + 1}", "", text(x + self.middle, self.letter_y, self.symbol(step), more=BOLD), "letter"
        )
        if self.front:
            w = wide(self.front, SMALL) + 12
            box = rect(x + self.middle - w / 2, self.front_y, w, THIN, fill("input"))
            box += text(x + self.middle, self.front_y + THIN / 2, self.front, size=SMALL)
            out += line((x + self.middle, self.letter_y - 9), (x + self.middle, bottom), head=True)
            out += group(self.front, net.front, box)
        below = self.front_y if self.front else bottom
        for layer in range(net.layers):
            out += self.up(x, below, layer)
            below = self.y(layer, net.directions - 1) - (14 if self.both else 0)
        return out + self.answer(x, below)

    def up(self, x: float, below: float, layer: int) -> str:
        """The cells of a layer in one column, the line into them from below, and where both directions are joined."""
        out, heard = "", self.net.each_step or layer < self.net.layers - 1  # else only the ends are read, see `top`
        for direction in range(self.net.directions):
            stem, top = x + self.stem(direction), self.y(layer, direction)
            if self.both:
                split, join = below - 12, self.y(layer, 1) - 14
                out += line((x + self.middle, split), (stem, split), (stem, top + CELL), head=True)
                out += line((stem, top), (stem, join), (x + self.middle, join)) if heard else ""
            else:
                out += line((stem, below), (stem, top + CELL), head=True)
            at = x + (self.shift if direction else 0)
            inside = rect(at, top, self.cell, CELL, BLOCK) + text(at + self.cell / 2, top + CELL / 2, self.net.family)
            out += group(f"layer {layer}", where(layer, direction, self.net.directions), inside, "cell")
        if self.both:
            out += line((x + self.middle, below), (x + self.middle, below - 12)) + dot(x + self.middle, below - 12)
            out += dot(x + self.middle, self.y(layer, 1) - 14) if heard else ""
        return out

    def answer(self, x: float, below: float) -> str:
        """The head of one step."""
        if not self.net.each_step:
            return ""
        axis = x + self.middle
        if not self.net.head:
            return line((axis, below), (axis, self.answer_y + 8), head=True)
        return line((axis, below), (axis, self.head_y + THIN), head=True) + self.head(axis)

    def head(self, axis: float) -> str:
        w = wide(self.net.head, SMALL) + 14
        box = rect(axis - w / 2, self.head_y, w, THIN, fill("linear"))
        box += text(axis, self.head_y + THIN / 2, self.net.head, size=SMALL)
        return group("head", self.net.head, box) + line((axis, self.head_y), (axis, self.answer_y + 4), head=True)

    def top(self) -> str:
        """The answer for the whole sequence: the last state of each direction in its own reading order goes into it."""
        net, last = self.net, len(self.steps) - 1
        if net.each_step:
            return ""
        axis = self.x(last) + self.middle
        end = self.head_y + THIN if net.head else self.answer_y + 8
        head = self.head(axis) if net.head else ""
        tops = [self.y(net.layers - 1, direction) for direction in range(net.directions)]
        if not self.both:
            return line((axis, tops[0]), (axis, end), head=True) + head
        level, forward, start = tops[1] - 14, self.x(last) + self.stem(0), self.x(0) + self.stem(1)
        out = line((start, tops[1]), (start, level), (axis, level), (axis, end), head=True)
        return out + line((forward, tops[0]), (forward, level), (axis, level)) + dot(axis, level) + head

    def through_time(self) -> str:
        """The states that go from step to step, from the first state on."""
        out, many = "", len(self.steps)
        for cell in self.net.cells:
            y, left = self.y(cell.layer, cell.direction) + CELL / 2, self.shift if cell.direction else 0
            starts = [self.x(place) + left for place in range(many)]
            for place in range(many - 1):
                ends = (starts[place] + self.cell, y), (starts[place + 1], y)
                if self.steps[place] is None:
                    ends = (starts[place] + self.cell - 12, y), ends[1]
                elif self.steps[place + 1] is None:
                    ends = ends[0], (starts[place + 1] + 12, y)
                out += line(*(reversed(ends) if cell.direction else ends), head=True)
            if cell.direction:
                edge = starts[-1] + self.cell
                out += line((edge + 20, y), (edge, y), head=True) + text(edge + 27, y, "0", size=SMALL, fill=QUIET)
            else:
                out += line((starts[0] - 20, y), (starts[0], y), head=True)
                out += text(starts[0] - 26, y, "0", size=SMALL, fill=QUIET)
        return out

    def names(self) -> str:
        """What each row is, at the left, and the axis of time below."""
        net, out = self.net, ""
        for cell in net.cells:
            y = self.y(cell.layer, cell.direction) + CELL / 2
            words = (where(cell.layer, cell.direction, net.directions)).partition(", ")
            out += text(0, y - (7 if words[2] else 0), words[0], size=SMALL, anchor="start", fill=QUIET)
            out += text(0, y + 7, words[2], size=SMALL, anchor="start", fill=QUIET) if words[2] else ""
        if net.dropout and net.layers > 1:
            for layer in range(1, net.layers):
                y = self.y(layer, 0) + CELL + BETWEEN / 2
                out += text(0, y, f"dropout {net.dropout:.0%}", size=SMALL, anchor="start", fill=QUIET)
        if self.front:
            out += text(0, self.front_y + THIN / 2, net.front, size=SMALL, anchor="start", fill=QUIET)
        if net.head:
            words = "answer a step" if net.each_step else "one answer"
            out += text(0, self.head_y + THIN / 2, words, size=SMALL, anchor="start", fill=QUIET)
        y = self.letter_y + 24
        out += text(0, y, "time", size=SMALL, anchor="start", fill=QUIET)
        out += line((34, y), (self.width - 8, y), head=True)
        words = f"each cell hands {net.states} on to the next step; 0: {net.start}"
        return out + text(0, y + 17, words, size=SMALL, anchor="start", fill=QUIET)
