"""The way to an API: connections, tokens, GraphQL over HTTP."""
