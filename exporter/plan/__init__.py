"""`Config` to `Plan`: documents parsed, paths and references resolved, families agreed."""
