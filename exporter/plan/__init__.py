"""`Config` to `Plan`: documents parsed, paths and references resolved, families agreed."""

from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.plan.planner import plan

__all__ = ["Plan", "QueryPlan", "Target", "plan"]
