"""Shapes and types as a user has them: the hook that checks annotations is there under test alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jaxtyping
import pytest

from daiving.errors import FixableError


@contextmanager
def unchecked() -> Iterator[None]:
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def assert_explained(call: Callable[[], object], words: str) -> None:
    """The call raises an error of three whole sentences, the first of which holds these words."""
    with pytest.raises(FixableError) as caught:
        call()
    assert words in caught.value.wrong
    assert all(part.endswith((".", "?")) for part in (caught.value.wrong, caught.value.expected, caught.value.fix))
