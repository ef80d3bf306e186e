"""Which requests are another site's."""

from __future__ import annotations

import socket

import pytest

from exporter.web.messages import Answer, Request
from exporter.web.origin import own_names, same_site

NAMES = own_names(["exporter.example.com", None, "127.0.0.1", "localhost", "listening"])


def status(method: str, path: str, fields: dict[str, str], names: frozenset[str] | None = NAMES) -> int:
    lines = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    answer = same_site(lambda _: Answer.of(b""), names)(Request(method, path, lines, "192.0.2.1"))
    assert isinstance(answer, Answer)
    return answer.status.value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://a.example"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "10.1.2.3:10093", "Origin": "http://10.1.2.3:10093"}, 200),
        ({"Host": "Exporter:10093", "Origin": "http://exporter:10093"}, 200),
        ({"Host": "10.1.2.3:10093", "Origin": "http://evil.example"}, 403),
        ({"Host": "10.1.2.3:10093", "Origin": "http://10.1.2.3"}, 403),
        ({"Host": "10.1.2.3:10093", "Origin": "null"}, 403),
        ({"Host": "10.1.2.3:10093", "Origin": "http://[bad"}, 403),
        ({"Host": "10.1.2.3", "X-Forwarded-Host": "a.example", "Origin": "https://a.example"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/-/reload", "/-/renew-token"])
def test_posts_of_another_site(path: str, fields: dict[str, str], expected: int) -> None:
    """curl and our own pages may post; a form or a script of another site may not."""
    assert status("POST", path, fields) == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        "10.1.2.3:10093",
        "127.0.0.1",
        "[::1]:10093",
        "[2001:db8::1]",
        "localhost:10093",
        "LOCALHOST.",
        "a.localhost:1",
        "exporter:10093",
        "listening:10093",
        f"{socket.gethostname().upper()}:10093",
        f"{socket.gethostname()}.example.com",
        "Exporter.Example.com:10093",
        "insights.monitoring.svc",
        "insights.monitoring.svc.cluster.local:10093",
        "box.lan",
        "box.home.arpa",
    ],
)
def test_pages_are_shown_under_names_that_no_stranger_owns(host: str) -> None:
    """Addresses, this machine's names, and those of domains that nobody can buy."""
    for path in ("/", "/config"):
        assert status("GET", path, {"Host": host}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:10093",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "listening.evil.example",
        "exporter.example.com.evil.example",
        "10.1.2.3x",
    ],
)
def test_pages_are_not_shown_under_a_foreign_name(host: str) -> None:
    """DNS rebinding: a stranger's name that leads here shows nothing; what is scraped or probed works."""
    for path in ("/", "/config"):
        assert status("GET", path, {"Host": host}) == 403
        assert status("GET", path, {"Host": host, "X-Forwarded-For": "192.0.2.7"}) == 200
        assert status("GET", path, {"Host": host}, None) == 200
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert status("GET", path, {"Host": host}) == 200


def test_browsers_change_nothing_under_a_foreign_name() -> None:
    """DNS rebinding: the stranger's page and what it posts to are one site for the browser. Programs may post."""
    host = {"Host": "rebind.evil.example:10093"}
    for path in ("/-/reload", "/-/renew-token"):
        for browser in ({"Origin": "http://rebind.evil.example:10093"}, {"Sec-Fetch-Site": "same-origin"}):
            assert status("POST", path, {**host, **browser}) == 403
            assert status("POST", path, {**host, **browser}, None) == 200
            assert status("POST", path, {**host, **browser, "X-Forwarded-For": "192.0.2.7"}) == 200
        assert status("POST", path, host) == 200
        own = {"Host": "exporter.example.com:10093", "Origin": "http://exporter.example.com:10093"}
        assert status("POST", path, own) == 200


def test_pages_are_not_shown_inside_of_another_site() -> None:
    """A link that a person follows works; a frame, an image or a script does not."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path in ("/", "/config"):
        assert status("GET", path, link) == 200
        assert status("GET", path, {**link, "Sec-Fetch-Dest": "iframe"}) == 403
        assert status("GET", path, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 403
        assert status("GET", path, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) == 200
    assert status("GET", "/metrics", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 200
