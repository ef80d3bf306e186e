"""What talks to the sources: a client with its authentication and its connections for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config.source import OAuth2, Source, TLSConfig
from exporter.upstream.access_token import OAuth2Settings, TokenSource
from exporter.upstream.auth import BasicAuth, BearerAuth, HeaderAuth
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import TLSSettings, Transport

_REVOCATION_SECONDS: Final = 2.0  # of the five that a stop may take


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """What talks to one source. The first transport is to the API."""

    source: Source
    client: GraphQLClient
    transports: tuple[Transport, ...]
    token: TokenSource | None

    def serves(self, source: Source) -> bool:
        """Whether it is what that source needs too: the same place, reached in the same way, as the same client."""
        return _access(self.source) == _access(source)

    async def revoke_at_exit(self) -> bool | None:
        """Revokes its token, if the configuration asks for that, in one request. Whether the server confirms it."""
        if self.token is None or self.source.oauth2 is None or not self.source.oauth2.revoke_on_exit:
            return None
        return await self.token.revoke(deadline_seconds=_REVOCATION_SECONDS)

    async def close(self) -> None:
        """Closes its connections: idle ones at once, those in use when their exchange has ended."""
        for transport in self.transports:
            await transport.close()


def _access(source: Source) -> tuple[object, ...]:
    return (
        *(
            source.url,
            source.proxy_url,
            source.proxy_connect_header,
            source.tls_config,
            source.concurrency,
            source.max_body_size,
        ),
        *(source.oauth2, source.authorization, source.basic_auth, source.http_headers),
    )


def upstreams(sources: Iterable[Source], known: Mapping[str, Upstream]) -> dict[str, Upstream]:
    """What talks to each source, by its name. What is known and still serves is kept, with its token and connections.

    Raises `OSError` for TLS files that cannot be used.
    """
    return {
        source.name: kept if (kept := known.get(source.name)) is not None and kept.serves(source) else upstream(source)
        for source in sources
    }


def upstream(source: Source) -> Upstream:
    """The connections and the authentication of a source. Raises `OSError` for TLS files that cannot be used."""
    proxy_headers = [(name, each.reveal()) for name, values in source.proxy_connect_header.items() for each in values]
    transport = Transport(
        tls=tls_settings(source.tls_config),
        proxy_url=source.proxy_url,
        proxy_headers=proxy_headers,
        max_connections=2 * source.concurrency + 10,
        max_body_bytes=source.max_body_size,
    )
    headers = dict(source.http_headers)
    if source.oauth2 is not None:
        of_tokens = Transport(
            tls=tls_settings(source.oauth2.tls_config), proxy_url=source.proxy_url, proxy_headers=proxy_headers
        )
        token = TokenSource(_oauth2(source.oauth2), of_tokens)
        client = GraphQLClient(source.url, transport, BearerAuth(token), headers=headers)
        return Upstream(source, client, (transport, of_tokens), token)
    auth: HeaderAuth | BasicAuth | None = None
    if source.authorization is not None:
        auth = HeaderAuth(source.authorization.type, source.authorization.secret)
    elif source.basic_auth is not None:
        auth = BasicAuth(source.basic_auth.username, source.basic_auth.secret)
    return Upstream(source, GraphQLClient(source.url, transport, auth, headers=headers), (transport,), None)


def tls_settings(config: TLSConfig) -> TLSSettings:
    """How the upstream is verified, and who we are to it."""
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
