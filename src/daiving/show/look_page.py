"""One page about a net, or about two side by side: totals, the picture, every stage, every block opened. No script."""

from typing import Any

from daiving.nodes import Node
from daiving.show.diagrams import block_svg, net_svg, pair_svg
from daiving.show.look_table import below, cells, numbers, rows
from daiving.show.numbers import shape
from daiving.show.pages import rendered
from daiving.show.stages import holds_blocks, is_path, stages, title, what

Look = dict[str, Any]


def page(look: Look) -> str:
    """The whole page. `look` is `{"nets": [{"name", "input": (c, h, w), "node": Node, "account": [...]}, ...]}`.

    One net or two. A row of the account has `block`, `branch`, `reduced` and `direct` (multiply-adds with the 1x1 in
    front and without), `ratio` and `sentence`.
    """
    from markupsafe import Markup  # here and not above: who asks for the table needs none of it

    nets: list[Look] = [{**net, "sizes": [shape(net["input"])], **shown(net["node"], Markup)} for net in look["nets"]]
    pair = ""
    if len(nets) == 2:
        pair = pair_svg(nets[0]["node"], nets[1]["node"], (nets[0]["name"], nets[1]["name"]), alone=False)
    return rendered("look.html", nets=nets, pair=Markup(pair), sizes=["input"], one="image")


def shown(node: Node, safe: Any) -> Look:
    """What the page says of a net."""
    return {
        "svg": safe(net_svg(node, alone=False)),
        "rows": [(stage.node.aux, cells(stage, level)) for stage, level in rows(node)],
        "totals": ("in all", "", shape(node.given), *numbers(node)),
        "blocks": blocks(node, safe),
    }


def blocks(node: Node, safe: Any) -> list[Look]:
    """Every block with its picture and its rows; equal neighbours once, a stage's blocks inside it."""
    found: list[Look] = []
    for stage in stages(node):
        one = stage.node
        if is_path(one):
            for arm in one.children:
                if arm.kind == "chain" and not arm.type:
                    found += blocks(arm, safe)
                elif arm.role == "block":
                    found.append(block(arm, arm.label, safe))
        elif one.role == "block" and one.children:
            found.append(block(one, stage.title, safe))
        found += [block(aux, title(aux), safe) for aux in stage.aux if aux.children]
    return found


def block(node: Node, name: str, safe: Any) -> Look:
    parts = list(below(node, 0 if node.kind == "dense" or holds_blocks(node) else 1, 0))
    return {
        "name": name,
        "what": what(node),
        "given": shape(node.given),
        "svg": safe(block_svg(node, alone=False)),
        "rows": [(part.node.aux, cells(part, level)) for part, level in parts],
        "inside": blocks(node, safe) if holds_blocks(node) else [],
    }
