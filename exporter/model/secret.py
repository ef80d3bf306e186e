"""Secrets: values that are used, never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.model.errors import SecretUnreadable

SHOWN: Final = "<secret>"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret from the configuration, the environment or a file; a file is read again at each use.

    Its text is `<secret>` wherever it is printed, so that a forgotten f-string leaks nothing.
    """

    inline: str | None = None
    env: str | None = None
    file: Path | None = None

    def __str__(self) -> str:
        return SHOWN

    def __repr__(self) -> str:
        return f"Secret({SHOWN})"

    def reveal(self) -> str:
        """The secret itself, without the line end of its file.

        Raises `SecretUnreadable` where the variable is unset, or the file unreadable or empty.
        """
        if self.inline is not None:
            return self.inline
        if self.env is not None:
            return self._from_environment(self.env)
        if self.file is None:
            raise SecretUnreadable("the secret has no source")
        try:
            text = self.file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SecretUnreadable(f"cannot read {self.file}: {problem}") from None
        if not text:
            raise SecretUnreadable(f"{self.file} is empty")
        return text

    @staticmethod
    def _from_environment(name: str) -> str:
        value = os.environ.get(name, "")
        if not value:
            raise SecretUnreadable(f"the environment variable {name} is unset or empty")
        return value
