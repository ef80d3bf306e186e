"""Every message about a configuration stands in the first lines of a bad file, which tests/unit holds to be right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.configurations import ROOT
from tests.support.messages import Message, Sources

BAD_FILES: Final = ("tests/data/config/bad", "tests/data/config/warned", "tests/data/web_config/bad")
STATED: Final = re.compile(r"^# (?:error|warning): (.*)$", re.MULTILINE)

IN_NO_FILE: Final[Mapping[str, str]] = {
    "is not right: ……": "for rules of pydantic that no key has yet",
    "not valid YAML; check it with a YAML linter": "for faults that PyYAML does not tell yet",
    "nested too deeply": "the locked graphql-core finds that itself; older ones do not",
    "the secret has no source…": "a fault of the program",
    "the credentials could not be read within … s…": "said when it polls",
    "headers could not be read within … s…": "said when it polls",
    "secret_values could not be read within … s…": "said when it polls",
    "cannot look at the files of tls_config: ……": "said when it polls",
    "the folder has no file whose name ends in .yaml or .yml; write one there, or name a file": "about a folder",
    "stands in …, line …, too; keep it in one of the files": "about several files",
    "…; choose another value": "OpenSSL takes all versions and ciphers that may be written",
    "is empty; write tls_server_config or basic_auth_users, or {} for neither": "about a change of a good file",
    "TLS cannot be turned on or off while serving; restart the exporter": "about a change of a good file",
    "the credentials have characters that a header cannot contain…": "said when it polls",
    "a proxy's URL begins with http:// or https://…": "the check of URLs says it first",
    "not an ISO 8601 time stamp…": "about an answer",
    "max_series (…) and an answer of max_body_size (… MiB) may take … MiB together, and the limit of memory is … MiB; "
    "write smaller ones, or raise the limit": "about the memory of the container",
    "… goes inside JSON": "not a fault; the check names it",
    "… holds JSON, as the configuration says": "as that",
    "… is …, of which the schema does not say whether it is a number or text; from: string reads both": "as that",
    "not a time in that form…": "about an answer",
    "not a percentage…": "about an answer",
    "not a quantity…": "about an answer",
    "not a number in that form…": "about an answer",
}


@cache
def messages() -> tuple[Message, ...]:
    return tuple(Sources(ROOT / "exporter").messages())


def stated(folders: tuple[str, ...]) -> list[str]:
    files = (file for folder in folders for file in sorted((ROOT / folder).iterdir()))
    return [line for file in files for line in STATED.findall(file.read_text("utf-8", "replace"))]


def missing(found: tuple[Message, ...], lines: list[str]) -> list[str]:
    """The messages that no line is; of those that read the same, there are as many lines as places."""
    alike = Counter(message.template for message in found)
    return [
        f"{message.place}: {message.shown}"
        for message in found
        if sum(message.matches(line) for line in lines) < alike[message.template] and message.shown not in IN_NO_FILE
    ]


def test_every_message_has_a_bad_file() -> None:
    """Whoever adds a check of the configuration shows in a bad file what it says."""
    without = "\n".join(missing(messages(), stated(BAD_FILES)))
    assert not without, f"no file in {' or '.join(BAD_FILES)} has as its error:\n{without}"


def test_every_stated_error_is_a_message_that_is_found() -> None:
    """The messages are read from the program's source; what bad files say shows that none is overlooked."""
    unknown = [line for line in stated(BAD_FILES) if not any(message.matches(line) for message in messages())]
    # said by graphql-core alone, in its own words
    assert {re.sub(r"^\S+ \S+ |'.*'", "", line) for line in unknown} <= {
        "Variable  is never used",
        "Variable  is not defined",
        "Unknown fragment ",
    }


def test_what_is_in_no_file_is_still_a_message() -> None:
    """The list of messages without a file names none that is gone, and none that has a file by now."""
    without = {message.shown for message in messages() if not any(map(message.matches, stated(BAD_FILES)))}
    assert without == IN_NO_FILE.keys()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ('raise ValueError("is odd; write an even number")', "is odd; write an even number…"),
        ('raise ValueError(f"{name} is odd")', "… is odd…"),
        ('findings.add(place, "is odd", "write an even number")', "is odd; write an even number"),
        ('findings.add(place, f"{name} is odd", REMEDY)', "… is odd; write an even number"),
        ('wrong = f"{name} is odd"\n    findings.add(place, wrong)', "… is odd"),
        ("wrong, remedy = described(name)\n    findings.add(place, wrong, remedy)", "is odd; write an even number"),
        ('for what in ("odd", "even"):\n        findings.add(place, f"is {what}")', "is odd"),
        ('findings.add(place, "is odd" if name else "is even", REMEDY)', "is even; write an even number"),
        ('findings.add(place, "is odd", "add one" if name else REMEDY)', "…; write an even number"),
    ],
)
def test_a_message_without_a_file_is_named_with_its_line(tmp_path: Path, check: str, said: str) -> None:
    """However a check words its fault, whoever forgets the bad file is told the message and where it stands."""
    (tmp_path / "package").mkdir()
    source = tmp_path / "package" / "checks.py"
    source.write_text(
        'REMEDY = "write an even number"\n'
        "class Findings:\n    def add(self, place, wrong, remedy=''): ...\n"
        f"def described(name):\n    return 'is odd', REMEDY\n"
        f"def check(findings, place, name):\n    findings.add(place, 'is known')\n    {check}\n"
    )
    found = missing(tuple(Sources(tmp_path / "package").messages()), ["3: queries[0].name: is known"])
    places, texts = zip(*(line.split(": ", 1) for line in found), strict=True)
    assert said in texts
    assert all(re.fullmatch(r"package/checks\.py:[0-9]+", place) for place in places)
