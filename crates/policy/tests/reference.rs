//! `docs/reference/policies.md` is made of the table of actions, the schema and the built-in policies. `make generate`
//! writes it anew.
#![allow(clippy::disallowed_methods, reason = "a test may read and write files")]

use custody_policy::{BUILTIN, schema_text};
use custody_types::Action;

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
        "{HEADING}{rows}\n## Schema\n\nWhat belongs to a project is `in Project::\"NAME\"`.\n\n```cedar\n{}```\n\n## Built-in policies\n\n```cedar\n{BUILTIN}```\n",
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
