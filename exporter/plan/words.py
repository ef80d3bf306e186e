"""The words of `map` and `states` against the type of the field that they are about: both ways. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from exporter.config.metric import Metric
from exporter.config.nodes import KeyPath
from exporter.document.document import FieldType
from exporter.model.suggestion import suggestion
from exporter.model.value import number_of
from exporter.plan.findings import KeyProblem

_NUMBERS: Final = ("Int", "Float")
_SHOWN: Final = 10


def word_problems(metric: Metric, kind: FieldType, place: KeyPath) -> Iterator[KeyProblem]:
    """Words that the field never is, of the metric that stands at `place`."""
    for key, word in _words(metric):
        if kind.name in _NUMBERS and number_of(word) is None:
            yield KeyProblem((*place, *key), f"{word} is no number, and {metric.value} is {kind.name}", "write numbers")
        elif (known := _words_of(kind)) and word not in known:
            remedy = suggestion(word, known) or f"it has: {_some(known)}"
            yield KeyProblem((*place, *key), f"{word} is no word of {kind.name}", remedy)


def omissions(metric: Metric, kind: FieldType, place: KeyPath) -> Iterator[KeyProblem]:
    """What is hardly meant: words that the field may be, and that nothing is said of."""
    named = {word for _, word in _words(metric)}
    missing = [word for word in _words_of(kind) if word not in named] if named else []
    if missing and metric.default is None:
        key, remedy = ("map", "add a number for each, or default") if metric.map else ("states", "add them to the list")
        yield KeyProblem((*place, key), f"leaves out words of {metric.value}: {_some(missing)}", remedy)


def _words(metric: Metric) -> Iterator[tuple[tuple[str, ...], str]]:
    for word in metric.map:
        yield ("map", word), word
    for word in metric.states.words if metric.states is not None else ():
        yield ("states",), word


def _words_of(kind: FieldType) -> Sequence[str]:
    return ("true", "false") if kind.name == "Boolean" else kind.enum_values


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
