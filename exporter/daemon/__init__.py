"""The running exporter: everything wired, reloaded and stopped."""
