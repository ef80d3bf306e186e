"""`insights-exporter init`: a configuration for a Choreo organization."""
