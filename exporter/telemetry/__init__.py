"""The exporter's own metrics and log lines of polls."""
