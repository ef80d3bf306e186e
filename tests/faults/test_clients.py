"""Rows of clients of the exporter that are broken or hostile: plain, and over TLS with passwords."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt
import pytest

from tests.faults.configuration import query, source_of, written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN, breaches
from tests.support.certificates import authority_file, pair, trusting
from tests.support.processes import Exporter, Snapshot, eventually
from tests.support.upstream import Upstream

pytestmark = pytest.mark.timeout(240)

BOUND_SECONDS: Final = 5.0
SECRET: Final = "canary-of-the-clients"
PASSWORD: Final = "right"
HASH: Final = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@dataclass(frozen=True, slots=True)
class Site:
    """An exporter's pages, and how its clients reach them."""

    exporter: Exporter
    folder: Path
    tls: bool

    def connected(self, *, handshake: bool = True, small: bool = False) -> socket.socket:
        """A connection, over TLS if the site has it; a small one takes little before it is read."""
        client = socket.socket()
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", self.exporter.port))
        return self.trusting.wrap_socket(client, server_hostname="localhost") if self.tls and handshake else client

    @property
    def trusting(self) -> ssl.SSLContext:
        return trusting()

    def get(self, path: str = "/metrics", user: str = "reader", password: str = PASSWORD) -> tuple[int, str]:
        """Status and text of a page."""
        client: http.client.HTTPConnection
        if self.tls:
            client = http.client.HTTPSConnection("localhost", self.exporter.port, timeout=30, context=self.trusting)
        else:
            client = http.client.HTTPConnection("127.0.0.1", self.exporter.port, timeout=30)
        pair_ = b64encode(f"{user}:{password}".encode()).decode()
        client.request("GET", path, headers={"authorization": f"Basic {pair_}"})
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text

    def check_scrapes(self) -> None:
        """Fails unless scrapes are answered, and in time."""
        for _ in range(5):
            begun_at = time.monotonic()
            code, text = self.get()
            assert code == 200
            assert time.monotonic() - begun_at < BOUND_SECONDS
        assert Snapshot(text).total(f"{OWN}query_up") == 1

    def value(self, name: str, **labels: str) -> float:
        return Snapshot(self.get()[1]).total(OWN + name, **labels)


def started(
    folder: Path, upstream: Upstream, *, tls: bool, interval: str = "4s", prefix: tuple[str, ...] = ()
) -> Exporter:
    config = written(folder / "config.yaml", [source_of(upstream)], [query("sound", interval)])
    flags = []
    if tls:
        authority_file(folder)
        files = pair(folder, "localhost")
        (folder / "web.yaml").write_text(
            json.dumps(
                {
                    "tls_server_config": {"cert_file": str(files.cert), "key_file": str(files.key)},
                    "basic_auth_users": {"reader": HASH},
                }
            )
        )
        flags = [f"--web.config.file={folder / 'web.yaml'}"]
    environ = {"CANARY_SECRET": SECRET}
    return Exporter(config, folder / "log", "--log.level=debug", *flags, environ=environ, prefix=prefix)


def ready(site: Site) -> bool:
    assert site.exporter.popen.poll() is None, site.exporter.log
    with suppress(OSError, http.client.HTTPException):
        return site.get("/-/ready")[0] == 200
    return False


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Site]]:
    """A plain site, and one over TLS with passwords."""
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(token_prefix=f"{SECRET}-"))
        found = {}
        for tls in (False, True):
            folder = Path(tmp_path_factory.mktemp("site"))
            found[tls] = Site(stack.enter_context(started(folder, upstream, tls=tls)), folder, tls)
        for site in found.values():
            eventually(lambda site=site: ready(site), "readiness", 60)  # type: ignore[misc]
        yield found
        assert not breaches(found[False].exporter, SECRET)
        for site in found.values():
            assert site.exporter.popen.poll() is None
            for text in ("Traceback", SECRET, PASSWORD, HASH):
                assert text not in site.exporter.log


@pytest.fixture(params=[pytest.param(False, id="plain"), pytest.param(True, id="tls")])
def site(request: pytest.FixtureRequest, sites: dict[bool, Site]) -> Site:
    return sites[request.param]


@pytest.fixture(scope="module", autouse=True)
def stalled(sites: dict[bool, Site]) -> Iterator[float]:
    """Five scrapers of each site that ask for many pages and read nothing; since when at the earliest (monotonic)."""
    begun_at = time.monotonic()
    headers = f"host: x\r\nauthorization: Basic {b64encode(f'reader:{PASSWORD}'.encode()).decode()}\r\n\r\n"
    with ExitStack() as stack:
        for site in sites.values():
            for _ in range(5):
                client = stack.enter_context(site.connected(small=True))
                client.sendall(f"GET /metrics HTTP/1.1\r\n{headers}".encode() * 800)
            eventually(lambda site=site: site.value("web_connections") >= 5, "stalled scrapers")  # type: ignore[misc]
        yield begun_at


def test_row_68_silent_tls_client(sites: dict[bool, Site]) -> None:
    """Clients that connect to the TLS port and say nothing hold up nobody."""
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(sites[True].connected(handshake=False))
        sites[True].check_scrapes()


HOSTILE: Final = {
    "a request line of 1 MB": (b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n\r\n", 431),
    "a header of 1 MB": (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n", 431),
    "100 000 headers": (b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 100_000 + b"\r\n", 431),
    "no method": (b"BREW /metrics HTTP/1.1\r\n\r\n", 400),
    "a method that is not for this page": (b"DELETE /metrics HTTP/1.1\r\nhost: x\r\n\r\n", 405),
    "a path that climbs": (b"GET /../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 404),
    "HTTP/0.9": (b"GET /metrics\r\n\r\n", 400),
    "a body of 1 GB": (b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n", 413),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}


def test_row_70_hostile_requests(sites: dict[bool, Site]) -> None:
    """Requests that are too large, malformed or for what is not there get the status that says so."""
    site = sites[False]
    before = Snapshot(site.get()[1])
    for what, (sent, expected) in HOSTILE.items():
        with site.connected() as client:
            with suppress(ConnectionError):  # it may have heard enough
                client.sendall(sent)
            line = client.makefile("rb").readline().decode()
            assert line.startswith(f"HTTP/1.1 {expected} "), f"{what}: {line!r}"
    for code, count in Counter(str(expected) for _, expected in HOSTILE.values()).items():
        told = before.total(f"{OWN}web_requests_total", code=code) + count
        eventually(lambda code=code, told=told: site.value("web_requests_total", code=code) >= told, f"count of {code}")  # type: ignore[misc]
    with site.connected() as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n" * 999 + b"GET / HTTP/1.0\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 1000
    site.check_scrapes()


def test_row_71_wrong_passwords(sites: dict[bool, Site]) -> None:
    """Wrong passwords, unknown users and forged pairs are refused; who has the right one is served meanwhile."""
    site = sites[True]
    site.check_scrapes()
    refused: list[int] = []

    def guess(offset: int) -> None:
        with site.connected() as client:
            reading = client.makefile("rb")
            for number in range(250):
                user = ("reader", f"nobody{number}")[number % 2]
                forged = b64encode(f"{user}:guess-{offset}-{number}".encode()).decode()
                client.sendall(f"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Basic {forged}\r\n\r\n".encode())
                refused.append(int(reading.readline().split()[1]))
                head = b"".join(iter(reading.readline, b"\r\n"))
                length = re.search(rb"content-length: (\d+)", head)
                assert length
                reading.read(int(length[1]))

    guessing = [threading.Thread(target=guess, args=(offset,)) for offset in range(4)]
    for thread in guessing:
        thread.start()
    while any(thread.is_alive() for thread in guessing):
        site.check_scrapes()
    assert len(refused) == 1000
    assert set(refused) <= {401, 429}
    for user, password in (("reade", f"r{HASH}{PASSWORD}"), (f"reader{HASH}", PASSWORD), ("reader", ""), ("", "")):
        assert site.get(user=user, password=password)[0] == 401
    assert site.value("web_requests_total", code="401") >= 4


def test_row_72_web_certificate_changes(sites: dict[bool, Site]) -> None:
    """A new certificate is used without a restart; garbage in its place is told, and the old one stays in use."""
    site = sites[True]

    def presented() -> bytes | None:
        with site.connected() as client:
            assert isinstance(client, ssl.SSLSocket)
            return client.getpeercert(binary_form=True)

    first = presented()
    pair(site.folder, "localhost")
    second = eventually(lambda: (now := presented()) != first and now, "the new certificate")
    good = (site.folder / "server.crt").read_text()
    (site.folder / "server.crt").write_text("this is no certificate")
    eventually(lambda: site.value("web_config_last_reload_successful") == 0, "the notice of garbage")
    assert presented() == second
    site.check_scrapes()
    (site.folder / "server.crt").write_text(good)
    eventually(lambda: site.value("web_config_last_reload_successful") == 1, "recovery")


def test_row_67_slow_loris(site: Site) -> None:
    """300 clients that never finish their request hold up no scraper, and are closed at their deadline."""
    others = site.value("web_connections")
    with ExitStack() as stack:
        half_open = [stack.enter_context(site.connected(handshake=number % 2 == 0)) for number in range(300)]
        for client in half_open[::2]:
            client.sendall(b"GET /met")
        eventually(lambda: site.value("web_connections") >= 100, "half-open connections")  # handshakes do not count
        site.check_scrapes()
        eventually(lambda: site.value("web_connections") <= others + 1, "end of the half-open connections", 60)
        site.check_scrapes()


def test_row_69_scraper_stops_reading(site: Site, stalled: float) -> None:
    """Scrapers that do not take what they asked for are closed at the deadline for that, half a minute."""
    site.check_scrapes()
    eventually(lambda: site.value("web_connections") <= 1, "end of the stalled connections", 90)
    assert time.monotonic() - stalled >= 25, "they were closed early, or did not stall"


def test_row_80_no_descriptors(start: Start, upstream: Upstream, stack: ExitStack) -> None:
    """A flood of clients beyond the limit of file descriptors passes; afterwards everything works again."""
    prefix = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]
    exporter = start([source_of(upstream)], [query("sound", "3s")], prefix=prefix).wait_until_ready()
    with ExitStack() as flood:
        for _ in range(200):
            client = flood.enter_context(socket.create_connection(("127.0.0.1", exporter.port)))
            with suppress(ConnectionError):
                client.sendall(b"GET /met")
        upstream.close_connections()  # so that a poll needs a descriptor too
        asked = len(upstream.api.journal)
        eventually(lambda: len(upstream.api.journal) > asked + 1, "polls meanwhile")
    polls = exporter.value(f"{OWN}polls_total") or 0
    eventually(lambda: (exporter.value(f"{OWN}polls_total") or 0) > polls + 1, "polls afterwards")
    assert exporter.value(f"{OWN}query_up") == 1
