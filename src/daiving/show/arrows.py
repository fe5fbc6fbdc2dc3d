"""Pairs of words as arrows on a plane: the deck's three pictures of what lies in word vectors.

The plane is that of the two directions in which the words of the pairs differ most (principal components, by SVD). One
scale serves both axes, so that what looks parallel is parallel, in the plane.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from daiving.show import palette
from daiving.show.canvas import line, number, rect, text, wide

Pairs = Sequence[tuple[str, str]]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

# The deck's pictures, by their titles there; of their words the text of the slide has lost all.
KINDS: dict[str, tuple[tuple[str, str], ...]] = {
    "Male-Female": (
        ("man", "woman"), ("king", "queen"), ("father", "mother"), ("son", "daughter"), ("brother", "sister"),
        ("uncle", "aunt"), ("grandfather", "grandmother"), ("grandson", "granddaughter"),
    ),
    "Verb tense": (
        ("walking", "walked"), ("swimming", "swam"), ("going", "went"), ("playing", "played"), ("saying", "said"),
        ("thinking", "thought"), ("writing", "wrote"), ("flying", "flew"),
    ),
    "Country-Capital": (
        ("Spain", "Madrid"), ("Italy", "Rome"), ("Germany", "Berlin"), ("Turkey", "Ankara"), ("Russia", "Moscow"),
        ("Canada", "Ottawa"), ("Japan", "Tokyo"), ("China", "Beijing"),
    ),
}  # fmt: skip
MOST = 12  # pairs in a picture: with more, labels stand far from their points
WIDTH, HEIGHT, TOP, SIDE = 440, 320, 30, 14  # px; of one picture
SMALL = 11  # px, a label
TURNS = [i * math.pi / 8 for i in range(16)]  # where a label may stand, seen from its point
GREY, START, END = palette.LINE, palette.ONLY, palette.DIFFERS


@dataclass(frozen=True)
class Plane:
    """Pairs on their plane, as plain numbers."""

    title: str
    pairs: Sequence[Sequence[str]]
    points: Sequence[Sequence[Sequence[float]]]  # pairs x 2 ends x (right, up)
    share: float  # of the spread of all the words' vectors that the plane shows, 0 to 1
    left_out: int = 0  # pairs that there was no room for


def plane(title: str, pairs: Pairs, ends: np.ndarray) -> Plane:
    """The pairs' first `MOST` on the plane in which their words differ most; `ends` is pairs x 2 x dimensions.

    Of an axis both directions are as good: the mean arrow goes up and to the right.
    """
    shown = min(len(pairs), MOST)
    flat = ends[:shown].reshape(2 * shown, -1).astype(np.float64)
    u, s, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    at = np.zeros((2 * shown, 2))
    at[:, : s[:2].size] = u[:, :2] * s[:2]
    points = at.reshape(shown, 2, 2)
    points = points * np.where((points[:, 1] - points[:, 0]).mean(0) < 0, -1, 1)
    share = float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-300))
    return Plane(title, [list(pair) for pair in pairs[:shown]], points.tolist(), share, len(pairs) - shown)


def arrows_svg(planes: Sequence[Plane]) -> str:
    """The planes below one another, as a file that stands for itself, for light and dark pages."""
    height = len(planes) * (TOP + HEIGHT + 26) + SIDE
    told = "; ".join(f"{p.title}: " + ", ".join(f"{a} to {b}" for a, b in p.pairs) for p in planes)
    inside = "".join(picture(p, i * (TOP + HEIGHT + 26)) for i, p in enumerate(planes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="13" role="img"><title>{escape(told)}</title>'
        f"<style>{palette.style()}</style>"
        f'<rect width="{WIDTH}" height="{height}" fill="{palette.PAPER}"/>{inside}</svg>\n'
    )


def picture(plane: Plane, y: float) -> str:
    """One plane, its top at y."""
    frame = (SIDE, y + TOP, WIDTH - SIDE, y + TOP + HEIGHT)
    arrows = [(a, b) for a, b in placed(plane.points, frame)]
    points = [point for arrow in arrows for point in arrow]
    words = [word for pair in plane.pairs for word in pair]
    out = [
        text(SIDE, y + TOP / 2 + 2, plane.title, anchor="start", more=' font-weight="bold"'),
        rect(frame[0], frame[1], WIDTH - 2 * SIDE, HEIGHT, palette.FRAME, stroke=palette.GRID),
        *(arrow(a, b) for a, b in arrows),
    ]
    for (a, b), (first, second) in zip(arrows, plane.pairs, strict=True):
        out.append(dot(a, START, f"{first}, of {first} → {second}"))
        out.append(dot(b, END, f"{second}, of {first} → {second}"))
    for word, point, box in zip(words, points, labels(words, points, arrows, frame), strict=True):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        near = min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3])
        if math.dist(near, point) > 14:  # too far to be seen as its own: a line leads there
            out.append(line(point, near, kind="lead", dashed=True))
        out.append(text(*middle, word, size=SMALL))
    left = plane.left_out
    more = f"; {left} pair{'s' * (left != 1)} more {'is' if left == 1 else 'are'} left out" if left else ""
    said = f"The plane shows {plane.share:.0%} of the spread, at one scale{more}."
    out.append(text(SIDE, y + TOP + HEIGHT + 13, said, size=SMALL, anchor="start", fill=palette.QUIET))
    return "".join(out)


def placed(points: Sequence[Sequence[Sequence[float]]], frame: Box) -> list[tuple[Point, Point]]:
    """The points in pixels, in the middle of the frame, with room for labels at its sides."""
    at = np.array(points, dtype=np.float64)  # pairs x 2 x 2
    low, high = at.min((0, 1)), at.max((0, 1))
    room = np.array([frame[2] - frame[0] - 110, frame[3] - frame[1] - 50])
    scale = min((side / far for side, far in zip(room, high - low, strict=True) if far > 0), default=0)
    middle = np.array([frame[0] + frame[2], frame[1] + frame[3]]) / 2
    pixels = middle + (at - (low + high) / 2) * scale * np.array([1, -1])  # up is towards smaller y
    return [((float(a[0]), float(a[1])), (float(b[0]), float(b[1]))) for a, b in pixels]


def labels(
    words: Sequence[str], points: Sequence[Point], arrows: Sequence[tuple[Point, Point]], frame: Box
) -> list[Box]:
    """A box for each word, near its point: on no other box, on no point, inside the frame, on few arrows."""
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    found: list[Box] = []
    for word, (x, y) in zip(words, points, strict=True):
        w, h = wide(word, SMALL), SMALL + 4
        best: tuple[float, Box] | None = None
        for far in range(0, 400, 12):
            if best is not None and far > best[0]:
                break
            for turn in TURNS:
                cx, cy = x + math.cos(turn) * (w / 2 + 7 + far), y + math.sin(turn) * (h / 2 + 7 + far)
                box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                if not inside(box, frame) or any(overlap(box, other) for other in taken):
                    continue
                cost = far + 9 * sum(crosses(box, a, b) for a, b in arrows)
                if best is None or cost < best[0]:
                    best = cost, box
        box = best[1] if best else (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        taken.append(box)
        found.append(box)
    return found


def inside(box: Box, frame: Box) -> bool:
    return box[0] > frame[0] + 2 and box[1] > frame[1] + 2 and box[2] < frame[2] - 2 and box[3] < frame[3] - 2


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crosses(box: Box, a: Point, b: Point) -> bool:
    """Whether the line from a to b goes over the box, at one of a score of places."""
    spots = ((a[0] + (b[0] - a[0]) * i / 20, a[1] + (b[1] - a[1]) * i / 20) for i in range(21))
    return any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in spots)


def dot(at: Point, fill: str, told: str) -> str:
    place = f'cx="{number(at[0])}" cy="{number(at[1])}" r="4"'
    return f'<circle {place} fill="{fill}" stroke="{GREY}"><title>{escape(told)}</title></circle>'


def arrow(a: Point, b: Point) -> str:
    """A line from a to just before b, its head there."""
    length = math.dist(a, b)
    if length < 12:  # the dots touch: no room for an arrow, and no direction to be seen
        return ""
    dx, dy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    tip, back = (b[0] - 5 * dx, b[1] - 5 * dy), (b[0] - 13 * dx, b[1] - 13 * dy)
    wings = [(back[0] - 4 * dy, back[1] + 4 * dx), (back[0] + 4 * dy, back[1] - 4 * dx)]
    head = " ".join(f"{number(x)},{number(y)}" for x, y in (tip, *wings))
    return line(a, back, kind="arrow") + f'<polygon points="{head}" fill="{GREY}"/>'
