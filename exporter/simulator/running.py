"""Running the simulated API: in a thread of its own for tests, or as a process for the command line."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import uvicorn

from exporter.simulator.faults import Faults
from exporter.simulator.journal import Journal
from exporter.simulator.model import Model
from exporter.simulator.server import GRAPHQL_PATH, REVOCATION_PATH, TOKEN_PATH, Endpoints
from exporter.simulator.settings import Settings
from exporter.simulator.tokens import Tokens

STOP_SECONDS = 5.0


class QuietServer(uvicorn.Server):
    """uvicorn's server without its own signal handlers: they raise the signal again, so that no exit is clean."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to whoever runs the server."""
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that already accepts connections; raises OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


class Simulator:
    """The simulated Insights API; serves from `start` (or `with`) to `stop`."""

    def __init__(self, settings: Settings | None = None, now: Callable[[], float] = time.time) -> None:
        self.settings = settings or Settings()
        self.now = now
        self.faults = Faults(now)
        self.model = Model(self.settings, self.faults)
        self.journal = Journal(self.settings.journal_length, now)
        handles = tuple(organization.handle for organization in self.model.organizations)
        self.tokens = Tokens(self.settings, now, handles)
        self._endpoints = Endpoints(self.settings, now, self.model, self.tokens, self.faults, self.journal)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """Where it listens, without a path; empty before it does."""
        return self._address

    @property
    def url(self) -> str:
        """The GraphQL endpoint."""
        return self._address + GRAPHQL_PATH

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self._address + TOKEN_PATH

    @property
    def revocation_url(self) -> str:
        """The revocation endpoint."""
        return self._address + REVOCATION_PATH

    def variables(self) -> dict[str, str]:
        """The environment variables with which the shipped configurations reach its first organization."""
        organization = self.model.organizations[0]
        return {
            "CHOREO_INSIGHTS_URL": self.url,
            "CHOREO_TOKEN_URL": self.token_url,
            "CHOREO_REVOCATION_URL": self.revocation_url,
            "CHOREO_CONSUMER_KEY": self.settings.client_id,
            "CHOREO_CONSUMER_SECRET": self.settings.client_secret,
            "CHOREO_ORG_HANDLE": organization.handle,
            "CHOREO_ORG_ID": organization.uuid,
            "CHOREO_ON_PREM_KEY": self.settings.on_prem_key,
        }

    def revoke_all_tokens(self) -> int:
        """Makes every access token invalid at once and returns how many there were."""
        return self.tokens.revoke_all()

    def listen(self) -> uvicorn.Server:
        """Binds the address and returns a server for it; raises OSError if the address is taken."""
        self._listener = listening_socket(self.settings.host, self.settings.port)
        host, port = self._listener.getsockname()[:2]
        self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        config = uvicorn.Config(
            self._endpoints,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = QuietServer(config)
        return self._server

    async def run(self, server: uvicorn.Server) -> None:
        """Serves on the bound address until the server is told to exit."""
        assert self._listener is not None
        try:
            await server.serve(sockets=[self._listener])
        finally:
            self._listener.close()
            self._endpoints.close()

    def start(self) -> "Simulator":
        """Serves in a thread of its own; connections are accepted on return."""
        server = self.listen()
        self._thread = threading.Thread(target=in_new_loop, args=(self, server), name="simulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the thread; connections that are still busy after a second are closed."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(STOP_SECONDS)

    def __enter__(self) -> "Simulator":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def in_new_loop(simulator: Simulator, server: uvicorn.Server) -> None:
    """Runs the simulator in an event loop of this thread's own."""
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(simulator.run(server))


def serve(settings: Settings, ready: Callable[[Simulator], None] | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then returns; raises OSError if the address is taken.

    `ready` is called once, when the address is bound and known.
    """
    simulator = Simulator(settings)
    server = simulator.listen()

    async def until_signalled() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        if ready is not None:
            ready(simulator)
        await simulator.run(server)

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(until_signalled())
