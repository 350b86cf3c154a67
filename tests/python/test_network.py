"""Steps with a network, against real HTTP servers: what they reach and what not, and what is told of it."""

import contextlib
import http.server
import json
import socket
import threading

import pytest
from conftest import Workspace
from served import Served

WAIT_S = 60

# The standard library alone: the interpreter is the machine's.
FETCH = """
import json, os, pathlib, socket, urllib.error, urllib.request
told = json.loads(os.environ["CUSTODY_PARAMETERS"])
server = f"http://127.0.0.1:{told['port']}"

def get(path):
    with urllib.request.urlopen(server + path, timeout=20) as answer:
        return answer.read()

pathlib.Path("/out/data/rows.txt").write_bytes(get("/data"))
for path in ("/elsewhere", "/cloud", "/name"):
    try:
        get(path)
        print("ESCAPED", path)
    except urllib.error.URLError as error:
        print("redirect refused", path, error.reason)
for place in [("127.0.0.1", told["other"]), ("localhost", told["other"]), ("169.254.169.254", 80), ("1.1.1.1", 443)]:
    try:
        socket.create_connection(place, 5)
        print("ESCAPED", place)
    except OSError as error:
        print("refused", place, error)
print("posted", urllib.request.urlopen(server + "/take", data=b"x" * 100_000, timeout=20).read())
"""

USE = "import pathlib; pathlib.Path('/out/used/n.txt').write_text(str(len(pathlib.Path('/in/data/rows.txt').read_text())))"


class Server:
    """An HTTP server on the loopback of this machine."""

    def __init__(self, other=None):
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append(self.path)
                places = {
                    "/elsewhere": f"http://127.0.0.1:{other.port}/" if other else "",
                    "/cloud": "http://169.254.169.254/latest/meta-data/",
                    "/name": "http://localhost.example.com/",
                }
                body = b"" if self.path in places else b"rows of data"
                self.send_response(302 if self.path in places else 200)
                if self.path in places:
                    self.send_header("Location", places[self.path])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.path, len(body)))
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"taken")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def servers():
    """One that a step declares, and another that it does not."""
    other = Server()
    declared = Server(other)
    yield declared, other
    declared.close()
    other.close()


def pipeline(step, port, other=1, more="", name="net"):
    """Write a pipeline whose step `fetch` runs the program in `fetch.py` with one endpoint."""
    return (
        f"project: {name}\nsteps:\n  {step}:\n    run:\n      command: [python3, /code/fetch.py]\n      code: [fetch.py]\n"
        f"      network: ['127.0.0.1:{port}']\n      parameters: {{port: {port}, other: {other}}}\n{more}"
    )


DATA = "      outputs: {data: {artifact: data, kind: dataset}}\n"


def lets_in(run, folder, port, cedar=""):
    """Let steps reach one port of this machine, as the owner can."""
    folder = folder / "policies"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"private_endpoints": [f"127.0.0.1:{port}"]}))
    (folder / "own.cedar").write_text(cedar)
    run("policy", "apply", str(folder))


def connections(ask):
    """Return the entries of connections: leave and outcome of each that was permitted, and the refusals."""
    entries = [one["entry"] for one in ask("ledger", "log", "--action", "network.connect", "--limit", "1000")["entries"]]
    refused = [one for one in entries if one.get("out") == "denied"]
    outcomes = {one["rel"]: one for one in entries if one.get("rel")}
    grants = [one for one in entries if not one.get("rel") and one.get("out") != "denied"]
    assert {one["id"] for one in grants} == set(outcomes)
    return [(one, outcomes[one["id"]]) for one in grants], refused


def test_a_step_reaches_what_it_declares_and_the_evidence_tells(tmp_path, servers):
    """Nothing else, by no redirect; and what was made with a network is told from what was not."""
    declared, other = servers
    use = (
        "  use:\n    run:\n      command: [python3, -c, \"" + USE + "\"]\n      inputs: {data: data}\n"
        "      outputs: {used: {artifact: used, kind: report}}\n"
    )
    text = pipeline("fetch", declared.port, other.port, DATA + use)
    workspace = Workspace(tmp_path, {"custody.yaml": text, "fetch.py": FETCH})
    workspace.run("init")

    # An address of this machine is nobody's, not even the owner's, until the settings name it.
    told = workspace.run("run", expect=3)
    assert "network that is not public" in told and "private_endpoints" in told, told
    assert declared.seen == [] and len(connections(workspace.json)[1]) == 1
    lets_in(workspace.run, workspace.folder, declared.port)
    assert f"`fetch` has a network: 127.0.0.1:{declared.port}" in workspace.run("run", "--dry-run")

    told = workspace.run("run")
    assert "ESCAPED" not in told and told.count("redirect refused") == 3 and told.count("| refused") == 4, told
    assert "posted b'taken'" in told
    assert f"connected to 127.0.0.1:{declared.port}: 5 connections, " in told, told
    assert other.seen == [] and declared.seen[-1] == ("/take", 100_000)

    # Each connection is entered before and after.
    made, _ = connections(workspace.json)
    assert len(made) == 5
    for grant, outcome in made:
        assert grant["obj"] == [{"k": "endpoint", "n": f"127.0.0.1:{declared.port}"}] and grant["dec"]["ctx"]["class"] == "internal"
        assert outcome["out"] == "ok" and outcome["facts"]["address"] == "127.0.0.1"
    assert sum(int(outcome["facts"]["sent"]) for _, outcome in made) > 100_000

    # What it was answered may be something else, so it runs again; what needs it is reused, for the bytes are the same.
    told = workspace.run("status")
    assert "it has a network: what it is answered may be something else each time" in told and "`fetch` runs before it" in told, told
    states = {step["step"]: step["state"] for step in json.loads(workspace.run("--json", "run").splitlines()[-1])["steps"]}
    assert states == {"fetch": "made", "use": "reused"}
    (workspace.folder / "custody.yaml").write_text(text.replace("      parameters:", "      reuse: true\n      parameters:"))
    workspace.run("run")
    told = workspace.run("run")
    assert "answered now may be something else" in told and "1 connection" not in told, told
    assert len(declared.seen) == 3 * 5

    told = workspace.run("trace", "net/used@1")
    assert f"with a network: 127.0.0.1:{declared.port}" in told and "connected to" in told, told
    node = next(node for node in workspace.json("trace", "net/used@1")["nodes"] if node["step"] == "fetch")
    assert any("weaker" in line for line in node["isolation"]), node
    told = workspace.run("verify", "net/used@1")
    assert "was made with a network, and what its step was answered is not kept" in told, told
    count = len(declared.seen)
    told = workspace.run("reproduce", "net/used@1")
    assert "from what its steps with a network had made" in told and "taken as stored  net/data@1" in told, told
    assert "is not kept" in workspace.run("reproduce", "net/data@1", expect=2)
    assert len(declared.seen) == count
    results = workspace.json("show", "net/data@1")["evidence"]["results"]
    network = next(one for one in results if one["name"] == "network")
    assert network["isolation"] == "weaker" and len(network["connections"]) == 5 and network["refused"] == 0
    workspace.run("verify", "--all")


def test_sensitive_data_is_sent_out_by_a_policy_alone(tmp_path, servers):
    """What is confidential goes nowhere, whoever runs it; a policy permits one endpoint."""
    declared, _ = servers
    send = (
        "import os, json, urllib.request\nport = json.loads(os.environ['CUSTODY_PARAMETERS'])['port']\n"
        "data = open('/in/rows/rows.txt', 'rb').read()\n"
        "urllib.request.urlopen(f'http://127.0.0.1:{port}/take', data=data, timeout=20).read()\nopen('/out/data/x', 'w').write('sent')\n"
    )
    text = pipeline("send", declared.port, 1, "      inputs: {rows: rows@latest}\n" + DATA)
    workspace = Workspace(tmp_path, {"custody.yaml": text, "fetch.py": send, "rows.txt": "secret rows"})
    workspace.run("init")
    lets_in(workspace.run, workspace.folder, declared.port)
    workspace.run("put", "net/rows", "rows.txt", "--classification", "confidential")
    told = workspace.run("run", expect=3)
    assert "no policy permits it" in told and "permit `connect` to this very endpoint" in told, told
    assert declared.seen == []
    asked = ["policy", "explain", "--action", "connect", "--resource", f"net/127.0.0.1:{declared.port}", "--classification"]
    assert workspace.json(*asked, "confidential")["now"]["permit"] is False
    assert workspace.json(*asked, "internal")["now"]["permit"] is True
    lets_in(
        workspace.run,
        workspace.folder,
        declared.port,
        f'@id("scoring") @because("the scores are computed there") permit (principal in Role::"owner", action == Action::"connect", '
        f'resource == Endpoint::"127.0.0.1:{declared.port}") when {{ resource.classification == "confidential" }};',
    )
    workspace.run("run")
    assert declared.seen == [("/take", len("secret rows"))]


@contextlib.contextmanager
def listening():
    """A socket of this machine at which somebody may connect."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        yield listener, listener.getsockname()[1]


def test_a_step_is_cut_at_its_limits_and_ends_with_all_that_is_open(tmp_path):
    """At its bytes, at its connections, and when its time is over amid a transfer."""
    flood = (
        "import os, json, socket\nport = json.loads(os.environ['CUSTODY_PARAMETERS'])['port']\n"
        "one = socket.create_connection(('127.0.0.1', port))\nwhile True: one.sendall(bytes(1 << 16))\n"
    )
    with listening() as (listener, port):
        received = []

        def swallow():
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                count = 0
                with one, contextlib.suppress(ConnectionResetError):
                    while piece := one.recv(1 << 16):
                        count += len(piece)
                received.append(count)

        threading.Thread(target=swallow, daemon=True).start()
        text = pipeline("fetch", port, 1, DATA + "      limits: {network_mib: 2}\n")
        workspace = Workspace(tmp_path, {"custody.yaml": text, "fetch.py": flood})
        workspace.run("init")
        lets_in(workspace.run, workspace.folder, port)
        told = workspace.run("run", expect=1)
        assert "it was cut at `limits.network_mib`, which is 2" in told, told
        made, _ = connections(workspace.json)
        assert [outcome["err"] for _, outcome in made] == ["CUS-RUN-047"]
        assert int(made[0][1]["facts"]["sent"]) <= 2 << 20

        many = "import os, json, socket\nport = json.loads(os.environ['CUSTODY_PARAMETERS'])['port']\nall = []\ntry:\n"
        many += "    for _ in range(9): all.append(socket.create_connection(('127.0.0.1', port))); all[-1].sendall(b'x'); all[-1].close()\n"
        many += "except OSError: pass\nprint(len(all) < 9)\nopen('/out/data/x', 'w').write('x')\n"
        (workspace.folder / "fetch.py").write_text(many)
        (workspace.folder / "custody.yaml").write_text(text.replace("network_mib: 2", "connections: 3"))
        told = workspace.run("run")
        assert "it wanted more connections than `limits.connections`, which is 3" in told, told
        assert len(connections(workspace.json)[0]) == 4

        (workspace.folder / "fetch.py").write_text(flood.replace("while True:", "while not __import__('time').sleep(0.01):"))
        (workspace.folder / "custody.yaml").write_text(text.replace("network_mib: 2", "time_s: 2"))
        before = {outcome["id"] for _, outcome in connections(workspace.json)[0]}
        told = workspace.run("run", expect=124)
        assert f"it had connected to 127.0.0.1:{port}: 1 connection, " in told, told
        [killed] = [outcome for _, outcome in connections(workspace.json)[0] if outcome["id"] not in before]
        assert int(killed["facts"]["sent"]) > 0 and killed["out"] == "ok" and "err" not in killed
        workspace.run("verify", "--all")


def test_on_a_server_a_right_that_is_taken_back_cuts_what_is_open(tmp_path):
    """A run that somebody starts from elsewhere connects from the server, as long as they may."""
    wait = (
        "import os, json, socket\nport = json.loads(os.environ['CUSTODY_PARAMETERS'])['port']\n"
        "one = socket.create_connection(('127.0.0.1', port))\none.sendall(b'hello')\ntry:\n    print('heard', one.recv(10))\n"
        "except ConnectionResetError: print('cut')\nopen('/out/data/x', 'w').write('x')\n"
    )
    with listening() as (listener, port):
        served = Served(tmp_path)
        try:
            lets_in(served.here, tmp_path, port)
            (tmp_path / "project/custody.yaml").write_text(pipeline("fetch", port, 1, DATA))
            (tmp_path / "project/fetch.py").write_text(wait)
            token = served.here("token", "create", "--for", "ada")["secret"]
            with served.elsewhere(token, "run") as started:
                one, _ = listener.accept()
                with one:
                    assert one.recv(5) == b"hello"
                    one.settimeout(WAIT_S)
                    served.here("account", "revoke", "ada", "--role", "data_scientist")
                    with pytest.raises(ConnectionResetError):
                        one.recv(1)
                assert started.wait(WAIT_S) == 3
            made, _ = connections(served.here)
            assert [(outcome["err"], outcome["facts"]["sent"]) for _, outcome in made] == [("CUS-DOOR-001", "5")]
            assert made[0][1]["facts"]["ended"] == "it was permitted no longer"
        finally:
            served.end()
