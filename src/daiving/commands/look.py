"""daiving look: the inside of a network, before anything is trained."""

import json
import os
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction

from daiving.account import account
from daiving.commands.flags import arg, parse
from daiving.errors import FixableError, unknown
from daiving.files import misplaced, saved
from daiving.nets import NETS
from daiving.nets.entry import PHOTO
from daiving.nets.user import is_user_net, user_file
from daiving.nodes import Node
from daiving.options import literal, split
from daiving.study.record import DEFAULT_LAB

TEXTS = ("txt", "md")
ENDINGS = {  # of the files that a form can be written to
    "table": TEXTS,
    "diagram": TEXTS,
    "json": ("json",),
    "svg": ("svg",),
    "html": ("html",),
    "states": (*TEXTS, "svg"),
    "memory": (*TEXTS, "svg"),
}
EXAMPLES = {"images": "1x28x28", "sequences": "6x5"}
OF_SEQUENCES = ("states", "memory")
PAGES = ("svg", "html")  # those that go into a file, not onto the terminal


@dataclass(frozen=True)
class Look:
    """The inside of a network: shapes, parameters, multiply-adds, memory.

    daiving look googlenet
    daiving look googlenet --open 3a --form diagram
    daiving look resnet50 --vs resnet50:stride_on=3x3 --form html
    daiving look lstm:hidden=2,biases=2 --input 6x4    equations, weights
    daiving look gru --form states --text hihell --out states.svg
    daiving look lstm --form memory    how its gradient fades through time
    """

    net: Annotated[Positional[str], arg("a net of `daiving nets` with its options, or path/to/file.py:Class")]
    vs: Annotated[UseAppendAction[tuple[str, ...]], arg("a second net, to see what differs; memory: a third too")] = ()
    input: Annotated[
        str | None, arg("channels x height x width of an image, steps x symbols of a sequence; else the paper's")
    ] = None
    open: Annotated[str | None, arg("a block to see from the inside: 3a")] = None
    depth: Annotated[int, arg("levels of parts below each stage in the table")] = 0
    form: Annotated[
        str | None,
        arg("table, diagram (text), json, svg, html; of sequences: states, memory; else by the end of --out"),
    ] = None
    out: Annotated[Path | None, arg("the file to write; svg and html are named after the net")] = None
    text: Annotated[str | None, arg("a net of sequences: what it reads, a letter a step")] = None
    run: Annotated[str | None, arg("a net of sequences: a finished run, for its trained weights")] = None
    lab: Annotated[Path, arg("the lab's folder, for --run")] = DEFAULT_LAB
    seed: Annotated[int, arg("states, memory: what untrained weights begin from")] = 0


def main(arguments: Sequence[str]) -> int:
    flags = parse(Look, arguments, "look")
    form = form_of(flags)
    if flags.depth < 0:
        raise FixableError(
            f"--depth is {flags.depth}.", expected="0 for the stages, or how many levels deeper.", fix="leave it out."
        )
    if of_sequences(flags, form):
        from daiving.commands.look_recurrent import main as of_recurrent

        return of_recurrent(flags, form)
    if len(flags.vs) > 1:
        raise one_beside(flags)
    nets = [seen(text, flags.input) for text in (flags.net, *flags.vs)]
    shown = [opened(net, flags.open) for net in nets] if flags.open else nets
    return written(text(form, shown, flags), form, [net["name"] for net in shown], flags.out)


def of_sequences(flags: Look, form: str) -> bool:
    """Whether the net is one of sequences; of a user's own the call tells. Raises `FixableError` for an image net in a
    call that is about sequences."""
    name = split(flags.net)[0]
    asked = [f"--form {form}"] * (form in OF_SEQUENCES)
    asked += [f"--{key}" for key in ("text", "run") if getattr(flags, key) is not None]
    if is_user_net(name):
        return bool(asked) or bool(flags.input and re.fullmatch(r"\d+[x×,]\d+", flags.input.strip()))
    if name not in NETS or NETS[name].takes == "images":
        if asked and name in NETS:
            some = ", ".join(net for net, entry in NETS.items() if entry.takes == "sequences")
            raise FixableError(
                f"The net '{name}' takes images, and {asked[0]} is about sequences.",
                expected=f"a net that takes sequences: {some}, or your own.",
                fix=f"leave {asked[0]} out, or choose such a net.",
            )
        return False
    return True


def one_beside(flags: Look) -> FixableError:
    return FixableError(
        f"--vs names {len(flags.vs)} nets.",
        expected="one net beside another; --form memory takes more of sequences.",
        fix=f"leave --vs {flags.vs[-1]} out.",
    )


def written(said: str, form: str, names: Sequence[str], out: Path | None) -> int:
    """Print it, or write it to its file."""
    if out is None and form in PAGES:
        out = Path(re.sub(r"[^\w.=-]+", "-", "-vs-".join(names)) + f".{form}")
    if out is None:
        print(said)
        return 0
    if why := misplaced(out):
        raise FixableError(
            f"'{out}' cannot be written: {why}.",
            expected="the name of a file, in a folder that is there.",
            fix="make the folder first, or choose another --out.",
        )
    saved(out, lambda file: file.write(said.encode()))
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


def form_of(flags: Look) -> str:
    """The form asked for, or that of the file's ending."""
    ending = flags.out.suffix.removeprefix(".") if flags.out else ""
    form = flags.form or (ending if ending in ("json", "svg", "html") else "diagram" if ending == "txt" else "table")
    if form not in ENDINGS:
        raise unknown("form", form, ENDINGS)
    if flags.out and not os.path.isdir(flags.out) and ending not in ENDINGS[form]:
        raise FixableError(
            f"'{flags.out}' does not end like a {form}.",
            expected=f"a name that ends in {' or '.join(f'.{one}' for one in ENDINGS[form])}.",
            fix=f"write --out {flags.out.stem}.{ENDINGS[form][0]}.",
        )
    return form


def seen(text: str, size: str | None) -> dict[str, Any]:
    """A net as a person names it, looked at on the `meta` device: its name, its input, its tree and its account."""
    name, given = split(text)
    options: dict[str, Any] = {key: literal(value) for key, value in given.items()}
    home = NETS[name].home if name in NETS else PHOTO
    shape = shape_of(size) if size else (options.get("in_channels", home[0]), *[options.get("image_size", home[1])] * 2)
    facts: dict[str, Any] = {"num_classes": home[2], "in_channels": shape[0], "image_size": min(shape[1:])}
    check_own(given)
    for key in ("in_channels", "image_size") if size else ():
        if options.get(key, facts[key]) != facts[key]:
            raise FixableError(
                f"--input {size} contradicts {key}={given[key]}.",
                expected="images of one size: that of --input is what the net is built for.",
                fix=f"leave {key} out, or leave --input out.",
            )
    try:
        return seen_tree(text, shape, tree_of(name, facts | options, shape))
    except FixableError:
        raise
    except Exception as error:
        if not is_user_net(name):
            raise
        raise fails(name, shape, error) from None


def tree_of(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> Node:
    """Without values, which costs nothing; a user's own net may need some."""
    import torch  # not above: a mistake in the call is said without it

    from daiving.anatomy import look
    from daiving.nets.build import build

    try:
        with torch.device("meta"):
            net = build(name, **options)
        return look(net, shape)
    except (RuntimeError, NotImplementedError, TypeError):
        if not is_user_net(name):
            raise
        return look(build(name, **options), shape)


def fails(net: str, shape: tuple[int, ...], error: Exception, takes: str = "images") -> FixableError:
    """What a user's own net raised, and in which line of the file."""
    file = user_file(net)[0]
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    at = f", line {lines[-1]}" if lines else ""
    said = (str(error).strip() or "it says no more").splitlines()[0].rstrip(".")
    return FixableError(
        f"The net '{net}' cannot be built and run once: {type(error).__name__}: {said}.",
        expected=f"a net that takes a batch of {takes} of {'x'.join(map(str, shape))}.",
        fix=f"say what it takes, for example --input {EXAMPLES[takes]}, or mend {file.name}{at}.",
    )


def seen_tree(name: str, shape: tuple[int, ...], node: Node) -> dict[str, Any]:
    rows = [asdict(saving) | {"ratio": saving.ratio, "sentence": saving.sentence} for saving in account(node)]
    return {"name": name, "input": shape, "node": node, "account": rows}


def check_own(words: Mapping[str, str], of_seed: str = "") -> None:
    """Raises `FixableError` for options that are `build`'s own; `of_seed` is what else is to be said of a seed."""
    for key in ("name", "seed", "weights"):
        if key in words:
            raise FixableError(
                f"`daiving look` cannot use {key}={words[key]}.",
                expected="options of the net, on which its shapes and costs depend.",
                fix=f"leave {key} out{of_seed if key == 'seed' else ''}.",
            )


def shape_of(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"([1-9]\d*)[x×,]([1-9]\d*)[x×,]([1-9]\d*)", text.strip())
    if not found:
        raise FixableError(
            f"The input '{text}' is no shape of an image.",
            expected="channels x height x width, whole numbers.",
            fix="write for example --input 3x224x224.",
        )
    c, h, w = map(int, found.groups())
    return c, h, w


def opened(net: dict[str, Any], block: str) -> dict[str, Any]:
    """The same for one block of the net."""
    from daiving.show.stages import find

    node = find(net["node"], block)
    if node is None or not node.children:
        blocks = [one for stage in net["node"].children for one in (stage, *stage.children) if one.role == "block"]
        if not blocks:
            raise FixableError(
                f"There is no block of '{net['name']}' called '{block}'.",
                expected="a net that has blocks: this one has single layers only.",
                fix="leave --open out.",
            )
        raise unknown(
            f"block of '{net['name']}'", block, [one.name.removeprefix("body.") for one in blocks if one.type]
        )
    return seen_tree(f"{net['name']} {block}", node.taken, node)


def text(form: str, nets: list[dict[str, Any]], flags: Look) -> str:
    """What is printed or written, as one text."""
    if form == "json":
        from daiving.show.look_table import to_dict

        plain = [{**net, "node": to_dict(net["node"])} for net in nets]
        return json.dumps(plain if flags.vs else plain[0], indent=1)
    if form == "html":
        from daiving.show.look_page import page

        return page({"nets": nets})
    if form == "svg":
        from daiving.show.diagrams import block_svg, net_svg, pair_svg

        if len(nets) == 2:
            return pair_svg(nets[0]["node"], nets[1]["node"], (nets[0]["name"], nets[1]["name"]))
        return (block_svg if flags.open else net_svg)(nets[0]["node"])
    if form == "diagram":
        from daiving.show.text_diagram import text_diagram

        return "\n\n".join(f"{net['name']}\n\n{text_diagram(net['node'])}" for net in nets)
    if len(nets) == 2:
        from daiving.show.look_pair import pair_text

        # Of a block all parts are shown, as if they came one after the other.
        a, b = (replace(net["node"], kind="chain") if flags.open else net["node"] for net in nets)
        return pair_text(a, b, (nets[0]["name"], nets[1]["name"]))
    from daiving.show.look_table import look_text

    # A block's own row says nothing new: who opens one wants to see its parts.
    deep = [flags.depth + bool(flags.open and net["node"].kind != "chain") for net in nets]
    tables = [look_text(net["node"], depth) for net, depth in zip(nets, deep, strict=True)]
    return "\n\n".join(f"{heading(net)}\n\n{table}{savings(net)}" for net, table in zip(nets, tables, strict=True))


def heading(net: dict[str, Any]) -> str:
    return f"{net['name']}, one image of {'x'.join(map(str, net['input']))}"


def savings(net: dict[str, Any]) -> str:
    """The account of the branches, for the terminal."""
    if not net["account"]:
        return ""
    from daiving.show.look_account import account_text

    return f"\n\nWhat the 1x1 before a larger kernel saves, or costs:\n{account_text(net['account'])}"
