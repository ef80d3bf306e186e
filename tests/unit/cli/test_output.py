"""What commands print: whole in a pipe, cut and coloured on a terminal, and no terminal escapes."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator

import pytest

from exporter.cli.output import Output, fit, show_progress
from exporter.model.samples import Json


class Terminal(io.StringIO):
    """A text that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    screen = Terminal()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        yield screen


def piped(write: Callable[[Output], None]) -> str:
    """What is printed into a pipe."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        write(Output())
    return stream.getvalue()


def test_a_pipe_gets_plain_text_and_all_of_it() -> None:
    """However long it is, without colours."""
    rows: list[list[Json]] = [[number, "x"] for number in range(1000)]
    text = piped(lambda output: output.table("Rows", ["n", "x"], rows, ["red"] * 1000))
    assert text.count("\n") == 1002
    assert "\x1b" not in text
    assert "more" not in text
    assert piped(lambda output: output.code("Text", "a\n" * 1000)).count("  a\n") == 1000


def test_texts_stand_under_their_titles() -> None:
    """Headings, texts, JSON and tables as the documentation shows them."""

    def write(output: Output) -> None:
        output.heading("orders on acme")
        output.code("Document", "\n{\n  open\n}\n\n")
        output.json("Answer", {"ü": [1, None]})
        output.table("Rows (2)", ["id", "of"], [["a", None], ["long one", {"x": [True]}]])
        output.line("the end")

    assert piped(write) == (
        "\n== orders on acme\n"
        "Document:\n  {\n    open\n  }\n"
        'Answer:\n  {\n    "ü": [\n      1,\n      null\n    ]\n  }\n'
        'Rows (2):\n  id        of\n  a\n  long one  {"x": [true]}\n'
        "the end\n"
    )


def test_a_terminal_gets_colours_and_the_beginning() -> None:
    """Sixty lines of one text, and how many there are more; a table that is wanted whole is whole."""
    rows: list[list[Json]] = [[f"row-{number}"] for number in range(70)]
    with terminal() as screen:
        output = Output()
        output.code("Text", "\n".join(f"line-{number}" for number in range(62)))
        output.table("Cut", ["name"], rows, ["green"])
        output.heading("title")
    shown = screen.getvalue()
    assert "line-59" in shown
    assert "line-60" not in shown
    assert "  … 2 lines more" in shown
    assert "row-59" in shown
    assert "row-60" not in shown
    assert "  … 10 rows more" in shown
    with terminal() as screen:
        Output().table("Whole", ["name"], rows, whole=True)
    assert "row-69" in screen.getvalue()
    assert "more" not in screen.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 😀\tand\nlines", "plain ü 😀\tand\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\rb\x00\x7f\x9b", r"a\rb\x00\x7f\x9b"),
        ("abc\u202edef\u2066\u200f", r"abc\u202edef\u2066\u200f"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_what_a_terminal_obeys_is_written_as_an_escape(text: str, shown: str) -> None:
    """An API cannot move the cursor, hide text or turn its order around."""
    assert fit(text) == shown
    assert piped(lambda output: output.line(text)) == f"{shown}\n"
    assert shown in piped(lambda output: output.table("T", ["a"], [[text.replace("\n", " ")]])) or "\n" in text


def test_progress_in_a_pipe_is_quiet_for_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """A log is not filled with bars."""
    with show_progress("requests") as report:
        for done in range(100):
            report(done, 100)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_a_bar() -> None:
    """It says how many are done, of how many, also where that becomes known late."""
    with terminal() as screen, show_progress("requests") as report:
        report(0, 4)
        report(3, 4)
        report(4, 4)
    assert re.search(r"requests.*4/4", screen.getvalue().replace("\r", "\n").splitlines()[-1])
