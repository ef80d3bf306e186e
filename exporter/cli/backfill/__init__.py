"""`insights-exporter backfill`: polls as at moments of the past, into files for Prometheus."""
