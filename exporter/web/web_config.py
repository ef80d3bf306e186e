"""The web configuration at work: guards every page, and follows its files while the exporter runs."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from msgspec.structs import replace

from exporter.config.web import WebConfig, WebSettings, files_of, load_web
from exporter.model.errors import ConfigError, Problem
from exporter.model.file_watch import FileState, file_states
from exporter.telemetry.reload_status import ReloadStatus
from exporter.web.basic_auth import Busy, PasswordCheck, basic_credentials
from exporter.web.messages import Answer, Application, RawFields, Request
from exporter.web.request_limit import RequestLimit
from exporter.web.tls import RenewableContext, can_choose_curves, server_context

CHECK_SECONDS: Final = 2.0
_CHALLENGE: Final = (("www-authenticate", 'Basic realm="insights-exporter", charset="UTF-8"'),)
_UNAUTHORIZED: Final = Answer.plain(HTTPStatus.UNAUTHORIZED, _CHALLENGE)
_BUSY: Final = Answer.plain(HTTPStatus.TOO_MANY_REQUESTS, (("retry-after", "1"),))
_log = structlog.get_logger()


class WebConfiguration:
    """What a web configuration file says, as it was last good."""

    def __init__(self, file: Path, *, check_seconds: float = CHECK_SECONDS) -> None:
        """Reads the file. Raises `ConfigError`."""
        self._file = file
        self._check_seconds = check_seconds
        self._settings = load_web(file)
        has_tls = self._settings.config.tls is not None
        self.tls = RenewableContext(server_context(self._settings)) if has_tls else None
        self.status = ReloadStatus()
        self._headers = _headers(self._settings)
        self._limit = _limit(self._settings)
        self._passwords = PasswordCheck()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="web: configuration")
        _log_remarks(self._settings)

    def guarded(self, application: Application) -> Application:
        """The application behind its authentication, with the configured headers on every answer."""

        def guard(request: Request) -> Answer | Awaitable[Answer]:
            if self._limit is not None and not self._limit.allows():
                return self._dressed(_too_many(self._limit))
            users = self._settings.config.basic_auth_users
            if not users:
                return self._dressed(application(request))
            credentials = basic_credentials(request.field(b"authorization"))
            if credentials is None:
                return self._dressed(_UNAUTHORIZED)
            if self._passwords.remembers(users, *credentials):
                return self._dressed(application(request))
            return self._admit(application, request, *credentials)

        return guard

    async def keep_current(self) -> None:
        """Reads the files when they have changed, and takes what they hold, for ever.

        A change is taken when it is read the same twice, so that a certificate whose key is not written yet is none.
        What cannot be used is read again and again: it may name files that are not known yet.
        """
        loop = asyncio.get_running_loop()
        taken: _Outcome = self._settings
        seen, known, read_again = taken, dict[Path, FileState](), True
        while True:
            await asyncio.sleep(self._check_seconds)
            states = await loop.run_in_executor(self._reader, file_states, self._files())
            if states == known and not read_again:
                continue
            found = await loop.run_in_executor(self._reader, _outcome, self._file)
            if found == seen and found != taken:
                taken = found
                self._take(found)
            read_again = found != seen or not self.status.successful
            seen, known = found, dict(states)

    def _files(self) -> tuple[Path, ...]:
        """The file and those that it names."""
        return (self._file, *files_of(self._settings.config, self._file.parent))

    def close(self) -> None:
        """Ends its threads as soon as they can."""
        self._passwords.close()
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _admit(self, application: Application, request: Request, user: str, password: bytes) -> Answer:
        try:
            users = self._settings.config.basic_auth_users
            right = await self._passwords.is_right(users, user, password, request.client)
        except Busy:
            return _with_headers(_BUSY, self._headers)
        if not right:
            return _with_headers(_UNAUTHORIZED, self._headers)
        answer = application(request)
        return _with_headers(answer if isinstance(answer, Answer) else await answer, self._headers)

    def _dressed(self, answer: Answer | Awaitable[Answer]) -> Answer | Awaitable[Answer]:
        if isinstance(answer, Answer):
            return _with_headers(answer, self._headers)

        async def later(coming: Awaitable[Answer]) -> Answer:
            return _with_headers(await coming, self._headers)

        return later(answer)

    def _take(self, found: _Outcome) -> None:
        try:
            settings, context = self._usable(found)
        except ConfigError as error:
            _log.error("the web configuration cannot be used; the old one stays", detail=str(error))
            self.status.note(successful=False)
            return
        if self.tls is not None and context is not None:
            self.tls.present = context
        if settings.config.rate_limit != self._settings.config.rate_limit:
            self._limit = _limit(settings)
        self._settings = settings
        self._headers = _headers(settings)
        self.status.note(successful=True)
        _log.info("the web configuration was reloaded", file=str(self._file))
        _log_remarks(settings)

    def _usable(self, found: _Outcome) -> tuple[WebSettings, ssl.SSLContext | None]:
        """Settings that this server can change to, with their context. Raises `ConfigError`."""
        if isinstance(found, tuple):
            raise ConfigError(found)
        if found.is_blank and not self._settings.is_blank:
            # more likely a file that is being written than one that is meant to take all away
            remedy = "write tls_server_config or basic_auth_users, or {} for neither"
            raise ConfigError((found.places.problem((), "is empty", remedy),))
        has_tls = found.config.tls is not None
        if has_tls != (self.tls is not None):
            wrong, remedy = "TLS cannot be turned on or off while serving", "restart the exporter"
            raise ConfigError((Problem(str(self._file), None, "tls_server_config", wrong, remedy),))
        return found, server_context(found) if has_tls else None


def web_configuration(file: Path | None) -> WebConfiguration | None:
    """What the flag asks for. Raises `ConfigError`."""
    return None if file is None else WebConfiguration(file)


_Outcome: TypeAlias = WebSettings | tuple[Problem, ...]
"""Settings, or all that is wrong with them."""


def _outcome(file: Path) -> _Outcome:
    try:
        return load_web(file)
    except ConfigError as error:
        return error.problems


def _headers(settings: WebSettings) -> RawFields:
    return tuple(
        (name.lower().encode(), text.encode()) for name, text in settings.config.http_server_config.headers.items()
    )


def _with_headers(answer: Answer, headers: RawFields) -> Answer:
    """A page's own header stays before a configured one: it knows what the page may load."""
    own = {name for name, _ in answer.fields}
    further = tuple(each for each in headers if each[0] not in own)
    return replace(answer, fields=answer.fields + further) if further else answer


def _limit(settings: WebSettings) -> RequestLimit | None:
    limit = settings.config.rate_limit
    return RequestLimit(limit.interval, limit.burst) if limit.is_enabled else None


def _too_many(limit: RequestLimit) -> Answer:
    return Answer.plain(HTTPStatus.TOO_MANY_REQUESTS, (("retry-after", str(math.ceil(limit.interval_seconds))),))


def _log_remarks(settings: WebSettings) -> None:
    """Says what the file asks for and does not get, and what it gets that may not be meant."""
    config = settings.config
    for key, remark in _without_effect(config):
        _log.info(f"{key.rpartition('.')[2]} has no effect: {remark}", key=key)
    if config.rate_limit.is_enabled and config.rate_limit.burst < 1:
        _log.warning("rate_limit has a burst of 0, so that every request gets 429", key="rate_limit.burst")
    tls = config.tls
    if tls is None:
        if config.tls_server_config.model_fields_set:
            _log.warning("tls_server_config names no certificate, so the pages are served without TLS")
        return
    if tls.verifies_nothing:
        remark = "clients are asked for no certificate: this policy would verify none, so anyone could make one"
        _log.warning(remark, key="client_auth_type", remedy="write RequireAndVerifyClientCert")
    elif tls.asks_clients and not tls.has_authority:
        _log.info(
            "clients are verified with the system's authorities, because client_ca_file is missing",
            key="client_auth_type",
        )


def _without_effect(config: WebConfig) -> Iterator[tuple[str, str]]:
    """Keys that change nothing, each with the reason."""
    if "http2" in config.http_server_config.model_fields_set:
        yield "http_server_config.http2", "HTTP/1.1 is served"
    tls = config.tls
    if tls is None:
        return
    if not can_choose_curves(tls):
        yield "tls_server_config.curve_preferences", "this Python can set one curve in OpenSSL, not several"
    for name in ("cert", "key", "client_ca"):
        if getattr(tls, f"{name}_file") and name in tls.model_fields_set:
            yield f"tls_server_config.{name}", f"{name}_file is read instead"
