"""What a person does about a failure, in one sentence for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.model.errors import Reason

_NETWORK: Final = "Check the host name, the firewall and the proxy between this machine and the API."
_URL: Final = "Check the URL: something other than the GraphQL API answers there."
_SMALLER: Final = (
    "Ask for less at once: a shorter window, pages, or fewer rows. Or raise the limit that the message names."
)

REMEDIES: Final[Mapping[Reason, str]] = {
    Reason.DNS: "Check the host name in the URL and the name server of this machine.",
    Reason.CONNECT: _NETWORK,
    Reason.TLS: "Check the certificate authority (tls_config.ca_file) and the clock of this machine.",
    Reason.TIMEOUT: "Wait for the next poll. If it stays slow, raise timeout or shorten the window.",
    Reason.RESET: "Wait for the next poll. If it happens often, a proxy or gateway closes the connection.",
    Reason.PROTOCOL: "Check whether the URL needs https or http.",
    Reason.TOO_LARGE: _SMALLER,
    Reason.DECODE: "Check the proxy or gateway before the API: it changes answers.",
    Reason.REDIRECT: "Write the address that the API redirects to into the URL.",
    Reason.UNAUTHORIZED: "Check the credentials and whether the application is subscribed to this API.",
    Reason.FORBIDDEN: "Subscribe the application to the API, or add the scope that the message names.",
    Reason.HTTP_429: "Wait: polling goes on by itself. To avoid it, set rate_limit or a longer interval.",
    Reason.HTTP_4XX: "Check the path in the URL.",
    Reason.HTTP_5XX: "Wait: polling goes on by itself. If one query alone fails, ask for less at once.",
    Reason.CONTENT_TYPE: _URL,
    Reason.JSON: _URL,
    Reason.GRAPHQL: "Check the values that the query sends, such as ids. The message has the words of the API.",
    Reason.SCHEMA: "Run the command query with this query's name: it shows what the API answers now.",
    Reason.TOKEN: "Look at the access token of this source under Sources.",
    Reason.OAUTH_ERROR: "Check scopes and endpoint_params in oauth2, and the subscription of the application.",
    Reason.INVALID_CLIENT: "Copy client_id and client_secret again. A changed secret file is read at once.",
    Reason.BAD_TOKEN: "Check token_url, and the clock of this machine.",
    Reason.TOKEN_TYPE: "Check token_url: the exporter needs a Bearer token.",
    Reason.SECRET: "Check that the file or variable exists and that the exporter may read it.",
    Reason.DUPLICATE_SERIES: "Add the label that tells the rows apart, or set aggregate.",
    Reason.CARDINALITY: "Drop the label that grows, set top, or raise max_series.",
    Reason.FAN_OUT: "Set pack, batch or where, or raise max_calls.",
    Reason.INTERNAL: "This is a fault of the exporter. Report it, with the line of the log.",
}
