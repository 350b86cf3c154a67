"""A workspace that is served on this machine, and those who come to it."""

import base64
import hashlib
import hmac
import json
import os
import signal
import ssl
import struct
import subprocess
import time
import urllib.request

from conftest import TARGET

PASSWORD = "tulpen aus amsterdam 1956"


def code(secret, ahead=0):
    """Return what an authenticator shows now, or so many steps later (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30 + ahead)
    mac = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    at = mac[-1] & 0xF
    return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFF_FFFF) % 1_000_000:06}"


class Served:
    """A workspace that is served, and a project of a data scientist elsewhere."""

    def __init__(self, folder, *options):
        self.folder = folder
        (folder / "server").mkdir()
        (folder / "project").mkdir()
        self.environment = {**os.environ, "CUSTODY_KEY_FILE": str(folder / "key"), "CI": "1"}
        self.here("init")
        self.here("account", "add", "ada", "--role", "data_scientist", "--for", "testing")
        self.here("account", "add", "olga", "--role", "approver")
        self.here("account", "add", "grace", "--role", "auditor")
        command = [TARGET / "custody", "--json", "serve", "--listen", "127.0.0.1:0", *options]
        self.errors = (folder / "errors").open("w")
        self.process = subprocess.Popen(command, cwd=folder / "server", env=self.environment, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        serving = json.loads("".join(iter(self.process.stdout.readline, "}\n")) + "}")
        self.address, self.owner = serving["address"], serving["invitation"]
        (folder / "root.pem").write_text(serving["root"])

    def here(self, *arguments):
        """Run a command on the machine of the server; return its document."""
        done = subprocess.run(
            [TARGET / "custody", "--json", *arguments], cwd=self.folder / "server", env=self.environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout or "{}")

    def elsewhere(self, token, *arguments):
        """Start a command in the project's folder, with a token."""
        environment = {
            **self.environment,
            "CUSTODY_SERVER": self.address,
            "CUSTODY_TOKEN": token,
            "CUSTODY_SERVER_ROOT": str(self.folder / "root.pem"),
        }
        return subprocess.Popen(
            [TARGET / "custody", *arguments], cwd=self.folder / "project", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def ask(self, path, body):
        """Ask the server for something before it is known who asks; return its document."""
        tls = ssl.create_default_context(cafile=self.folder / "root.pem")
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=tls, timeout=20) as answer:
            return json.load(answer)

    def enrolled(self, name, invitation):
        """Set a password and an authenticator; return the token of the session."""
        secret = base64.b32encode(os.urandom(20)).decode()
        shown = {"account": name, "invitation": invitation, "password": PASSWORD, "authenticator": secret, "code": code(secret)}
        return self.ask("/v1/sessions/enrolments", shown)["token"]

    def invited(self, name):
        """Return an invitation of somebody."""
        return self.here("account", "invite", name)["code"]

    def end(self):
        """End the server."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.errors.close()
