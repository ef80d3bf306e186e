"""The way to an API: connections, tokens, GraphQL over HTTP."""

from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.upstream import Upstream, upstreams

__all__ = ["GraphQLClient", "Upstream", "upstreams"]
