"""What can be made of a label's text: total functions, which have a text for every text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from exporter.model.pattern import Pattern


class TextForm(StrEnum):
    """The forms that a text can be brought into."""

    LOWER = "lower"
    UPPER = "upper"
    HOST = "host"


class TextChange(Struct, frozen=True):
    """What becomes of a text."""

    form: TextForm | None = None
    pattern: Pattern | None = None

    def of(self, text: str) -> str:
        """The part that the pattern takes, in that form; empty where the text has no such part."""
        if self.pattern is not None:
            text = self.pattern.part(text) or ""
        return _FORMS[self.form](text) if self.form is not None else text


def host(url: str) -> str:
    """The host of a URL in lower case, without its port; empty where the text is no URL with a host."""
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:  # a bracket that is not closed, such as http://[::1
        return ""


_FORMS: Final[Mapping[TextForm, Callable[[str], str]]] = {
    TextForm.LOWER: str.lower,
    TextForm.UPPER: str.upper,
    TextForm.HOST: host,
}
