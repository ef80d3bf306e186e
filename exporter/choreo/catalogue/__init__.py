"""The ready-made queries of Choreo Insights, a file for each group: data that `include` names."""
