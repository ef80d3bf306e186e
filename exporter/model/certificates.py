"""How certificates are verified: the same on every Python. It needs nothing but the standard library."""

from __future__ import annotations

import ssl


def set_verification(context: ssl.SSLContext, *, strict: bool = False) -> None:
    """Sets what makes a chain of certificates good, whatever this Python begins with (3.13 and later begin strictly).

    Every certificate that is trusted ends a chain, also an intermediate authority's or a server's own, as in Go and
    so in Prometheus. `strict` refuses what RFC 5280 forbids and other programs take, such as an authority without a
    key identifier.
    """
    flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags = flags | ssl.VerifyFlags.VERIFY_X509_STRICT if strict else flags
