"""A simulated Choreo Insights API over real HTTP: token, revocation and GraphQL endpoints on one seeded model.

`Settings` alone is cheap to import; `Simulator` and `serve` bring graphql-core and uvicorn with them when first used.
"""

from typing import TYPE_CHECKING, Any

from exporter.simulator.settings import Settings

if TYPE_CHECKING:
    from exporter.simulator.running import Simulator, serve

__all__ = ["Settings", "Simulator", "serve"]


def __getattr__(name: str) -> Any:
    """`Simulator` or `serve`, imported when somebody first asks."""
    if name in ("Simulator", "serve"):
        from exporter.simulator import running

        return getattr(running, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
