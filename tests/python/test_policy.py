"""A second evaluator of Cedar comes to the same decisions, over every role, action and case of the table that people judge."""

import pathlib
import re

import cedarpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs/reference/policies.md").read_text(encoding="utf-8")
TABLE = (ROOT / "crates/policy/tests/roles.txt").read_text(encoding="utf-8")
SCHEMA, BUILTIN = re.findall(r"```cedar\n(.*?)```", REFERENCE, flags=re.DOTALL)

WHEN = "2027-01-15T08:00:00Z"
PURPOSE = "model-development"
# Which actions the steps of a run ask as well: the program itself forbids the others to them.
STEPS = {row[0] for row in re.findall(r"^\| `(\w+)` \| `[\w.]+` \| [\w, ]+ \| (yes) \|", REFERENCE, flags=re.MULTILINE)}


def cells():
    """Yield role, action, type of the thing, case, and whether it is permitted."""
    role, cases = None, []
    for line in TABLE.splitlines():
        words = line.split()
        if line.startswith("## "):
            role = line.removeprefix("## ")
        elif line.startswith("action"):
            cases = words[2:]
        elif words:
            action, thing, *decisions = words
            assert len(decisions) == len(cases)
            for case, decision in zip(cases, decisions, strict=True):
                yield role, action, thing.capitalize(), case, {"permit": True, "forbid": False}[decision]


def entity(of, name, parents=(), **attributes):
    """Write an entity as Cedar reads it."""
    return {"uid": {"type": of, "id": name}, "attrs": attributes, "parents": [{"type": kind, "id": name} for kind, name in parents]}


def entities(role, thing, case):
    """Return who asks, the thing, and what they are in."""
    roles = [] if role == "(no role)" else [("Role", role)]
    all_of_them = [entity(*one) for one in roles]
    all_of_them.append(entity("User", "somebody", roles, purposes=[PURPOSE] if roles else []))
    organisation = ("Organisation", "organisation")
    all_of_them.append(entity(*organisation))
    of_project = thing in ("Artifact", "Run", "Endpoint")
    if of_project:
        all_of_them.append(entity("Project", "project", [organisation]))
    attributes = {}
    if thing == "Artifact":
        attributes = {
            "project": "project",
            "kind": "dataset",
            "classification": "personal" if case.startswith("personal") else "public",
            "quarantined": case == "quarantined",
            "purposes": [],
        }
    if thing == "Endpoint":
        attributes = {
            "project": "project",
            "host": "api.example.com",
            "port": 443,
            "classification": "personal" if case.startswith("personal") else "public",
            "private": False,
            "listed": False,
        }
    parent = ("Project", "project") if of_project else organisation
    all_of_them.append(entity(thing, "thing", [parent], **attributes))
    return all_of_them


def request(action, thing, case):
    """Return the question of one cell."""
    moves = action == "setAlias"
    context = {
        "via": "cli",
        "own": case == "own",
        "step": case == "step",
        "gated": moves and case == "gated",
        "now": {"__extn": {"fn": "datetime", "arg": WHEN}},
        "session": {"method": "operating-system", "strength": 1, "network": "local", "time": {"__extn": {"fn": "datetime", "arg": WHEN}}},
    }
    if case == "personal-for-purpose":
        context["purpose"] = PURPOSE
    if moves:
        context["alias"] = "production" if case == "gated" else "candidate"
    return {"principal": 'User::"somebody"', "action": f'Action::"{action}"', "resource": f'{thing}::"thing"', "context": context}


def test_another_evaluator_decides_every_cell_alike():
    """One batch for each role, kind of thing and case: the entities are the same."""
    batches = {}
    for role, action, thing, case, permit in cells():
        if case == "step" and action not in STEPS:
            assert not permit, (role, action)
            continue
        batches.setdefault((role, thing, case), []).append((action, permit))
    compared = 0
    for (role, thing, case), asked in batches.items():
        requests = [request(action, thing, case) for action, _ in asked]
        answers = cedarpy.is_authorized_batch(requests, BUILTIN, entities(role, thing, case), SCHEMA)
        for (action, permit), answer in zip(asked, answers, strict=True):
            assert answer.diagnostics.errors == [], (role, action, case)
            assert answer.allowed == permit, (role, action, thing, case, answer.diagnostics.reasons)
            compared += 1
    assert compared > 2000


@pytest.mark.parametrize(
    ("before", "after"), [("!context.gated", "context.gated"), ('@id("four-eyes")', '@id("four-eyes") @x("y") permit (principal, action, resource); @id("z")')]
)
def test_a_cell_that_comes_out_otherwise_is_noticed(before, after, monkeypatch):
    """The comparison can fail."""
    assert before in BUILTIN
    monkeypatch.setitem(globals(), "BUILTIN", BUILTIN.replace(before, after, 1))
    with pytest.raises(AssertionError):
        test_another_evaluator_decides_every_cell_alike()


def test_the_schema_is_one_that_another_validator_reads():
    """And the built-in policies fit it."""
    found = cedarpy.validate_policies(BUILTIN, SCHEMA)
    assert found.validation_passed, found.errors
