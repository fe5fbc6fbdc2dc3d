"""Colours of the diagrams, for light and dark pages. A picture carries the light ones; CSS puts the others in place."""

from daiving.nodes import ROLES

# name: (light, dark); the first four are the charts' too. All light ones differ: CSS finds them by their value.
LINES = {
    "paper": ("#ffffff", "#15181c"),
    "ink": ("#1b1e22", "#e7e9ec"),
    "quiet": ("#59626d", "#a9b1bb"),
    "grid": ("#e1e4e8", "#333a42"),
    "line": ("#6b7480", "#8d96a1"),
    "frame": ("#f7f8fa", "#1b1f24"),
    "block": ("#eceff3", "#2a3038"),
}
FILLS = {
    "conv": ("#c6def5", "#1f4a72"),
    "mean": ("#c9ecd9", "#1d5340"),
    "max": ("#fad3c8", "#74341f"),
    "concat": ("#d8eeb9", "#40561d"),
    "add": ("#fdeca6", "#5f4e0b"),
    "dropout": ("#e6d6f5", "#4f3570"),
    "linear": ("#f8d0e4", "#6d2a50"),
    "norm": ("#dde1e6", "#3d454e"),
    "relu": ("#ffdcb5", "#66420f"),
    "identity": ("#f4f5f6", "#20252b"),
    "input": ("#d8dcff", "#343b75"),
    "other": ("#e9e7d5", "#4a4836"),
}
# Orange and blue of Okabe and Ito, which colour-blind readers tell apart; a mark says the same without colour.
TINTS = {"differs": ("#ffd58a", "#7a4f00"), "only": ("#a9d6f7", "#0b4f80")}
COLOURS = LINES | FILLS | TINTS
PAPER, INK, QUIET, GRID, LINE, FRAME, BLOCK = (light for light, _ in LINES.values())
DIFFERS, ONLY = (light for light, _ in TINTS.values())
assert FILLS.keys() == ROLES.keys()


def fill(role: str) -> str:
    return FILLS[role][0] if role in FILLS else BLOCK


def style() -> str:
    """CSS that gives every diagram of a page, or of a file of its own, its dark colours.

    The light ones are in the pictures themselves, so that a viewer that knows no variables shows them.
    """
    rules = "".join(
        f'.diagram [{what}="{light}"]{{{what}:{dark}}}'
        for name, (light, dark) in COLOURS.items()
        for what in ("fill", "stroke")
        if what == "fill" or name in LINES
    )
    names = "".join(f"--{name}:{light};" for name, (light, _) in COLOURS.items())
    dark_names = "".join(f"--{name}:{dark};" for name, (_, dark) in COLOURS.items())
    return f":root{{{names}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark_names}}}{rules}}}"
