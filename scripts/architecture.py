"""Writes the floors and the rooms in docs/architecture.md from the import contract and the docstrings: `make docs`.

With `--check` it writes nothing, and ends with 1 if the file is not what it would write.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from generated import written

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "exporter"
ROOMS_WITH_FOLDERS = ("simulator", "dashboards")


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first, as the outer import contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    outer = next(contract for contract in contracts if contract["type"] == "layers" and "containers" not in contract)
    return [[name.strip().removeprefix("exporter.") for name in layer.split("|")] for layer in outer["layers"]]


def summary(file: Path) -> str:
    """The first sentence of a module's docstring."""
    text = " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def picture() -> Iterator[str]:
    """The floors as text, a line each."""
    drawn = floors()
    width = max(len("   ".join(rooms)) for rooms in drawn)
    yield "```text"
    for number, rooms in zip(range(len(drawn), 0, -1), drawn, strict=True):
        yield f"{number:3}  │ {'   '.join(rooms):{width}} │"
    yield "```"


def modules(room: str) -> Iterator[tuple[str, Path]]:
    """The modules of a room by name; of some rooms a whole folder stands for the modules of one kind in it."""
    folder = PACKAGE / room
    for file in sorted(folder.rglob("*.py")):
        name = file.relative_to(folder)
        if file.name == "__init__.py":
            if file.parent != folder and room in ROOMS_WITH_FOLDERS:
                yield f"{name.parent}/", file
        elif file.parent == folder or room not in ROOMS_WITH_FOLDERS:
            yield str(name.with_suffix("")), file


def rooms() -> Iterator[str]:
    """A table of each room, with its modules."""
    for room in chain.from_iterable(floors()):
        yield f"### `{room}/`\n\n{summary(PACKAGE / room / '__init__.py')}\n"
        yield "| module | what it is |\n| --- | --- |"
        for name, file in modules(room):
            yield f"| `{name}` | {summary(file)} |"
        yield ""


def with_section(text: str, name: str, content: str) -> str:
    """The text with this content between the marks of a section."""
    begin, end = f"<!-- {name}: written by scripts/architecture.py (`make docs`) -->\n", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content.strip()}\n\n{end}{after}"


def main() -> int:
    text = DOCUMENT.read_text("utf-8")
    text = with_section(text, "floors", "\n".join(picture()))
    text = with_section(text, "rooms", "\n".join(rooms()))
    return written({DOCUMENT: text}, "make docs")


if __name__ == "__main__":
    sys.exit(main())
