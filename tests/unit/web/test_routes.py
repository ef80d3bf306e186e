"""What answers a request, by path and method."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from exporter.web.messages import Answer, Request
from exporter.web.routes import Routes, below
from tests.support.effort import least_seconds
from tests.support.serving import ASite

ROUTES = {"/-/reload": {"POST": lambda: Answer.of(b"reloaded")}, "/config": {"GET": lambda: Answer.of(b"sources")}}


def request(path: str, method: str = "GET", search: str = "", **fields: str) -> Request:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Request(method, path, lines, "192.0.2.1", search)


def answer(routes: Routes, asked: Request) -> Answer:
    made = routes(asked)
    assert isinstance(made, Answer)
    return made


@pytest.fixture
def site() -> ASite:
    return ASite(rows=10)


@pytest.fixture
def routes(site: ASite) -> Routes:
    return Routes(site, "/metrics", ROUTES)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_metrics_come_as_they_are_asked_for(site: ASite, routes: Routes, method: str) -> None:
    """The form is that of the request's headers, and the answer says so."""
    plain = answer(routes, request("/metrics", method))
    assert (plain.status, plain.body) == (HTTPStatus.OK, site.expected())
    assert dict(plain.fields) == {
        b"content-type": b"text/plain; version=0.0.4; charset=utf-8",
        b"content-length": str(len(plain.body)).encode(),
        b"x-content-type-options": b"nosniff",
        b"vary": b"Accept, Accept-Encoding",
    }
    zipped = answer(routes, request("/metrics", method, accept="application/openmetrics-text", accept_encoding="gzip"))
    assert dict(zipped.fields)[b"content-encoding"] == b"gzip"
    assert dict(zipped.fields)[b"content-type"].startswith(b"application/openmetrics-text;")
    assert zipped.body.startswith(b"\x1f\x8b")


def test_the_same_page_is_the_same_answer(site: ASite, routes: Routes) -> None:
    """While the page is the same nothing is put together again; a new page is there at once."""
    before = answer(routes, request("/metrics"))
    assert answer(routes, request("/metrics")) is before
    site.own = b"own 2\n"
    after = answer(routes, request("/metrics"))
    assert after.body.endswith(b"own 2\n")
    answer(routes, request("/metrics", accept_encoding="gzip"))
    assert answer(routes, request("/metrics")).body == after.body


@pytest.mark.parametrize(("search", "sought"), [("q=a+b%26c", "a b&amp;c"), ("q=a&q=b", "a"), ("x=1", ""), ("", "")])
def test_what_is_sought_is_on_the_first_page(routes: Routes, search: str, sought: str) -> None:
    """The first `q` of the address, decoded."""
    assert f"Insights Exporter {sought}</title>".encode() in answer(routes, request("/", search=search)).body


def test_a_search_of_many_fields_costs_little(routes: Routes) -> None:
    """Whoever sends thousands of them holds up nobody, and is answered by the first."""

    def search(count: int) -> None:
        found = answer(routes, request("/", search="q=a&" + "%&" * count)).body
        assert b"Insights Exporter a</title>" in found

    assert least_seconds(lambda: search(8000)) < 20 * least_seconds(lambda: search(8))


def test_probes_say_what_the_site_says(site: ASite, routes: Routes) -> None:
    """200 or 503, in words."""
    for path, yes, no in (("/-/healthy", b"Healthy\n", b"Not healthy\n"), ("/-/ready", b"Ready\n", b"Not ready\n")):
        site.is_ready = site.is_healthy = True
        assert (answer(routes, request(path)).status, answer(routes, request(path, "HEAD")).body) == (200, yes)
        site.is_ready = site.is_healthy = False
        assert (answer(routes, request(path)).status, answer(routes, request(path)).body) == (503, no)


@pytest.mark.parametrize("path", ["/nothing", "", "//", "/metrics/", "/-/healthy/", "/-/"])
def test_what_is_not_there_is_not_found(routes: Routes, path: str) -> None:
    """A path is one of those that there are, to the letter."""
    assert answer(routes, request(path)).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/", "POST", b"GET, HEAD"),
        ("/metrics", "DELETE", b"GET, HEAD"),
        ("/-/ready", "PUT", b"GET, HEAD"),
        ("/config", "POST", b"GET, HEAD"),
        ("/-/reload", "GET", b"POST"),
        ("/-/reload", "HEAD", b"POST"),
    ],
)
def test_another_method_is_refused_with_those_that_work(routes: Routes, path: str, method: str, allowed: bytes) -> None:
    """405 and `Allow` (RFC 9110 §15.5.6)."""
    refused = answer(routes, request(path, method))
    assert (refused.status, dict(refused.fields)[b"allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, allowed)


def test_further_routes_have_their_methods(routes: Routes) -> None:
    """HEAD goes wherever GET does."""
    assert answer(routes, request("/-/reload", "POST")).body == b"reloaded"
    assert answer(routes, request("/config")).body == b"sources"
    assert answer(routes, request("/config", "HEAD")).body == b"sources"


def test_the_metrics_may_stand_elsewhere(site: ASite) -> None:
    """Then they are not where they usually are."""
    routes = Routes(site, "/other", {})
    assert answer(routes, request("/other")).body == site.expected()
    assert answer(routes, request("/metrics")).status == HTTPStatus.NOT_FOUND
    assert answer(routes, request("/other", "POST")).status == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/insights/-/healthy", 200, None),
        ("/insights/", 200, None),
        ("/insights", 302, b"/insights/"),
        ("/", 302, b"/insights/"),
        ("/-/healthy", 404, None),
        ("/insightsx/-/healthy", 404, None),
        ("/x/insights/-/healthy", 404, None),
        ("/insights/insights/-/healthy", 404, None),
    ],
)
def test_a_prefix_stands_before_every_path(routes: Routes, path: str, status: int, location: bytes | None) -> None:
    """The prefix alone, and /, lead to the first page; nothing is found without the prefix."""
    made = below("/insights", routes)(request(path))
    assert isinstance(made, Answer)
    assert (made.status.value, dict(made.fields).get(b"location")) == (status, location)
