"""How one run is trained: one frozen dataclass is the argument, the flags and the stored row."""

from dataclasses import Field, asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from daiving.errors import FixableError, unknown

T = TypeVar("T")


def opt(
    default: T,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    among: tuple[T, ...] = (),
) -> T:
    """A dataclass field that carries its help text, its unit and its legal values."""
    facts = dict(help=help, unit=unit, low=low, high=high, among=among)
    return field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one run is trained. What is not decided here is decided by the task or by the net.

    Raises `FixableError` when a value is outside the legal range of its field.
    """

    epochs: float = opt(4.0, "passes over the training split; a fraction is a part of a pass", unit="passes", low=0.01)
    batch: int = opt(64, "examples in one step", unit="examples", low=1, high=1_000_000)
    optimizer: str = opt("adamw", "rule that turns gradients into steps", among=("adamw", "adam", "sgd", "rmsprop"))
    lr: float = opt(0.005, "learning rate; the peak of it when the schedule moves", unit="per step", low=0.0)
    momentum: float = opt(0.9, "share of the last step kept (Adam, AdamW: beta 1)", unit="share", low=0.0, high=0.9999)
    weight_decay: float = opt(0.0, "pull of each weight towards zero", unit="per step and lr", low=0.0)
    epsilon: float = opt(1e-8, "added to the root mean square that a step is divided by (not sgd)", low=0.0)
    schedule: str = opt(
        "one_cycle",
        "lr over the run: up and down again, constant, or down in stairs",
        among=("one_cycle", "constant", "stairs"),
    )
    stair: float = opt(2.0, "length of a stair (stairs only)", unit="passes", low=0.01)
    stair_factor: float = opt(0.94, "lr of a stair, as a share of the one before", unit="share", low=0.0, high=1.0)
    warmup: float = opt(0.25, "share of all steps on the way up (one_cycle only)", unit="share", low=0.0, high=0.9)
    clip: float = opt(5.0, "largest L2 norm of the gradient; 0 leaves it alone", unit="L2 norm", low=0.0)
    ema: float = opt(
        0.98, "decay of the running mean of the weights; 0 is none", unit="per step", low=0.0, high=0.99999
    )
    label_smoothing: float = opt(0.0, "share of the target spread over all classes", unit="share", low=0.0, high=0.9)
    shift: int = opt(0, "augmentation: each image moved by up to so much", unit="pixels", low=0, high=16)
    inputs: str = opt("standardised", "pixels with mean 0 and s.d. 1, or from 0 to 1", among=("standardised", "unit"))
    layout: str = opt("channels_last", "order of an image batch in memory", among=("channels_last", "channels_first"))
    format: str = opt(
        "auto",
        "numbers of the forward pass; auto is bfloat16 where the processor multiplies it in hardware, else float32",
        among=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for f in fields(self):
            object.__setattr__(self, f.name, checked(f, types[f.name], getattr(self, f.name)))

    def but(self, **changes: Any) -> "Recipe":
        """This recipe with some fields changed; text is read as the field's type."""
        for name in changes:
            if name not in FIELDS:
                raise unknown("recipe field", name, FIELDS)
        return replace(self, **changes)

    def here(self) -> "Recipe":
        """This recipe with nothing left to the machine, as a run stores it: `format` is settled."""
        if self.format != "auto":
            return self
        return self.but(format="bfloat16" if multiplies_bfloat16() else "float32")

    def to_dict(self) -> dict[str, Any]:
        """The stored row: every field by its name."""
        return asdict(self)


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has matrix units for bfloat16 (AMX), which halve the time of a step; without them it costs
    time. Read from the kernel, for torch takes a second to import; False where there is nothing to read."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def legal(f: Field) -> str:
    """The legal values of a field in words, as `--help` and the errors print them."""
    low, high, among = f.metadata["low"], f.metadata["high"], f.metadata["among"]
    if among:
        return "one of " + ", ".join(map(str, among))
    return f"at least {low:g}" + (f" and at most {high:.12g}" if high is not None else "")


def checked(f: Field, kind: type, value: Any) -> Any:
    """`value` as the field's type, or a `FixableError` that names the legal range."""

    def error(said: str) -> FixableError:
        unit = f" ({f.metadata['unit']})" if f.metadata["unit"] else ""
        return FixableError(
            f"The recipe's {f.name} is {said}.",
            expected=f"{legal(f)}{unit}: {f.metadata['help']}.",
            fix=f"leave {f.name} out to get {f.default}, or give a value in that range.",
        )

    if kind in (int, float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise error(repr(value)) from None
        low, high = f.metadata["low"], f.metadata["high"]
        # `not >=` rather than `<`: a NaN must fail as well.
        if not number >= low or number == float("inf") or (high is not None and number > high):
            raise error(str(value))
        if kind is int and number != int(number):
            raise error(str(value))
        return kind(number)
    if (
        not isinstance(value, kind)
        or kind in (int, float)
        or (f.metadata["among"] and value not in f.metadata["among"])
    ):
        raise error(repr(value))
    return value


FIELDS = {f.name: f for f in fields(Recipe)}

DECK = Recipe(
    epochs=9.0,
    optimizer="sgd",
    lr=0.01,
    momentum=0.5,
    schedule="constant",
    clip=0.0,
    ema=0.0,
    inputs="unit",
    layout="channels_first",
    format="float32",
)

RECIPES = {
    "default": (Recipe(), "one-cycle AdamW with averaged weights: quick, and little noise between seeds"),
    "deck": (DECK, "the lecture's own: SGD .01, momentum .5, batch 64, no decay, nine epochs"),
    "hello": (
        DECK.but(epochs=100.0, batch=1, optimizer="adam", lr=0.1, momentum=0.9),
        "the lecture's own for hihell: Adam .1, one word a step, a hundred times",
    ),
    "inception_v3": (
        # arXiv 1512.00567, section 8: RMSProp with decay 0.9 and epsilon 1.0, lr 0.045 times 0.94 every second epoch,
        # gradients clipped at 2.0, batch 32 in each of 50 replicas, 100 epochs; section 7: label smoothing 0.1; running
        # average of the weights. Momentum 0.9, weight decay 4e-5 and the average's 0.9999 are of the released code.
        # TensorFlow divides by sqrt(v + epsilon) with v from 1; torch, and so we, by sqrt(v) + epsilon with v from 0:
        # with epsilon 1 both stay near 1 for gradients below it, and the first steps here are up to 1.4 times as long.
        Recipe(
            epochs=100.0,
            batch=32,
            optimizer="rmsprop",
            lr=0.045,
            momentum=0.9,
            weight_decay=4e-5,
            epsilon=1.0,
            schedule="stairs",
            clip=2.0,
            ema=0.9999,
            label_smoothing=0.1,
        ),
        "Inception v3's: RMSProp, label smoothing .1, lr down by .94 every second epoch",
    ),
}


def named(name: str) -> Recipe:
    """The recipe of that name from `RECIPES`; an unknown name raises `FixableError`."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name][0]
