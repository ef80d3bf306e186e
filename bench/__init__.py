"""How fast the exporter is, beside peers and limits that are measured in the same run. `python -m bench`."""
