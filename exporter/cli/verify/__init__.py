"""`insights-exporter verify`: what an API does, by asking it."""
