"""Whether a client accepts each kind of private authority: `python handshakes.py FOLDER [strict]`, in JSON.

It needs nothing but the standard library and the exporter's own rule, so that every Python can run it.
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

from exporter.model.certificates import set_verification


def client_context(trusted: Path, *, strict: bool) -> ssl.SSLContext:
    """A context as the exporter makes it, on this Python."""
    context = ssl.create_default_context(cafile=str(trusted))
    set_verification(context, strict=strict)
    return context


def accepts(client: ssl.SSLContext, cert: Path, key: Path) -> bool:
    """Whether the client trusts who shows that certificate as 127.0.0.1; without a network."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("DEFAULT@SECLEVEL=0")
    server.load_cert_chain(cert, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    assert not ends, "the handshake does not end"
    return True


def verdicts(folder: Path, *, strict: bool) -> dict[str, bool]:
    """Which kinds are accepted."""
    found = {}
    for trusted in sorted(folder.glob("*.trusted.pem")):
        name = trusted.name.partition(".")[0]
        context = client_context(trusted, strict=strict)
        found[name] = accepts(context, folder / f"{name}.server.pem", folder / f"{name}.key.pem")
    return found


if __name__ == "__main__":
    print(json.dumps(verdicts(Path(sys.argv[1]), strict="strict" in sys.argv[2:])))
