"""The one place that wires everything: configuration to clients, scheduler, telemetry and web server."""

from __future__ import annotations

import asyncio
import html
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from exporter import __version__
from exporter.auth import BasicAuth, BearerAuth, HeaderAuth, OAuth2Settings, TokenSource
from exporter.client import GraphQLClient
from exporter.config.load import Loaded, load
from exporter.config.schema import OAuth2, Source, TLSConfig
from exporter.errors import ConfigError, Failure, Problem
from exporter.exposition import Format, Joiner
from exporter.model import PollOutcome
from exporter.negotiation import Representation
from exporter.plan import Plan
from exporter.planner import plan
from exporter.scheduler import Scheduler
from exporter.secret import Secret
from exporter.store import Owner, Store
from exporter.telemetry import Running, SourceView, Telemetry
from exporter.transport import TLSSettings, Transport
from exporter.web import ListenAddress, WebServer

_STOP_SECONDS: Final = 4.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides."""

    config_file: Path
    listen_addresses: tuple[ListenAddress, ...]
    telemetry_path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can run, and what it needs of its environment but does not have."""

    loaded: Loaded
    plan: Plan
    unmet: tuple[Problem, ...]


def checked(file: Path, environ: Mapping[str, str]) -> Checked:
    """The configuration in `file`, with everything that can be known before the first poll.

    Raises `ConfigError` with every problem.
    """
    loaded = load(file, environ)
    try:
        made = plan(loaded)
    except ConfigError as error:
        problems = sorted((*error.problems, *loaded.unmet), key=lambda problem: problem.line or 0)
        raise ConfigError(tuple(problems)) from None
    return Checked(loaded, made, (*loaded.unmet, *_unreadable_files(loaded)))


def ready_to_start(file: Path, environ: Mapping[str, str]) -> Checked:
    """The same, refusing what a check only warns about. Raises `ConfigError`."""
    found = checked(file, environ)
    if found.unmet:
        raise ConfigError(found.unmet)
    return found


def _unreadable_files(loaded: Loaded) -> tuple[Problem, ...]:
    problems = []
    for source, index in zip(loaded.config.sources, loaded.indexes["sources"], strict=True):
        for key, secret in _secrets(source):
            try:
                secret.reveal()
            except Failure as failure:
                remedy = "make it readable for this user" if secret.file else "set it"
                problems.append(loaded.places.problem(("sources", index, *key), failure.detail, remedy))
        for key, config in _tls_configs(source):
            try:
                _tls(config).context()
            except OSError as error:
                wrong = f"its certificates cannot be used: {error.strerror or error}"
                remedy = "name PEM files that this user can read"
                problems.append(loaded.places.problem(("sources", index, *key), wrong, remedy))
    return tuple(problems)


def _tls_configs(source: Source) -> list[tuple[tuple[str, ...], TLSConfig]]:
    found: list[tuple[tuple[str, ...], TLSConfig]] = [(("tls_config",), source.tls_config)]
    if source.oauth2 is not None:
        found.append((("oauth2", "tls_config"), source.oauth2.tls_config))
    return found


def _secrets(source: Source) -> list[tuple[tuple[str, ...], Secret]]:
    found: list[tuple[tuple[str, ...], Secret]] = []
    if source.oauth2 is not None:
        found.append((("oauth2", "client_id_file"), source.oauth2.id_secret))
        found.append((("oauth2", "client_secret_file"), source.oauth2.key_secret))
    if source.authorization is not None:
        found.append((("authorization", "credentials_file"), source.authorization.secret))
    if source.basic_auth is not None:
        found.append((("basic_auth", "password_file"), source.basic_auth.secret))
    found.extend((("http_headers", name), secret) for name, secret in source.http_headers.items())
    found.extend((("secret_values", name), secret) for name, secret in source.secret_values.items())
    return found


def hidden_texts(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """The secrets as they are now, for the log's last defence. Client ids are names, not secrets."""
    texts = []
    for source in sources:
        for key, secret in _secrets(source):
            if key[-1] != "client_id_file":
                try:
                    texts.append(secret.reveal())
                except Failure:
                    continue
    return tuple(texts)


# ---------------------------------------------------------------------------------------------- running


@dataclass(slots=True)
class _Upstream:
    """What talks to one source."""

    client: GraphQLClient
    transports: tuple[Transport, ...]
    token: TokenSource | None


def _upstream(source: Source) -> _Upstream:
    transport = Transport(
        tls=_tls(source.tls_config),
        proxy_url=source.proxy_url,
        max_connections=2 * source.concurrency + 10,
        max_body_bytes=source.max_body_size,
    )
    headers = dict(source.http_headers)
    if source.oauth2 is not None:
        of_tokens = Transport(tls=_tls(source.oauth2.tls_config), proxy_url=source.proxy_url)
        token = TokenSource(_oauth2(source.oauth2), of_tokens)
        client = GraphQLClient(source.url, transport, BearerAuth(token), headers=headers)
        return _Upstream(client, (transport, of_tokens), token)
    auth: HeaderAuth | BasicAuth | None = None
    if source.authorization is not None:
        auth = HeaderAuth(source.authorization.type, source.authorization.secret)
    elif source.basic_auth is not None:
        auth = BasicAuth(source.basic_auth.username, source.basic_auth.secret)
    return _Upstream(GraphQLClient(source.url, transport, auth, headers=headers), (transport,), None)


def _tls(config: TLSConfig) -> TLSSettings:
    return TLSSettings(
        ca_file=config.ca_file,
        cert_file=config.cert_file,
        key_file=config.key_file,
        server_name=config.server_name,
        insecure_skip_verify=config.insecure_skip_verify,
        min_version=config.min_version,
    )


def _oauth2(config: OAuth2) -> OAuth2Settings:
    return OAuth2Settings(
        token_url=config.token_url,
        client_id=config.id_secret,
        client_secret=config.key_secret,
        scopes=config.scopes,
        endpoint_params=config.endpoint_params,
        revocation_url=config.revocation_url,
        auth_style=config.auth_style,
        deadline_seconds=config.timeout.total_seconds(),
    )


@dataclass(slots=True)
class _Reporter:
    """The scheduler's observer: counts what happens, and writes a line when something changes."""

    telemetry: Telemetry
    store: Store
    _failing: dict[Owner, str] = field(default_factory=dict)

    def polled(self, owner: Owner, outcome: PollOutcome) -> None:
        self.telemetry.polled(owner, outcome, self.store.state(owner).decreases)
        about = {"query": owner.query, "source": owner.source, **({"target": owner.target} if owner.target else {})}
        if outcome.reason is None:
            if self._failing.pop(owner, None) is not None:
                _log.info("the poll works again", **about)
            else:
                _log.debug("polled", **about, duration_seconds=round(outcome.duration_seconds, 3))
            return
        repeated = self._failing.get(owner) == outcome.reason.value
        self._failing[owner] = outcome.reason.value
        say = _log.debug if repeated else _log.error if outcome.reason == "internal" else _log.warning
        say("the poll failed; the last good values stay", **about, reason=outcome.reason.value, detail=outcome.detail)

    def overran(self, owner: Owner, ticks: int) -> None:
        self.telemetry.overran(owner, ticks)

    def expired(self, owner: Owner) -> None:
        _log.warning("the last good values are stale and were dropped", query=owner.query, source=owner.source)


async def serve(options: Options, found: Checked) -> None:
    """Runs the exporter until SIGTERM or SIGINT. Raises `ListenError` where it cannot."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(found.plan.max_series)
    telemetry = Telemetry()
    upstreams = {source.name: _upstream(source) for source in found.plan.sources}
    clients = {name: upstream.client for name, upstream in upstreams.items()}
    scheduler = Scheduler(found.plan, clients, store, _Reporter(telemetry, store))
    web = WebServer(
        _Site(options, store, telemetry, scheduler),
        listen_addresses=options.listen_addresses,
        telemetry_path=options.telemetry_path,
    )
    telemetry.running = Running(
        found.plan,
        store,
        scheduler,
        {
            name: SourceView(
                upstream.token.status if upstream.token is not None else None,
                upstream.transports[0].requests_by_code,
            )
            for name, upstream in upstreams.items()
        },
        web.requests_by_code,
        lambda: web.connections,
        lambda: len(asyncio.all_tasks(loop)),
    )
    await web.start()
    async with AsyncExitStack() as stack:
        for upstream in upstreams.values():
            for transport in upstream.transports:
                stack.push_async_callback(transport.close)
        stack.push_async_callback(web.stop)
        tasks = [asyncio.create_task(scheduler.run())]
        tasks += [asyncio.create_task(up.token.keep_renewed()) for up in upstreams.values() if up.token is not None]
        for address in web.addresses:
            url = metrics_url(address, options.telemetry_path)
            _log.info("listening; the metrics are at this address", url=url)
        _log.info("polling", queries=len(found.plan.queries), sources=len(found.plan.sources))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_SECONDS / 2)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
    _log.info("stopped")


@dataclass(frozen=True, slots=True)
class _Site:
    """What the web server shows."""

    options: Options
    store: Store
    telemetry: Telemetry
    scheduler: Scheduler
    joiner: Joiner = field(default_factory=Joiner)

    def metrics(self, form: Representation) -> bytes:
        own = self.telemetry.rendered(openmetrics=form.format is Format.OPENMETRICS)
        return self.joiner.joined(self.store.page(), own, form.format, form.gzip)

    def home(self) -> bytes:
        return _home(self.options.telemetry_path)

    def healthy(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.scheduler.tried()


def metrics_url(address: ListenAddress, telemetry_path: str) -> str:
    """Where a person on this machine finds the metrics."""
    host = "localhost" if address.host in (None, "::", "0.0.0.0") else address.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{address.port}{telemetry_path}"


def _home(telemetry_path: str) -> bytes:
    path = html.escape(telemetry_path, quote=True)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Insights Exporter</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }}
</style>
</head>
<body>
<h1>Insights Exporter</h1>
<p>Version {__version__}</p>
<ul>
<li><a href="{path}">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a></li>
<li><a href="/-/ready">Ready</a></li>
</ul>
</body>
</html>
""".encode()
