"""Grafana dashboards made by code: those of `grafana/dashboards/`, and one for any configuration.

`model` is what a dashboard is made of and how it becomes Grafana's JSON (the classic model), `panels` are the kinds of
panels, `promql` and `variables` what they ask. `shipped` has the dashboards of the catalogue, `configured` makes one
for the metrics of a configuration.
"""
