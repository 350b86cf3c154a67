"""People sign in by identity providers: the program against `oidc-provider` of npm on this machine, and a client that plays the person."""

import html.parser
import http.cookiejar
import json
import os
import re
import socket
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import TARGET

# Installed by scripts/oidc-provider.sh, from the lock file beside the provider.
PROVIDER = TARGET.parent / "oidc"
CALLBACK = "/v1/sessions/oidc/callback"
COOKIE = "__Host-custody-sign-in"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Hands a redirect out as the answer that it is."""

    def redirect_request(self, *_):
        return None


class Forms(html.parser.HTMLParser):
    """The forms of a page: where each goes, with which fields."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append((attrs.get("action"), {}))
        elif tag in ("input", "button") and self.forms and attrs.get("name"):
            self.forms[-1][1][attrs["name"]] = attrs.get("value", "")


class Person:
    """Somebody with a browser: keeps the provider's cookies, follows it, and fills in its forms."""

    def __init__(self, subject):
        self.subject = subject
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(NoRedirect, jar)

    def ask(self, url, fields=None):
        """Ask once; return status, where it leads, and the page."""
        data = None if fields is None else urllib.parse.urlencode(fields).encode()
        try:
            with self.opener.open(urllib.request.Request(url, data), timeout=10) as answer:
                return answer.status, None, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                place = error.headers.get("Location")
                return error.code, place and urllib.parse.urljoin(url, place), error.read().decode()

    def confirm(self, url, code=None, until=CALLBACK):
        """Go where a link leads, sign in, agree; return where the browser is sent in the end, or the last page."""
        status, place, page = self.ask(url)
        for _ in range(20):
            if place is not None:
                if until in place:
                    return place
                url = place
                status, place, page = self.ask(url)
                continue
            assert status == 200, (status, page)
            # The last form is the one that goes on; a form of signing out, or of saying no, comes before or is none.
            forms = [form for form in Forms(page).forms if form[0]]
            if not forms:
                return page
            action, fields = forms[-1] if len(forms) == 1 else forms[0]
            fields.pop("abort", None)
            if "login" in fields:
                fields.update(login=self.subject, password="any")
            if "user_code" in fields and code:
                fields["user_code"] = code
            url = urllib.parse.urljoin(url, action)
            status, place, page = self.ask(url, fields)
        raise AssertionError(page)


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Provider:
    """An identity provider on this machine."""

    def __init__(self, port, redirect, people, algorithm, secret=None):
        self.issuer = f"http://127.0.0.1:{port}"
        self.settings = {"port": port, "client": "custody", "redirect": redirect, "people": people, "algorithm": algorithm, "secret": secret}
        self.process = None
        self.start()

    def start(self):
        """Start it, with new keys."""
        command = ["node", "provider.mjs", json.dumps(self.settings)]
        self.process = subprocess.Popen(command, cwd=PROVIDER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert any(line.strip() == "ready" for line in self.process.stdout)

    def stop(self):
        """End it, as a machine that fails."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Served:
    """A workspace that is served, with two providers, each of which knows somebody of the same subject and address."""

    def __init__(self, folder):
        self.folder = folder
        self.process = self.corp = self.other = None
        self.project = folder / "project"
        (self.project / "policies").mkdir(parents=True)
        (folder / "elsewhere").mkdir()

    def start(self):
        """Start the server and the providers, and bind who signs in."""
        folder = self.folder
        (self.project / "secret").write_text("provider's secret & more\n")
        ports = [free_port(), free_port()]
        plain = [f"--oidc-plain=http://127.0.0.1:{port}" for port in ports]
        self.custody("init")
        command = [TARGET / "custody", "--json", "serve", "--listen", "127.0.0.1:0", "--oidc-secret", "corp=secret", *plain]
        self.process = subprocess.Popen(command, cwd=self.project, env=self.environment("home"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        text = ""
        while not text.endswith("\n}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            text += line
        serving = json.loads(text)
        self.address = serving["address"]
        (folder / "elsewhere/root.pem").write_text(serving["root"])
        self.tls = ssl.create_default_context(cadata=serving["root"])
        people = {"7": {"groups": ["risk"], "email": "ada@example.org"}, "8": {"groups": ["team"]}}
        redirect = self.address + CALLBACK
        self.corp = Provider(ports[0], redirect, people, "ES256", "provider's secret & more")
        self.other = Provider(ports[1], redirect, people, "PS256")
        groups = {"claim": "groups", "roles": {"risk": ["auditor"]}, "accounts": ["team"]}
        corp = {"issuer": self.corp.issuer, "client_id": "custody", "scopes": ["groups"], "groups": groups}
        sign_in = {"corp": corp, "other": {"issuer": self.other.issuer, "client_id": "custody", "scopes": ["email"]}}
        (self.project / "policies/settings.json").write_text(json.dumps({"sign_in": sign_in}))
        self.custody("policy", "apply", "policies")
        self.custody("account", "add", "ada", "--oidc", self.corp.issuer, "7")

    def close(self):
        """End all that was started."""
        if self.process:
            self.process.terminate()
            self.process.communicate(timeout=20)
        for provider in (self.corp, self.other):
            if provider:
                provider.stop()

    def environment(self, home):
        """The environment of somebody with a home of their own."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder / home), "CI": "1"}

    def custody(self, *arguments, expect=0):
        """Run a command on the machine of the server."""
        done = subprocess.run([TARGET / "custody", *arguments], cwd=self.project, env=self.environment("home"), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == expect, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def elsewhere(self, *arguments):
        """Start a command elsewhere."""
        return subprocess.Popen(
            [TARGET / "custody", *arguments], cwd=self.folder / "elsewhere", env=self.environment("there"), stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
        )

    def told(self, code, says, *arguments):
        """Run a command elsewhere, which ends with a code and says something."""
        process = self.elsewhere(*arguments)
        text, _ = process.communicate(timeout=60)
        assert process.returncode == code, (arguments, text)
        assert says in text, (arguments, text)

    def page(self, place, body=None, **headers):
        """Ask the server once; return status, headers and text."""
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = place if place.startswith("https:") else self.address + place
        opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=self.tls))
        try:
            answer = opener.open(urllib.request.Request(url, data, headers), timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read().decode()

    def ask(self, place, body=None, **headers):
        """Ask the server once; return status, headers and document."""
        status, headers, text = self.page(place, body, **headers)
        return status, headers, json.loads(text) if text else None

    def begin(self, provider):
        """Begin to sign in with a browser; return where it goes, and what it keeps."""
        status, headers, _ = self.ask(f"/v1/sessions/oidc?provider={provider}")
        assert status == 303, status
        kept, *rules = headers["Set-Cookie"].split("; ")
        assert rules == ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"]
        assert kept.startswith(COOKIE + "=") and headers["Cache-Control"] == "no-store"
        return headers["Location"], kept

    def sign_in(self, provider, person):
        """Sign in with a browser."""
        place, kept = self.begin(provider)
        status, _, reply = self.ask(person.confirm(place), Cookie=kept)
        return status, reply

    def may_list(self, token):
        """Ask something with a session's token; return the status."""
        return self.ask("/v1/identity", Authorization=f"Bearer {token}")[0]

    def reasons(self):
        """The reasons of the refusals that the ledger has, in order."""
        log = json.loads(self.custody("--json", "ledger", "log", "--action", "session.sign_in", "--limit", "100"))
        entries = sorted(log["entries"], key=lambda entry: entry["index"])
        facts = [entry["entry"].get("facts", {}) for entry in entries]
        return [one["reason"] for one in facts if "reason" in one]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A workspace that is served, with its providers."""
    served = Served(tmp_path_factory.mktemp("oidc"))
    try:
        served.start()
        yield served
    finally:
        served.close()


def test_a_person_signs_in_with_a_browser_as_who_they_are_to_one_provider(served):
    person = Person("7")
    place, kept = served.begin("corp")
    back = person.confirm(place)
    # In another browser, with another state, with two codes: nothing, and the sign-in goes on in its own.
    _, other = served.begin("corp")
    for cookie in ({}, {"Cookie": other}, {"Cookie": kept + "x"}):
        status, _, problem = served.ask(back, **cookie)
        assert (status, problem["code"]) == (401, "CUS-DOOR-032")
    assert served.ask(back + "&code=x", Cookie=kept)[0] == 400
    status, headers, reply = served.ask(back, Cookie=kept, Host="localhost")
    assert status == 200, reply
    assert (reply["account"], reply["provider"], reply["roles"]) == ("ada", "corp", ["auditor"])
    assert headers["Set-Cookie"].startswith(f"{COOKIE}=; ") and "Max-Age=0" in headers["Set-Cookie"]
    assert served.may_list(reply["token"]) == 200
    # The answer counts once.
    assert served.ask(back, Cookie=kept)[0] == 401
    # The same subject and address at the other provider are somebody else, until an owner says who.
    status, problem = served.sign_in("other", Person("7"))
    assert (status, problem["code"]) == (403, "CUS-DOOR-033")
    assert f"--oidc {served.other.issuer} '7'" in problem["hint"]
    served.custody("account", "add", "bob", "--oidc", served.other.issuer, "7")
    served.custody("account", "grant", "bob", "--oidc", served.corp.issuer, "7", expect=5)
    status, other = served.sign_in("other", Person("7"))
    assert (status, other["account"], other.get("roles")) == (200, "bob", None)
    assert served.may_list(other["token"]) == 403
    # Who is in a group that gets accounts has one, of no name that the provider chose.
    status, third = served.sign_in("corp", Person("8"))
    assert (status, third["account"]) == (200, "corp:8")
    # What is taken away is gone at once, and does not come back.
    served.custody("account", "revoke", "ada", "--oidc", served.corp.issuer, "7")
    assert served.may_list(reply["token"]) == 401
    served.custody("account", "grant", "ada", "--oidc", served.corp.issuer, "7")
    assert served.may_list(reply["token"]) == 401
    assert served.reasons() == ["cookie", "state", "cookie", "used", "unbound"]
    assert "signs in as http://127.0.0.1" in served.custody("account", "ls")


def test_a_person_signs_in_at_a_terminal_by_a_code(served):
    login = ["login", served.address, "--root", "root.pem", "--oidc=corp"]
    process = served.elsewhere(*login)
    shown = ""
    while not (found := re.search(r"open (\S+) and type the code (\S+)", shown)):
        line = process.stdout.readline()
        assert line, shown
        shown += line
    page = Person("7").confirm(found[1], code=found[2])
    assert "success" in page.lower(), page
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert "signed in as `ada`" in rest and "auditor" in rest
    kept = json.loads((served.folder / "there/.config/custody/server.json").read_text())
    assert kept["user"] == "ada" and kept["token"].startswith("cst_")
    served.told(0, "session.sign_in", "ledger", "log", "--limit", "20")
    # It is good for less than what somebody shows in person.
    served.custody("account", "grant", "ada", "--role", "security_officer")
    served.told(3, "a code that was confirmed at an identity provider", "account", "add", "eve")
    served.told(0, "the session has ended", "logout")
    assert served.may_list(kept["token"]) == 401
    log = served.custody("ledger", "log", "--action", "session.sign_out")
    assert "ada" in log
    served.custody("account", "revoke", "ada", "--role", "security_officer")


def test_a_provider_changes_its_keys_is_away_and_comes_back(served):
    person = Person("7")
    assert served.sign_in("other", person)[0] == 200
    served.other.stop()
    served.other.start()
    assert served.sign_in("other", Person("7"))[0] == 200
    # While one is away people sign in by the other, and what goes on goes on.
    _, before = served.sign_in("corp", Person("7"))
    served.corp.stop()
    status, _, problem = served.ask("/v1/sessions/device", {"provider": "corp"})
    assert (status, problem["code"]) == (503, "CUS-DOOR-034"), problem
    assert "nobody answers there" in json.dumps(problem)
    assert served.sign_in("other", Person("7"))[0] == 200
    assert served.may_list(before["token"]) == 200
    served.corp.start()
    status, after = served.sign_in("corp", Person("7"))
    assert (status, after["account"]) == (200, "ada")
    # None that is not declared is asked, and the list is for everybody.
    assert served.ask("/v1/sessions/oidc?provider=none")[0] == 404
    names = served.ask("/v1/sessions/providers")[2]["providers"]
    assert [(one["name"], one["browser"]) for one in names] == [("corp", True), ("other", True)]
    # Where the client's secret is another, an operator is told.
    settings = served.project / "policies/settings.json"
    whole = settings.read_text()
    settings.write_text(whole.replace('"client_id": "custody"', '"client_id": "custody2"'))
    served.custody("policy", "apply", "policies")
    assert served.may_list(before["token"]) == 200
    status, _, problem = served.ask("/v1/sessions/device", {"provider": "corp"})
    assert (status, problem["code"]) == (503, "CUS-DOOR-034") and "--oidc-secret" in problem["hint"]
    # Who is no longer declared lets nobody in, and ends what it let in.
    settings.write_text("{}")
    served.custody("policy", "apply", "policies")
    assert served.may_list(before["token"]) == 401
    settings.write_text(whole)
    served.custody("policy", "apply", "policies")
    assert served.may_list(before["token"]) == 401
    assert "provider's secret" not in served.custody("--json", "ledger", "log", "--limit", "200")


def test_a_browser_that_comes_back_has_the_pages_and_no_token(served):
    page = lambda place, **headers: served.page(place, Accept="text/html", **headers)
    status, headers, text = page("/sign-in")
    assert status == 200 and 'href="/v1/sessions/oidc?provider=corp"' in text, text
    place, kept = served.begin("corp")
    back = Person("7").confirm(place)
    # Without what it kept it is nobody, and is told so where people sign in.
    status, headers, text = page(back)
    assert status == 401 and 'action="/sign-in"' in text and "CUS-DOOR-032" in text, text
    status, headers, text = page(back, Cookie=kept)
    assert (status, headers["Refresh"]) == (200, "0; url=/home"), text
    assert "cst_" not in text
    browser, gone = headers.get_all("Set-Cookie")
    assert browser.startswith("__Host-custody=") and "SameSite=Strict" in browser and "HttpOnly" in browser, browser
    assert gone.startswith(f"{COOKIE}=; "), gone
    cookie = browser.split(";")[0]
    status, _, text = page("/home", Cookie=cookie)
    assert status == 200 and ">ada</a>" in text, text
    # It is no token of the API, and an answer counts once here as well.
    assert served.ask("/v1/identity", Authorization="Bearer " + cookie.split("=")[1])[0] == 401
    assert page(back, Cookie=kept)[0] == 401
