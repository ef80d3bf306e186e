"""What is found wrong with the meaning of a configuration, each at its place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from exporter.config.nodes import KeyPath
from exporter.config.problems import Places
from exporter.document.document import FieldType
from exporter.document.variable_types import never_equal
from exporter.model.errors import Problem
from exporter.model.response_path import ResponsePath
from exporter.model.samples import Json
from exporter.plan.plan import Column, Hops
from exporter.plan.response_paths import PathProblem, Scopes, column


class KeyProblem(Struct, frozen=True):
    """Something wrong at a key, and what would be right."""

    place: KeyPath
    wrong: str
    remedy: str = ""


class Findings:
    """The problems found so far. The stages add to them and go on, and `planner` alone reads them, at the end."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.unproved: list[Problem] = []

    def add(self, place: KeyPath, wrong: str, remedy: str = "") -> None:
        """Notes a problem at a key."""
        self.problems.append(self._places.problem(place, wrong, remedy))

    def warn(self, place: KeyPath, wrong: str, remedy: str = "") -> None:
        """Notes something at a key that can run, but is hardly meant."""
        self.warnings.append(self._places.problem(place, wrong, remedy))

    def leave_unproved(self, place: KeyPath, path: object, hops: Hops) -> None:
        """Notes a path that goes on inside JSON, of which no schema says anything."""
        if any(hop.inside for hop in hops):
            self.leave_open(place, f"{path} goes inside JSON")

    def leave_open(self, place: KeyPath, wrong: str, remedy: str = "") -> None:
        """Notes what only answers can show."""
        self.unproved.append(self._places.problem(place, wrong, remedy))

    def extend(self, found: Iterable[KeyProblem]) -> None:
        """Notes what a pure check has found."""
        for one in found:
            self.add(one.place, one.wrong, one.remedy)

    def add_in_text(self, place: KeyPath, line_in_text: int, wrong: str, remedy: str = "") -> None:
        """Notes a problem at a line inside a key's text."""
        self.problems.append(self._places.text_problem(place, line_in_text, wrong, remedy))

    def line_text(self, place: KeyPath, seen_from: KeyPath) -> str:
        """The line of a key, with its file where that is another one, for a problem that has two places."""
        nodes = self._places.nodes
        file = nodes.file_of(place)
        return f"on line {nodes.line(place)}" + (f" of {file}" if file != nodes.file_of(seen_from) else "")

    def column(self, path: ResponsePath, scopes: Scopes, place: KeyPath, otherwise: str = "") -> Column | None:
        """The column that a path names; none, and a problem, where the document does not have it. `otherwise` is what
        may have been meant where no such path is near."""
        try:
            found = column(path, scopes)[0]
        except PathProblem as problem:
            is_list = problem.remedy.startswith("selected there: ")
            remedy = f"{problem.remedy}; {otherwise}" if otherwise and is_list else problem.remedy
            self.add(place, problem.wrong, remedy)
            return None
        self.leave_unproved(place, path, found.hops)
        return found


def impossible_conditions(place: KeyPath, text: str, kind: FieldType, wanted: Iterable[Json]) -> Iterator[KeyProblem]:
    """The values of a condition that a field of that type never has; `text` is the field as it was written."""
    for value in wanted:
        if remedy := never_equal(kind, value):
            yield KeyProblem(place, f"{value} is never equal to {text}, which is {kind.name}", remedy)
