"""Sources that ask one endpoint for one token: they share it, or a check warns of them."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import Final

from exporter.config.credentials import OAuth2
from exporter.config.load import Loaded
from exporter.config.source import Source
from exporter.plan.findings import Findings

# What an endpoint may grant another token for. All else is how the client gets there, and how it proves itself.
_WHAT_IS_ASKED_FOR: Final = attrgetter("client_id", "client_id_file", "scopes", "endpoint_params", "http_headers")


def warn_of_one_token(loaded: Loaded, findings: Findings) -> None:
    """Sources that ask for the same token have the same settings, or they could not share it. An endpoint that keeps
    one live token for a client would end the token of the one with each token of the other."""
    askings: defaultdict[str, list[tuple[object, Source]]] = defaultdict(list)  # of each endpoint, each once
    for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True):
        if source.oauth2 is None:
            continue
        asking, known = _WHAT_IS_ASKED_FOR(source.oauth2), askings[source.oauth2.token_url]
        other = next((one for asked, one in known if asked == asking), None)
        if other is None:
            known.append((asking, source))
        elif different := _differences(source, other):
            wrong = (
                f"asks for the same token as {other.name} with another {', '.join(different)}, so they cannot share it"
            )
            findings.warn((*place, "oauth2"), wrong, "write the same in both sources")


def _differences(source: Source, other: Source) -> list[str]:
    """The keys in which two sources that ask for one token differ."""
    assert source.oauth2 is not None
    assert other.oauth2 is not None
    keys = [name for name in OAuth2.model_fields if getattr(source.oauth2, name) != getattr(other.oauth2, name)]
    is_elsewhere = not keys and source.access.token_proxy != other.access.token_proxy
    return ["proxy"] if is_elsewhere else keys
