"""daiving look, of nets that read sequences: equations, one cell, the net unrolled, its states, its memory."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from daiving.commands.lab import existing
from daiving.commands.look import Look, fails, one_beside, written
from daiving.commands.look_memory import memory
from daiving.commands.named_net import Named, named, of_run
from daiving.errors import FixableError
from daiving.nets.user import is_user_net
from daiving.nodes import Node
from daiving.rolled import Rolled
from daiving.study.plan import check_seed

if TYPE_CHECKING:
    from torch import nn

LONGEST = 200  # steps of which states are shown
FAR = 100  # steps over which a gradient is followed, where nobody says


def main(flags: Look, form: str) -> int:
    check(flags, form)
    check_seed(flags.seed)
    picture = flags.out is not None and flags.out.suffix == ".svg"
    letters, run = tuple(flags.text or ""), existing(flags.lab).find(flags.run, "run") if flags.run else None
    if run:
        nets = [of_run(run, flags.net, letters)]
    else:
        steps = FAR if form == "memory" else None
        nets = [named(text, size=flags.input, letters=letters, steps=steps) for text in (flags.net, *flags.vs)]
    if form == "memory":
        for net in nets:
            if is_user_net(net.name):
                made(net)  # which says in words what is wrong with it
        text, drawn = memory(nets, flags.seed, run)
        if picture:
            print(f"{text}\n")
        return written(drawn() if picture else text, form, [], flags.out)
    if form == "states":
        return written(states_of(nets[0], flags.seed)[picture], form, [], flags.out)
    shown = [looked(net) for net in nets]
    return written(as_text(form, shown, flags, nets), form, [net["name"] for net in shown], flags.out)


def check(flags: Look, form: str) -> None:
    """Raises `FixableError` for flags that do not go together."""
    if flags.open:
        raise FixableError(
            f"There is no block of '{flags.net}' called '{flags.open}'.",
            expected="a net that has blocks to open; the cell of a net of sequences is in every picture of it.",
            fix="leave --open out, or write --depth 3.",
        )
    if form == "states" and flags.vs:
        raise clash("--vs", "--form states", "one net at a time")
    if len(flags.vs) > (2 if form == "memory" else 1):
        raise one_beside(flags)
    for given, flag in ((flags.vs, "--vs"), (flags.input, "--input")):
        if given and flags.run:
            raise clash(flag, "--run", "the net of the run alone, with the sizes of its task")
    if form == "states" and flags.text is None:
        raise FixableError(
            "There is no text whose states could be shown.",
            expected="letters for the net to read, one a step.",
            fix="write for example --text hihell.",
        )
    if form == "memory" and flags.text is not None:
        raise clash("--text", "--form memory", "a mean over many sequences: random ones, or a run's test split")
    if flags.text == "":
        raise FixableError(
            "The text is empty.",
            expected="one letter or more for the net to read, one a step.",
            fix="write for example --text hihell.",
        )
    if form in ("states", "html") and len(flags.text or "") > LONGEST:
        raise FixableError(
            f"The text has {len(flags.text or ''):,} letters.",
            expected=f"at most {LONGEST}: each is a column of the picture.",
            fix="give a part of it.",
        )


def clash(flag: str, other: str, expected: str) -> FixableError:
    return FixableError(f"{flag} and {other} do not go together.", expected=f"{expected}.", fix=f"leave {flag} out.")


def made(net: Named, seed: int | None = None) -> "tuple[nn.Module, Node]":
    """The net and its tree; without a seed its weights have no values."""
    import torch  # not above: a mistake in the call is said without it

    from daiving.anatomy import look
    from daiving.nets.build import build

    try:
        if net.trained:
            found = net.trained.net
        elif seed is None and not is_user_net(net.name):  # which may need values
            with torch.device("meta"):
                found = build(net.name, **net.options)
        else:
            found = build(net.name, seed=seed or 0, **net.options)
        return found, look(found, (net.steps,), torch.int64)
    except FixableError:
        raise
    except Exception as error:
        if not is_user_net(net.name):
            raise
        raise fails(net.name, (net.steps,), error, "sequences") from None


def looked(net: Named) -> dict[str, Any]:
    from daiving.recurrence import rolled

    found, node = made(net)
    return {
        "name": net.text,
        "input": (net.steps, net.count),
        "node": node,
        "rolled": rolled(found, node, net.letters),
    }


def states_of(net: Named, seed: int, alone: bool = True) -> tuple[str, str]:
    """States and gates as text and as SVG."""
    import torch

    from daiving.recurrence import rolled, steps_of
    from daiving.show.heat import heat_svg, heat_text

    found, node = made(net, seed)
    x = torch.tensor([[net.symbols.index(letter) for letter in net.letters]])
    answer, seen = steps_of(found, x)
    said, part = "", rolled(found, node, net.letters)
    assert part is not None  # or there were no steps
    if net.trained:
        best = [net.trained.classes[i] for i in answer.reshape(-1, answer.shape[-1]).argmax(dim=1).tolist()]
        said = "the net answers " + (" ".join(best) if net.trained.each_step else best[0])
    whose = net.text if net.trained else f"{net.text}, untrained, seed {seed}"
    head = f"{whose}, reading {''.join(net.letters)!r}"
    text = f"{head}\n\n{heat_text(part, seen)}" + (f"\n\n{said}" if said else "")
    return text, heat_svg(part, seen, f"{head}{'; ' * bool(said)}{said}", alone=alone)


def as_text(form: str, nets: list[dict[str, Any]], flags: Look, named_nets: Sequence[Named]) -> str:
    """What is printed or written, as one text."""
    whole = all(net["rolled"] for net in nets)
    parts: list[tuple[str, Rolled]] = [(net["name"], net["rolled"]) for net in nets]
    if form == "json":
        return as_json(nets)
    if form == "svg":
        from daiving.show.diagrams import net_svg
        from daiving.show.recurrent_page import recurrent_svg

        return recurrent_svg(parts) if whole else net_svg(nets[0]["node"])
    if form == "html":
        from daiving.show.recurrent_page import recurrent_page

        if not whole:
            from daiving.recurrence import no_part

            raise no_part(next(net["name"] for net in nets if not net["rolled"]))
        more = [states_of(one, flags.seed, alone=False)[1] if one.letters else "" for one in named_nets]
        return recurrent_page([{**net, "states": svg} for net, svg in zip(nets, more, strict=True)])
    if form == "diagram":
        from daiving.show.cell_text import cell_text, unrolled_text

        return "\n\n".join(
            f"{name}, one step of the cell\n\n{cell_text(net)}\n\nunrolled\n\n{unrolled_text(net)}" if net else name
            for name, net in parts
        )
    if len(nets) == 2:
        from daiving.show.equations import equations_text
        from daiving.show.look_pair import pair_text

        each = [f"{name}\n\n{equations_text(net)}" for name, net in parts if net]
        pair = pair_text(nets[0]["node"], nets[1]["node"], (nets[0]["name"], nets[1]["name"]))
        return "\n\n".join([*each, pair])
    from daiving.show.equations import equations_text, weights_text
    from daiving.show.look_table import look_text

    net, part = nets[0], nets[0]["rolled"]
    head = f"{net['name']}, one sequence of {net['input'][0]} steps of {net['input'][1]} symbols"
    tables = [equations_text(part), weights_text(part)] if part else []
    return "\n\n".join(
        [head, *tables, look_text(net["node"], flags.depth, "sequence"), *([how_it_runs()] if part else [])]
    )


def how_it_runs() -> str:
    """Whether the loops over the steps were compiled when daiving was installed."""
    from daiving.nets.loops_compiled import library

    if library():
        return "The loop over the steps is compiled (float32)."
    return (
        "The loop over the steps runs in torch's operations: there was no C++ compiler\n"
        "when daiving was installed. Results are the same, small nets take longer."
    )


def as_json(nets: list[dict[str, Any]]) -> str:
    from daiving.show.equations import equations
    from daiving.show.look_table import to_dict

    plain = []
    for net in nets:
        part = net["rolled"]
        lines = [one._asdict() for one in equations(part)] if part else []
        more = {"rolled": asdict(part) if part else None, "equations": lines}
        plain.append({**net, "node": to_dict(net["node"]), **more})
    return json.dumps(plain if len(plain) > 1 else plain[0], indent=1)
