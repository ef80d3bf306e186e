"""Insights Exporter: GraphQL answers behind OAuth 2.0 client credentials, as Prometheus metrics."""

__version__ = "0.1.0"
