//! What each built-in role may do is a table that people judge: `tests/roles.txt`. A new action, a new role, or a cell that
//! comes out otherwise is a difference from it. `CUSTODY_GENERATE=1` writes the table anew, to be read line by line.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may read and write files, and panic"
)]

use std::collections::BTreeSet;

use custody_identity::Directory;
use custody_policy::{BUILTIN_ROLES, Case, GridRow, NO_ROLE, PolicySet, grid_text};
use custody_types::{Action, Actor};

fn rows() -> Vec<GridRow> {
    let roles: BTreeSet<String> = BUILTIN_ROLES.iter().map(|&role| role.to_owned()).collect();
    let set = PolicySet::builtin(Directory::of_owner(&Actor::user("root"))).unwrap();
    set.grid(&roles)
}

#[test]
fn every_role_may_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/roles.txt");
    let text = grid_text(&rows());
    if std::env::var_os("CUSTODY_GENERATE").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let judged = std::fs::read_to_string(path).unwrap();
    for (number, (is, says)) in text.lines().zip(judged.lines()).enumerate() {
        assert_eq!(is, says, "line {} of roles.txt", number + 1);
    }
    assert_eq!(
        text, judged,
        "roles.txt lacks an action or a role, or has one too many"
    );
}

/// What gives bytes of data to a person, or repeats them.
const DATA: [Action; 4] = [
    Action::Read,
    Action::Export,
    Action::ReadLog,
    Action::Validate,
];
/// What leaves everything as it was.
const LOOKS: [Action; 11] = [
    Action::List,
    Action::Trace,
    Action::Verify,
    Action::ReadRun,
    Action::ReadLedger,
    Action::ExportLedger,
    Action::ReadPolicy,
    Action::ReadIdentity,
    Action::ReadKeys,
    Action::ReadMetrics,
    Action::Reproduce,
];

#[test]
fn duties_are_separate() {
    let rows = rows();
    let may = |role: &str, action: Action, case: Case| {
        let place = Case::ALL.iter().position(|one| *one == case).unwrap();
        let mut rows = rows.iter();
        rows.any(|row| row.role == role && row.action == action && row.permits[place])
    };
    let may_at_all =
        |role: &str, action: Action| Case::ALL.iter().any(|case| may(role, action, *case));
    for action in Action::ALL {
        let enters = [Action::Enrol, Action::SignIn, Action::SignOut].contains(action);
        // Auditors write nothing, and see no data.
        if !LOOKS.contains(action) && !enters {
            assert!(!may_at_all("auditor", *action), "auditor {action}");
        }
        assert!(may_at_all(NO_ROLE, *action) == enters, "nobody {action}");
        for role in ["auditor", "security_officer", "approver", "reader"] {
            assert!(
                !(DATA.contains(action) && may_at_all(role, *action)),
                "{role} {action}"
            );
        }
        // What a step of an operator's run does, the operator does not.
        for case in Case::ALL.into_iter().filter(|case| *case != Case::Step) {
            let sees = DATA.contains(action) && may("operator", *action, case);
            assert!(!sees, "operator {action} {}", case.as_str());
        }
    }
    for role in BUILTIN_ROLES {
        // Who made something does not approve it; who decides makes nothing; owners have nobody above them.
        let makes = may_at_all(role, Action::Write) || may_at_all(role, Action::RegisterModel);
        let owns = *role == "owner";
        assert!(owns || !may(role, Action::Approve, Case::Own), "{role}");
        assert!(
            owns || !(makes && may_at_all(role, Action::Approve)),
            "{role}"
        );
        assert!(
            owns || !(makes && may_at_all(role, Action::ChangePolicy)),
            "{role}"
        );
    }
    for action in [
        Action::RegisterModel,
        Action::SignModel,
        Action::EvaluateModel,
        Action::DecideGate,
    ] {
        assert!(!may_at_all("data_engineer", action), "{action}");
    }
    let alias = |role, case| may(role, Action::SetAlias, case);
    assert!(alias("data_engineer", Case::Public) && !alias("data_engineer", Case::Gated));
    assert!(!alias("operator", Case::Public) && alias("operator", Case::Gated));
    assert!(alias("data_scientist", Case::Gated) && alias("owner", Case::Gated));
}

#[test]
fn the_tests_of_the_built_in_policy_hold_and_can_fail() {
    let report = PolicySet::test_builtin();
    assert!(report.checked > 100, "{}", report.checked);
    assert_eq!(report.failed, []);
    // Each of its policies decides a test.
    let ids = custody_policy::BUILTIN.split("@id(\"").skip(1);
    for id in ids.filter_map(|rest| rest.split('"').next()) {
        let decides = format!("\"by\": \"{id}\"");
        let exempt = [
            "data-engineer",
            "data-engineer-write",
            "data-engineer-log",
            "data-scientist-export",
            "operator",
        ];
        let named = custody_policy::BUILTIN_TESTS.contains(&decides);
        assert!(named || exempt.contains(&id), "no test names `{id}`");
    }
}
