"""What answers a request, by path and method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qs

from msgspec.structs import replace

from exporter.web.messages import Answer, Application, Request
from exporter.web.negotiation import Representation, representation

_MAX_FIELDS: Final = 8
_MAX_SEARCH: Final = 4096  # a filter has 200 characters at most, of 12 here
Handler: TypeAlias = Callable[[], Answer | Awaitable[Answer]]


class Site(Protocol):
    """What there is to see. All of it is called in the event loop, for each request, and must not wait."""

    def metrics(self, form: Representation) -> bytes:
        """The body of `/metrics` in that form."""

    def home(self, sought: str, *, refresh: bool) -> Answer | Awaitable[Answer]:
        """The page at `/`: what its filter holds (`?q=`), and whether it loads itself again (`?refresh`)."""

    def healthy(self) -> bool:
        """Whether the process does its work."""

    def ready(self) -> bool:
        """Whether the configuration is loaded and every query has been tried, well or badly."""


class Routes:
    """Finds out what answers a request."""

    def __init__(self, site: Site, telemetry_path: str, routes: Mapping[str, Mapping[str, Handler]]) -> None:
        self._site = site
        self._telemetry_path = telemetry_path
        self._metrics_answers: dict[Representation, Answer] = {}
        self._routes: dict[str, Mapping[str, Handler]] = {
            "/": {"GET": lambda: Answer.of(b"")},  # as the metrics
            "/-/healthy": {"GET": lambda: _probe(site.healthy(), "Healthy", "Not healthy")},
            "/-/ready": {"GET": lambda: _probe(site.ready(), "Ready", "Not ready")},
            telemetry_path: {"GET": lambda: Answer.of(b"")},  # answered apart, stands here for its methods
            **routes,
        }

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        if request.path == self._telemetry_path and request.method in ("GET", "HEAD"):
            return self._metrics(request)
        if request.path == "/" and request.method in ("GET", "HEAD"):
            asked = _fields(request.search)
            return self._site.home(asked.get("q", [""])[0], refresh="refresh" in asked)
        handlers = self._routes.get(request.path)
        if handlers is None:
            return Answer.plain(HTTPStatus.NOT_FOUND)
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allowed = [*handlers, "HEAD"] if "GET" in handlers else [*handlers]
            return Answer.plain(HTTPStatus.METHOD_NOT_ALLOWED, (("allow", ", ".join(sorted(allowed))),))
        return handler()

    def _metrics(self, request: Request) -> Answer:
        form = representation(request.field(b"accept"), request.field(b"accept-encoding"))
        body = self._site.metrics(form)
        answer = self._metrics_answers.get(form)
        if answer is None or answer.body is not body:
            self._metrics_answers.clear()  # not to keep a body that nobody asks for any more
            coding = (("content-encoding", "gzip"),) if form.gzip else ()
            answer = Answer.of(body, form.content_type, fields=(("vary", "Accept, Accept-Encoding"), *coding))
            self._metrics_answers[form] = answer
        return answer


def _fields(search: str) -> dict[str, list[str]]:
    """The fields of a form. Its few come first: the rest, which may be thousands, is not looked at."""
    first = "&".join(search[:_MAX_SEARCH].split("&", _MAX_FIELDS)[:_MAX_FIELDS])
    return parse_qs(first, keep_blank_values=True)


def below(prefix: str, application: Application) -> Application:
    """The application with the prefix before its paths; the prefix alone, and /, lead to its first page."""

    def answer(request: Request) -> Answer | Awaitable[Answer]:
        if request.path in ("/", prefix):
            return Answer.plain(HTTPStatus.FOUND, (("location", f"{prefix}/"),))
        if not request.path.startswith(f"{prefix}/"):
            return Answer.plain(HTTPStatus.NOT_FOUND)
        return application(replace(request, path=request.path.removeprefix(prefix)))

    return answer


def _probe(good: bool, yes: str, no: str) -> Answer:
    if good:
        return Answer.of(f"{yes}\n".encode())
    return Answer.of(f"{no}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
