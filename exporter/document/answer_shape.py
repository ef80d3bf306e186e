"""What reads the answers to a document: a decoder made of the response keys that a query uses.

An answer becomes objects with exactly these keys. What the query does not use is skipped and takes no memory. The
decoder judges no value: null, a missing key, or a list in place of an object are left to the extraction, which knows
whether they matter and how to name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, Union
from weakref import WeakValueDictionary

import msgspec

from exporter.document.aliases import alias_prefix
from exporter.model.outcome import ABSENT, CODE_KEYS, WAIT_KEYS, Envelope
from exporter.model.samples import Json

Keys: TypeAlias = tuple[str, ...]
_NO_KEYS: Final[frozenset[Keys]] = frozenset()  # one for all shapes: each empty set takes 216 bytes

EXTENSIONS: Final = "extensions"  # of an answer, beside its data (GraphQL §7.1)
_LISTS: Final = 3  # so many lists may stand around an object; of scalars any number
_OPTIONS: Final[Mapping[str, Any]] = {"gc": False, "eq": False}  # no cycles, and nothing compares them
# A row for each of so many series may be folded into others by aggregate, top or bucket.
ROWS_A_SERIES: Final = 10


def attribute(key: str) -> str:
    """The attribute that has the value of a response key. Any key is fit for it, `__class__` among them."""
    return f"f_{key}"


class AnswerShape:
    """Reads answers whose `paths` (of response keys, from `data`) are used; those in `whole` as any JSON.

    It is quickest if the paths stand in the order of the answer's keys.

    `max_values` is how many values an answer may have, `max_values_reason` where that comes from. `in_pages`: an answer
    is one of several. `reads_extensions`: what a path to `extensions` leads to are those of the answer.
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
    ) -> None:
        self._paths = tuple(dict.fromkeys(filter(None, paths)))
        self._whole = frozenset(filter(None, whole)) or _NO_KEYS
        self.max_values = max_values
        self.max_values_reason = max_values_reason
        self.in_pages = in_pages
        self._reads_extensions = reads_extensions
        self._packs: dict[int, AnswerShape] = {}
        self._made: _Decoder | None = None

    def decode(self, body: bytes | memoryview) -> Envelope:
        """The answer in these bytes. Raises `ValueError` for what is not JSON, or is JSON that only Python's own
        parser reads (NaN, 1e999, half of a surrogate pair), `RecursionError` where it is nested too deeply."""
        return self._with_extensions(self._decoder.decoder.decode(body))

    def convert(self, content: Mapping[str, Any]) -> Envelope:
        """The same of an answer that was read as any JSON."""
        return self._with_extensions(msgspec.convert(content, self._decoder.envelope))

    def data(self, content: Mapping[str, Json] | None, extensions: Json = None) -> object:
        """What stands for the `data` of an answer that was read as any JSON."""
        return self.convert({"data": content, EXTENSIONS: extensions}).data

    def _with_extensions(self, found: Any) -> Envelope:
        """The answer, whose data has the extensions among its fields if they are read."""
        if self._reads_extensions and isinstance(found.data, msgspec.Struct):
            setattr(found.data, attribute(EXTENSIONS), found.extensions)
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
            known = self._paths, self._whole, self._reads_extensions
            self._made = _decoders.get(known) or _decoders.setdefault(known, _Decoder(*known))
        return self._made


class _Decoder:
    """The types of an answer, and what decodes it to them."""

    def __init__(self, paths: tuple[Keys, ...], whole: frozenset[Keys], reads_extensions: bool) -> None:
        self.root = _object(paths, tuple(sorted(whole)))
        kinds = {
            "data": _of(_node(self.root)),
            "errors": _ERRORS,
            EXTENSIONS: _of(Any) if reads_extensions else _EXTENSIONS,
        }
        fields = [(key, kind, ABSENT) for key, kind in kinds.items()]
        self.envelope: type[Any] = msgspec.defstruct("Answer", fields, gc=False, eq=False)
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.envelope)


_decoders: WeakValueDictionary[tuple[tuple[Keys, ...], frozenset[Keys], bool], _Decoder] = WeakValueDictionary()


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


def _field(paths: Sequence[Keys], whole: Sequence[Keys]) -> Any:
    if () in whole:
        return _of(Any)
    kind = _object(paths, whole)
    return _LEAF if kind is Skipped else _of(_node(kind))


def key_of(name: str) -> str:
    """The response key of an attribute."""
    return name.removeprefix("f_")
