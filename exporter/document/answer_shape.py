"""What reads the answers to a document: a decoder made of the response keys that a query uses.

An answer becomes objects with exactly these keys. What the query does not use is skipped and takes no memory. The
decoder judges no value: null, a missing key, or a list in place of an object are left to the extraction, which knows
whether they matter and how to name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias, Union
from weakref import WeakValueDictionary

import msgspec

from exporter.document.aliases import alias_prefix
from exporter.document.json_texts import JsonTexts, Way, open_texts
from exporter.document.table import Table
from exporter.model.outcome import ABSENT, CODE_KEYS, WAIT_KEYS, Envelope
from exporter.model.samples import Json

Keys: TypeAlias = tuple[str, ...]
_NO_KEYS: Final[frozenset[Keys]] = frozenset()  # one for all shapes: each empty set takes 216 bytes

EXTENSIONS: Final = "extensions"  # of an answer, beside its data (GraphQL §7.1)
_LISTS: Final = 3  # so many lists may stand around an object; of scalars any number
_OPTIONS: Final[Mapping[str, Any]] = {"gc": False, "eq": False}  # no cycles, and nothing compares them
# A row for each of so many series may be folded into others by aggregate, top or bucket.
ROWS_A_SERIES: Final = 10
_BY_COLUMNS_BYTES: Final = 65_536  # the rows of smaller answers are objects


def attribute(key: str) -> str:
    """The attribute that has the value of a response key. Any key is fit for it, `__class__` among them."""
    return f"f_{key}"


class AnswerShape:
    """Reads answers whose `paths` (of response keys, from `data`) are used; those in `whole` as any JSON.

    It is quickest if the paths stand in the order of the answer's keys.

    `max_values` is how many values an answer may have, `max_values_reason` where that comes from. `in_pages`: an answer
    is one of several. `reads_extensions`: what a path to `extensions` leads to are those of the answer. At the end of
    `texts` there are texts that hold JSON, the outer before the inner. `rows_at`: what is at this path of a big answer
    is read into a `Table`, if it is a list of objects, unless there are `texts`.
    The decoder is made at the first answer, and queries that use the same share it.
    """

    def __init__(
        self,
        paths: Iterable[Keys],
        whole: Iterable[Keys] = (),
        *,
        max_values: int,
        max_values_reason: str = "",
        in_pages: bool = False,
        reads_extensions: bool = False,
        texts: Iterable[Way] = (),
        rows_at: Keys = (),
        by_columns_bytes: int = _BY_COLUMNS_BYTES,
    ) -> None:
        self._paths = tuple(dict.fromkeys(filter(None, paths)))
        self._whole = frozenset(filter(None, whole)) or _NO_KEYS
        self.max_values = max_values
        self.max_values_reason = max_values_reason
        self.in_pages = in_pages
        self._reads_extensions = reads_extensions
        self._texts = tuple(texts)
        of_any_form = self._texts or any(rows_at[: len(path)] == path for path in self._whole)
        self._rows_at = () if of_any_form else rows_at
        self.by_columns_bytes = by_columns_bytes
        self._packs: dict[int, AnswerShape] = {}
        self._made: _Decoder | None = None

    def decode(self, body: bytes | memoryview) -> Envelope:
        """The answer in these bytes. Raises `ValueError` for what is not JSON, or is JSON that only Python's own
        parser reads (NaN, 1e999, half of a surrogate pair), `RecursionError` where it is nested too deeply, and
        `UpstreamFailure` where its texts hold too much."""
        by_columns = self._decoder.by_columns if self._rows_at and len(body) >= self.by_columns_bytes else None
        found = by_columns.decode(body) if by_columns is not None else None
        return self._complete(self._decoder.decoder.decode(body) if found is None else found)

    def convert(self, content: Mapping[str, Any]) -> Envelope:
        """The same of an answer that was read as any JSON."""
        return self._complete(msgspec.convert(content, self._decoder.envelope))

    def data(self, content: Mapping[str, Json] | None, extensions: Json = None) -> object:
        """What stands for the `data` of an answer that was read as any JSON."""
        return self.convert({"data": content, EXTENSIONS: extensions}).data

    def _complete(self, found: Any) -> Envelope:
        """The answer, whose data has the extensions among its fields if they are read, and its texts opened."""
        if self._reads_extensions and isinstance(found.data, msgspec.Struct):
            setattr(found.data, attribute(EXTENSIONS), found.extensions)
        if self._texts:
            texts = JsonTexts(self.max_values, self.max_values_reason, attribute)
            found.data = open_texts(found.data, self._texts, texts)
        envelope: Envelope = found
        return envelope

    def in_pack(self, size: int) -> AnswerShape:
        """What reads the answer to a pack of so many calls."""
        if size not in self._packs:
            self._packs[size] = AnswerShape(
                (_in_pack(path, position) for position in range(size) for path in self._paths),
                (_in_pack(path, position) for position in range(size) for path in self._whole),
                max_values=self.max_values * size,
                max_values_reason=self.max_values_reason,
                texts=(
                    (*_in_pack((str(way[0]),), position), *way[1:]) for position in range(size) for way in self._texts
                ),
            )
        return self._packs[size]

    def unpack(self, data: object, position: int) -> object:
        """The data of the call at that position of a pack."""
        keys = {path[0] for path in (*self._paths, *self._whole)}
        values = {attribute(key): getattr(data, attribute(alias_prefix(position) + key), ABSENT) for key in keys}
        return self._decoder.root(**values)

    @property
    def _decoder(self) -> _Decoder:
        if self._made is None:
            known = self._paths, self._whole, self._reads_extensions, self._rows_at
            self._made = _decoders.get(known) or _decoders.setdefault(known, _Decoder(*known))
        return self._made


class _Decoder:
    """The types of an answer, and what decodes it to them."""

    def __init__(self, paths: tuple[Keys, ...], whole: frozenset[Keys], reads_extensions: bool, rows_at: Keys) -> None:
        self._paths, self._whole, self._rows_at = paths, tuple(sorted(whole)), rows_at
        self._reads_extensions = reads_extensions
        self.root = _object(paths, self._whole)
        self.envelope = self._envelope(self.root)
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.envelope)

    @cached_property
    def by_columns(self) -> _ByColumns | None:
        """What reads the rows into a `Table`; None where they have no fields. It is made at the first big answer."""
        paths, whole = (
            tuple(path[len(self._rows_at) :] for path in found if path[: len(self._rows_at)] == self._rows_at)
            for found in (self._paths, self._whole)
        )
        row = _object(paths, whole)
        if row is Skipped:
            return None
        return _ByColumns(self._envelope(_with_rows(self._paths, self._whole, self._rows_at)), row, self._rows_at)

    def _envelope(self, root: type[msgspec.Struct]) -> type[Any]:
        kinds = {
            "data": _of(_node(root)),
            "errors": _ERRORS,
            EXTENSIONS: _of(Any) if self._reads_extensions else _EXTENSIONS,
        }
        fields = [(key, kind, ABSENT) for key, kind in kinds.items()]
        return msgspec.defstruct("Answer", fields, gc=False, eq=False)


class _ByColumns:
    """Decodes an answer whose rows become a `Table`: what they are made of is decoded some rows at a time."""

    def __init__(self, envelope: type[Any], row: type[msgspec.Struct], rows_at: Keys) -> None:
        self._envelope: msgspec.json.Decoder[Any] = msgspec.json.Decoder(envelope)
        self._row = row
        self._decode_row = msgspec.json.Decoder(row | None).decode
        self._rows_at = rows_at

    def decode(self, body: bytes | memoryview) -> Any:
        """The answer; None of one of another form, such as rows in several lists. Raises `ValueError`."""
        try:
            found = self._envelope.decode(body)
            node = found.data
            for key in self._rows_at[:-1]:
                node = getattr(node, attribute(key), None)
            if isinstance(node, list):
                return None
            last = attribute(self._rows_at[-1])
            rows = getattr(node, last, None)
            if isinstance(rows, list):
                table = Table.read(self._row, rows, self._decode_row)
                if table is None:
                    return None
                setattr(node, last, table)
        except msgspec.ValidationError:
            return None
        return found


_decoders: WeakValueDictionary[tuple[tuple[Keys, ...], frozenset[Keys], bool, Keys], _Decoder] = WeakValueDictionary()


def _in_pack(path: Keys, position: int) -> Keys:
    return (alias_prefix(position) + path[0], *path[1:])


def _of(kind: Any) -> Any:
    """That or nothing."""
    return Union[kind, msgspec.UnsetType]  # noqa: UP007 - made at run time


def _node(kind: type[msgspec.Struct]) -> Any:
    """A value that may be such an object, a list of them, or a scalar."""
    found: Any = Union[kind, None, bool, int, float, str, list]  # noqa: UP007
    for _ in range(_LISTS):
        found = Union[kind, None, bool, int, float, str, list[found]]  # noqa: UP007
    return found


class Skipped(msgspec.Struct, gc=False, eq=False):
    """An object where a scalar belongs: nothing of it is kept."""


_LEAF: Final = _of(_node(Skipped))


def _plain(name: str, fields: Mapping[str, Any]) -> Any:
    """What an object with these fields is, where one stands; all else in it is skipped."""
    found = [(key, kind, ABSENT) for key, kind in fields.items()]
    return _of(_node(msgspec.defstruct(name, found, gc=False, eq=False)))


_CODES: Final = dict.fromkeys(CODE_KEYS, _LEAF)
_ERROR_EXTENSIONS: Final = _plain("ErrorExtensions", {**_CODES, **dict.fromkeys(WAIT_KEYS, _LEAF)})
_ERRORS: Final = _plain(  # GraphQL §7.1.2
    "Error", {"message": _LEAF, "path": _LEAF, "extensions": _ERROR_EXTENSIONS, **_CODES}
)
_THROTTLE_STATUS: Final = ("currentlyAvailable", "maximumAvailable", "restoreRate")
_COST: Final = {
    "requestedQueryCost": _LEAF,
    "throttleStatus": _plain("ThrottleStatus", dict.fromkeys(_THROTTLE_STATUS, _LEAF)),
}
_EXTENSIONS: Final = _plain("Extensions", {"cost": _plain("Cost", _COST)})


_objects: WeakValueDictionary[tuple[tuple[Keys, ...], tuple[Keys, ...]], type[msgspec.Struct]] = WeakValueDictionary()


def _object(paths: Sequence[Keys], whole: Sequence[Keys]) -> type[msgspec.Struct]:
    """An object with what is below each first key of these paths. Documents that read the same of it share it."""
    known = tuple(filter(None, paths)), tuple(filter(None, whole))
    return _objects.get(known) or _objects.setdefault(known, _new_object(*known))


def _new_object(paths: tuple[Keys, ...], whole: tuple[Keys, ...]) -> type[msgspec.Struct]:
    below: dict[str, list[Keys]] = {}
    whole_below: dict[str, list[Keys]] = {}
    for found, of in ((below, paths), (whole_below, whole)):
        for path in of:
            below.setdefault(path[0], [])
            found.setdefault(path[0], []).append(path[1:])
    fields = [(attribute(key), _field(rest, whole_below.get(key, [])), ABSENT) for key, rest in below.items()]
    return msgspec.defstruct("Object", fields, rename=key_of, **_OPTIONS) if fields else Skipped


def _with_rows(paths: Sequence[Keys], whole: Sequence[Keys], rows_at: Keys) -> type[msgspec.Struct]:
    """The same object, but that at `rows_at` there is a list whose items are not decoded."""
    fields = []
    for key in dict.fromkeys(path[0] for path in (*paths, *whole) if path):
        below, whole_below = ([path[1:] for path in found if path and path[0] == key] for found in (paths, whole))
        if key != rows_at[0]:
            kind = _field(below, whole_below)
        elif len(rows_at) == 1:
            kind = _of(list[msgspec.Raw])
        else:
            kind = _of(_node(_with_rows(below, whole_below, rows_at[1:])))
        fields.append((attribute(key), kind, ABSENT))
    return msgspec.defstruct("Object", fields, rename=key_of, **_OPTIONS)


def _field(paths: Sequence[Keys], whole: Sequence[Keys]) -> Any:
    if () in whole:
        return _of(Any)
    kind = _object(paths, whole)
    return _LEAF if kind is Skipped else _of(_node(kind))


def key_of(name: str) -> str:
    """The response key of an attribute."""
    return name.removeprefix("f_")
