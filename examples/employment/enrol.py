"""Sets a person's password and authenticator at a server by an invitation, and prints the token of their session.

What `custody login ADDRESS --user NAME --invited` asks for at a terminal, for a demonstration that nobody types:
enrol.py ADDRESS ROOT ACCOUNT INVITATION PASSWORD SECRET, with the root of the server's certificate in PEM and the secret of
the authenticator in base32.
"""

import base64
import hashlib
import hmac
import json
import ssl
import struct
import sys
import time
import urllib.request


def code(secret: str, now: float) -> str:
    """Returns the code of an authenticator at a time (RFC 6238)."""
    counter = struct.pack(">Q", int(now) // 30)
    mac = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    at = mac[-1] & 0xF
    number = struct.unpack(">I", mac[at : at + 4])[0] & 0x7FFF_FFFF
    return f"{number % 1_000_000:06}"


def main() -> None:
    """Enrols one person."""
    address, root, account, invitation, password, secret = sys.argv[1:]
    body = {
        "account": account,
        "invitation": invitation,
        "password": password,
        "authenticator": secret,
        "code": code(secret, time.time()),
    }
    request = urllib.request.Request(
        f"{address}/v1/sessions/enrolments",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile=root)
    with urllib.request.urlopen(request, context=context) as reply:
        print(json.load(reply)["token"])


main()
