"""The variables at the top of a dashboard: where the data is, and what of it is shown."""

from __future__ import annotations

from typing import Any, Final

from exporter.dashboards.model import DATASOURCE, JsonObject
from exporter.dashboards.promql import OWN, selector, series

_BUILD: Final = f"{OWN}build_info"
# Of a variable that hardly anybody has two values for; it is kept in links, and can be set in the address.
_HIDDEN: Final = 2


def choice(name: str, label: str, expression: str, *, of: str = "", all_value: str = ".*", **more: Any) -> JsonObject:
    """A variable with the values of a label of these series, several or all of which can be chosen.

    `all_value`: `.*` also takes series without the label.
    """
    query = f"label_values({expression}, {of or name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": dict(DATASOURCE),
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"text": ["All"], "value": ["$__all"]},
        **more,
    }


def scraped() -> tuple[JsonObject, ...]:
    """Data source, job and instance: what every dashboard begins with. The last two are hidden."""
    return (
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1},
        choice("job", "Job", _BUILD, all_value=".+", hide=_HIDDEN),
        choice("instance", "Instance", f'{_BUILD}{{job=~"$job"}}', all_value=".+", hide=_HIDDEN),
    )


def places() -> tuple[JsonObject, ...]:
    """Those, and organization (hidden, as few have two) and environment."""
    return (
        *scraped(),
        choice("organization", "Organization", selector("choreo_environment_info"), hide=_HIDDEN),
        choice("environment", "Environment", selector("choreo_environment_info", "organization")),
    )


def apis() -> JsonObject:
    """The APIs of the chosen environments."""
    return choice("api", "API", series("choreo_api_info"))


def one_api() -> JsonObject:
    """One of the APIs of the chosen environments; several only if somebody chooses them.

    It is `multi`, as Grafana escapes the value for a regular expression only then: `Orders (beta)` would match nothing.
    """
    one = choice("api", "API", series("choreo_api_info"), includeAll=False)
    return {key: value for key, value in one.items() if key not in ("allValue", "current")}


def applications() -> JsonObject:
    """The applications of the chosen environments."""
    return choice("application", "Application", series("choreo_application_info"))
