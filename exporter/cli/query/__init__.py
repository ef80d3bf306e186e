"""`insights-exporter query`: asks once, and shows what came and what became of it."""
