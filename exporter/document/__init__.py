"""GraphQL documents: what they select and what they ask for; several calls packed into one operation."""

from exporter.document.document import Document, DocumentError, FieldType, Selection, parse_document
from exporter.document.schema import load_schema

__all__ = ["Document", "DocumentError", "FieldType", "Selection", "load_schema", "parse_document"]
