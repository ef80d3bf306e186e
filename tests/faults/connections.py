"""Cases of connections that do not come about: each has an upstream of its own (rows 1, 4, 28, 62 to 64)."""

from __future__ import annotations

from typing import Final

from tests.faults.causes import (
    certificate,
    expired,
    full_queue,
    hanging_handshake,
    of_an_unknown_authority,
    of_another_host,
    only_old_versions,
    redirecting,
    refusing,
    self_signed,
)
from tests.faults.experiment import Case
from tests.faults.signs import elsewhere_hears_nothing, every, fails, first_fails, hears_nothing, renewals_fail

_REFUSED_TWICE: Final = every(first_fails("tls"), renewals_fail("tls"), hears_nothing)

CASES: Final = (
    Case(1, "refused", refusing, every(fails("connect"), hears_nothing), server="own"),
    Case(4, "full_queue", full_queue, every(fails("timeout"), hears_nothing), server="own"),
    Case(28, "https", redirecting(301), every(fails("redirect"), elsewhere_hears_nothing), server="tls"),
    *(
        Case(62, present.__name__, certificate(present), _REFUSED_TWICE, server="tls",
             lifetime_intervals=2, token_requests=6)
        for present in (expired, of_another_host, of_an_unknown_authority, self_signed)
    ),
    Case(63, "tls_1_1", only_old_versions, every(fails("tls"), hears_nothing), server="tls"),
    Case(64, "silence", hanging_handshake, every(fails("timeout"), hears_nothing), server="tls"),
)  # fmt: skip
