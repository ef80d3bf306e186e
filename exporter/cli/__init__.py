"""The command line: `insights-exporter`, its flags, and its commands, each imported only when it is named."""
