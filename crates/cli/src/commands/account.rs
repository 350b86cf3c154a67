//! `custody account`: who there is.

use custody_types::{ExitCode, Problem, Timestamp, code};
use custody_wire::{
    Change, Directory, IdentityError, InviteRequest, Party, ProviderIdentity, Right, RoleBinding,
};

use crate::args::{Account, Rights};
use crate::commands::policy;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, command: Account) -> Result<ExitCode, Problem> {
    let client = context.client()?;
    let changes = match command {
        Account::Invite(args) => return invite(context, args.who),
        Account::Ls => None,
        Account::Add(args) => {
            let add = Change::Add {
                who: args.who.clone(),
            };
            let who = || args.who.clone();
            let granted = rights(args.rights, None)?.into_iter();
            let granted = granted.map(|right| Change::Grant {
                who: who(),
                right,
                seconds: None,
            });
            Some(std::iter::once(add).chain(granted).collect())
        }
        Account::Remove(args) => Some(vec![Change::Remove { who: args.who }]),
        Account::Disable(args) => Some(vec![Change::Disable { who: args.who }]),
        Account::Enable(args) => Some(vec![Change::Enable { who: args.who }]),
        Account::Grant(args) => {
            let who = || args.who.clone();
            let lasting = args.lasting;
            Some(each(args.rights, args.until, |right| Change::Grant {
                who: who(),
                seconds: lasting.filter(|_| matches!(right, Right::Role(_))),
                right,
            })?)
        }
        Account::Revoke(args) => {
            let who = || args.who.clone();
            Some(each(args.rights, None, |right| Change::Revoke {
                who: who(),
                right,
            })?)
        }
    };
    let reply = match changes {
        Some(changes) => client.change_identity(changes)?,
        None => client.identity()?,
    };
    let waits = reply.proposed.is_some();
    context.output.answer(reply, |reply, text| {
        match &reply.proposed {
            Some(name) => policy::proposed(name, text),
            None => list(&reply.directory, reply.now, text),
        }
        Ok(())
    })?;
    Ok(policy::waits_or_done(waits))
}

fn invite(context: &Context, account: Party) -> Result<ExitCode, Problem> {
    let reply = context.client()?.invite(&InviteRequest { account })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!("invitation of `{}`, which counts once:", reply.account));
        text.line(format!("  {}", reply.code));
        text.line(format!(
            "until {}; at a terminal of theirs: custody login ADDRESS --fingerprint … --user {} --invited",
            reply.expires.to_seconds_text(),
            reply.account
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Makes a change of each of them; `until`: when the roles end.
fn each(
    given: Rights,
    until: Option<Timestamp>,
    change: impl Fn(Right) -> Change,
) -> Result<Vec<Change>, Problem> {
    let rights = rights(given, until)?;
    if rights.is_empty() {
        return Err(
            Problem::new(code::CLI_071, "nothing is named to give or to take")
                .hint("name it: `--role`, `--for`, `--group` or `--oidc`"),
        );
    }
    Ok(rights.into_iter().map(change).collect())
}

fn rights(given: Rights, until: Option<Timestamp>) -> Result<Vec<Right>, Problem> {
    let project = given.project;
    let roles = given.roles.into_iter().map(|role| {
        Right::Role(RoleBinding {
            role,
            project: project.clone(),
            until,
        })
    });
    let purposes = given.purposes.into_iter().map(Right::Purpose);
    let groups = given.groups.into_iter().map(Right::Group);
    let rights = roles.chain(purposes).chain(groups);
    let identities = given.identity.chunks_exact(2).map(|pair| match pair {
        [issuer, subject] => ProviderIdentity::new(issuer, subject),
        _ => Err(IdentityError::Identity),
    });
    let identities = identities.map(|identity| {
        identity.map(Right::Identity).map_err(|error| {
            Problem::new(code::IDENTITY_005, error.to_string()).hint(
                "name it as the person was told when they were refused: `--oidc ISSUER SUBJECT`",
            )
        })
    });
    rights.map(Ok).chain(identities).collect()
}

/// Tells of each account and group what it has of its own, and of accounts what their groups add; of roles that end when,
/// and which have ended at `now`.
fn list(directory: &Directory, now: Option<Timestamp>, text: &mut Text) {
    let told = |role: &RoleBinding| {
        let ended = now.is_some_and(|now| role.has_ended(now));
        format!("{role}{}", if ended { " (ended)" } else { "" })
    };
    for (party, roles, purposes) in directory.holders() {
        let mut has: Vec<_> = roles.iter().map(told).collect();
        if !purposes.is_empty() {
            let purposes: Vec<_> = purposes.iter().map(ToString::to_string).collect();
            has.push(format!("for {}", purposes.join(", ")));
        }
        let named = String::from(party.clone());
        match &party {
            Party::Group(name) => {
                let members = directory.groups.get(name).into_iter();
                let members = members.flat_map(|group| &group.members);
                let members: Vec<_> = members.map(ToString::to_string).collect();
                if !members.is_empty() {
                    has.push(format!("members: {}", members.join(", ")));
                }
            }
            Party::User(_) | Party::Service(_) => {
                let groups = directory.groups.iter();
                let groups = groups.filter(|(_, group)| group.members.contains(&party));
                let groups: Vec<_> = groups.map(|(name, _)| name.as_str()).collect();
                if !groups.is_empty() {
                    has.push(format!("in {}", groups.join(", ")));
                }
                let account = party.actor();
                let account = account.and_then(|actor| directory.account(&actor));
                let identities = account.iter().flat_map(|account| &account.identities);
                has.extend(identities.map(|identity| format!("signs in as {identity}")));
                if account.is_some_and(|account| account.disabled) {
                    has.push("disabled".to_owned());
                }
            }
        }
        let has = if has.is_empty() {
            "nothing".to_owned()
        } else {
            has.join("; ")
        };
        text.line(format!("{named:<24} {has}"));
    }
}
