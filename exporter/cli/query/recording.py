"""Answers kept in a file, to be read again without the API: a configuration can be tried with them.

Answers are found by query, source and variables as they are written: references to the source and to the time stay
`{{ references }}`, so that a file holds no credentials, and suits another day and another account.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from exporter.cli.account import fail
from exporter.cli.ad_hoc import Asked
from exporter.cli.atomic_file import atomic_file
from exporter.model.censor import EVERYTHING
from exporter.model.errors import ExporterError, Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import GraphQLError, Operation, Response
from exporter.model.samples import Json
from exporter.model.template import bind
from exporter.model.window import iso_text
from exporter.plan.plan import QueryPlan, Target
from exporter.polling.course import Course
from exporter.upstream.graphql import Client

_FORMAT: Final = "insights-exporter recording 1"
_MAX_BEGINNING: Final = 1000  # bytes, among which is the format


class RecordingError(ExporterError):
    """A file is no recording; the text says what is wrong."""


class RecordedAnswer(Struct, frozen=True):
    """The responses to one poll, a page each. `variables` are as written, bound with the target's values alone."""

    query: str
    source: str
    variables: Mapping[str, Json]
    responses: tuple[Response, ...]


class Recording(Struct, frozen=True):
    """Answers, and when they were given: Unix seconds."""

    time: float
    answers: tuple[RecordedAnswer, ...] = ()

    def client(self, course: Course, target: Target) -> Client:
        """A client that gives the answer to this query's request for that target."""
        try:
            wanted = EVERYTHING.clean_value(_as_written(course.query, target))
        except ResultFailure:  # which the poll fails with, too
            return _Replaying(())
        for answer in self.answers:
            if (answer.query, answer.source, answer.variables) == (*course.key, wanted):
                return _Replaying(answer.responses)
        return _Replaying(())


class _Replaying(Struct):
    """Gives responses in the order in which they came."""

    responses: tuple[Response, ...]
    position: int = field(default=0)

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The next response. Raises `UpstreamFailure` (`decode`) where there is none."""
        if self.position == len(self.responses):
            raise UpstreamFailure(Reason.DECODE, "the file has no answer to this request; save it again with --save")
        self.position += 1
        return self.responses[self.position - 1]


class _AsWritten(dict[str, Json]):
    """Values of references; what is not known stays a reference."""

    def __missing__(self, name: str) -> Json:
        return f"{{{{ {name} }}}}"


def _as_written(query: QueryPlan, target: Target) -> dict[str, Json]:
    values = _AsWritten(target.values)
    return {name: bind(template, values) for name, template in query.variables.items()}


def recording_of(asked: Iterable[Asked], time: float) -> Recording:
    """The recording of these polls; failed ones have no answer in it."""
    return Recording(
        time,
        tuple(
            RecordedAnswer(*one.course.key, _as_written(one.query, one.target), one.responses)
            for one in asked
            if one.responses
        ),
    )


def recording_json(recording: Recording) -> Json:
    """What the file says."""
    answers: list[Json] = [
        {
            "query": answer.query,
            "source": answer.source,
            "variables": dict(answer.variables),
            "responses": [_response_json(response) for response in answer.responses],
        }
        for answer in recording.answers
    ]
    at = iso_text(datetime.fromtimestamp(recording.time, UTC))
    return {"format": _FORMAT, "time": at, "answers": answers}


@contextmanager
def recording_errors() -> Iterator[None]:
    """Ends the command where a recording cannot be read, or not stand there."""
    try:
        yield
    except RecordingError as error:
        fail(str(error))


def keep_answers(file: Path, recording: Recording) -> bool:
    """Whether there was anything to keep. Without answers, a file with those of another day stays. Raises
    `RecordingError`."""
    if recording.answers:
        write_recording(file, EVERYTHING.clean_value(recording_json(recording)))
    return bool(recording.answers)


def check_place(file: Path) -> None:
    """Raises `RecordingError` unless a recording can stand there: a file that is something else is not replaced."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise RecordingError(f"{file}: is a link or no ordinary file, and is not written to; name another file")
    try:
        with file.open("rb") as stream:
            beginning = stream.read(_MAX_BEGINNING)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordingError(f"{file}: cannot be read: {error.strerror}; name another file") from None
    if beginning and _FORMAT.rpartition(" ")[0].encode() not in beginning:
        raise RecordingError(f"{file}: is there already and no recording, so it is not replaced; name another file")


def write_recording(file: Path, content: Json) -> None:
    """Writes such a file, for this user alone: answers are the account's data. Raises `RecordingError`."""
    check_place(file)
    try:
        with atomic_file(file, mode=0o600) as stream:
            stream.write(json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise RecordingError(f"{file}: cannot be written: {error.strerror}") from None


def read_recording(file: Path) -> Recording:
    """The recording in a file. Raises `RecordingError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordingError(f"{file}: cannot be read: {error.strerror}; name a file that --save has written") from None
    except (ValueError, RecursionError):
        raise RecordingError(f"{file}: not JSON in UTF-8; name a file that --save has written") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise RecordingError(f'{file}: has no "format": "{_FORMAT}"; name a file that --save has written')
    try:
        time = datetime.fromisoformat(content["time"]).timestamp()
        return Recording(time, tuple(_answer(answer) for answer in content["answers"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{file}: not a whole recording ({error}); save it again with --save") from None


def _answer(content: Mapping[str, Any]) -> RecordedAnswer:
    responses = tuple(_response(response) for response in content["responses"])
    return RecordedAnswer(str(content["query"]), str(content["source"]), dict(content["variables"]), responses)


def _response(content: Mapping[str, Any]) -> Response:
    errors = tuple(GraphQLError(error["message"], tuple(error.get("path", ()))) for error in content.get("errors", ()))
    if not isinstance(content["data"], dict):
        raise ValueError("data is not an object")
    return Response(content["data"], errors, extensions=content.get("extensions"))


def _response_json(response: Response) -> Json:
    errors: list[Json] = [{"message": error.message, "path": list(error.path)} for error in response.errors]
    extensions = {} if response.extensions is None else {"extensions": response.extensions}
    return {"data": response.data, **({"errors": errors} if errors else {}), **extensions}
