"""A recurrent net as one picture, and as one page: one cell, the net unrolled, weights, states. No script."""

from collections.abc import Sequence
from typing import Any

from daiving.rolled import Rolled
from daiving.show.canvas import BOLD, Piece, text, wide
from daiving.show.cell_picture import cell_key, cell_piece
from daiving.show.closed import finished
from daiving.show.equations import equations, signs, weights
from daiving.show.look_table import cells, numbers, rows
from daiving.show.numbers import shape
from daiving.show.pages import rendered
from daiving.show.unrolled import unrolled_key, unrolled_piece


def recurrent_svg(nets: Sequence[tuple[str, Rolled]]) -> str:
    """One cell above, the net unrolled below; several nets beside one another."""
    level = max(cell_piece(net).height for _, net in nets)
    whole = [drawn(name, net, level) for name, net in nets]
    key = tuple(dict.fromkeys(entry for _, net in nets for entry in (*cell_key(net), *unrolled_key(net))))

    def paint(x: float, y: float) -> str:
        out = ""
        for piece in whole:
            out += piece.paint(x, y)
            x += piece.width + 50
        return out

    width, height = sum(piece.width + 50 for piece in whole) - 50, max(piece.height for piece in whole)
    words = " ".join(sentence(name, net) for name, net in nets)
    return finished(Piece(width, height, 0, paint), words, (), True, key)


def sentence(name: str, net: Rolled) -> str:
    both = " in both directions" if net.directions == 2 else ""
    read = f", reading {''.join(net.letters)}" if net.letters else ""
    names = ", ".join(f"{one.left} = {one.right}" for one in equations(net))
    return f"{name}: {net.layers} x {net.family}{both} over {net.steps} steps{read}. One step: {names or net.family}."


def drawn(name: str, net: Rolled, level: float) -> Piece:
    """Both pictures of a net, with titles; the first one has `level` px of height."""
    first, second = cell_piece(net), unrolled_piece(net)
    size = f"{net.cells[0].n_in} to {net.cells[0].n_hid}"
    titles = f"{name}: one step of the cell, {size} numbers", "The same cells at every step"
    width = max(first.width, second.width, *(wide(title) for title in titles))

    def paint(x: float, y: float) -> str:
        out = text(x, y + 8, titles[0], anchor="start", more=BOLD) + first.paint(x, y + 34)
        y += 34 + level + 36
        return out + text(x, y + 8, titles[1], anchor="start", more=BOLD) + second.paint(x, y + 34)

    return Piece(width, 104 + level + second.height, 0, paint)


def recurrent_page(nets: Sequence[dict[str, Any]]) -> str:
    """The whole page. Each net has `name`, `input` (steps, symbols), `node`, `rolled`, and `states`, an SVG or ""."""
    from markupsafe import Markup  # here and not above: who asks for the table needs none of it

    def picture(piece: Piece, words: str, key: Sequence[tuple[str, str]]) -> Markup:
        return Markup(finished(piece, words, (), False, key))

    shown = []
    for one in nets:
        net, node = one["rolled"], one["node"]
        shown.append(
            {
                **one,
                "equations": equations(net),
                "signs": signs(net),
                "weights": weights(net),
                "cell": picture(cell_piece(net), f"One step of {one['name']}.", cell_key(net)),
                "unrolled": picture(unrolled_piece(net), sentence(one["name"], net), unrolled_key(net)),
                "states": Markup(one["states"]),
                "sizes": one["input"],
                "rows": [(stage.node.aux, cells(stage, level)) for stage, level in rows(node)],
                "totals": ("in all", "", shape(node.given), *numbers(node)),
            }
        )
    return rendered("look_recurrent.html", nets=shown, sizes=["steps", "symbols"], one="sequence")
