"""Whether a configuration can run here: file to plan, and what is missing in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msgspec import Struct

from exporter.config.credentials import TLSConfig
from exporter.config.headers import check_header_text
from exporter.config.load import Loaded, load
from exporter.config.redacted import Redacted
from exporter.config.source import Source
from exporter.daemon.memory_need import memory_limit, memory_warnings
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import ConfigError, Failure, Problem, in_file_order
from exporter.plan.plan import Plan
from exporter.plan.planner import plan
from exporter.plan.stored import StoredPlan
from exporter.upstream.tls import ssl_context, tls_file_states

_IN_HEADERS: Final = ("authorization", "http_headers", "proxy_connect_header")


class Checked(Struct, frozen=True):
    """A configuration that can run, and what it needs of its environment but does not have."""

    loaded: Loaded
    plan: Plan
    unmet: tuple[Problem, ...]


class Ready(Struct, frozen=True):
    """What runs: a plan, and the configuration as it is shown; and `confidential_texts`, for which answers are searched
    once it runs. All else that was read is given up."""

    plan: Plan
    shown: Redacted
    confidential_texts: tuple[str, ...] = ()


def check(files: ConfigFiles, environ: Mapping[str, str]) -> Checked:
    """The configuration in a file, a folder or several of them, with everything that can be known before the first
    poll.

    Raises `ConfigError` with every problem.
    """
    loaded = load(files, environ)
    try:
        made = plan(loaded)
    except ConfigError as error:
        raise ConfigError(in_file_order((*error.problems, *loaded.unmet))) from None
    made = replace(made, warnings=(*made.warnings, *memory_warnings(loaded, memory_limit())))
    return Checked(loaded, made, (*loaded.unmet, *_unreadable_files(loaded)))


def ready_to_start(files: ConfigFiles, environ: Mapping[str, str]) -> Ready:
    """The same to run it, refusing what a check only warns about. Raises `ConfigError`."""
    made = _ready(check(files, environ))
    stored, shown, texts = StoredPlan.of(made.plan), made.shown, made.confidential_texts
    del made  # the new plan is not to stand among it
    return Ready(stored.read(), shown, texts)


def _ready(found: Checked) -> Ready:
    if found.unmet:
        raise ConfigError(found.unmet)
    return Ready(found.plan, Redacted.of(found.loaded), found.loaded.confidential_texts)


def _unreadable_files(loaded: Loaded) -> tuple[Problem, ...]:
    problems = []
    contexts = []  # while they are held, sources with equal settings share one
    for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True):
        for key, secret in source.secrets:
            try:
                text = secret.try_reading()
                if _is_in_header(key):
                    check_header_text(_header_text(source, key, text))
            except ValueError as error:
                wrong, _, remedy = str(error).partition("; ")
                problems.append(loaded.places.problem((*place, *key), wrong, remedy))
            except Failure as failure:
                remedy = "make it readable for this user" if secret.file else "set it"
                problems.append(loaded.places.problem((*place, *key), failure.detail, remedy))
        for key, config in _tls_configs(source):
            if not tls_file_states(config):
                continue  # the system's authorities are read when a connection needs them
            try:
                contexts.append(ssl_context(config))
            except OSError as error:
                wrong = f"its certificates cannot be used: {error.strerror or error}"
                remedy = "name PEM files that this user can read"
                problems.append(loaded.places.problem((*place, *key), wrong, remedy))
    return tuple(problems)


def _is_in_header(key: tuple[str, ...]) -> bool:
    """Whether a secret of a source is sent as a header, or in one, as it is."""
    return key[0] in _IN_HEADERS or (key[0] == "oauth2" and key[1] in _IN_HEADERS)


def _header_text(source: Source, key: tuple[str, ...], text: str) -> str:
    """The header's value that a secret gives, as it is sent."""
    static = source.authorization
    return text if static is None or key[0] != "authorization" else f"{static.type} {text}"


def _tls_configs(source: Source) -> list[tuple[tuple[str, ...], TLSConfig]]:
    found: list[tuple[tuple[str, ...], TLSConfig]] = [(("tls_config",), source.tls_config)]
    if source.oauth2 is not None:
        found.append((("oauth2", "tls_config"), source.oauth2.tls_config))
    return found
