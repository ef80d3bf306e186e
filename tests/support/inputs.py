"""A schema of inputs of every kind."""

from __future__ import annotations

from graphql import build_schema

SCHEMA = build_schema("""
    scalar Date
    enum Kind { UP DOWN }
    enum Other { UP LEFT }
    input Page { limit: Int!  offset: Int = 0  sort: String }
    input Filter {
        id: ID!  page: Page  kinds: [Kind!]  limits: [[Int]]  ratio: Float  on: Boolean  at: Date  not: Filter
    }
    type Query { n(f: Filter): Int }
""")
