"""GraphQL documents: what they select and what they ask for; several calls packed into one operation."""
