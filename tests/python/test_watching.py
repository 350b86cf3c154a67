"""What a server tells of itself, read by programs that are not ours: the parser of Prometheus, the messages of OpenTelemetry.

One real server, with a collector of traces beside it that decodes what it is sent. Nothing that anybody chose may come out
anywhere: canaries stand in everything that a request has, and in everything that has a name.
"""

import concurrent.futures
import http.client
import http.server
import io
import json
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.parse
import uuid

import pytest
from conftest import TARGET
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from served import Served

CANARY = "c4n4ry"
PIPELINE = f"""
project: {CANARY}-project
purpose: testing
steps:
  {CANARY}-collect:
    source:
      file: {CANARY}.csv
      output: {CANARY}-rows
      origin: {{publisher: {CANARY}, url: "https://{CANARY}.example", licence: CC0-1.0, legal_basis: none, classification: internal}}
  {CANARY}-few:
    sql:
      inputs: {{rows: {CANARY}-rows}}
      outputs: {{{CANARY}-few: SELECT id FROM rows WHERE id < 2}}
"""


class Collector:
    """Takes traces by OTLP over HTTP, and keeps them as they came. It asks for a token."""

    def __init__(self):
        kept = self.bodies = []
        arrived = self.arrived = threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.headers["Authorization"] == "Bearer collector's" and self.path == "/v1/traces"
                known = known and self.headers["Content-Type"] == "application/x-protobuf"
                with arrived:
                    kept.append(body if known else None)
                    arrived.notify_all()
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if known else 403)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self, wanted):
        """Wait until `wanted` says that what came is enough; return the spans, each with the resource that it is of."""
        deadline = time.monotonic() + 30
        with self.arrived:
            while True:
                found = []
                for body in self.bodies:
                    message = ExportTraceServiceRequest.FromString(body)
                    for of in message.resource_spans:
                        for scope in of.scope_spans:
                            found += [(span, of.resource) for span in scope.spans]
                if wanted([span for span, _ in found]):
                    return found
                assert self.arrived.wait(deadline - time.monotonic()), [span.name for span, _ in found]


class Watched(Served):
    """A workspace that is served, and asked without a client of ours."""

    def __init__(self, folder, *options):
        super().__init__(folder, "--log-file", "log.jsonl", *options)
        self.port = urllib.parse.urlsplit(self.address).port
        self.tls = ssl.create_default_context(cafile=folder / "root.pem")

    def token(self, *options):
        """Make a token."""
        return self.here("token", "create", *options)["secret"]

    def request(self, method, target, body=None, headers=(), connection=None):
        """Ask once; return status, headers and body."""
        own = connection or http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)
        own.putrequest(method, target)
        for name, value in headers:
            own.putheader(name, value)
        if body is not None:
            own.putheader("Content-Length", str(len(body)))
        own.endheaders(body)
        answer = own.getresponse()
        read = answer.read()
        if connection is None:
            own.close()
        return answer.status, answer.headers, read

    def scrape(self, token):
        """Take what is counted, by name and labels."""
        status, headers, body = self.request("GET", "/metrics", headers=[("Authorization", f"Bearer {token}")])
        assert status == 200, body
        assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        families = list(text_string_to_metric_families(body.decode()))
        assert all(family.documentation.endswith(".") for family in families)
        return {(sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples}

    def log(self):
        """The lines of the log."""
        return [json.loads(line) for line in (self.folder / "server/log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def collector():
    """A collector of traces."""
    collector = Collector()
    yield collector
    collector.server.shutdown()


@pytest.fixture(scope="module")
def served(tmp_path_factory, collector):
    """A server that tells all that it can."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "headers").write_text("Authorization: Bearer collector's\n")
    served = Watched(folder, "--log-level", "debug", "--otlp", collector.address, "--otlp-headers", folder / "headers")
    served.here("account", "add", "service:prometheus", "--role", "operator")
    served.scraper = served.token("--for", "service:prometheus", "--action", "readMetrics")
    served.owned = served.token()
    yield served
    served.end()


def bearer(token):
    """The field that shows a token."""
    return [("Authorization", f"Bearer {token}")]


def rose(before, after):
    """What rose, by how much."""
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def counted(figures, name):
    """The figures of one name, by the values of their labels."""
    return {tuple(value for _, value in key[1:]): figure for key, figure in figures.items() if key[0] == name}


def test_what_is_counted_rises_by_what_is_done(served):
    served.scrape(served.scraper)
    before = served.scrape(served.scraper)
    body = json.dumps({"reference": None, "require": []}).encode()

    def work(number):
        connection = http.client.HTTPSConnection("localhost", served.port, context=served.tls, timeout=60)
        document = [("Content-Type", "application/json"), *bearer(served.scraper)]
        sent = 0
        for _ in range(20):
            status, _, read = served.request("GET", "/v1/versions", headers=bearer(served.owned), connection=connection)
            assert status == 200
            sent += len(read)
        for target, headers, expect in [
            ("/v1/versions", [], 401),
            (f"/v1/{number}", bearer(served.owned), 404),
            ("/v1/runs/0190a3c4-0000-7000-8000-000000000000", bearer(served.owned), 404),
            ("/health", [], 200),
        ]:
            status, _, read = served.request("GET", target, headers=headers, connection=connection)
            assert status == expect, read
            sent += len(read)
        status, _, read = served.request("POST", "/v1/verify", body, document, connection)
        assert status == 403, read
        connection.close()
        return sent + len(read)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sent = sum(pool.map(work, range(8)))
    figures = rose(before, after := served.scrape(served.scraper))
    assert counted(figures, "custody_http_requests_total") == {
        ("GET /metrics", "200"): 1,
        ("GET /v1/versions", "200"): 160,
        ("GET /v1/versions", "401"): 8,
        ("none", "404"): 8,
        ("GET /v1/runs/{id}", "404"): 8,
        ("GET /health", "200"): 8,
        ("POST /v1/verify", "403"): 8,
    }
    assert counted(figures, "custody_http_request_duration_seconds_count")[("GET /v1/versions",)] == 168
    assert figures[("custody_connections_total",)] == 9
    assert figures[("custody_http_received_bytes_total",)] == 8 * len(body)
    # The answer of the first of both is in the second.
    assert 0 < figures[("custody_http_sent_bytes_total",)] - sent < 200_000
    assert counted(figures, "custody_problems_total") == {("unauthenticated",): 8, ("not_found",): 16, ("denied",): 8}
    decisions = counted(figures, "custody_decisions_total")
    assert decisions[("list", "permit")] == 160 and decisions[("verify", "forbid")] == 8
    assert after[("custody_connections_open",)] >= 1 and after[("custody_http_requests_in_flight",)] == 1
    entries = figures[("custody_ledger_entries",)]
    # What was handed over is written within a second.
    assert entries >= 160 + 8 and abs(entries - figures[("custody_ledger_appended_entries_total",)]) < 200
    assert after[("custody_tokens_in_force",)] >= 2 and after[("process_open_fds",)] > 5
    assert after[("custody_ledger_appends_total", ("outcome", "failed"))] == 0
    assert abs(after[("process_start_time_seconds",)] - time.time()) < 600


def test_a_scrape_is_for_who_may_and_is_no_entry_each_time(served):
    for headers, expect in [([], 401), (bearer("x"), 401), (bearer(served.token("--action", "list")), 403)]:
        status, _, body = served.request("GET", "/metrics", headers=headers)
        assert status == expect and b"custody_" not in body, body
    refused = bearer(served.token("--action", "list"))

    def granted():
        log = served.here("ledger", "log", "--action", "server.metrics", "--limit", "100")
        return [one["index"] for one in log["entries"] if one["entry"]["ph"] == "grant"]

    served.scrape(served.scraper)
    assert served.request("GET", "/metrics", headers=refused)[0] == 403
    before = granted()
    for _ in range(50):
        served.scrape(served.scraper)
        assert served.request("GET", "/metrics", headers=refused)[0] == 403
    # Of who sees it and of who is refused there is an entry, which holds for an hour.
    assert len(before) >= 2 and granted() == before
    status, _, body = served.request("GET", "/v1/versions", headers=bearer(served.scraper))
    assert status == 403, body
    # On the machine of the server, by whoever may.
    assert "custody_build_info" in served.here("server", "metrics")["text"]


def test_every_answer_has_an_id_and_the_log_has_its_line(served):
    foreign = str(uuid.uuid4())
    ids = set()
    for method, target, headers, expect in [
        ("GET", "/v1/versions", bearer(served.owned), 200),
        ("GET", "/v1/version?reference=demo%2Fnone%401", bearer(served.owned), 404),
        ("GET", "/v1/versions", [], 401),
        ("GET", "/nowhere", [], 303),
        ("GET", "/sign-in", [], 200),
        ("DELETE", "/v1/versions", bearer(served.owned), 405),
        ("GET", "/v1/versions", [("Host", "localhost"), *bearer(served.owned)], 400),
    ]:
        status, answered, body = served.request(method, target, headers=[*headers, ("custody-request-id", foreign)])
        assert status == expect, (target, body)
        request = uuid.UUID(answered["custody-request-id"])
        assert request.version == 7 and str(request) != foreign
        ids.add(str(request))
        if answered["Content-Type"] == "application/problem+json":
            assert json.loads(body)["instance"] == request.urn
        else:
            assert b"urn:uuid" not in body
    assert len(ids) == 7
    wait_for(lambda: ids <= {line.get("request") for line in served.log()})
    lines = {line["request"]: line for line in served.log() if line["event"] == "request"}
    found = sorted((lines[one]["operation"], lines[one]["status"]) for one in ids)
    assert found == [
        ("GET /sign-in", 200),
        ("GET /v1/version", 404),
        ("GET /v1/versions", 200),
        ("GET /v1/versions", 401),
        ("none", 303),
        ("none", 400),
        ("none", 405),
    ]
    assert all(line["duration_ms"] >= 0 for line in lines.values())


def wait_for(holds):
    """Wait until something holds that is done soon."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_traces_say_what_belongs_to_what(served, collector):
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    headers = [*bearer(served.owned), ("traceparent", f"00-{trace}-{parent}-00"), ("tracestate", "a=b")]
    _, answered, _ = served.request("GET", "/v1/versions", headers=headers)
    request = answered["custody-request-id"]

    def belongs(span):
        return any(one.key == "custody.request.id" and one.value.string_value == request for one in span.attributes)

    def whole(spans):
        return {"GET /v1/versions", "decide", "enter"} <= {span.name for span in spans if belongs(span)}

    found = [(span, resource) for span, resource in collector.spans(whole) if belongs(span)]
    [(root, resource)] = [one for one in found if one[0].name == "GET /v1/versions"]
    assert all(span.trace_id == root.trace_id for span, _ in found)
    # What a stranger says of traces is linked to, and decides nothing.
    assert root.trace_id.hex() != trace and not root.parent_span_id and not root.trace_state
    [link] = root.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (trace, parent)
    assert root.kind == Span.SPAN_KIND_SERVER and root.status.code == Status.STATUS_CODE_UNSET
    said = {one.key: one.value for one in root.attributes}
    assert said["http.route"].string_value == "/v1/versions" and said["http.request.method"].string_value == "GET"
    assert said["http.response.status_code"].int_value == 200
    about = {one.key: one.value.string_value for one in resource.attributes}
    assert about["service.name"] == "custody" and uuid.UUID(about["service.instance.id"])
    ids = {span.span_id for span, _ in found}
    assert len(ids) == len(found)
    for span, _ in found:
        assert not UnknownFieldSet(span) and len(span.trace_id) == 16 and len(span.span_id) == 8
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span is root or span.parent_span_id in ids
    decided = next(span for span, _ in found if span.name == "decide")
    assert {one.key: one.value.string_value for one in decided.attributes}["custody.action"] == "list"


def archive(name, content):
    """A file as it is sent."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        tar.addfile(about, io.BytesIO(content))
    return out.getvalue()


def everything_with_canaries(served):
    """Ask for much, with a canary wherever there is room for one; return the statuses."""
    fields = [
        ("User-Agent", CANARY), ("Referer", f"https://{CANARY}.example/{CANARY}?{CANARY}"), ("Origin", f"https://{CANARY}.example"),
        ("Cookie", f"{CANARY}={CANARY}; __Host-custody={CANARY}; __Host-custody-sign-in={CANARY}"), ("Accept", CANARY),
        ("Accept-Language", CANARY), ("X-Forwarded-For", CANARY), ("Forwarded", f"for={CANARY}"), ("X-Request-Id", CANARY),
        ("custody-request-id", CANARY), ("traceparent", CANARY), ("tracestate", f"{CANARY}=1"), ("baggage", f"{CANARY}=1"),
        ("If-None-Match", CANARY), (f"x-{CANARY}", CANARY),
    ]  # fmt: skip
    sign_in = json.dumps({"account": f"{CANARY}-user", "password": f"{CANARY} pass phrase", "code": "000000"}).encode()
    put = urllib.parse.urlencode({"artifact": f"{CANARY}-project/{CANARY}-artifact", "kind": "report", "classification": "internal"})
    owner, scraper = bearer(served.owned), bearer(served.scraper)
    documents, files, forms, other = (
        [("Content-Type", f"{kind}; x={CANARY}")] for kind in ("application/json", "application/x-tar", "application/x-www-form-urlencoded", f"text/{CANARY}")
    )
    statuses = {}
    for method, target, body, headers in [
        ("GET", f"/v1/versions?project={CANARY}-project", None, owner),
        ("GET", f"/v1/versions?{CANARY}={CANARY}", None, owner),
        ("GET", f"/{CANARY}/{CANARY}?{CANARY}", None, []),
        ("GET", f"/v1/{CANARY}", None, owner),
        ("GET", f"/v1/runs/{CANARY}", None, owner),
        (CANARY.upper(), "/v1/versions", None, owner),
        ("GET", "/v1/versions", None, bearer(CANARY)),
        ("GET", "/v1/versions", None, [("Authorization", f"Basic {CANARY}")]),
        ("GET", "/v1/versions", None, [*owner, ("custody-purpose", CANARY)]),
        ("GET", "/v1/versions", None, [*owner, ("custody-as", CANARY)]),
        ("GET", f"/v1/version?reference={CANARY}-project%2F{CANARY}%401", None, scraper),
        ("POST", f"/v1/versions?{put}", archive(f"{CANARY}.txt", CANARY.encode()), [*owner, *files]),
        ("POST", f"/v1/versions?{put}", CANARY.encode(), [*owner, *files]),
        ("POST", f"/v1/versions?{put}", CANARY.encode(), [*owner, *other]),
        ("POST", "/v1/verify", json.dumps({"reference": CANARY}).encode(), [*owner, *documents]),
        ("POST", "/v1/metrics", f'{{"{CANARY}": "{CANARY}"}}'.encode(), [*owner, *documents]),
        ("POST", "/v1/sessions", sign_in, documents),
        ("POST", f"/sign-in?next={CANARY}", f"account={CANARY}&password={CANARY}".encode(), forms),
        ("GET", f"/v1/sessions/oidc?provider={CANARY}&next={CANARY}", None, []),
        ("GET", f"/metrics?{CANARY}", None, scraper),
        ("GET", "/metrics", None, scraper),
        ("GET", f"/ready?{CANARY}", None, []),
    ]:
        status, answered, _ = served.request(method, target, body, [*headers, *fields])
        statuses.setdefault(status // 100, []).append(answered["custody-request-id"])
    # Bytes of a version that are damaged are a failure of the server.
    folder = served.folder / "server/.custody/packs"
    reference = urllib.parse.quote(f"{CANARY}-project/{CANARY}-artifact@1", safe="")
    for pack in folder.rglob("*.pack"):
        pack.write_bytes(b"")
    status, answered, body = served.request("GET", f"/v1/files?reference={reference}", None, [*owner, *fields])
    statuses.setdefault(status // 100, []).append(answered["custody-request-id"])
    # What is no TLS, and what is no request.
    for name in (f"{CANARY}.example", "localhost"):
        context = ssl.create_default_context()
        with socket.create_connection(("localhost", served.port)) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname=name)
    with socket.create_connection(("localhost", served.port)) as plain:
        plain.sendall(f"GET /{CANARY} HTTP/1.1\r\nHost: {CANARY}\r\n\r\n".encode())
        plain.recv(100)
    with socket.create_connection(("localhost", served.port)) as plain, served.tls.wrap_socket(plain, server_hostname="localhost") as spoken:
        spoken.sendall(f"{CANARY} {CANARY}\r\n{CANARY}\r\n\r\n".encode())
        assert b" 400 " in spoken.recv(1000)
    return statuses


def test_nothing_that_anybody_chose_comes_out(served, collector):
    for name, text in [("custody.yaml", PIPELINE), (f"{CANARY}.csv", f"id,name\n1,{CANARY}\n2,x\n")]:
        (served.folder / "project" / name).write_text(text)
    served.here("account", "add", f"{CANARY}-user", "--role", "data_scientist", "--for", "testing")
    token = served.token("--for", f"{CANARY}-user", "--note", CANARY)
    before = served.scrape(served.scraper)
    assert served.elsewhere(token, "run").wait(timeout=120) == 0
    statuses = everything_with_canaries(served)
    assert len(statuses[2]) >= 4 and len(statuses[4]) >= 10 and len(statuses[5]) >= 1, {one: len(ids) for one, ids in statuses.items()}
    asked = {one for ids in statuses.values() for one in ids}
    wait_for(lambda: asked <= {line.get("request") for line in served.log()})

    def whole(spans):
        told = {one.value.string_value for span in spans for one in span.attributes if one.key == "custody.request.id"}
        return asked <= told and sum(span.name == "run" for span in spans) == 1

    collector.spans(whole)
    figures = served.scrape(served.scraper)
    changed = rose(before, figures)
    assert changed[("custody_runs_ended_total", ("end", "ok"))] == 1 and changed[("custody_steps_ended_total", ("end", "ok"))] == 2
    assert changed[("custody_connections_refused_total", ("reason", "tls"))] == 3
    assert changed[("custody_connections_refused_total", ("reason", "head"))] == 1
    assert figures[("custody_runs_in_progress",)] == 0 and changed[("custody_store_written_bytes_total",)] > 0
    _, _, exposed = served.request("GET", "/metrics", headers=bearer(served.scraper))
    told = [exposed, (served.folder / "server/log.jsonl").read_bytes(), (served.folder / "errors").read_bytes(), *collector.bodies]
    secrets = [CANARY, served.owned, served.scraper, token, "prometheus", "127.0.0.1", "::1", "collector's"]
    for text in told:
        for secret in secrets:
            assert secret.encode().lower() not in text.lower(), secret
    events = {line["event"] for line in served.log()}
    assert {"server.started", "server.listening", "request", "connection.refused", "run.began", "run.ended", "decision", "ledger.append"} <= events
    names = {name for line in served.log() for name in line}
    assert names <= {
        "time", "level", "event", "request", "operation", "status", "problem", "duration_ms", "received_bytes", "sent_bytes", "whole", "trace",
        "run", "end", "action", "effect", "entries", "bytes", "ok", "port", "reason",
    }, names  # fmt: skip


def test_a_collector_that_fails_changes_nothing(tmp_path):
    took = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        # Whoever connects is taken by the system, and answered by nobody.
        served = Watched(tmp_path, "--otlp", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        token = served.token()
        for _ in range(20):
            began = time.monotonic()
            assert served.request("GET", "/v1/versions", headers=bearer(token))[0] == 200
            took.append(time.monotonic() - began)
        began = time.monotonic()
        served.end()
        ended = time.monotonic() - began
    assert served.process.returncode == 0 and max(took) < 5 and ended < 20, (took, ended)
    events = [line["event"] for line in served.log()]
    assert events[0] == "server.started" and events[-1] == "server.stopped"
    # Nothing but lines of the log is said.
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--otlp", "http://collector.example:4318"], "no address of a collector"),
        (["--otlp", "https://collector.example", "--otlp-share", "2"], "no share"),
        (["--log-file", "none/log"], "the file of the log"),
    ],
)
def test_what_cannot_be_watched_is_told_at_the_start(served, options, says):
    command = [TARGET / "custody", "serve", "--listen", "127.0.0.1:0", *options]
    done = subprocess.run(command, cwd=served.folder / "server", env=served.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and says in done.stderr, done
