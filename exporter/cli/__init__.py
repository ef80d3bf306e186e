"""The commands beside the exporter itself, a module each, imported only when one is named."""
