"""Who is let in by a web configuration, with which headers, and what a flood of wrong passwords does."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest

from exporter.web.basic_auth import MAX_WAITING_PER_CLIENT
from exporter.web.messages import Answer
from exporter.web.web_config import WebConfiguration
from tests.support.processes import get, http_client
from tests.support.serving import ASite, Running, eventually, received, running

PASSWORD = "s3cr3t: ü"
PATHS = ("/metrics", "/", "/-/healthy", "/-/ready", "/nothing")


def hashed(password: str | bytes, rounds: int = 4) -> str:
    content = password.encode() if isinstance(password, str) else password
    return bcrypt.hashpw(content[:72], bcrypt.gensalt(rounds)).decode()


def authorization(user: str, password: str | bytes) -> str:
    content = password.encode() if isinstance(password, str) else password
    return f"Basic {base64.b64encode(user.encode() + b':' + content).decode()}"


def ask(web: Running, path: str, user: str, password: str | bytes) -> httpx.Response:
    return get(web.url + path, headers={"Authorization": authorization(user, password)}, verify=False)


@contextlib.contextmanager
def guarded(folder: Path, config: object, site: ASite | None = None) -> Iterator[Running]:
    """A web server behind that web configuration."""
    file = folder / "web.yml"
    file.write_text(json.dumps(config))
    web_config = WebConfiguration(file)

    async def later() -> Answer:
        return Answer.of(b"done\n")

    routes = {"/later": {"GET": later}}
    with contextlib.closing(web_config), running(site or ASite(100), guard=web_config.guarded, routes=routes) as web:
        yield web


def test_who_has_the_password_sees_every_page(tmp_path: Path) -> None:
    """Basic authentication stands before all paths, the probes' too, as with every exporter of the toolkit."""
    users = {"alice": hashed(PASSWORD), "bob": hashed("other").replace("$2b$", "$2y$")}
    with guarded(tmp_path, {"basic_auth_users": users}) as web:
        for path in PATHS:
            refused = get(web.url + path)
            assert (refused.status_code, refused.text) == (401, "Unauthorized\n")
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="insights-exporter", charset="UTF-8"'
        for user, password in (("alice", PASSWORD), ("bob", "other")):
            for _ in range(2):  # the second time without a hash
                assert [ask(web, path, user, password).status_code for path in PATHS] == [200, 200, 200, 200, 404]
        assert ask(web, "/later", "bob", "other").text == "done\n"
        assert web.server.requests_by_code["401"] == len(PATHS)


@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", "wrong"), ("alice", ""), ("", PASSWORD), ("mallory", PASSWORD), ("bob", PASSWORD), ("Alice", PASSWORD)],
)
def test_everybody_else_sees_nothing(tmp_path: Path, user: str, password: str) -> None:
    """A wrong password, a user that is not, and another user's password: refused each time, before and after alice."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(PASSWORD), "bob": hashed("other")}}) as web:
        assert ask(web, "/metrics", user, password).status_code == 401
        assert ask(web, "/metrics", "alice", PASSWORD).status_code == 200
        for _ in range(2):
            assert ask(web, "/metrics", user, password).status_code == 401


def test_what_is_remembered_means_one_thing_only(tmp_path: Path) -> None:
    """CVE-2022-46146: users whose name, hash and password read the same when joined are not taken for each other."""
    other_hash = hashed("other")
    password = f"x{other_hash}y"
    known_hash = hashed(password)
    other = f"alice{known_hash}x"
    with guarded(tmp_path, {"basic_auth_users": {"alice": known_hash, other: other_hash}}) as web:
        assert f"alice{known_hash}{password}" == f"{other}{other_hash}y"
        for _ in range(2):
            assert ask(web, "/metrics", "alice", password).status_code == 200
            assert ask(web, "/metrics", other, "y").status_code == 401
        assert ask(web, "/metrics", other, "other").status_code == 200


@pytest.mark.parametrize("password", ["x" * 72, "x" * 100, b"a\0b", b"\xff\xfe", "a:b"])
def test_unusual_passwords(tmp_path: Path, password: str | bytes) -> None:
    """Long ones (bcrypt reads 72 bytes), and bytes that are no text; what differs in what is read is refused."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(password)}}) as web:
        assert ask(web, "/metrics", "alice", password).status_code == 200
        assert ask(web, "/metrics", "alice", password[:1]).status_code == 401


def test_an_upload_of_credentials_without_end_is_refused(tmp_path: Path) -> None:
    """Credentials of some kilobytes are no credentials, and cost nothing."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(PASSWORD)}}) as web:
        assert ask(web, "/metrics", "alice", "x" * 8000).status_code == 401


def test_headers_come_with_every_answer(tmp_path: Path) -> None:
    """The configured ones, on refusals too; a page's own header stays, and an empty one is not sent."""
    headers = {
        "Content-Security-Policy": "default-src 'self'",
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "",
    }
    config = {"basic_auth_users": {"alice": hashed(PASSWORD)}, "http_server_config": {"headers": headers}}
    with guarded(tmp_path, config) as web:
        answers = [get(web.url + "/metrics")]
        answers += [ask(web, path, "alice", PASSWORD) for path in (*PATHS, "/later")]
        for answer in answers:
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert answer.headers["X-Frame-Options"] == "deny"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "X-XSS-Protection" not in answer.headers
        assert ask(web, "/metrics", "alice", PASSWORD).headers["Content-Security-Policy"] == "default-src 'self'"
        assert "default-src 'none'" in ask(web, "/", "alice", PASSWORD).headers["Content-Security-Policy"]
        assert len(ask(web, "/", "alice", PASSWORD).headers.get_list("Content-Security-Policy")) == 1


def test_scrapes_go_on_while_wrong_passwords_rain(tmp_path: Path) -> None:
    """Row 71: hundreds of wrong passwords and unknown users, in many connections; every scrape is answered."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(PASSWORD, 6)}}) as web:
        scraper = http_client(base_url=web.url, headers={"Authorization": authorization("alice", PASSWORD)})
        with scraper:
            assert scraper.get("/metrics").status_code == 200
            codes: list[int] = []

            def attack(user: str) -> None:
                with http_client(base_url=web.url) as client:
                    for number in range(40):
                        header = {"Authorization": authorization(user, f"wrong {number}")}
                        codes.append(client.get("/metrics", headers=header).status_code)

            attackers = [threading.Thread(target=attack, args=(f"{'alice' if n % 2 else n}",)) for n in range(12)]
            for attacker in attackers:
                attacker.start()
            scrapes = 0
            while any(attacker.is_alive() for attacker in attackers):
                assert scraper.get("/metrics").status_code == 200
                scrapes += 1
            assert scrapes > 10
            assert len(codes) == 480
            assert set(codes) <= {401, 429}
            assert codes.count(401) >= 40
        assert web.server.connections < 20


def test_a_hash_that_is_being_computed_holds_up_nobody_who_was_let_in(tmp_path: Path) -> None:
    """Hashes cost the event loop nothing: who was let in is answered before those who came earlier with no password."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(PASSWORD, 11)}}) as web:
        assert ask(web, "/metrics", "alice", PASSWORD).status_code == 200

        def overtakes() -> bool:
            with contextlib.ExitStack() as stack:
                waiting = wrong_passwords(web, stack)
                assert ask(web, "/metrics", "alice", PASSWORD).status_code == 200
                overtaken = not select.select(waiting[-1:], [], [], 0)[0]
                assert all(received(client).startswith(b"HTTP/1.1 401 ") for client in waiting)
                return overtaken

        assert eventually(overtakes)  # at once, but where this test gets no processor for a second


def test_too_many_that_wait_are_refused(tmp_path: Path) -> None:
    """An unknown user waits for a hash as a known one does, and who is too much of it is told to come later."""
    with guarded(tmp_path, {"basic_auth_users": {"alice": hashed(PASSWORD, 11)}}) as web:

        def refused() -> bool:
            with contextlib.ExitStack() as stack:
                waiting = wrong_passwords(web, stack)
                answer = ask(web, "/metrics", "nobody", "wrong")
                assert all(received(client).startswith(b"HTTP/1.1 401 ") for client in waiting)
                return answer.status_code == 429 and answer.headers["Retry-After"] == "1"

        assert eventually(refused)
        assert eventually(lambda: ask(web, "/metrics", "nobody", "wrong").status_code == 401)


def wrong_passwords(web: Running, stack: contextlib.ExitStack) -> list[socket.socket]:
    """As many clients as may wait, each with a wrong password; every second is of no user."""
    waiting = []
    for number in range(MAX_WAITING_PER_CLIENT):
        client = stack.enter_context(web.connect())
        header = authorization("alice" if number % 2 else "nobody", "wrong")
        client.sendall(f"GET /metrics HTTP/1.0\r\nAuthorization: {header}\r\n\r\n".encode())
        waiting.append(client)
    return waiting
