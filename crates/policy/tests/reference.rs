//! `docs/reference/policies.md` is made of the table of actions, the schema and the built-in policies. `make generate`
//! writes it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may read and write files, and panic"
)]

use std::collections::BTreeSet;

use custody_identity::Directory;
use custody_policy::{BUILTIN, BUILTIN_ROLES, Case, GridRow, NO_ROLE, PolicySet, schema_text};
use custody_types::{Action, Actor};

/// Set by `make generate`: the test writes the file instead of comparing it.
const GENERATE: &str = "CUSTODY_GENERATE";
const HEADING: &str = "# Policies: actions, schema, what is built in

Generated; not to be edited. Policies of your own are files `*.cedar` beside [`settings.json`](../formats/settings.md), put in
force by `custody policy apply`. They are added to the built-in ones: a `permit` allows more, a `forbid` wins over every `permit`.
Who has which roles and purposes is said by [accounts and groups](../formats/principals.md).

## Actions

Every action is asked by the operation that it is named for, before anything happens, and entered in the ledger under its verb. Those marked as steps'
are asked by the steps of a run too, for who started it: `context.step` is true then, and a step reaches no further than its declaration.

| action | verb in the ledger | asked on | steps | |
|---|---|---|---|---|
";

const ROLES: &str = "
## Roles

What each built-in role may do by the built-in policies alone, as they are asked. **yes**: always. Otherwise in these cases: `public` something public or internal that
somebody else made; `purpose` something personal for a purpose that they state and hold; `personal` something personal for no purpose; `held` something in
quarantine; `own` something public that they made themselves; `gated` an alias that is gated, `open` one that is not; `step` when a step of a run asks it for them,
within its declaration. Roles add up. Models are told apart in the policies alone: `data_engineer` makes none.

";

/// Tells in which cases a role may do it.
fn cell(row: &GridRow) -> String {
    let may = |case: Case| {
        let place = Case::ALL.iter().position(|one| *one == case);
        place
            .and_then(|place| row.permits.get(place))
            .copied()
            .unwrap_or_default()
    };
    let alias = row.action == Action::SetAlias;
    let plain = [
        (Case::Public, if alias { "open" } else { "public" }),
        (Case::PersonalForPurpose, "purpose"),
        (Case::Personal, "personal"),
        (Case::Quarantined, "held"),
        (Case::Own, "own"),
    ];
    if plain.iter().all(|(case, _)| may(*case)) {
        return "yes".to_owned();
    }
    if alias {
        let both = [(Case::Public, "open"), (Case::Gated, "gated")];
        let words = both.iter().filter(|(case, _)| may(*case));
        return words.map(|(_, word)| *word).collect::<Vec<_>>().join(", ");
    }
    let words = plain.iter().filter(|(case, _)| may(*case));
    let mut words: Vec<_> = words.map(|(_, word)| *word).collect();
    if may(Case::Step) && !may(Case::Public) {
        words.push("step");
    }
    words.join(", ")
}

/// The table of roles: an action a row, a role a column.
fn roles() -> String {
    let roles: BTreeSet<String> = BUILTIN_ROLES.iter().map(|&role| role.to_owned()).collect();
    let set = PolicySet::builtin(Directory::of_owner(&Actor::user("root"))).unwrap();
    let rows = set.grid(&roles);
    let names = roles.iter().map(|role| format!(" `{role}` |"));
    let mut text = format!(
        "{ROLES}| action | on |{}\n|---|---|{}\n",
        names.collect::<String>(),
        "---|".repeat(roles.len())
    );
    for row in rows.iter().filter(|row| row.role == NO_ROLE) {
        let same =
            |one: &&GridRow| (one.action, one.on) == (row.action, row.on) && one.role != NO_ROLE;
        let cells = rows
            .iter()
            .filter(same)
            .map(|one| format!(" {} |", cell(one)));
        let line = format!(
            "| `{}` | {} |{}\n",
            row.action.name(),
            row.on.entity(),
            cells.collect::<String>()
        );
        text.push_str(&line);
    }
    text
}

#[test]
fn the_reference_is_what_the_program_asks() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/policies.md"
    );
    let rows = Action::ALL.iter().map(|action| {
        let on: Vec<_> = action
            .resources()
            .iter()
            .map(|kind| kind.entity())
            .collect();
        let steps = if action.is_for_steps() { "yes" } else { "" };
        let (name, verb) = (action.name(), action.verb());
        let meaning = action.meaning();
        format!(
            "| `{name}` | `{verb}` | {} | {steps} | {meaning} |\n",
            on.join(", ")
        )
    });
    let rows: String = rows.collect();
    let text = format!(
        "{HEADING}{rows}{}\n## Schema\n\nWhat belongs to a project is `in Project::\"NAME\"`.\n\n```cedar\n{}```\n\n## Built-in policies\n\n```cedar\n{BUILTIN}```\n",
        roles(),
        schema_text()
    );
    if std::env::var_os(GENERATE).is_some() {
        let written = std::fs::write(path, text);
        assert!(written.is_ok(), "{written:?}");
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/policies.md is old: `make generate`"
    );
}
