"""Response paths resolved against a document, once: names are found as in nested scopes, the innermost first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from exporter.config.labels import LabelSpec
from exporter.config.metric import Metric
from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.config.source import Source
from exporter.document.answer_shape import EXTENSIONS
from exporter.document.document import Document, FieldType, Selection
from exporter.document.json_texts import Way
from exporter.model.response_path import Key, Mark, Pick, ResponsePath, Step, path_text
from exporter.model.suggestion import nearest_word, suggestion
from exporter.plan.plan import KEY_HOPS, Column, Hop, Hops


class PathProblem(Exception):
    """A path that the document does not have, or that means two things."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy


class _Anything(Mapping[str, Selection]):
    """The fields of what is not known: each name may be one."""

    def __getitem__(self, _: str) -> Selection:
        return ANYTHING

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


ANYTHING: Final = Selection(_Anything())
"""What is selected where a document, or the way to its rows, has a fault: nothing is wrong there."""


def is_unknown(selection: Selection) -> bool:
    """Whether anything may be selected there, because a fault hides what is."""
    return isinstance(selection.children, _Anything)


def with_unknown_leaves(selection: Selection) -> Selection:
    """The selection where a schema cannot be read: what has no selection may be JSON, with anything inside."""
    if not selection.children:
        return selection if selection.type is not None else replace(selection, children=ANYTHING.children)
    children = {name: with_unknown_leaves(child) for name, child in selection.children.items()}
    return replace(selection, children=children)


class Scopes(Struct, frozen=True):
    """A walk down a document: the selection at each depth (0 is `data`), and the hops between them. `json_rows` is the
    depth of the rows, where these are JSON, of which no document says what it has."""

    selections: tuple[Selection, ...]
    hops: Hops = ()
    json_rows: int | None = None

    def below(self, path: ResponsePath) -> Scopes:
        """The walk continued along `path`, from the innermost selection. Raises `PathProblem`."""
        scopes = self
        for hop, selection in _steps_down(path.steps, self.selections[-1], str(path), self.hops[-1:]):
            scopes = replace(scopes, selections=(*scopes.selections, selection), hops=(*scopes.hops, hop))
        return scopes

    def outer(self, depth: int) -> Scopes:
        """The walk as far as that depth."""
        return replace(self, selections=self.selections[: depth + 1], hops=self.hops[:depth])

    @property
    def is_in_json(self) -> bool:
        """Whether the walk ends in JSON, of which no document says what it has."""
        return bool(self.hops) and _may_go_inside(self.hops[-1], self.innermost)

    @property
    def object_depths(self) -> tuple[int, ...]:
        """The depths of what has names: not of a list or a map that the next hop opens."""
        marked = (hop.mark is not None for hop in self.hops)
        return tuple(depth for depth, is_opened in enumerate((*marked, False)) if not is_opened)

    @property
    def innermost_object(self) -> int:
        """The depth of the innermost selection that has fields, or is JSON, which may have keys: a scalar has none."""
        last = len(self.hops)
        if self.is_in_json or is_unknown(self.innermost):
            return last
        return next((depth for depth in range(last, 0, -1) if self.selections[depth].children), 0)

    @property
    def innermost(self) -> Selection:
        return self.selections[-1]

    @property
    def text(self) -> str:
        return path_text(tuple(hop.mark or hop.name for hop in self.hops)) or "data"


class ParsedQuery(Struct, frozen=True):
    """A query whose document could be parsed, where it and its metrics stand in the file, and the walk to its rows."""

    query: Query
    place: KeyPath
    metric_places: tuple[KeyPath, ...]
    sources: tuple[Source, ...]
    document: Document
    rows: Scopes
    unknown: Mapping[KeyPath, frozenset[str]] = {}
    """The keys with faults of the query, of its metrics and of its sources, by their places."""
    source_places: Mapping[str, KeyPath] = {}
    json_texts: tuple[Way, ...] = ()

    def lacks(self, *keys: str) -> bool:
        """Whether one of these keys of the query has a fault, so that nothing more can be said of it."""
        return self.lacks_at(self.place, *keys)

    def lacks_at(self, place: KeyPath, *keys: str) -> bool:
        """The same of a metric of it."""
        return not self.unknown.get(place, frozenset()).isdisjoint(keys)

    def source_lacks(self, source: Source, *keys: str) -> bool:
        """The same of a source of it."""
        return self.lacks_at(self.source_places.get(source.name, ()), *keys)

    @property
    def zone(self) -> tzinfo:
        """The clock of the query, or of its first source."""
        found: tzinfo | None = self.query.timezone
        return found if found is not None else next((source.timezone for source in self.sources), UTC)

    def metrics(self) -> Iterator[tuple[KeyPath, Metric]]:
        """The metrics, each with where it stands."""
        return zip(self.metric_places, self.query.metrics, strict=True)

    def label_specs(self) -> Iterator[tuple[KeyPath, LabelSpec]]:
        """The labels of the query and of its metrics, each with where it stands."""
        for place, labels in ((self.place, self.query.labels), *((at, metric.labels) for at, metric in self.metrics())):
            for name, spec in labels.items():
                yield (*place, "labels", name), spec


Feeders: TypeAlias = Mapping[str, ParsedQuery]  # by the name of the query that is fed


def column(path: ResponsePath, scopes: Scopes) -> tuple[Column, FieldType | None]:
    """The column that a label's path names, and its type where a schema tells it. Raises `PathProblem`."""
    if path.steps[-1:] == (Mark.KEY,):
        return _key_column(path, scopes), None
    if not path.steps:
        if scopes.innermost.children:
            raise PathProblem(
                f"{scopes.text} is an object", f"name one of its fields: {_field_names(scopes.innermost)}"
            )
        return Column(len(scopes.hops), ()), scopes.innermost.type
    depth, steps = _find(path, scopes)
    depth, steps = _along(steps, scopes.hops, depth, least=1)
    gone = path.steps[: len(path.steps) - len(steps)]
    way = _steps_down(steps, scopes.selections[depth], str(path), scopes.hops[:depth][-1:], gone)
    last = way[-1][1]
    if last.children:
        raise PathProblem(f"{path} ends in an object", f"go on to one of its fields: {_field_names(last)}")
    for hop, selection in way:
        if hop.mark is not None and not is_unknown(selection):
            wrong = f"{path} opens a list or a map, which is not on the value's way"
            raise PathProblem(wrong, "write .* on the value's way, or pick one item or key")
        if selection.type is not None and selection.type.lists > len(hop.indexes):
            raise PathProblem(
                f"{path} goes through the list {hop.name}, which is not on the value's way",
                f"pick an element ({hop.name}[0]), or take the value from inside that list",
            )
    return Column(depth, tuple(hop for hop, _ in way)), last.type


def _along(steps: tuple[Step, ...], hops: Hops, depth: int, *, least: int = 0) -> tuple[int, tuple[Step, ...]]:
    """How deep these steps lead along a walk, and those that are left, which are `least` or more."""
    while depth < len(hops):
        hop = hops[depth]
        length = 1 + len(hop.indexes)
        same = (hop.mark or hop.name, *hop.indexes), (Key(hop.name), *hop.indexes)
        if steps[:length] not in same or len(steps) - length < least:
            break
        if _needs(hop, next(iter(steps[length:]), None), next(iter(hops[depth + 1 :]), None)):
            break
        depth, steps = depth + 1, steps[length:]
    return depth, steps


def _needs(hop: Hop, step: Step | None, following: Hop | None) -> bool:
    """Whether a step cannot be gone without the hop before it: an index, or a key that only that makes one of JSON."""
    if isinstance(step, Key) and not hop.inside:
        return following is None or following.name != step.text
    return isinstance(step, int | Pick)


def _key_column(path: ResponsePath, scopes: Scopes) -> Column:
    """The column of the keys, or positions, by which the walk came where the path leads, or without a step to what it
    opened last. Raises `PathProblem`."""
    steps = path.steps[:-1]
    if any(map(is_unknown, scopes.selections)):
        return Column(len(scopes.hops), KEY_HOPS)
    opened = [at for at in range(1, len(scopes.hops) + 1) if _is_opened(scopes, at)]
    depth = opened[-1] if opened else 0
    if steps:
        depth, steps = _find(ResponsePath(steps, path.innermost), scopes)
        depth, steps = _along(steps, scopes.hops, depth)
    if steps or depth not in opened:
        keyed = [path_text((*map(_step_of, scopes.hops[:at]), Mark.KEY)) for at in opened]
        wrong = f"{path}: no list or map is opened there on the value's way"
        raise PathProblem(wrong, f"write {' or '.join(keyed)}" if keyed else "open one with .*, as in regions.*")
    return Column(depth, KEY_HOPS)


def _step_of(hop: Hop) -> Step:
    return hop.mark or hop.name


def _is_opened(scopes: Scopes, depth: int) -> bool:
    """Whether the walk comes to that depth through a list or a map that it opens, as far as is known."""
    hop, selection = scopes.hops[depth - 1], scopes.selections[depth]
    if hop.mark is not None:
        return True
    if depth < len(scopes.hops) and scopes.hops[depth].mark is not None:
        return False
    if _may_go_inside(hop, selection) and (selection.type is None or not selection.type.lists):
        return False
    return selection.type is None or selection.type.lists - len(hop.indexes) == 1


def value_scopes(path: ResponsePath, rows: Scopes) -> Scopes:
    """Where the path of a value begins: at the rows, or else at what is around them that has its first name. Raises
    `PathProblem` where several have it, or JSON may have it."""
    name = path.steps[0] if path.steps and not path.innermost else None
    if name is None or name in rows.innermost.children:
        return rows
    depths = [depth for depth, selection in enumerate(rows.selections) if name in selection.children]
    if not depths:
        if isinstance(name, str) and not rows.is_in_json and rows.innermost.children:
            remedy = _meant(path.steps, 0, rows.selections)
            if remedy:
                raise PathProblem(f"{path} is not selected by the document", remedy)
        return rows
    if rows.is_in_json and name != EXTENSIONS and _along(path.steps, rows.hops, depths[-1])[0] == depths[-1]:
        outer = path_text((*map(_step_of, rows.hops[: depths[-1]]), *path.steps))
        other = f", or {outer} for the field" if depths[-1] else ", or give the field an alias"
        wrong = f"{path} is a field around the rows, and may be a key in their JSON"
        raise PathProblem(wrong, f"write .{path} for the key{other}")
    depth, _ = _find(path, rows)
    return rows.outer(depth)


def _find(path: ResponsePath, scopes: Scopes) -> tuple[int, tuple[Step, ...]]:
    """The depth at which a path's first name is found."""
    name = path.steps[0]
    if path.innermost or is_unknown(scopes.innermost):
        return scopes.innermost_object, path.steps
    depths = [depth for depth in scopes.object_depths if name in scopes.selections[depth].children]
    if not depths and scopes.json_rows is not None:
        return scopes.json_rows, path.steps
    if not depths:
        names = {key for selection in scopes.selections for key in selection.children}
        meant = _meant(path.steps, 0, scopes.selections, through_lists=False)
        raise PathProblem(f"{path} is not selected by the document", meant or _nearest(str(name), names))
    if len(depths) > 1:
        outer = path_text((*(hop.name for hop in scopes.hops[: depths[-2]]), *path.steps))
        inner = f"write .{path} for the innermost"
        if depths[-1] != scopes.innermost_object:
            inner = (
                f"write {path_text((*(hop.name for hop in scopes.hops[: depths[-1]]), *path.steps))} for the inner one"
            )
        if depths[-2] == 0:
            raise PathProblem(f"{path} is selected at two levels", f"{inner}, or give one of them an alias")
        raise PathProblem(f"{path} is selected at two levels", f"{inner}, or {outer} for the other")
    return depths[0], path.steps


def _steps_down(
    steps: tuple[Step, ...], start: Selection, text: str, led_by: Hops, gone: tuple[Step, ...] = ()
) -> list[tuple[Hop, Selection]]:
    """The hops along `steps`, each with the selection that it reaches. `led_by` is the hop that led to the start, and
    `gone` the steps of the path before these."""
    way: list[tuple[Hop, Selection]] = []
    selection = start
    for at, step in enumerate(steps):
        if isinstance(step, int | Pick):
            if not way:
                raise PathProblem(f"{text} begins with an index", "begin it with a name")
            if isinstance(step, Pick) and (selection.children or not _may_go_inside(way[-1][0], selection)):
                _check_pick(step, selection, text)
            hop = way[-1][0]
            way[-1] = (replace(hop, indexes=(*hop.indexes, step)), selection)
            continue
        last = way[-1][0] if way else next(iter(led_by), None)
        if is_unknown(selection) and step is not Mark.KEY:
            name = step.text if isinstance(step, Key) else str(step)
            way.append((Hop(name, (), True, mark=step if isinstance(step, Mark) else None), ANYTHING))
            selection = ANYTHING
            continue
        if isinstance(step, Mark):
            way.append(_mark_step(step, last, selection, text))
            selection = way[-1][1]
            continue
        if last is not None and (_may_go_inside(last, selection) or (way and isinstance(step, Key))):
            _check_inside(step, selection, text)
            way.append((Hop(step.text if isinstance(step, Key) else step, (), True, inside=True), Selection()))
            selection = way[-1][1]
            continue
        if isinstance(step, Key):
            raise PathProblem(f"{text} begins with a key", "begin it with a name")
        if step not in selection.children:
            remedy = _meant((*gone, *steps), len(gone) + at, (selection,)) or _nearest(step, selection.children)
            if way and selection.type is not None and selection.type.name == "String":
                remedy = "end the path earlier, or name the text in json_texts if it holds JSON"
            if way and not selection.children and selection.type is None:
                remedy = f'end the path earlier, or write ["{step}"] for a key of JSON'
            raise PathProblem(f"{text} is not selected by the document", remedy)
        selection = selection.children[step]
        way.append((Hop(step, (), selection.optional), selection))
    return way


def _mark_step(mark: Mark, last: Hop | None, selection: Selection, text: str) -> tuple[Hop, Selection]:
    """The hop to each value of a map or item of a list. Raises `PathProblem` where the schema knows neither."""
    if mark is Mark.KEY:
        raise PathProblem(f"{text} leads to a key, where rows and lists belong", "write it in a label, value or where")
    kind, indexes = selection.type, 0 if last is None else len(last.indexes)
    if kind is not None and kind.lists > indexes:
        within = replace(selection, type=replace(kind, lists=kind.lists - indexes - 1))
        return Hop(str(mark), (), selection.optional, mark=mark), within
    if last is not None and (_may_go_inside(last, selection) or (kind is None and not selection.children)):
        return Hop(str(mark), (), True, inside=True, mark=mark), Selection()
    if kind is None:
        return Hop(str(mark), (), selection.optional, mark=mark), selection
    raise PathProblem(f"{text} opens {kind.name}, which is no list and no map", "leave out .*")


OWN_SCALARS: Final = frozenset({"Int", "Float", "String", "Boolean", "ID"})


def _may_go_inside(hop: Hop, selection: Selection) -> bool:
    """Whether a name behind a value is a key inside it: the schema says that it is a scalar of the API's own."""
    kind = selection.type
    custom = kind is not None and kind.leaf and not kind.enum_values and kind.name not in OWN_SCALARS
    return hop.inside or custom


def _check_inside(step: Step, selection: Selection, text: str) -> None:
    """Raises `PathProblem` where a value cannot have keys inside."""
    kind = selection.type
    if selection.children:
        key = step.text if isinstance(step, Key) else step
        raise PathProblem(f"{text} goes into an object as if it were JSON", f"write .{key} for a field of it")
    if kind is not None and (kind.enum_values or kind.name in OWN_SCALARS):
        raise PathProblem(f"{text} goes into a value, which is {kind.name}", "end the path before the key")


def _check_pick(pick: Pick, selection: Selection, text: str) -> None:
    """Raises `PathProblem` where the items have no such field, or it never has that text."""
    if pick.field not in selection.children:
        wrong = f"{text}: {pick.field} is not selected by the document"
        raise PathProblem(wrong, _nearest(pick.field, selection.children))
    field = selection.children[pick.field]
    if field.children:
        scalars = ", ".join(sorted(name for name, child in selection.children.items() if not child.children))
        raise PathProblem(f"{text}: {pick.field} is an object", f"pick by one of: {scalars or 'none'}")
    known = field.type.enum_values if field.type is not None else ()
    if known and pick.text not in known:
        raise PathProblem(f"{text}: {pick.text} is no word of {pick.field}", _nearest(pick.text, known))


_SPECIAL_NAMES: Final = frozenset({"__typename", "data"})


def _nearest(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if word == "__typename":
        return "select __typename in the document, which has it for every object"
    if word == "data":
        return "leave out data., as paths begin below it"
    if found := suggestion(word, names):
        return found
    return f"selected there: {', '.join(names)}" if names else "nothing is selected below it; end the path earlier"


def _meant(steps: tuple[Step, ...], at: int, selections: Sequence[Selection], *, through_lists: bool = True) -> str:
    """The path that a path was meant to be, whose step at that position is not there: with a name like it, from the
    innermost selection to the outermost, or with the way to it from there. Empty, where nothing is near."""
    word = str(steps[at])
    if word in _SPECIAL_NAMES:
        return _nearest(word, ())
    for selection in reversed(selections):
        if near := nearest_word(word, selection.children):
            return f"did you mean {path_text((*steps[:at], near, *steps[at + 1 :]))}?"
    for selection in reversed(selections):
        if way := _way_to(word, selection, through_lists):
            return f"did you mean {path_text((*steps[:at], *way, *steps[at + 1 :]))}?"
    return ""


def _way_to(word: str, start: Selection, through_lists: bool) -> tuple[str, ...]:
    """The shortest way down to a field of that name; empty where there is none."""
    level: list[tuple[tuple[str, ...], Selection]] = [((), start)]
    while level:
        below = [((*way, name), child) for way, one in level for name, child in sorted(one.children.items())]
        for way, _ in below:
            if way[-1] == word:
                return way
        level = [(way, child) for way, child in below if through_lists or child.type is None or not child.type.lists]
    return ()


def _field_names(selection: Selection) -> str:
    return ", ".join(sorted(selection.children))
