"""Characters as symbols: which there are, and what stands for one that the training split does not show."""

from collections.abc import Sequence

from daiving.errors import FixableError

UNKNOWN = "\ufffd"  # Unicode's own sign for a character that is not known


def alphabet(train: str, rest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The characters of the training split in Unicode's order, and those of the rest that are none of them.

    Where there are such, `UNKNOWN` is one symbol more, and stands for all of them. Raises `FixableError` where the
    training split has that one itself: it would mean two things.
    """
    if count := train.count(UNKNOWN):
        raise FixableError(
            f"The training text has the character U+FFFD ({UNKNOWN}) {'once' if count == 1 else f'{count:,} times'}.",
            expected="a text without it: here it stands for characters that training never shows, and in most files "
            "for letters that were lost in another encoding.",
            fix="save the text again from its source in UTF-8, or delete that character.",
        )
    known = sorted(set(train))
    strange = sorted(set(rest) - set(known))
    return tuple(known) + ((UNKNOWN,) if strange else ()), tuple(strange)


def stand_in(text: str, strange: Sequence[str]) -> str:
    """The text with `UNKNOWN` in place of every strange character."""
    return text.translate(dict.fromkeys(map(ord, strange), UNKNOWN))


def strange_note(strange: Sequence[str]) -> tuple[str, ...]:
    """What a person must know of them; nothing where there are none."""
    if not strange:
        return ()
    some = " ".join(map(repr, strange[:5])) + (" …" if len(strange) > 5 else "")
    has = "1 character of val and test is" if len(strange) == 1 else f"{len(strange)} characters of val and test are"
    return (f"{has} not in train ({some}): read and scored as one symbol, {UNKNOWN}, that training never shows.",)


def read_text(content: bytes, name: str) -> str:
    """UTF-8, with or without its mark, every end of line as one character; `FixableError` for anything else."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FixableError(
            f"The file '{name}' is not text in UTF-8: byte {error.start + 1:,} of {len(content):,} does not fit.",
            expected="a plain text file, in UTF-8.",
            fix="save it again as plain text with the encoding UTF-8.",
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
