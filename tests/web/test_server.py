"""The HTTP server over real sockets: routes, refusals, addresses, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus

import httpx
import pytest
import uvloop

from exporter.exposition import Format, body
from exporter.model.listen_address import ListenAddress
from exporter.model.samples import Samples
from exporter.web.messages import Answer
from exporter.web.routes import Handler
from exporter.web.server import ListenError, WebServer
from tests.support.logs import printed
from tests.support.processes import get, http_client
from tests.support.serving import FAMILY, PATIENCE_SECONDS, ASite, eventually, is_closed, received, running

CUT_REQUESTS = (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n" * 20, b"NONSENSE\r\n\r\n")


@pytest.fixture
def site() -> ASite:
    return ASite()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the program would print."""
    with printed() as stream:
        yield stream


# routes


@pytest.mark.parametrize("loop_of", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_metrics_come_in_the_form_that_was_asked_for(
    site: ASite, loop_of: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Format and coding are negotiated, and the answer says what it is and what it depends on."""
    with running(site, loop_of=loop_of) as web, http_client(base_url=web.url) as client:
        plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
        assert (plain.status_code, plain.content) == (200, site.expected())
        assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert plain.headers["Content-Length"] == str(len(plain.content))
        assert plain.headers["Vary"] == "Accept, Accept-Encoding"
        assert "Content-Encoding" not in plain.headers
        zipped = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert zipped.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert zipped.content == site.expected(Format.OPENMETRICS)
        assert client.get("/metrics?x=1&y").content == site.expected()


def test_two_header_lines_are_one_list(site: ASite) -> None:
    """`Accept` may be sent in several lines, as any list (RFC 9110 §5.3)."""
    with running(site) as web:
        accepts = [("Accept", "text/plain;q=0.1"), ("Accept", "application/openmetrics-text")]
        answer = get(web.url + "/metrics", headers=accepts)
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text;")


def test_a_new_page_is_served_at_once(site: ASite) -> None:
    """The scrape after a poll has its values, on a connection that stays open."""
    with running(site) as web, http_client(base_url=web.url) as client:
        client.get("/metrics")
        site.board.put("owner", FAMILY, body(Samples.of(FAMILY, {("new", "200"): 1})))
        assert 'api="new"' in client.get("/metrics").text
        assert web.server.connections == 1


@pytest.mark.parametrize("loop_of", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_the_same_page_again_is_the_same_to_the_byte(
    site: ASite, loop_of: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """However often a page is scraped, by however slow readers, and whatever comes between, every byte arrives once."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request[:-2] + b"Connection: close\r\n\r\n"
    with running(site, loop_of=loop_of) as web, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(web.connect(receive_buffer=size)) for size in (4096, 65536, 1 << 20)]
        before = site.expected()
        for client in clients:
            client.sendall(3 * request)
        site.board.put("another", FAMILY, body(Samples.of(FAMILY, {("later", "200"): 1})))
        for client in clients:
            client.sendall(2 * request + last)
        for client in clients:
            answers = received(client).split(b"HTTP/1.1 200 OK\r\n")[1:]
            pages = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
            assert len(pages) == 6
            assert pages[-1] == site.expected()
            assert set(pages) <= {before, site.expected()}


def test_gzip_is_one_member_for_every_decoder(site: ASite) -> None:
    """Python, httpx and curl all see every series: nothing follows the first gzip member."""
    with running(site) as web:
        with httpx.stream("GET", web.url + "/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join(answer.iter_raw())
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert decoder.decompress(raw) == site.expected()
        assert decoder.eof
        assert decoder.unused_data == b""
        assert gzip.decompress(raw) == site.expected()
        assert get(web.url + "/metrics").content == site.expected()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sees_every_series(site: ASite) -> None:
    """What a person does first."""
    with running(site) as web:
        command = [shutil.which("curl") or "", "-sSf", "--compressed", web.url + "/metrics"]
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
        assert done.stdout == site.expected()


def test_head_is_get_without_its_body(site: ASite) -> None:
    """Monitoring tools that ask with HEAD get the same header fields, on every path."""
    with running(site) as web, http_client(base_url=web.url) as client:
        for path in ("/metrics", "/", "/-/healthy", "/-/ready", "/nothing"):
            get, head = client.get(path), client.head(path)
            assert head.status_code == get.status_code
            assert head.content == b""
            assert head.headers["Content-Length"] == get.headers["Content-Length"]
            assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_the_home_page_is_html_that_loads_nothing(site: ASite) -> None:
    """A browser shows the page as it is and fetches nothing for it."""
    with running(site) as web:
        answer = get(web.url + "/")
        assert answer.content == site.home("", refresh=False).body
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_probes_say_what_the_site_says(site: ASite) -> None:
    """`/-/healthy` and `/-/ready` are 200 or 503."""
    with running(site) as web, http_client(base_url=web.url) as client:
        assert (client.get("/-/healthy").status_code, client.get("/-/ready").status_code) == (200, 200)
        site.is_ready = site.is_healthy = False
        assert (client.get("/-/healthy").status_code, client.get("/-/ready").status_code) == (503, 503)


def test_what_is_not_there_is_not_found_and_other_methods_are_refused(site: ASite) -> None:
    """404 for other paths; 405 that says what is allowed."""
    with running(site) as web, http_client(base_url=web.url) as client:
        for path in ("/metricsx", "/metrics/", "/favicon.ico", "/%2e%2e/etc/passwd"):
            assert client.get(path).status_code == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"):
            answer = client.request(method, "/metrics")
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert client.get("/%6Detrics").status_code == 200
        codes = web.server.requests_by_code
        assert eventually(lambda: codes == {"404": 4, "405": 7, "200": 1})


def test_the_telemetry_path_can_be_another(site: ASite) -> None:
    """`--web.telemetry-path` moves the metrics and leaves nothing behind."""
    with running(site, telemetry_path="/insights") as web, http_client(base_url=web.url) as client:
        assert client.get("/insights").content == site.expected()
        assert client.get("/metrics").status_code == 404


def test_further_routes_may_take_their_time(site: ASite) -> None:
    """A handler may wait for something, while the connection's next request waits for it."""
    begun, go_on = threading.Event(), threading.Event()

    async def reload() -> Answer:
        begun.set()
        await asyncio.to_thread(go_on.wait, PATIENCE_SECONDS)
        return Answer.of(b"reloaded\n")

    def config() -> Answer | Awaitable[Answer]:
        return Answer.of(b"sources: []\n", "application/yaml")

    routes: dict[str, dict[str, Handler]] = {"/-/reload": {"POST": reload}, "/config": {"GET": config}}
    with running(site, routes=routes) as web, web.connect() as client, http_client(base_url=web.url) as other:
        client.sendall(
            b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
            b"GET /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert begun.wait(PATIENCE_SECONDS)
        assert other.get("/config").text == "sources: []\n"
        assert other.get("/-/reload").headers["Allow"] == "POST"
        go_on.set()
        answers = received(client)
    assert re.findall(rb"^HTTP/1.1 (\d+)", answers, re.MULTILINE) == [b"200", b"200"]
    assert answers.index(b"reloaded") < answers.index(b"sources")


def test_a_fault_of_ours_is_500_without_its_text(site: ASite, log: io.StringIO) -> None:
    """The client learns nothing of the inside, the log does, and the next scrape works."""

    async def broken() -> Answer:
        raise RuntimeError("another fault of ours")

    with running(site, routes={"/later": {"GET": broken}}) as web, http_client(base_url=web.url) as client:
        site.broken = True
        for path in ("/metrics", "/later"):
            answer = client.get(path)
            assert (answer.status_code, answer.text) == (500, "Internal Server Error\n")
        site.broken = False
        assert client.get("/metrics").status_code == 200
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["level"], line["msg"], line["path"]) for line in lines] == [
        ("error", "a request could not be answered", "/metrics"),
        ("error", "a request could not be answered", "/later"),
    ]


# what clients do wrong


WRONG_REQUESTS = [
    pytest.param(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, id="1 MB request line"),
    pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n", 431, id="1 MB header field"),
    pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", 431, id="many header fields"),
    pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431, id="a little too much"),
    pytest.param(b"GET /" + b"%" * 2048 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, id="a path that is too long"),
    pytest.param(b"GET /" + b"a" * 100_000, 431, id="request line without end"),
    pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nabc", 413, id="1 GB body announced"),
    pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 20000000\r\n\r\n" + b"a" * 20_000_000, 413, id="20 MB body sent"),
    pytest.param(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fffff\r\n" + b"a" * 0xFFFFF, 413, id="chunked"
    ),
    pytest.param(b"NONSENSE / HTTP/1.1\r\n\r\n", 400, id="no method"),
    pytest.param(b"get / HTTP/1.1\r\n\r\n", 400, id="method in lower case"),
    pytest.param(b"GET /metrics\r\n\r\n", 400, id="HTTP/0.9"),
    pytest.param(b"GET / HTTP/3.7\r\n\r\n", 400, id="unknown version"),
    pytest.param(b"GET / HTTP/2.0\r\n\r\n", 400, id="HTTP/2 in the form of HTTP/1"),
    pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="no header field"),
    pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, id="two lengths"),
    pytest.param(
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="length and chunks"
    ),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400, id="TLS"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 400, id="SSH"),
    pytest.param(bytes(range(256)) * 10, 400, id="anything"),
]


@pytest.mark.parametrize(("request_bytes", "code"), WRONG_REQUESTS)
def test_wrong_requests_are_refused(site: ASite, request_bytes: bytes, code: int) -> None:
    """Each gets a short answer that names the fault, is counted and closes its connection."""
    with running(site) as web:
        answer = web.exchange(request_bytes)
        status = HTTPStatus(code)
        assert answer.startswith(f"HTTP/1.1 {code} {status.phrase}\r\ndate: ".encode())
        assert answer.endswith(f"\r\nconnection: close\r\n\r\n{status.phrase}\n".encode())
        assert web.server.requests_by_code == {str(code): 1}
        assert web.connections_become(0)
        assert get(web.url + "/metrics").status_code == 200


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET /../ HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET /metrics/../../etc/passwd HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%00%ff%zz HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET http://elsewhere/-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        (b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT example.org:443 HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.0\r\n\r\n", 200),
        (b"GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
        (b"GET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200),
        (b"\r\n\r\nGET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        (b"GET /-/healthy HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200),
    ],
)
def test_odd_requests_have_one_answer(site: ASite, request_bytes: bytes, code: int) -> None:
    """Unusual but right requests are answered like any other, once."""
    with running(site) as web:
        answer = web.exchange(request_bytes)
        assert re.findall(rb"^HTTP/1.1 (\d+)", answer, re.MULTILINE) == [str(code).encode()]
        assert web.server.requests_by_code == {str(code): 1}


def test_an_offered_upgrade_is_ignored(site: ASite) -> None:
    """A WebSocket or h2c client gets the page in HTTP/1.1."""
    with running(site) as web:
        headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
        assert get(web.url + "/-/healthy", headers=headers).status_code == 200


def test_thousands_of_pipelined_requests_are_answered_in_turn(site: ASite) -> None:
    """However many requests a client sends at once, memory holds one answer, and all of them arrive."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
    asked = (request + b"\r\n") * 4999 + request + b"Connection: close\r\n\r\n"
    with running(site) as web, web.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(asked,))
        sender.start()
        answer = received(client)
        sender.join(PATIENCE_SECONDS)
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 5000
        assert web.server.requests_by_code == {"200": 5000}


def test_the_same_request_again_is_no_other(site: ASite) -> None:
    """What came before on a connection, in whatever pieces, does not change what a request is answered with."""
    paths = ["/-/healthy", "/-/healthy", "/-/ready", "/-/healthy", "/nothing", "/nothing", "/-/ready"]
    said = {"/-/healthy": b"Healthy", "/-/ready": b"Ready", "/nothing": b"Not Found"}
    with running(site) as web, web.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in (0, 9, 30):
            for path in paths:
                request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                for piece in filter(None, (request[:cut], request[cut:])):
                    client.sendall(piece)
                    time.sleep(0.01)  # else the pieces could arrive as one
                assert said[path] in client.recv(10_000)
        hidden = b"GET /-/healthy HTTP/1.1\r\nX: y\r\n"
        posted = b"POST /-/ready HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(hidden), hidden)
        for two in (b"GET /-/ready HTTP/1.1\r\n\r\n" * 2, posted * 2):
            for _ in range(2):
                client.sendall(two)
                answers = b""
                while answers.count(b"HTTP/1.1 ") < 2:
                    answers += client.recv(10_000)
                assert answers.count(b"HTTP/1.1 405 " if two.startswith(b"POST") else b"Ready") == 2
        assert web.server.connections == 1


def test_a_body_may_be_announced(site: ASite) -> None:
    """`Expect: 100-continue` is answered before the body is sent."""
    routes = {"/-/reload": {"POST": lambda: Answer.of(b"reloaded\n")}}
    with running(site, routes=routes) as web, web.connect() as client:
        client.sendall(b"POST /-/reload HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert client.recv(1000).endswith(b"\r\n\r\nreloaded\n")


# listening and stopping


def listen(site: ASite, *addresses: str) -> tuple[ListenAddress, ...]:
    """Starts and stops; returns where it listened."""

    async def run() -> tuple[ListenAddress, ...]:
        server = WebServer(site, listen_addresses=tuple(map(ListenAddress.parse, addresses)))
        await server.start()
        try:
            return server.addresses
        finally:
            await server.stop()

    return asyncio.run(run())


def test_a_port_in_use_is_one_clear_line(site: ASite) -> None:
    """The operator reads which address, and why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match=f"cannot listen on {address}: Address already in use"):
            listen(site, "127.0.0.1:0", address)


def test_the_same_address_twice_is_one_clear_line(site: ASite) -> None:
    """Two flags that mean one port are told from each other at the start, not at the first scrape."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ListenError, match=f"cannot listen on {address}: Address already in use"):
        listen(site, address, address)


def test_without_a_host_every_address_is_served(site: ASite) -> None:
    """`:10093` is reached over IPv4, and over IPv6 where the machine has it."""
    with running(site, listen_address=ListenAddress(None, 0)) as web:
        assert get(web.url + "/-/healthy").status_code == 200
        if web.server.addresses[0].host == "::":
            with contextlib.suppress(OSError), socket.create_connection(("::1", web.port), 5) as client:
                client.sendall(b"GET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n")
                assert received(client).endswith(b"Healthy\n")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("192.0.2.1:0", "Cannot assign requested address"), ("no-such-host.invalid:0", r"\w+")],
)
def test_an_address_of_another_machine_is_one_clear_line(site: ASite, address: str, reason: str) -> None:
    """The operator reads which address, and why."""
    with pytest.raises(ListenError, match=f"cannot listen on {re.escape(address)}: {reason}"):
        listen(site, address)


def test_the_flag_may_be_given_twice(site: ASite) -> None:
    """Each address is listened on; one without a host takes all of the machine's."""
    one, two, every = listen(site, "127.0.0.1:0", "localhost:0", ":0")
    assert one.host == two.host == "127.0.0.1"
    assert every.host in ("::", "0.0.0.0")
    assert len({one.port, two.port, every.port}) == 3


def test_stopping_ends_answers_and_closes_connections(site: ASite) -> None:
    """Within seconds: an answer that was begun is finished, idle and half-open clients and non-readers are closed."""
    site = ASite(rows=200_000)
    begun, stopping = threading.Event(), threading.Event()

    async def slow() -> Answer:
        begun.set()
        await asyncio.to_thread(stopping.wait, PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionRefusedError):  # which is how the beginning of the stop is seen
            while True:
                web.connect().close()
                await asyncio.sleep(0.002)
        return Answer.of(b"finished\n")

    with running(site, routes={"/slow": {"GET": slow}}) as web, contextlib.ExitStack() as stack:
        waiting, idle, half_open = (stack.enter_context(web.connect()) for _ in range(3))
        not_reading = stack.enter_context(web.connect(receive_buffer=4096))
        not_reading.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert eventually(lambda: web.server.requests_by_code == {"200": 1})
        half_open.sendall(b"GET /")
        waiting.sendall(b"GET /slow HTTP/1.1\r\n\r\nGET /-/healthy HTTP/1.1\r\n\r\n")
        assert begun.wait(PATIENCE_SECONDS)
        assert web.connections_become(4)
        stopping.set()
        assert web.stop() < 5
        answers = received(waiting)
        assert b"\r\n\r\nfinished\nHTTP/1.1 200 OK\r\n" in answers
        assert answers.endswith(b"connection: close\r\n\r\nHealthy\n")
        assert is_closed(idle)
        assert is_closed(half_open)
        assert web.connections_become(0)
        with pytest.raises(ConnectionRefusedError):
            web.connect()
