"""Whether a configuration can run here: file to plan, and what is missing in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.load import Loaded, load
from exporter.config.source import Source, TLSConfig
from exporter.model.errors import ConfigError, Failure, Problem
from exporter.model.secret import Secret
from exporter.plan.plan import Plan
from exporter.plan.planner import plan
from exporter.upstream.tls import ssl_context


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can run, and what it needs of its environment but does not have."""

    loaded: Loaded
    plan: Plan
    unmet: tuple[Problem, ...]


def check(file: Path, environ: Mapping[str, str]) -> Checked:
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
    found = check(file, environ)
    if found.unmet:
        raise ConfigError(found.unmet)
    return found


def _unreadable_files(loaded: Loaded) -> tuple[Problem, ...]:
    problems = []
    for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True):
        for key, secret in _secrets(source):
            try:
                secret.reveal()
            except Failure as failure:
                remedy = "make it readable for this user" if secret.file else "set it"
                problems.append(loaded.places.problem((*place, *key), failure.detail, remedy))
        for key, config in _tls_configs(source):
            try:
                ssl_context(config)
            except OSError as error:
                wrong = f"its certificates cannot be used: {error.strerror or error}"
                remedy = "name PEM files that this user can read"
                problems.append(loaded.places.problem((*place, *key), wrong, remedy))
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
    found.extend(
        (("proxy_connect_header", name), secret)
        for name, secrets in source.proxy_connect_header.items()
        for secret in secrets
    )
    found.extend((("secret_values", name), secret) for name, secret in source.secret_values.items())
    return found


def secret_texts(sources: tuple[Source, ...]) -> tuple[str, ...]:
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
