"""GraphQL documents: what they select and what they ask for; several calls packed into one operation."""

from exporter.document.document import Document, DocumentError, FieldType, Selection, parsed_document
from exporter.document.schema import loaded_schema

__all__ = ["Document", "DocumentError", "FieldType", "Selection", "loaded_schema", "parsed_document"]
