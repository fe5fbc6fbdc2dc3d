"""From a name and options to a net: one of the table, or a class in the user's own file."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from daiving.errors import FixableError, unknown
from daiving.nets import NETS
from daiving.nets.draw import drawn
from daiving.nets.settled import check_takes, settled
from daiving.nets.user import is_user_net, user_file

TASK_FACTS = ("in_channels", "num_classes", "image_size")  # of images: handed to a net that asks for them
SEQUENCE_FACTS = ("num_symbols", "num_classes", "each_step")  # of sequences, likewise
ALL_FACTS = dict.fromkeys((*TASK_FACTS, *SEQUENCE_FACTS))


def build(name: str, *, seed: int | None = None, weights: Path | str | None = None, **options: Any) -> nn.Module:
    """The net of that name, with its options and with `in_channels`, `num_classes` and `image_size`, or, for a net of
    sequences, `num_symbols`, `num_classes` and `each_step`.

    `name` is from `daiving nets`, or `path/to/file.py:Class` (or a function there). `preset` chooses another library's
    form of a net of the table ("torchvision", "timm", …); options beside it change single things. With a seed, each
    tensor is drawn from (seed, its name), as in a study; without, from torch's running stream. `weights` is a file of
    tensors, in the names of the preset's library; without a preset, in our own, as `daiving export` writes them.
    Raises `FixableError` for an unknown net, option or preset, for images too small and for a file that does not fit.
    """
    check_facts(options)
    facts = {key: options.pop(key) for key in ALL_FACTS if key in options}
    if is_user_net(name):
        target = user_net(name)
        accepted = parameters(target)
        facts = {key: value for key, value in facts.items() if accepted is None or key in accepted}
        for key in options:
            if accepted is not None and key not in accepted:
                raise unknown(f"option of {name}", key, accepted)
        given = options
    else:
        given = settled(name, options) | dict(NETS[name].fixed)
        check_takes(name, facts)
        module, function = NETS[name].where.split(":")
        target = getattr(importlib.import_module(module), function)

    def make() -> nn.Module:
        net = target(**given, **facts)
        if not isinstance(net, nn.Module):
            raise FixableError(
                f"What '{name}' makes is a {type(net).__name__}.",
                expected="an nn.Module, or a function that returns one.",
                fix="name a class that derives from torch.nn.Module; num_classes and in_channels are filled in.",
            )
        if any(is_lazy(t) for t in (*net.parameters(), *net.buffers())):
            raise FixableError(
                f"The net '{name}' has lazy modules, whose shapes are not known before their first input.",
                expected="a net that is whole when it is made, so that its weights can be drawn from the seed.",
                fix="give each layer its input size; in_channels and image_size are filled in where you ask for them.",
            )
        return net

    net = make() if seed is None else drawn(make, seed)
    if weights is not None:
        from daiving.nets.checkpoints import load

        load(net, weights, name, str(options.get("preset", "paper")), given)
    return net


def check_facts(facts: Mapping[str, Any]) -> None:
    """Channels, classes, pixels and symbols are whole numbers from 1; `each_step` is true or false."""
    if not isinstance(facts.get("each_step", False), bool):
        raise FixableError(
            f"each_step is {facts['each_step']!r}.",
            expected="true for a class at each step, false for one a sequence.",
            fix="leave each_step out, or write True or False.",
        )
    for key in (*TASK_FACTS, "num_symbols"):
        if key in facts and (not isinstance(facts[key], int) or isinstance(facts[key], bool) or facts[key] < 1):
            raise FixableError(
                f"{key} is {facts[key]!r}.",
                expected="a whole number, 1 or more.",
                fix=f"leave {key} out, or count again.",
            )


def parameters(target: Callable) -> list[str] | None:
    """The names that a callable takes by keyword, or None when it takes any."""
    if inspect.isclass(target) and target.__init__ is nn.Module.__init__:
        return []  # its signature takes all, and refuses all
    found = inspect.signature(target).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return None
    return [p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def user_net(name: str) -> Callable[..., nn.Module]:
    """The class or function `Class` of `path/to/file.py:Class`; what the file itself raises is passed on."""
    file, attribute = user_file(name)
    # Its folder goes on the path, as when Python runs the file, so that it may import its neighbours.
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"daiving_user_{file.stem}", file)
    assert spec is not None  # the file ends in .py and is there
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not callable(target := getattr(module, attribute, None)):
        names = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nn.Module)]
        raise unknown(f"net in {file.name}", attribute, names)
    return target
