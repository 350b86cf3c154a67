"""The pages of a server in a browser: with the keyboard alone, without JavaScript, and as axe-core judges them.

One real server; Debian's Chromium. With CUSTODY_PICTURES the pictures of the documentation are written into that folder.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import axe_playwright_python
import pytest
from playwright.sync_api import expect, sync_playwright
from served import PASSWORD, Served, code

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PIPELINE = """
project: demo
purpose: testing
environment: {python: "3.11", lock: requirements.lock}
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: "MARKUP", url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
  contract:
    check:
      input: rows
      key: id
      checks: [{not_null: {columns: [id]}}]
  train:
    run:
      command: [/bin/sh, -c, "sleep 4; echo weights > \\"$CUSTODY_OUTPUT_MODEL\\"/model.txt"]
      inputs: {rows: rows}
      outputs:
        model: {artifact: model, kind: model}
  score:
    run:
      command: [/bin/sh, -c, "cp \\"$CUSTODY_INPUT_ROWS\\"/* \\"$CUSTODY_OUTPUT_SCORES\\""]
      inputs: {rows: rows, model: model}
      outputs: {scores: {artifact: scores, kind: dataset}}
  measure:
    evaluate: {model: model, data: rows, predictions: scores, key: id, label: label, score: score, overlap: allowed}
  decide:
    gate: {model: model, evaluation: measure, require: {roc_auc: {min: 0.5}}, approvals: 1}
  register:
    register: {model: model, gate: decide, output: registered}
""".replace("MARKUP", MARKUP)
BAD = """
project: other
purpose: testing
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
  contract:
    check:
      input: rows
      key: id
      checks: [{row_count: {min: 1000}}]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server, whose data scientist ran a pipeline that waits for an approval."""
    served = Served(tmp_path_factory.mktemp("pages"))
    token = served.here("token", "create", "--for", "ada", "--note", MARKUP)["secret"]
    project = served.folder / "project"
    rows = "".join(f"{i},{i % 2},0.{10 + 40 * (i % 2) + i:02}\n" for i in range(40))
    (project / "rows.csv").write_text("id,label,score\n" + rows)
    (project / "requirements.lock").write_text("")
    (project / "custody.yaml").write_text(BAD)
    assert served.elsewhere(token, "run").wait(timeout=60) == 1
    (project / "custody.yaml").write_text(PIPELINE)
    served.run = served.elsewhere(token, "run")
    yield served
    served.end()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Debian's Chromium."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield browser
        browser.close()


class Person:
    """Somebody at a browser. What goes wrong in it is kept."""

    def __init__(self, browser, served, name, **options):
        self.served, self.name = served, name
        self.context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.wrong = []
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))

    def go(self, path, status=200):
        """Open a page."""
        reply = self.page.goto(self.served.address + path)
        assert reply.status == status, f"{path}: {reply.status}"
        # That a page is not there is no fault of it.
        if status != 200:
            self.wrong = [text for text in self.wrong if f"status of {status}" not in text]

    def tab_to(self, role, name):
        """Move the focus by the keyboard alone to what has a role and a name."""
        wanted = self.page.get_by_role(role, name=name, exact=True).first
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("node => node === document.activeElement"):
                outline = wanted.evaluate("node => getComputedStyle(node).outlineStyle")
                assert outline != "none", f"the focus on {name} is not seen"
                return
        raise AssertionError(f"the keyboard does not reach {role} {name}")

    def type_into(self, name, text):
        """Type into a field that the keyboard reaches."""
        self.tab_to("textbox", name)
        self.page.keyboard.type(text)

    def act(self, role, name):
        """Press a button or follow a link that the keyboard reaches."""
        self.tab_to(role, name)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def enrol(self, invitation):
        """Set a password and an authenticator by the keyboard alone; return its secret."""
        self.go("/sign-in")
        self.act("link", "Set your password and authenticator")
        secret = self.page.locator(".secret").inner_text().replace(" ", "")
        self.type_into("Account", self.name)
        self.type_into("Invitation", invitation)
        self.type_into("New password", PASSWORD)
        self.type_into("The same password again", PASSWORD)
        self.type_into("The code that the app shows now", code(secret))
        self.act("button", "Set them and sign in")
        expect(self.page).to_have_url(self.served.address + "/home")
        return secret

    def picture(self, name):
        """Write a picture of the page where pictures are wanted."""
        if folder := os.environ.get("CUSTODY_PICTURES"):
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=pathlib.Path(folder) / f"{name}.png")

    def judged(self, where):
        """Let axe-core judge the page in light and dark."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            if "axe" not in self.page.evaluate("Object.keys(window).filter(name => name === 'axe')"):
                self.page.evaluate(AXE + "; null")
            # Of the rules, one asks for colours; the others see the same in the dark.
            only = ", runOnly: ['color-contrast']" if scheme == "dark" else ""
            result = self.page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{only}}})")
            assert result["passes"], where
            found = [f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in result["violations"]]
            assert not found, f"{where} ({scheme}): {found}"

    def close(self):
        """End the browser's window; nothing went wrong in it."""
        self.context.close()
        assert self.wrong == []


def test_a_decision_is_looked_at_and_approved_by_the_keyboard_alone(served, chromium):
    olga = Person(chromium, served, "olga")
    secret = olga.enrol(served.invited("olga"))
    # Out, and in again by what was set; the code of the next half minute counts already.
    olga.act("button", "Sign out")
    olga.type_into("Account", "olga")
    olga.type_into("Password", PASSWORD)
    olga.type_into("Code of your authenticator", code(secret, 1))
    olga.act("button", "Sign in")
    # The run goes on, and its page tells how it goes without anybody asking.
    olga.act("link", "Runs")
    olga.page.get_by_role("row", name="running").get_by_role("link").first.focus()
    with olga.page.expect_navigation():
        olga.page.keyboard.press("Enter")
    expect(olga.page.locator("#facts")).to_have_text("running")
    expect(olga.page.locator("#facts")).not_to_have_text("running", timeout=60_000)
    assert served.run.wait(timeout=60) == 6
    olga.act("link", "Approvals")
    olga.act("link", "demo/decide@1")
    expect(olga.page.get_by_role("heading", name="Approvals: 0 of 1")).to_be_visible()
    # Who decides sees what was measured.
    expect(olga.page.get_by_role("row", name="roc_auc 1 at least 0.5")).to_be_visible()
    olga.page.set_viewport_size({"width": 1120, "height": 620})
    olga.picture("decision")
    # What is wrong with a form is told beside it, and what was typed stays.
    olga.type_into("Why it may be used", " ")
    olga.act("button", "Approve the decision")
    expect(olga.page.get_by_role("alert")).to_contain_text("needs a reason")
    olga.wrong.clear()
    olga.type_into("Why it may be used", f"figures looked at {MARKUP}")
    olga.act("button", "Approve the decision")
    expect(olga.page.get_by_role("status")).to_contain_text("Approved")
    expect(olga.page.get_by_role("heading", name="Approvals: 1 of 1")).to_be_visible()
    expect(olga.page.get_by_text(f"figures looked at {MARKUP}")).to_be_visible()
    olga.close()
    log = served.here("ledger", "log", "--actor", "olga", "--action", "model.approve", "--outcome", "ok")
    assert log["entries"], log


def test_all_is_done_without_javascript(served, chromium):
    grace = Person(chromium, served, "grace", java_script_enabled=False)
    page = grace.page
    grace.go("/home")
    page.get_by_role("link", name="Set your password and authenticator").click()
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Account").fill("grace")
    page.get_by_label("Invitation").fill(served.invited("grace"))
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_label("The code that the app shows now").fill(code(secret))
    page.get_by_role("button", name="Set them and sign in").click()
    page.get_by_role("link", name="Projects").click()
    page.get_by_role("link", name="demo").click()
    page.get_by_role("link", name="demo/rows@1").click()
    page.get_by_role("link", name="Lineage").click()
    # The rows, and the files that were sent for them.
    expect(page.locator("svg .box")).to_have_count(2)
    page.get_by_role("link", name="Ledger").click()
    page.get_by_label("Action").fill("run.start")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("rowheader").get_by_role("link").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the entry").click()
    proof = json.loads(pathlib.Path(download.value.path()).read_text())
    leaf = hashlib.sha256(b"\0" + proof["bytes"].encode()).hexdigest()
    assert proof["view"]["leaf"] == f"sha256:{leaf}" and proof["view"]["entry"]["act"] == "run.start"
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("rowheader").get_by_role("link").first.click()
    # An auditor decides nothing: what is refused is told, and the page stays.
    page.get_by_role("link", name="Approvals").click()
    page.get_by_role("link", name="other/rows@1").click()
    page.get_by_label("Reason").fill("no")
    page.get_by_role("button", name="Reject it for good").click()
    expect(page.get_by_role("alert")).to_contain_text("may not reject")
    grace.wrong.clear()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_contain_text("You signed out")
    grace.close()


def test_axe_finds_nothing_on_any_page_in_light_and_dark(served, chromium):
    served.run.wait(timeout=60)
    account = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
    owner = Person(chromium, served, account)
    owner.go("/sign-in")
    owner.judged("sign-in")
    owner.go("/invitation")
    owner.judged("invitation")
    owner.enrol(served.owner)
    run = served.here("runs", "--project", "demo")["runs"][0]["id"]
    pages = ["/home", "/projects", "/projects/demo", "/projects/other?quarantine=yes", "/versions/demo/model/1", "/versions/demo/rows/1"]
    pages += ["/versions/demo/decide/1", "/versions/other/rows/1", "/lineage/demo/decide/1", "/lineage/demo/rows/1?towards=made"]
    pages += ["/figures/demo/measure/1", "/evaluation/demo/measure/1", "/data/demo/rows/1", "/data/demo/rows/1?profile=yes", "/compare?a=demo/rows@1&b=demo/scores@1"]
    pages += ["/approvals", "/runs", f"/runs/{run}", "/ledger", "/ledger/3", "/policies", "/policies?history=yes", "/accounts", "/own"]
    for path in pages:
        owner.go(path)
        assert owner.page.locator("h1").count() == 1, path
        owner.judged(path.replace(run, "run"))
    owner.page.emulate_media(color_scheme="light")
    owner.page.set_viewport_size({"width": 1120, "height": 620})
    owner.go("/lineage/demo/decide/1")
    owner.picture("lineage")
    for path, status in [("/nowhere", 404), ("/versions/demo/none/1", 404), ("/ledger?since=yesterday", 400)]:
        owner.go(path, status)
        owner.judged(path)
    owner.page.emulate_media(color_scheme="light")
    owner.page.set_viewport_size({"width": 360, "height": 700})
    for path in ("/home", "/versions/demo/decide/1", "/ledger"):
        owner.go(path)
        assert owner.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} is wider than a phone"
    owner.close()
