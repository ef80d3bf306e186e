"""What talks to the sources: a client with its authentication and its connections for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Set
from functools import partial
from typing import Final

from msgspec import Struct

from exporter.config.credentials import TLSConfig
from exporter.config.headers import header_secrets
from exporter.config.proxy import ProxySettings
from exporter.config.source import Access, Source
from exporter.model.censor import Censor
from exporter.model.errors import Failure
from exporter.upstream.access_token import TokenSource
from exporter.upstream.auth import BasicAuth, BearerAuth, HeaderAuth
from exporter.upstream.graphql import BYTES_A_VALUE, GraphQLClient
from exporter.upstream.hints import likely_causes
from exporter.upstream.memory import AnswerMemory
from exporter.upstream.token_refusal import TokenRefusal
from exporter.upstream.transport import Transport

_REVOCATION_SECONDS: Final = 2.0  # of the five that a stop may take
_MAX_TOKEN_REQUESTS: Final = 20
_MAX_GRANT_BYTES: Final = 2**20
_ANSWER_MEMORY: Final = AnswerMemory()  # of the process, as its memory is


class Upstream(Struct, frozen=True, eq=False):
    """What talks to one source. The first transport is to the API. One to the token endpoint comes with the token;
    sources may share both."""

    source: Source
    client: GraphQLClient
    transports: tuple[Transport, ...]
    token: TokenSource | None
    censor: Censor

    @property
    def revokes_on_exit(self) -> bool:
        """Whether the configuration wants its token revoked at the end."""
        return self.token is not None and self.source.oauth2 is not None and self.source.oauth2.revoke_on_exit

    async def revoke_at_exit(self) -> Failure | None:
        """Revokes its token in one request. Why the server does not confirm it, if so."""
        assert self.token is not None
        return await self.token.revoke(deadline_seconds=_REVOCATION_SECONDS)

    async def close(self, kept: Set[Transport] = frozenset()) -> None:
        """Closes its connections, but for those that others use, which are `kept`: idle ones at once, those in use when
        their exchange has ended."""
        for transport in self.transports:
            if transport not in kept:
                await transport.close()


def upstreams(sources: Iterable[Source], before: Mapping[str, Upstream]) -> dict[str, Upstream]:
    """What talks to each source, by its name. One from before with equal access stays, with its token and connections.

    Sources that get their token with equal settings share it: an endpoint may keep one live token for a client.
    Raises `OSError` for TLS files that cannot be used.
    """
    found: dict[str, Upstream] = {}
    by_client: defaultdict[Hashable, list[Upstream]] = defaultdict(list)  # of a thousand sources, few are compared
    for each in before.values():
        by_client[_client_key(each.source)].append(each)
    for source in sources:
        old = before.get(source.name)
        if old is not None and old.source.access == source.access:
            old.censor.follow(secret for _, secret in source.secrets)
            found[source.name] = old
        else:
            others = by_client[_client_key(source)]
            found[source.name] = upstream(source, others)
            others.append(found[source.name])
    _name_sources(found)
    return found


def upstream(source: Source, others: Iterable[Upstream] = ()) -> Upstream:
    """The connections and the authentication of a source, with the token of the one among others that gets it equally.

    Raises `OSError` for TLS files that cannot be used.
    """
    alike = (each for each in others if each.token is not None and _token_access(each.source) == _token_access(source))
    censor = Censor(secret for _, secret in source.secrets)
    return Upstream(source, *_client(source.access, next(alike, None), censor), censor)


def _client_key(source: Source) -> Hashable:
    """What sources with one client have in common, at least."""
    oauth2 = source.access.oauth2
    return None if oauth2 is None else (oauth2.token_url, oauth2.client_id, oauth2.client_id_file)


def _token_access(source: Source) -> tuple[object, ...]:
    """What decides which token a source gets, and on which way."""
    access = source.access
    return access.oauth2, access.token_proxy


def _name_sources(found: Mapping[str, Upstream]) -> None:
    """Tells the tokens for whom they are."""
    names: defaultdict[TokenSource, list[str]] = defaultdict(list)
    for name, one in found.items():
        if one.token is not None:
            names[one.token].append(name)
            one.token.hints = partial(likely_causes, source=one.source)
    for token, its_names in names.items():
        token.sources = tuple(its_names)


def _client(
    access: Access, alike: Upstream | None, censor: Censor
) -> tuple[GraphQLClient, tuple[Transport, ...], TokenSource | None]:
    transport = _transport(
        access.tls_config,
        access.proxy,
        max_connections=2 * access.concurrency + 10,
        max_body_bytes=access.max_body_size,
        censor=censor,
    )

    refusal = TokenRefusal(access.invalid_token_codes)

    def client(auth: BearerAuth | HeaderAuth | BasicAuth | None) -> GraphQLClient:
        return GraphQLClient(
            access.url,
            transport,
            auth,
            headers=header_secrets(access.http_headers),
            params=access.params,
            max_values=access.max_body_size // BYTES_A_VALUE,
            answer_memory=_ANSWER_MEMORY,
            refusal=refusal,
        )

    if access.oauth2 is not None and alike is not None and alike.token is not None:
        return client(BearerAuth(alike.token, refusal, censor)), (transport, *alike.transports[1:]), alike.token
    if access.oauth2 is not None:
        of_tokens = _transport(access.oauth2.tls_config, access.token_proxy, max_body_bytes=_MAX_GRANT_BYTES)
        token = TokenSource(access.oauth2, of_tokens, censor)
        return client(BearerAuth(token, refusal, censor)), (transport, of_tokens), token
    auth: HeaderAuth | BasicAuth | None = None
    if access.authorization is not None:
        auth = HeaderAuth(access.authorization.type, access.authorization.secret)
    elif access.basic_auth is not None:
        auth = BasicAuth(access.basic_auth.username, access.basic_auth.secret, censor)
    return client(auth), (transport,), None


def _transport(
    tls: TLSConfig,
    proxy: ProxySettings,
    *,
    max_body_bytes: int,
    max_connections: int = _MAX_TOKEN_REQUESTS,
    censor: Censor | None = None,
) -> Transport:
    return Transport(
        tls=tls,
        proxy_url=proxy.url,
        proxy_headers=[(name, each.reveal()) for name, values in proxy.connect_header.items() for each in values],
        no_proxy=proxy.no_proxy,
        proxy_from_environment=proxy.from_environment,
        max_connections=max_connections,
        max_body_bytes=max_body_bytes,
        censor=censor,
    )
