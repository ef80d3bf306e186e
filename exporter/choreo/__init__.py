"""The schema and the ready-made queries of Choreo Insights: data, not code."""
