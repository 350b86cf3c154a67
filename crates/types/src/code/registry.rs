//! The table of all codes: one row for each thing that a user may be told.
//!
//! A row is the constant, the code, the [`ProblemKind`](super::ProblemKind), the title, what it means and what to do.
//! A number is never given twice: what is no longer told leaves its row, and its number stays free.

use super::{Code, Entry, ProblemKind};

macro_rules! registry {
    ($($name:ident $text:literal $kind:ident: $title:literal, $meaning:literal, $remedy:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: Code = Code(&Entry {
                text: $text,
                kind: ProblemKind::$kind,
                title: $title,
                meaning: $meaning,
                remedy: $remedy,
            });
        )+

        /// Every code, in the order of the table.
        pub const ALL: &[Code] = &[$($name),+];

        /// The names of the constants, beside their codes.
        #[cfg(test)]
        pub(super) const NAMES: &[(&str, Code)] = &[$((stringify!($name), $name)),+];
    };
}

registry! {
    // The API and its client.
    API_001 "CUS-API-001" Invalid:
        "the request cannot be written",
        "What was asked does not fit into a request: the name after `--as` or a path has letters that no request may carry.",
        "Look at the names for control characters.";
    API_002 "CUS-API-002" Fault:
        "the API did not say why",
        "The answer tells of a failure in a form that this program does not know; another version may have given it.",
        "Use the same version on both sides; if they are the same, report what you did.";
    API_003 "CUS-API-003" Unavailable:
        "the run's answer broke off",
        "The events of a run ended before its result came. What the run did so far is in the ledger.",
        "See what was done with `custody ledger log`, then start it again with `custody run`.";
    API_004 "CUS-API-004" Fault:
        "the API's answer cannot be read",
        "The answer is not the document that was asked for, or broke off.",
        "Use the same version on both sides; if they are the same, report what you did.";
    API_005 "CUS-API-005" Unavailable:
        "the process that works in this workspace ended before it answered",
        "Another command had the workspace and answered this one's requests; it was killed, or the machine is going down. What was asked may have been done.",
        "See what was done with `custody ledger log`, then repeat the command.";
    API_010 "CUS-API-010" Malformed:
        "the request cannot be understood",
        "The query or the document of the request has a field that is missing, unknown or of another type.",
        "Compare the request with what the cause names.";
    API_011 "CUS-API-011" Fault:
        "the API's answer cannot be written",
        "The work is done, but its answer could not be put into words.",
        "Report what you did; `custody ledger log` says what was done.";
    API_012 "CUS-API-012" Fault:
        "the work behind the API stopped",
        "The program met a fault while it worked on the request.",
        "Nothing acknowledged is lost; report what you did.";
    API_013 "CUS-API-013" Malformed:
        "the purpose cannot be read",
        "A purpose is a name of lower-case letters, digits and hyphens.",
        "Name a purpose that `custody policy show` lists.";
    API_014 "CUS-API-014" Malformed:
        "the reference cannot be read",
        "What names a version has not the form of a reference.",
        "Write `project/artifact`, with `@` and a number, an alias or a digest after it.";
    API_015 "CUS-API-015" Fault:
        "nothing was made",
        "A version was asked for and none came of it, and nothing says why.",
        "Report what you did.";
    API_016 "CUS-API-016" Invalid:
        "the expected signature cannot be read",
        "The request says whose signature the files must bear, in a form that is not understood.",
        "Let `custody put --verify` write it.";
    API_017 "CUS-API-017" Invalid:
        "the origin is not complete",
        "Where the data comes from is told with a field that is missing or not allowed.",
        "Give `publisher`, `url`, `licence`, `legal_basis` and `classification`, as in `custody.yaml`.";
    API_018 "CUS-API-018" TooLarge:
        "the request is too large",
        "The document of a request has more than 16 MiB.",
        "Ask for less at once; files are sent as a stream, which has no such limit.";
    API_019 "CUS-API-019" NotFound:
        "the API has no such operation",
        "No operation has this path.",
        "Compare the path with the operations of this version; `/v1/openapi.json` of a server describes them.";
    API_020 "CUS-API-020" Malformed:
        "a header cannot be read",
        "A header that says for what or as whom a request is made is no UTF-8, or is there more than once.",
        "Send it once, in UTF-8.";
    API_021 "CUS-API-021" Fault:
        "a run did not start",
        "The work on a run that was to go on by itself ended before the run had its entry in the ledger.",
        "See what was done with `custody runs`, then start it again.";
    API_022 "CUS-API-022" Unavailable:
        "the server does not answer",
        "It cannot be reached, shows a certificate that is not trusted, or broke off.",
        "See that the address is right and the server runs; what was begun there is told by `custody ledger log`.";
    API_023 "CUS-API-023" Method:
        "this cannot be asked by the method",
        "The path is that of an operation, and the method of the request is that of none.",
        "Use a method that the answer names in `Allow`; `/v1/openapi.json` of a server describes its operations.";
    API_024 "CUS-API-024" MediaType:
        "the body of the request is of another type",
        "An operation takes a body of one type, and the request says that its body is of another, or does not say it.",
        "Send what the operation takes, with its type in `Content-Type`.";
    API_025 "CUS-API-025" TooMany:
        "more is asked of the server than the budget gives",
        "An account, or somebody who is not known at an address, asks too often, or for too much at the same time.",
        "Ask again after the seconds that `Retry-After` names; budgets are set with `custody serve --budget-…`.";

    // Statements and their signatures.
    ATTEST_001 "CUS-ATTEST-001" Fault:
        "the statement could not be signed",
        "The workspace's key did not sign the statement of a version or scan. Nothing became valid.",
        "Run `custody doctor`; report it if that finds nothing.";
    ATTEST_002 "CUS-ATTEST-002" Fault:
        "the model could not be signed",
        "The signature that every registered model gets could not be made. Nothing became valid.",
        "Run `custody doctor`; report it if that finds nothing.";
    ATTEST_003 "CUS-ATTEST-003" Integrity:
        "a statement does not hold",
        "A stored statement is not signed by the workspace's key, or is not what its digest says.",
        "See the extent with `custody verify --all`, and put the damaged pack back from a copy.";
    ATTEST_004 "CUS-ATTEST-004" Integrity:
        "a statement is about something else",
        "The statement that a version names speaks of other bytes.",
        "See the extent with `custody verify --all`.";
    ATTEST_005 "CUS-ATTEST-005" Integrity:
        "a statement does not tell how the version was made",
        "The statement is signed, but its provenance has not the form that this program writes.",
        "See the extent with `custody verify --all`; a newer program may have written it.";

    // Bills of materials.
    BOM_001 "CUS-BOM-001" Invalid:
        "it is no model",
        "Bills of materials and claims are made for models alone.",
        "See the models with `custody ls --kind model`.";
    BOM_002 "CUS-BOM-002" Integrity:
        "the evidence cannot be written down",
        "The stored evidence about the model has no place in a bill of materials or a file of claims.",
        "See the extent with `custody verify`.";
    BOM_003 "CUS-BOM-003" Integrity:
        "the metadata of a package cannot be read",
        "A package in the model's environment says what it is in a form that is not sound.",
        "Install the environment anew from a lock whose packages have sound metadata.";

    // The command line.
    CLI_001 "CUS-CLI-001" Invalid:
        "the command line cannot be understood",
        "A command, an option or a value is not one that there is.",
        "See `custody --help`, or `--help` after the command.";
    CLI_010 "CUS-CLI-010" Invalid:
        "the files cannot be read",
        "A file that is to be sent could not be read to its end.",
        "See that the files are there, are yours to read, and that nothing writes to them.";
    CLI_011 "CUS-CLI-011" Fault:
        "the answer cannot be written",
        "Standard output does not take the answer. What was asked is done.",
        "See where standard output leads.";
    CLI_012 "CUS-CLI-012" Invalid:
        "there is no file to put",
        "What was named has no regular file in it.",
        "Name at least one file, or a folder with files.";
    CLI_013 "CUS-CLI-013" Invalid:
        "the name cannot be read",
        "What was given to `custody ls` is no name of a project or an artifact.",
        "Write `project` or `project/artifact`.";
    CLI_014 "CUS-CLI-014" Fault:
        "no completions can be written",
        "The script for the shell could not be made.",
        "Report it with the name of the shell.";
    CLI_020 "CUS-CLI-020" NotFound:
        "a file is not there",
        "There is no file or folder at the path.",
        "Look at the path; it is taken from the folder in which you type.";
    CLI_021 "CUS-CLI-021" Invalid:
        "it is no regular file",
        "Links, devices, sockets and pipes are not stored.",
        "Replace links by what they point to.";
    CLI_022 "CUS-CLI-022" Invalid:
        "a file's name cannot be stored",
        "The name has letters that a version's files may not have, or is not in UTF-8.",
        "Rename the file.";
    CLI_023 "CUS-CLI-023" Invalid:
        "two files have one name",
        "Two of the files that were named would have the same path in the version.",
        "Put the files into folders of their own, and put the folder above them.";
    CLI_024 "CUS-CLI-024" Conflict:
        "something is there already",
        "The place where a file is to be written is taken; nothing is overwritten.",
        "Name another folder with `--to`, or move this one away.";
    CLI_025 "CUS-CLI-025" Fault:
        "the stream of files is broken",
        "The files that came out of the store are not in the form that they are sent in. Nothing was written.",
        "Look with `custody verify` whether the stored bytes are whole.";
    CLI_026 "CUS-CLI-026" Unavailable:
        "a file cannot be read or written",
        "The machine refused a read or a write below the given path.",
        "See that the disk has room and that you may write there.";
    CLI_027 "CUS-CLI-027" Invalid:
        "a link is not stored",
        "A link was named, or met in a folder, where files are taken in. Somebody else may have made it, and it could lead to any file of yours.",
        "Name what it leads to, or replace it by that.";
    CLI_028 "CUS-CLI-028" Invalid:
        "a link leads out of the folder",
        "Files of a project are read inside its folder alone; nothing was read.",
        "Copy what it leads to into the folder, or name that by its whole path.";
    CLI_030 "CUS-CLI-030" Unavailable:
        "no threads can be started",
        "The machine gives the program no more threads.",
        "End other programs, or raise the limit of processes (`ulimit -u`).";
    CLI_032 "CUS-CLI-032" Invalid:
        "the folder holds no policy",
        "There is no `*.cedar`, `principals.json` or `settings.json` in the folder.",
        "Name the folder with the policies; an empty `settings.json` (`{}`) goes back to the built-in policy alone.";
    CLI_033 "CUS-CLI-033" Invalid:
        "there is no such action",
        "`--action` names something that is no action.",
        "Take one of the actions that the hint lists.";
    CLI_034 "CUS-CLI-034" Invalid:
        "a signature is of one file or folder",
        "`--verify` was given with several paths.",
        "Put what one signature covers by itself.";
    CLI_035 "CUS-CLI-035" Fault:
        "the signature cannot be sent",
        "Whose signature is expected could not be put into the request.",
        "Report what you did.";
    CLI_036 "CUS-CLI-036" Invalid:
        "a signature is described but not asked for",
        "Options say whose signature is expected, and `--verify` is missing. Nothing was put.",
        "Add `--verify`.";
    CLI_037 "CUS-CLI-037" Invalid:
        "two classifications are told",
        "`--classification` and the origin say different things. Nothing was put.",
        "Say it once.";
    CLI_038 "CUS-CLI-038" Fault:
        "the origin cannot be sent",
        "Where the data comes from could not be put into the request.",
        "Report what you did.";
    CLI_039 "CUS-CLI-039" Fault:
        "a file of the program has no good name",
        "The program's own files for a confined step could not be listed.",
        "Report what you did.";
    CLI_040 "CUS-CLI-040" NotFound:
        "the file for a new project cannot be read",
        "There is no such file, or it cannot be opened.",
        "Name a file with a table: Parquet, CSV, TSV, JSON lines or Arrow.";
    CLI_041 "CUS-CLI-041" Conflict:
        "there is a project already",
        "The folder has files that a new project would write.",
        "Name another folder: `custody new FILE --to FOLDER`.";
    CLI_042 "CUS-CLI-042" Invalid:
        "a project begins with one file",
        "A folder was named where a file is needed.",
        "Name one of the folder's files.";
    CLI_048 "CUS-CLI-048" Unavailable:
        "signals cannot be listened to",
        "The machine does not let the program hear that it is interrupted, so nothing was begun.",
        "See that `/proc` is there and that the program may read it.";
    CLI_070 "CUS-CLI-070" Fault:
        "this is a fault of the program",
        "The program met a state that must not be. What was stored is safe, and what was not is not there.",
        "Report it, with what you did; `RUST_BACKTRACE=1` shows where it was.";
    CLI_071 "CUS-CLI-071" Invalid:
        "nothing is named to give or to take",
        "`custody account grant` and `revoke` need a role, a purpose or a group.",
        "Name it: `--role`, `--for` or `--group`.";

    // Looking at data.
    DATA_001 "CUS-DATA-001" Failed:
        "the version cannot be looked at as a table",
        "Its files are no table, or a table that is not whole.",
        "See its files with `custody show`; `custody put` makes tables of CSV, JSON lines, Arrow and Parquet.";
    DATA_002 "CUS-DATA-002" Failed:
        "the versions cannot be compared",
        "One of the two is no table, or their columns cannot be set side by side.",
        "See the columns of both with `custody data schema`.";
    DATA_003 "CUS-DATA-003" TooLarge:
        "too many rows are asked for",
        "`custody data head` shows some rows, not a whole table.",
        "Take the files out with `custody get`.";
    DATA_004 "CUS-DATA-004" Invalid:
        "the key does not tell rows apart",
        "`--key` names columns that are not there, have no value in some row, or the same values in several.",
        "Name columns whose values stand once each; see them with `custody data schema`.";
    DATA_005 "CUS-DATA-005" Invalid:
        "there is no such column",
        "The table has no column of that name.",
        "See the columns with `custody data schema`.";

    // What `custody doctor` finds.
    DOC_001 "CUS-DOC-001" Fault:
        "the machine computes wrongly",
        "The self-test of the ciphers failed.",
        "Do not use this machine.";
    DOC_002 "CUS-DOC-002" Refused:
        "the clock is wrong",
        "The clock stands before this program was made.",
        "Set the clock: entries of the ledger carry its time.";
    DOC_003 "CUS-DOC-003" Refused:
        "the disk cannot be looked at",
        "How much room a folder's disk has could not be learnt.",
        "See that the folder is there and yours.";
    DOC_004 "CUS-DOC-004" Refused:
        "there is little room on the disk",
        "Less room is free than the workspace needs to go on for long.",
        "Make room; commands stop before they lose anything.";
    DOC_005 "CUS-DOC-005" Refused:
        "the folder cannot be written",
        "A file could not be made in the folder, written and made durable.",
        "Work in a folder that you may write.";
    DOC_006 "CUS-DOC-006" Refused:
        "the disk is slow",
        "A durable write takes longer than people wait: each access waits for two of them.",
        "Put the workspace on a faster disk.";

    // The door: who may do what.
    DOOR_001 "CUS-DOOR-001" Denied:
        "the policy refuses it",
        "No policy in force permits the action, or one forbids it. The refusal stands in the ledger.",
        "See the policies with `custody policy show`, and the refusal with `custody ledger log --outcome denied`.";
    DOOR_002 "CUS-DOOR-002" NotFound:
        "there is no such version, or you may not see it",
        "The two are told apart in the ledger alone.",
        "See what there is with `custody ls`.";
    DOOR_003 "CUS-DOOR-003" Denied:
        "only an owner may act as someone else",
        "`--as` was given by somebody who does not own the workspace.",
        "Leave `--as` out.";
    DOOR_004 "CUS-DOOR-004" Invalid:
        "there is no account or group of that name",
        "`--as`, or a change of the accounts, names one that is not there.",
        "See who there is with `custody account ls`; add an account with `custody account add`.";
    DOOR_005 "CUS-DOOR-005" Denied:
        "the alias may not move there",
        "The alias is gated: the version is in quarantine, lacks evidence that the policy asks for, or did not pass its gate.",
        "See what waits with `custody ls --quarantine`, and what the policy asks for with `custody policy show`.";
    DOOR_006 "CUS-DOOR-006" Denied:
        "you cannot approve what you made",
        "Approvals need a second person: somebody who made no version with the same bytes.",
        "Ask someone else who may approve; see who there is with `custody account ls`.";
    DOOR_007 "CUS-DOOR-007" Invalid:
        "the purpose is not declared",
        "The workspace's settings have no such purpose.",
        "See the declared purposes with `custody policy show`; declare others in `settings.json` and `custody policy apply`.";
    DOOR_010 "CUS-DOOR-010" Fault:
        "the grant is for no version",
        "The program used a permission for something else than it was given for.",
        "Report what you did.";
    DOOR_011 "CUS-DOOR-011" Fault:
        "the work was given up without saying why",
        "Stands in the ledger alone: what was permitted ended without an outcome of its own, as after an interruption.",
        "See the entries around it with `custody ledger log`.";
    DOOR_012 "CUS-DOOR-012" Fault:
        "the program's own name is not one",
        "A name that the program gives to its own artifacts is not allowed.",
        "Report what you did.";
    DOOR_013 "CUS-DOOR-013" Fault:
        "the version is not the one that was granted",
        "The program made another version than it was permitted to.",
        "Report what you did.";
    DOOR_014 "CUS-DOOR-014" Fault:
        "the version was lost",
        "A version that was being made was not there at its end. Nothing became valid.",
        "Report what you did.";
    DOOR_015 "CUS-DOOR-015" Fault:
        "the grant is for no new version",
        "The program used a permission to read for a write.",
        "Report what you did.";
    DOOR_016 "CUS-DOOR-016" Fault:
        "a signature is of one version",
        "A signature was expected of several versions at once.",
        "Report what you did.";
    DOOR_017 "CUS-DOOR-017" Invalid:
        "no list goes on there",
        "`--after` is no cursor, or one of another list.",
        "Give what the same list said under `more`, or leave it out to begin.";
    DOOR_018 "CUS-DOOR-018" Fault:
        "the grant is for another project",
        "The program looked, by a permission for one project, at what is of another.",
        "Report what you did.";

    DOOR_019 "CUS-DOOR-019" Denied:
        "the session is over",
        "How somebody proved to be who they are does not count any more.",
        "Log in again.";
    DOOR_020 "CUS-DOOR-020" Unauthenticated:
        "it is not known who asks",
        "No token was shown, or one that is not known, has expired, was taken back, or does not count from this network.",
        "Log in with a token that counts: `custody login`. Whoever owns the workspace makes one with `custody token create`.";
    DOOR_021 "CUS-DOOR-021" Denied:
        "tokens of others are for an owner to make",
        "Whoever has a token of an account is taken for it, so only an owner of the workspace makes tokens of other accounts.",
        "Ask an owner of the workspace.";
    DOOR_022 "CUS-DOOR-022" Invalid:
        "the token cannot be made",
        "It would last longer than 90 days, or its account, action, project, purpose or network is not known.",
        "Correct what is named.";
    DOOR_023 "CUS-DOOR-023" NotFound:
        "there is no such token",
        "It expired, was taken back, or never was.",
        "See which there are with `custody token ls`.";
    DOOR_024 "CUS-DOOR-024" Denied:
        "over the network nobody acts as another",
        "`--as` is for an owner on the machine itself; over the network everybody has a token of their own.",
        "Leave `--as` out, or do it on the machine.";
    DOOR_025 "CUS-DOOR-025" Unauthenticated:
        "the account, the password or the code is not right",
        "Whoever asks is not told which of them. A code of an authenticator counts once, and an invitation for a day.",
        "Type them again with the next code. An owner makes a new invitation: `custody account invite`.";
    DOOR_026 "CUS-DOOR-026" TooMany:
        "there were too many attempts",
        "After five wrong attempts as an account from an address the next one waits, each time twice as long; so it does after fifty from an address, as whomever. Nobody else waits.",
        "Wait as long as it says, then try again.";
    DOOR_027 "CUS-DOOR-027" Unavailable:
        "too many sign in at once",
        "Passwords are hashed two at a time, so that many who come at once take no more memory.",
        "Try again in some seconds.";
    DOOR_028 "CUS-DOOR-028" Invalid:
        "only a person signs in",
        "Services and groups have no password.",
        "Make a token for a service: `custody token create --for service:NAME`.";
    DOOR_029 "CUS-DOOR-029" Invalid:
        "this password is not taken",
        "It has fewer than 12 characters, is a common one, or would be guessed soon.",
        "Choose four or more words that nobody would put together, or let a password manager draw one.";
    DOOR_030 "CUS-DOOR-030" Invalid:
        "the authenticator cannot be used",
        "Its secret has another form, or it shows another code than the one that was typed.",
        "See that its clock is right, and type the newest code.";
    DOOR_031 "CUS-DOOR-031" Denied:
        "the other person decides for themselves",
        "Who signs in over the network is not acted for where two people are demanded.",
        "Let them do it: `custody login`, then `custody policy approve`.";
    DOOR_032 "CUS-DOOR-032" Unauthenticated:
        "the sign-in at the provider did not succeed",
        "What came back from it is not what was waited for: it belongs to another browser, is too late or was used, or the provider's token is not as it must be. Whoever asks is not told which.",
        "Sign in again from the beginning. An operator sees the reason: `custody ledger log --action session.sign_in --outcome denied`.";
    DOOR_033 "CUS-DOOR-033" Denied:
        "no account is bound to this identity",
        "The provider said who it is, and no account of the workspace is theirs. Addresses of e-mail and names bind nobody.",
        "Ask an owner to bind it: `custody account grant NAME --oidc ISSUER SUBJECT`.";
    DOOR_034 "CUS-DOOR-034" Unavailable:
        "the identity provider cannot be asked",
        "It does not answer, not in time, not as it must, or from where the server asks nothing. Others sign in as before.",
        "Try again in a minute; if it stays so, tell an operator of the server what it says.";
    DOOR_035 "CUS-DOOR-035" NotFound:
        "there is no such identity provider",
        "The settings declare none of this name, or it does not offer this way to sign in.",
        "See which there are: `sign_in` in `settings.json`, which `custody policy show` shows.";
    DOOR_036 "CUS-DOOR-036" Unauthenticated:
        "the code was not confirmed",
        "It ended before somebody typed it at the provider, was refused there, or belongs to another terminal.",
        "Begin again: `custody login ADDRESS --oidc`.";

    // Python environments.
    ENV_001 "CUS-ENV-001" NotFound:
        "that Python is not installed",
        "The environment names a version of Python that the machine does not have.",
        "Install it, or name another version under `environment.python`.";
    ENV_002 "CUS-ENV-002" NotFound:
        "Python has no pip",
        "The interpreter cannot install packages.",
        "Install pip for it: `python3 -m ensurepip` or the package python3-pip.";
    ENV_003 "CUS-ENV-003" Failed:
        "the environment cannot be installed",
        "pip refused the lock file, a hash did not agree, or the registry did not answer.",
        "See that the lock file names every package with its hash, and that the registry can be reached.";
    ENV_004 "CUS-ENV-004" Integrity:
        "the installed environment changed",
        "The folder of the environment is not what was installed.",
        "The folder holds packages alone and nothing of yours: look at it, then remove it, and the next run installs it again.";
    ENV_005 "CUS-ENV-005" Unavailable:
        "the environment's folder cannot be used",
        "The machine refused a read or a write below the folder of environments.",
        "See that the disk has room and that you may write there.";
    ENV_006 "CUS-ENV-006" Invalid:
        "the lock file does not hold up",
        "A line of the lock file is no exact version with a hash.",
        "Write it with `uv pip compile --generate-hashes --only-binary :all: …`.";
    ENV_007 "CUS-ENV-007" Invalid:
        "the lock file asks for source distributions",
        "Source distributions run programs of theirs when they are built, so none is installed.",
        "Lock built packages only: `--only-binary :all:`.";
    ENV_008 "CUS-ENV-008" Failed:
        "a package is not built for this Python",
        "The registry has no built package for this interpreter. Nothing was installed.",
        "Lock a version that is built for it.";

    // Accounts and groups.
    IDENTITY_001 "CUS-IDENTITY-001" Invalid:
        "the accounts cannot be read",
        "A `principals.json`, or the name of an account or group, has a mistake. The accounts stay as they are.",
        "Correct it, then do it again.";
    IDENTITY_002 "CUS-IDENTITY-002" Conflict:
        "the account is there already",
        "An account or group of this name was added before. It keeps what it has.",
        "Give it roles with `custody account grant`.";
    IDENTITY_003 "CUS-IDENTITY-003" Denied:
        "the account owns the workspace",
        "The account that began the workspace cannot be removed or disabled, and stays an owner.",
        "Give the role `owner` to others as well.";
    IDENTITY_004 "CUS-IDENTITY-004" Conflict:
        "somebody else signs in by this identity",
        "Who somebody is to an identity provider, the issuer and the subject, is of one account alone.",
        "Take it from the other account first: `custody account revoke NAME --oidc ISSUER SUBJECT`.";
    IDENTITY_005 "CUS-IDENTITY-005" Invalid:
        "nobody can sign in by this identity",
        "An identity is the issuer of a provider and a subject, of printable letters, and is given to a person; programs show tokens.",
        "Name a person, and the issuer and subject that they were told when they were refused.";

    // Key files and the keys of a workspace.
    KEY_001 "CUS-KEY-001" Invalid:
        "there is no key file",
        "The file with the key that opens the workspace is not where it should be.",
        "Name it with `--key-file` or CUSTODY_KEY_FILE, or put it back from your copy.";
    KEY_002 "CUS-KEY-002" Conflict:
        "there is a key file already",
        "A key file is never overwritten.",
        "Name another place with `--key-file`.";
    KEY_003 "CUS-KEY-003" Invalid:
        "others may read the key file",
        "The key file's permissions let others read or change it.",
        "Make it yours alone with `chmod 600`.";
    KEY_004 "CUS-KEY-004" Invalid:
        "the key file does not open this workspace",
        "The key in the file has another id than the one that the workspace's keys are wrapped under: it is another workspace's, or of another time.",
        "Name the right one with `--key-file` or CUSTODY_KEY_FILE; a copy of a workspace from before a rotation opens with the key file of its time.";
    KEY_005 "CUS-KEY-005" Integrity:
        "the workspace's keys do not unwrap",
        "The keyring was changed, or belongs to another key.",
        "Put `.custody/keyring.json` back from a copy.";
    KEY_006 "CUS-KEY-006" Integrity:
        "the keyring holds a key of the wrong form",
        "A key unwrapped, but is no key of its kind.",
        "Put `.custody/keyring.json` back from a copy.";
    KEY_007 "CUS-KEY-007" Invalid:
        "the key file needs its passphrase",
        "The key file is encrypted and no passphrase was given.",
        "Set CUSTODY_PASSPHRASE.";
    KEY_008 "CUS-KEY-008" Invalid:
        "the passphrase is wrong",
        "The key file does not open with the passphrase.",
        "Look at CUSTODY_PASSPHRASE; without the passphrase nobody can open it.";
    KEY_009 "CUS-KEY-009" Invalid:
        "the key file cannot be understood",
        "The file is no key file of Custody, or was changed.",
        "Put it back from your copy.";
    KEY_010 "CUS-KEY-010" Unavailable:
        "the key file cannot be read or written",
        "The machine refused a read or a write of the key file.",
        "See that you may read and write there.";
    KEY_011 "CUS-KEY-011" Unavailable:
        "nothing can be encrypted here",
        "The cipher's self-test failed, or the machine gives no random numbers.",
        "Run `custody doctor`, and see that the processor is sound.";
    KEY_012 "CUS-KEY-012" Unavailable:
        "the workspace's keys cannot be made",
        "The machine gives no random numbers, or a key could not be wrapped. Nothing was made.",
        "Run `custody doctor`, then repeat the command.";
    KEY_013 "CUS-KEY-013" Invalid:
        "there is no passphrase",
        "A key file with a passphrase was asked for, and none came.",
        "Set CUSTODY_PASSPHRASE (of a new one CUSTODY_NEW_PASSPHRASE), type it, or write it on standard input.";
    KEY_014 "CUS-KEY-014" Unavailable:
        "the keys of a project cannot be wrapped",
        "The machine gives no random numbers, or a key could not be wrapped. Nothing was made.",
        "Run `custody doctor`, then repeat the command.";
    KEY_015 "CUS-KEY-015" Fault:
        "the project has keys already",
        "The program was about to make a project that is there. Its keys stay as they are.",
        "Report what you did.";
    KEY_016 "CUS-KEY-016" Unavailable:
        "the passphrase of the key file was changed since this process opened it",
        "Another process changed it, so this one cannot write the file again. What is open stays open.",
        "End this process, and start it again with the new passphrase.";
    KEY_017 "CUS-KEY-017" Invalid:
        "the passphrase is changed on the machine of the key file alone",
        "It would cross the network, and the key file is not the client's.",
        "Run `custody keys passphrase` on the machine of the server, as its user.";

    // The ledger.
    LEDGER_001 "CUS-LEDGER-001" Unavailable:
        "the ledger cannot be read or written",
        "The disk refused a read or a write. Without an entry nothing is done; what was acknowledged before is safe.",
        "See `custody doctor`, and that the disk works and has room; then repeat the command.";
    LEDGER_002 "CUS-LEDGER-002" Unavailable:
        "another command uses the workspace",
        "One command at a time writes to a ledger.",
        "Wait until it ends, then repeat the command.";
    LEDGER_003 "CUS-LEDGER-003" Integrity:
        "the ledger is damaged",
        "A file of the ledger was changed, cut or lost. Nothing is taken until it is back.",
        "Put the named file below `.custody/ledger` back from a copy; `custody doctor` says where it lies.";
    LEDGER_004 "CUS-LEDGER-004" Integrity:
        "the ledger lacks entries that it had",
        "Its own files name a later state than they hold: an older copy of a part of it was put back.",
        "Put the newest copy of the folder `ledger` back; nothing is taken until then.";
    LEDGER_005 "CUS-LEDGER-005" Integrity:
        "an entry cannot be read",
        "The entry is in the ledger, but is not in the form of one.",
        "See the extent with `custody ledger verify`.";
    LEDGER_007 "CUS-LEDGER-007" Unavailable:
        "what was seen of the ledger cannot be read",
        "The file outside of the workspace that remembers how far the ledger had come could not be read.",
        "See that the file is yours.";
    LEDGER_008 "CUS-LEDGER-008" Integrity:
        "the ledger is not the one that was here before",
        "It does not go on from what was last seen of it: the workspace was put back to an older state, or replaced.",
        "Put the newest copy of the workspace back; if it is lost and you accept that: `custody ledger accept-rollback`.";
    LEDGER_009 "CUS-LEDGER-009" Conflict:
        "there is no rollback to accept",
        "The ledger goes on from what was seen before.",
        "Look with `custody ledger verify`.";
    LEDGER_010 "CUS-LEDGER-010" Unavailable:
        "what was seen of the ledger cannot be kept",
        "The file outside of the workspace that remembers how far the ledger had come could not be written.",
        "See that the file is yours and the disk has room, then repeat the command.";
    LEDGER_011 "CUS-LEDGER-011" Invalid:
        "it is the id of another workspace",
        "Whoever accepts a rollback, or breaks the glass, repeats the workspace's id, to say that this one is meant.",
        "Repeat the id that the hint names.";
    LEDGER_012 "CUS-LEDGER-012" Invalid:
        "it needs a reason",
        "The reason for accepting a rollback, or for breaking the glass, is missing or longer than 2000 bytes.",
        "Say with `--reason` what happened.";
    LEDGER_013 "CUS-LEDGER-013" NotFound:
        "there is no such entry",
        "The ledger has fewer entries than that. They are counted from 0.",
        "See which there are with `custody ledger log`.";

    // Drafts of first projects.
    NEW_001 "CUS-NEW-001" Invalid:
        "the file's name makes no name of a project",
        "The project is named after the file, and that is no name.",
        "Name it with `--project`.";
    NEW_002 "CUS-NEW-002" Invalid:
        "the file is not read as one table",
        "A project begins with one file of Parquet, CSV, TSV, JSON lines or Arrow.",
        "Name one such file, or say what it is: `--format csv`.";
    NEW_003 "CUS-NEW-003" Invalid:
        "what the model is to say is not clear",
        "The label's values fit neither two classes, nor several, nor a number.",
        "Name the column with `--label`, and what it is with `--kind`: `binary`, `multiclass` or `regression`.";
    NEW_004 "CUS-NEW-004" Invalid:
        "the file has no such column",
        "`--label` names no column of the table.",
        "Names are as they are written: `Paid` is not `paid`.";
    NEW_005 "CUS-NEW-005" Invalid:
        "no column could tell the label",
        "Every other column is left out: a name, a number of the row, or the label in other words.",
        "Begin without a model: `--kind none`.";
    NEW_006 "CUS-NEW-006" Fault:
        "the draft does not hold up",
        "The project that was drafted is not one that this program would run.",
        "Report it with the columns of the file.";
    NEW_007 "CUS-NEW-007" Invalid:
        "the file has no rows",
        "The contract of a project is suggested from the rows.",
        "Name a file with data.";
    NEW_008 "CUS-NEW-008" Invalid:
        "the file cannot be read as what it is",
        "The file begins as a table and breaks off, or changed while it was read.",
        "See that it is whole, and that nothing writes to it.";
    NEW_009 "CUS-NEW-009" Invalid:
        "the task needs a column with the truth",
        "`--kind` asks for a model, and no `--label` says what it is to tell.",
        "Name the column with `--label COLUMN`.";

    // The pipeline file and what it collects.
    PIPE_001 "CUS-PIPE-001" Invalid:
        "the pipeline file does not hold up",
        "`custody.yaml` has a mistake; the cause names its place.",
        "Correct the file; editors complete it by the schema `docs/reference/custody.schema.json`.";
    PIPE_002 "CUS-PIPE-002" Invalid:
        "the pipeline file is no text",
        "`custody.yaml` is not in UTF-8.",
        "Store it in UTF-8.";
    PIPE_003 "CUS-PIPE-003" Invalid:
        "a file of the project cannot be read",
        "A file that the pipeline needs could not be read or written as a table.",
        "See that it is there, whole and yours to read.";
    PIPE_004 "CUS-PIPE-004" Invalid:
        "there is no such step",
        "The pipeline file has no step of that name.",
        "See the steps with `custody status`.";
    PIPE_005 "CUS-PIPE-005" Invalid:
        "a file's path cannot be used",
        "The path leads out of the project's folder, or has letters that no stored file may have.",
        "Name files by their path below the pipeline file.";
    PIPE_006 "CUS-PIPE-006" Invalid:
        "the name of an artifact cannot be read",
        "What a step makes has not the form of a name.",
        "Write lower-case letters, digits and hyphens.";
    PIPE_007 "CUS-PIPE-007" NotFound:
        "the source has no file",
        "Nothing is at the path or fits the pattern of a `source`.",
        "A source is a file, a folder with files, or a pattern like `data/*.csv`.";
    PIPE_008 "CUS-PIPE-008" Invalid:
        "two files of a source would have one name",
        "Files that become tables are named `.parquet`, and two of them would then have one name.",
        "Rename one of them, or collect them in two sources.";
    PIPE_009 "CUS-PIPE-009" Invalid:
        "a file is not read as a table",
        "The file's form is not clear, or a value does not fit its column. Nothing is guessed.",
        "Say what it is, as the hint names it: `csv:`, `columns:` or `as_is: true`.";
    PIPE_010 "CUS-PIPE-010" Unavailable:
        "a file changed while it was collected",
        "Its bytes are not those that were first seen. Nothing was kept.",
        "Run again when nothing writes to it.";
    PIPE_011 "CUS-PIPE-011" Invalid:
        "the origin does not hold up",
        "The file with the origin has a mistake.",
        "Give `publisher`, `url`, `licence`, `legal_basis` and `classification`, as in `custody.yaml`.";
    PIPE_012 "CUS-PIPE-012" Invalid:
        "how the table is to be read does not hold up",
        "`--csv` or `--columns` has a mistake.",
        "Write it as in `custody.yaml`: `--csv '{header: true}'`, `--columns '{id: integer}'`.";
    PIPE_020 "CUS-PIPE-020" Invalid:
        "a parameter cannot be set",
        "`--set` names no parameter of a step that runs, or a value of another type.",
        "Write `--set STEP.PARAMETER=VALUE`, such as `--set train.C=0.1`.";
    PIPE_021 "CUS-PIPE-021" Invalid:
        "a link leads out of the project",
        "What a step sees is what the project has; a link out of it is not followed.",
        "Copy what it leads to into the project, or leave the link out by `.custodyignore`.";
    PIPE_022 "CUS-PIPE-022" Invalid:
        "a link leads in a circle",
        "Links among the project's code lead back to themselves.",
        "Remove the link, or leave it out by `.custodyignore`.";
    PIPE_023 "CUS-PIPE-023" Invalid:
        "`.custodyignore` has a mistake",
        "A line of the file is no pattern.",
        "Correct the line; the syntax is that of `.gitignore`.";
    PIPE_024 "CUS-PIPE-024" TooLarge:
        "there is too much code",
        "The files that are a step's code are more, or larger, than code is.",
        "Leave out by `.custodyignore` what is no code; data goes in as a `source`, by `custody put` and `inputs`.";
    PIPE_025 "CUS-PIPE-025" NotFound:
        "the run made no version",
        "No version was made by a run of that id, or you may not see it.",
        "`custody run` and `custody trace` name runs; write `project/artifact@1` for a version.";
    PIPE_026 "CUS-PIPE-026" Denied:
        "what something was made from may not be looked at as a whole",
        "To reproduce a version, or to compare an evaluation's data with what a model was trained on, all that it was made from is looked at; some of it is of a project that you may not trace, or it is too much.",
        "Ask somebody to do it who may trace those projects.";
    PIPE_027 "CUS-PIPE-027" NotFound:
        "the snapshot does not have what the pipeline file names",
        "A run on a snapshot takes the pipeline file, the code, the lock files and the sources' files from the versions that it names, and from nowhere else.",
        "Make a snapshot of the steps that are to run: `custody run --snapshot` does it.";
    PIPE_028 "CUS-PIPE-028" Invalid:
        "what was named is no snapshot of the project",
        "A snapshot's folder is a version of the kind `code` with a `custody.yaml` in it, and all of its versions are of the project that this file names.",
        "Make a snapshot with `custody run --snapshot`.";
    PIPE_029 "CUS-PIPE-029" Denied:
        "a source is declared to be less sensitive than its files",
        "The files of a source that a snapshot names are a version with a classification of its own, which its reader cannot lower by a declaration.",
        "Declare the source to be as sensitive as its files; a step after it may make something less sensitive, where the policy grants `declassify`.";
    PIPE_030 "CUS-PIPE-030" Invalid:
        "nothing is named whose figures to tell",
        "Figures are told of versions, of runs, or of the newest models and reports of a project.",
        "Name versions or runs, or the project.";
    PIPE_031 "CUS-PIPE-031" Denied:
        "a source is declared for purposes that its files may not serve",
        "The files of a source that a snapshot names are a version with purposes of its own, and what is collected may serve those of them that the source declares: here there are none.",
        "Declare under `purposes` some of those that the files may serve.";
    PIPE_032 "CUS-PIPE-032" Invalid:
        "a server reads no folder of a project",
        "What it runs comes to it as versions: the pipeline file, code and sources.",
        "Name a snapshot in the request; `custody run` and `custody status` do.";

    // Policies.
    POLICY_001 "CUS-POLICY-001" Invalid:
        "the policies cannot be put in force",
        "A policy, or a role or purpose of an account, has a mistake. What is in force stays as it is.",
        "Correct it, then do it again.";
    POLICY_002 "CUS-POLICY-002" Invalid:
        "the name of a policy file cannot be stored",
        "The file's name has letters that a version's files may not have.",
        "Rename the file.";
    POLICY_003 "CUS-POLICY-003" Integrity:
        "the policies in force are not there",
        "The ledger names policies or accounts whose bytes the store lacks. Nothing is granted until they are back.",
        "Put the missing packs back from a copy.";
    POLICY_004 "CUS-POLICY-004" Invalid:
        "nobody could change these policies again",
        "With the change nobody would be permitted to change policies. What is in force stays as it is.",
        "Permit `changePolicy` to somebody, and forbid it not to all.";
    POLICY_005 "CUS-POLICY-005" Denied:
        "only an owner may change this",
        "The change would give or take rights of an owner. What is in force stays as it is.",
        "Ask an owner of the workspace to do it.";
    POLICY_006 "CUS-POLICY-006" Denied:
        "only the key's holder breaks the glass",
        "Policies are taken back by whoever opens the key file on the machine itself, as nobody else.",
        "Do it on the machine, without `--as`.";
    POLICY_007 "CUS-POLICY-007" Conflict:
        "the change does not wait for approval",
        "It was approved, is older than a week, or something else was changed after it was proposed.",
        "See what waits with `custody policy proposals`; propose it again.";
    POLICY_008 "CUS-POLICY-008" NotFound:
        "the policies have no tests",
        "There is no `tests.json` beside them.",
        "Write some: `docs/formats/policy-tests.md` says how.";
    POLICY_009 "CUS-POLICY-009" Invalid:
        "the tests of the policies fail",
        "A set of policies is put in force only when the tests that it brings hold. What is in force stays as it is.",
        "See all that fail with `custody policy test`; correct the policies or the tests.";
    POLICY_010 "CUS-POLICY-010" NotFound:
        "the entry is of no decision",
        "There is no such entry, or it says how something ended, or was not asked of the policies.",
        "See the entries with `custody ledger log`.";
    POLICY_011 "CUS-POLICY-011" Invalid:
        "the action is not asked on that",
        "Each action is asked on some kinds of things alone.",
        "See on which in `docs/reference/policies.md`.";

    // Runs and their steps.
    RUN_003 "CUS-RUN-003" Refused:
        "a dataset breaks its contract",
        "A check of the contract does not hold. The version is in quarantine and is read by nothing.",
        "Correct the data or the contract, and run again; or have it approved by somebody who may.";
    RUN_004 "CUS-RUN-004" Refused:
        "a gate refuses the model",
        "A measured figure is past its limit, or was measured on too few rows.",
        "Train a better model; a gate says what it asks for in `custody.yaml`.";
    RUN_005 "CUS-RUN-005" Failed:
        "the query fails on the data",
        "The SQL is sound, but a file is no table, a value does not fit, or the memory does not suffice.",
        "Look at the data with `custody data head`, and correct what the cause names.";
    RUN_006 "CUS-RUN-006" Failed:
        "the step wrote nothing",
        "An output that the step declares stayed empty.",
        "Write to the folder that `custody.output` names.";
    RUN_007 "CUS-RUN-007" Isolation:
        "the step cannot be confined",
        "The machine lacks something that the sandbox needs, so the step did not run.",
        "See what this machine offers with `custody doctor`.";
    RUN_008 "CUS-RUN-008" Failed:
        "what the step wrote cannot be kept",
        "An output has links, devices, or names that no stored file may have.",
        "Write plain files only.";
    RUN_009 "CUS-RUN-009" Failed:
        "the step failed",
        "Its program ended with an error or was killed.",
        "See what it printed, as far as you may, and correct the program.";
    RUN_010 "CUS-RUN-010" Failed:
        "the label cannot be measured by",
        "The label lacks values, or has values that the model's predictions cannot have.",
        "Look at the label with `custody data profile`, and correct the data or `label`.";
    RUN_011 "CUS-RUN-011" Failed:
        "the model cannot be measured",
        "The rows do not allow a figure that was asked for.",
        "Measure on more rows, or ask for other figures.";
    RUN_012 "CUS-RUN-012" Refused:
        "the model did not pass its gate",
        "A model is registered only when the gate before it let it through.",
        "See why with `custody metrics`, and run again with a better model.";
    RUN_013 "CUS-RUN-013" Integrity:
        "an input cannot be read",
        "The stored bytes of an input are damaged or missing.",
        "See the extent with `custody verify --all`.";
    RUN_014 "CUS-RUN-014" Failed:
        "an input lacks a file",
        "A step looks for a file in its input that is not there.",
        "See its files with `custody show`.";
    RUN_015 "CUS-RUN-015" Failed:
        "a file of an input cannot be understood",
        "The file is there, but has not the form that the step needs.",
        "See how it was made with `custody trace`.";
    RUN_016 "CUS-RUN-016" Invalid:
        "the gate asks for what was not measured",
        "The evaluation has no figure of that name.",
        "Name one that there is, or add the attribute to `groups` of the evaluate step.";
    RUN_017 "CUS-RUN-017" Failed:
        "the model cannot be applied",
        "The model's runtime refused the model or the rows.",
        "Try the model on a few rows in a `run` step.";
    RUN_018 "CUS-RUN-018" Failed:
        "the predictions do not fit the rows",
        "There is not exactly one prediction for each row, by its key.",
        "Write one row of predictions for each row of the data, with its key.";
    RUN_019 "CUS-RUN-019" Failed:
        "the model would be measured on rows that it knows",
        "Rows of the evaluation are among those that the model was trained on, which flatters every figure.",
        "Split the data so that no row is in both.";
    RUN_020 "CUS-RUN-020" Unavailable:
        "a file of the environment cannot be read",
        "The machine refused a read while the environment was stored.",
        "See that the folder of environments is yours, then run again.";
    RUN_021 "CUS-RUN-021" Integrity:
        "the environment changed while it was kept",
        "What was stored is not what was installed.",
        "Run again; if it stays, remove the folder that the hint names: it holds packages alone.";
    RUN_022 "CUS-RUN-022" Invalid:
        "the query is not allowed or does not hold up",
        "The SQL has a mistake, names a column that is not there, or uses what would not give the same answer everywhere.",
        "Correct the SQL; `docs/reference/sql.md` says what there is.";
    RUN_023 "CUS-RUN-023" Invalid:
        "the evaluate step names no column",
        "A column that `custody.yaml` names is not in the table.",
        "Name one of the columns that the hint lists.";
    RUN_024 "CUS-RUN-024" TimedOut:
        "the step ran out of its time",
        "It did not end within `limits.time_s`. Nothing that it wrote is kept.",
        "Raise `limits.time_s` of the step, or make it faster.";
    RUN_030 "CUS-RUN-030" Integrity:
        "the version cannot be reproduced",
        "The chain of statements from which it would be made again is broken.",
        "See where with `custody verify`.";
    RUN_031 "CUS-RUN-031" Integrity:
        "the installed environment is not the stored one",
        "The folder of the environment was changed since it was stored.",
        "Remove the folder that the hint names: it holds packages alone, and is taken from the store again.";
    RUN_032 "CUS-RUN-032" Integrity:
        "a statement does not tell its step",
        "The statement is signed, but the step cannot be made of what it says.",
        "A newer program may have written it: use that.";
    RUN_033 "CUS-RUN-033" Invalid:
        "the step cannot start",
        "The program that `command` names is not there or cannot be run.",
        "Correct `command` of the step, or bring the program with its environment.";
    RUN_034 "CUS-RUN-034" Invalid:
        "the project lies where every step sees it",
        "The project's folder is a part of the system that is mounted into every sandbox.",
        "Move the project to a folder that is not a part of the system.";
    RUN_035 "CUS-RUN-035" Invalid:
        "there is nothing to run again",
        "The version was put or collected as it is; no step made it.",
        "Check its bytes with `custody verify`.";
    RUN_036 "CUS-RUN-036" Failed:
        "the step logged something that is no figure",
        "A line of the step's metrics is no name with a number.",
        "Log with `custody.log_metric`.";
    RUN_037 "CUS-RUN-037" Interrupted:
        "the step was interrupted",
        "Somebody ended the run. Nothing that the step wrote is kept.",
        "Run again: what other steps made before is reused.";
    RUN_038 "CUS-RUN-038" Failed:
        "a step wrote more than its limit",
        "An output has more files, or is larger with its holes counted, than `limits` of the step allows.",
        "Raise `limits.output_mib` or `limits.output_files` of the step, or write less.";
    RUN_040 "CUS-RUN-040" Interrupted:
        "the run was interrupted",
        "Somebody ended the run. What its steps made before is kept.",
        "Go on with `custody run`: what was made is reused.";
    RUN_041 "CUS-RUN-041" NotFound:
        "there is no such run",
        "No run has this id, or you may not see it.",
        "See which runs there are with `custody runs`.";
    RUN_042 "CUS-RUN-042" Conflict:
        "the run cannot be cancelled",
        "It has ended.",
        "See how it ended with `custody runs show`.";
    RUN_043 "CUS-RUN-043" Interrupted:
        "the run was cancelled",
        "Somebody ended the run with `custody runs cancel`. What its steps made before is kept.",
        "Go on with `custody run`: what was made is reused.";
    RUN_044 "CUS-RUN-044" Held:
        "it waits for approvals",
        "The gate asks for approvals of other people (`approvals`) before what passed it is registered. They count for a week, and as long as the policies stay.",
        "Let others look at the decision with `custody show` and approve it with `custody approve`, then run again.";
    RUN_045 "CUS-RUN-045" Failed:
        "an endpoint of a step was not reached",
        "Stands in the ledger alone: the step was permitted to connect, but the name was not known, or no address answered in time.",
        "See that the name and the port under `network` are right, and that this machine reaches them.";
    RUN_046 "CUS-RUN-046" Denied:
        "an endpoint of a step leads elsewhere",
        "Stands in the ledger alone: the name was resolved to an address that is not of the public network, or to the machine itself. Nothing was sent.",
        "Declare the address instead of the name, and have `settings.json` name it under `private_endpoints`, if it is meant.";
    RUN_047 "CUS-RUN-047" Failed:
        "a connection of a step was cut at a limit",
        "Stands in the ledger alone: nothing was carried for ten minutes, or all that `limits.network_mib` allows was.",
        "Raise `limits.network_mib` of the step, or have it send less.";
    RUN_090 "CUS-RUN-090" Fault:
        "the run broke off",
        "The program met a state that must not be.",
        "Report what you did; what was stored is safe.";

    // The scanner, its rules and approvals.
    SCAN_001 "CUS-SCAN-001" NotFound:
        "it cannot be scanned",
        "A file or folder is not there, or cannot be read. Nothing was scanned.",
        "Name files and folders that are there and that you may read.";
    SCAN_002 "CUS-SCAN-002" Invalid:
        "the rules cannot be used",
        "A rule pack has a mistake.",
        "See `custody rules show` for a pack that works, and `docs/formats/rules.md`.";
    SCAN_003 "CUS-SCAN-003" Invalid:
        "the rule pack has no key to be checked by",
        "A pack says what passes; whoever can change it unseen can let anything pass.",
        "Name the public key with `--rules-key FILE`.";
    SCAN_004 "CUS-SCAN-004" Integrity:
        "the rule pack is not signed by the given key",
        "Its signature is missing, of another key, or of other bytes.",
        "Sign it with `custody rules sign PACK --key FILE`, and look at who changed it.";
    SCAN_005 "CUS-SCAN-005" Invalid:
        "the file is no key to check a signature by",
        "A public key of the curve P-256 in PEM is needed.",
        "Make one with `openssl ec -in KEY -pubout`.";
    SCAN_006 "CUS-SCAN-006" Invalid:
        "the file is no key to sign with",
        "A private key of the curve P-256 in PEM is needed.",
        "Make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`.";
    SCAN_007 "CUS-SCAN-007" Fault:
        "the rule pack cannot be signed",
        "The key was read, but did not sign.",
        "Report it with how the key was made.";
    SCAN_010 "CUS-SCAN-010" Refused:
        "the model is not taken",
        "The scan found that it runs code when it is loaded, or could not understand it whole. The scan is kept, the bytes are not.",
        "Do not load a malicious model anywhere; see everything that was found with `custody scan`.";
    SCAN_011 "CUS-SCAN-011" Integrity:
        "the scan of a model does not hold",
        "The stored scan is not signed by the workspace, or is about other bytes.",
        "Scan it again with `custody rescan`.";
    SCAN_012 "CUS-SCAN-012" Refused:
        "the version cannot be approved",
        "It waits for no approval, or what it waits for is nothing that a person may wave through.",
        "See what waits with `custody ls --quarantine`.";
    SCAN_013 "CUS-SCAN-013" Held:
        "the model waits for an approval",
        "The scan found something that a person must judge; until then the model is in quarantine.",
        "See it with `custody show`; somebody who may can let it out with `custody approve`.";
    SCAN_014 "CUS-SCAN-014" Fault:
        "the confined scan broke off",
        "The scanner ended without a report.",
        "Report it, with the file if you may.";
    SCAN_015 "CUS-SCAN-015" Isolation:
        "the scanner cannot be confined",
        "The machine lacks something that the sandbox needs, so the model is not taken.",
        "See what this machine offers with `custody doctor`.";
    SCAN_016 "CUS-SCAN-016" Integrity:
        "the model to be scanned cannot be read",
        "Its stored bytes are damaged, so it is not taken.",
        "See the extent with `custody verify --all`.";
    SCAN_017 "CUS-SCAN-017" Unavailable:
        "the scanner cannot be started",
        "The machine gave too little for the scan, so the model is not taken.",
        "See that there is memory for the whole model, then repeat the command.";
    SCAN_018 "CUS-SCAN-018" Invalid:
        "the name of a rule pack cannot be stored",
        "The file's name has letters that a version's files may not have.",
        "Rename the file.";
    SCAN_019 "CUS-SCAN-019" Fault:
        "the scan broke off",
        "The scan's report or statement could not be made. Nothing became valid.",
        "Report what you did.";
    SCAN_020 "CUS-SCAN-020" Isolation:
        "the trial load cannot be confined",
        "The machine lacks something that the sandbox needs, so the model was not loaded.",
        "See what this machine offers with `custody doctor`.";
    SCAN_021 "CUS-SCAN-021" Invalid:
        "there is no Python to load the model with",
        "The trial load needs an interpreter and the model's libraries.",
        "Bring them with `--environment LOCK`, or install Python in /usr.";
    SCAN_022 "CUS-SCAN-022" Unavailable:
        "the trial load cannot be started",
        "The machine gave too little for the load, so the model was not loaded.",
        "See that there is memory for the whole model, then repeat the command.";
    SCAN_023 "CUS-SCAN-023" NotFound:
        "the model for the trial load cannot be read",
        "The file is not there, or cannot be read.",
        "Name a file that is there and that you may read.";
    SCAN_024 "CUS-SCAN-024" NotFound:
        "there is no file to scan",
        "What was named has no regular file in it.",
        "Name a file, or a folder with files.";
    SCAN_025 "CUS-SCAN-025" Unavailable:
        "there is not enough memory for the scan",
        "A model is scanned in memory, in at most half of what is free, so it is not taken.",
        "Put it in from a machine with more memory, or end other programs first.";
    SCAN_026 "CUS-SCAN-026" Refused:
        "the version cannot be rejected",
        "It is not in quarantine, was rejected before, or no reason was given.",
        "See what waits with `custody ls --quarantine`.";
    SCAN_027 "CUS-SCAN-027" Refused:
        "what the step makes was rejected",
        "Somebody who may decide rejected these very bytes, so the step does not bring them back.",
        "Change what they are made of; if it was a mistake, `custody put` the same files, let that be approved, and run again.";

    // The server, and who works with one.
    SERVE_001 "CUS-SERVE-001" Unavailable:
        "the server cannot listen",
        "The address is another program's, or not this machine's.",
        "Name another with `--listen`.";
    SERVE_002 "CUS-SERVE-002" Invalid:
        "the certificate cannot be used",
        "The files of `--certificate` and `--certificate-key` cannot be read, or do not belong together; or a `--name` is none.",
        "Name a certificate with those above it and its key, both in PEM; or leave them out, and the server makes its own.";
    SERVE_003 "CUS-SERVE-003" Integrity:
        "the server's own authority cannot be used",
        "What is kept of it below `.custody/server` is not what was written, or its issuing certificate has ended.",
        "Put the file back from a copy; or remove it, and the server makes another, whose root everybody has to trust anew.";
    SERVE_004 "CUS-SERVE-004" Invalid:
        "the server is not known",
        "The address is none, the root cannot be read, the fingerprint is that of no certificate that the server shows, or there is no token.",
        "Log in with `custody login`, with what the server printed at its start.";
    SERVE_005 "CUS-SERVE-005" Invalid:
        "identity providers cannot be asked as it is said",
        "A secret or root of `--oidc-…` cannot be read, or a network or address is none.",
        "Correct what is named, then start the server again.";
    SERVE_006 "CUS-SERVE-006" Unavailable:
        "the server that works in this workspace is sealed",
        "It was started without the passphrase of the key file, and answers nothing until it is given.",
        "Unseal it with `custody unseal`, as the user that runs it.";
    SERVE_007 "CUS-SERVE-007" Conflict:
        "no sealed server works in this workspace",
        "There is none, it is another user's, or it was unsealed already.",
        "Start one with `custody serve`; one that has the passphrase needs no unsealing.";
    SERVE_008 "CUS-SERVE-008" NotFound:
        "nothing is counted here",
        "A command that works in the workspace by itself counts nothing of its work; a server does.",
        "Ask a server: on its machine beside it, or from elsewhere.";
    SERVE_009 "CUS-SERVE-009" Invalid:
        "the server cannot be watched as it is said",
        "The file of `--log-file` cannot be written, or the address, header, root or network of `--otlp…` cannot be used.",
        "Correct what is named, then start the server again.";

    // Model signatures.
    SIGN_001 "CUS-SIGN-001" Invalid:
        "the model cannot be signed",
        "A file cannot be listed or hashed, or the key does not fit. Nothing was written.",
        "Correct what is named and sign again.";
    SIGN_002 "CUS-SIGN-002" Invalid:
        "a key, certificate or list cannot be used",
        "The file is not in a form that signatures are made or checked with.",
        "Give keys and certificates in PEM, and the trusted root of a Sigstore instance in JSON.";
    SIGN_003 "CUS-SIGN-003" Invalid:
        "the token cannot be used",
        "The module, the token or the key in it is not there, or the PIN is wrong.",
        "Name it as `pkcs11:token=NAME;object=KEY?module-path=LIBRARY&pin-source=FILE`.";
    SIGN_004 "CUS-SIGN-004" Invalid:
        "there is no key to sign with",
        "Neither a key nor a token was named.",
        "Name one with `--key FILE` or `--token pkcs11:…`.";
    SIGN_005 "CUS-SIGN-005" Integrity:
        "a model's signature does not hold",
        "The files are not what was signed, or somebody else signed them.",
        "Do not use the model before you know which of the two it is.";
    SIGN_006 "CUS-SIGN-006" TooLarge:
        "the version has too many files to be signed in place",
        "The listing of a version holds a limited number of files.",
        "Take it out with `custody get` and sign the folder.";
    SIGN_007 "CUS-SIGN-007" Denied:
        "the version is in quarantine",
        "What waits for an approval is not signed.",
        "Somebody who may can let it out with `custody approve`.";
    SIGN_008 "CUS-SIGN-008" Denied:
        "the files of the version may not be seen",
        "A signature is verified against the names and digests of the files, which are for who may read the version.",
        "Ask somebody who may read it; `--purpose` states for what it is read.";

    // The store.
    STORE_001 "CUS-STORE-001" NotFound:
        "it is not in the store",
        "Nothing of that name or digest is stored.",
        "See what there is with `custody ls`.";
    STORE_002 "CUS-STORE-002" Conflict:
        "the store holds something else",
        "What is there is not what the command expected; somebody may have been faster.",
        "Look with `custody ls`, then try again.";
    STORE_003 "CUS-STORE-003" Integrity:
        "stored bytes are damaged",
        "A file of the store was changed, cut or lost.",
        "See the extent with `custody verify --all`; restore the named file from a copy.";
    STORE_004 "CUS-STORE-004" Full:
        "there is no room left on the disk",
        "The disk is full, a quota is used up, or a file would be larger than is allowed. Nothing that was acknowledged is lost.",
        "Make room and repeat the command; keep all below `.custody`. `custody doctor` shows how much room there is.";
    STORE_005 "CUS-STORE-005" Invalid:
        "the keys of a project are not at hand",
        "The workspace was opened with a key that does not open this project.",
        "Name the key file that belongs to this workspace with `--key-file`.";
    STORE_006 "CUS-STORE-006" Unavailable:
        "the store cannot be read or written",
        "The disk refused a read or a write, or the store has no room for what was asked.",
        "See that the disk works and has room, then repeat the command.";
    STORE_010 "CUS-STORE-010" Conflict:
        "the alias points elsewhere",
        "The alias was to move from a version at which it does not point; somebody may have been faster.",
        "Look with `custody ls`, then decide again.";
    STORE_011 "CUS-STORE-011" Integrity:
        "the store lacks versions that the ledger names",
        "Packs are missing that hold valid versions.",
        "Put the missing files of the folder `packs` back from a copy, then run `custody index rebuild`.";
    STORE_012 "CUS-STORE-012" NotFound:
        "the bytes of the version were removed",
        "The version was rejected, and somebody who may decide had its bytes taken away for good.",
        "What is known of it stays: see `custody show`. Put the same files again if they are needed after all.";
    STORE_013 "CUS-STORE-013" Refused:
        "the bytes of the version cannot be removed",
        "Only what was rejected is removed.",
        "Reject it first with `custody reject`, if it is in quarantine.";
    STORE_014 "CUS-STORE-014" NotFound:
        "the project was shredded",
        "Somebody who may do so destroyed the project's keys: nothing opens what was stored in it.",
        "What the ledger says of it stays. Work goes on in a project of another name.";
    STORE_015 "CUS-STORE-015" Refused:
        "the project cannot be shredded",
        "The project `custody` holds the policies, the accounts and the reasons of what was decided.",
        "Shred your own projects, one by one.";
    STORE_016 "CUS-STORE-016" Invalid:
        "shredding a project needs a reason",
        "It was missing, or longer than 2000 bytes. Nothing was destroyed.",
        "Say with `--reason` why, and who asked for it.";
    STORE_017 "CUS-STORE-017" NotFound:
        "there is no such project",
        "No project of this name has keys.",
        "See which there are with `custody ls`.";
    STORE_018 "CUS-STORE-018" Invalid:
        "it was not said that it is meant",
        "Shredding a project cannot be undone, and `--yes` was not given. Nothing was destroyed.",
        "Look at what goes with `custody ls`, then repeat it with `--yes`.";
    STORE_020 "CUS-STORE-020" Unavailable:
        "what is to be stored could not be read",
        "The files that are put in ended early. Nothing was kept.",
        "Repeat the command.";
    STORE_021 "CUS-STORE-021" Invalid:
        "the files that were sent cannot be read",
        "The stream of files is not in its form, or holds links or devices. Nothing was kept.",
        "Send regular files only.";
    STORE_030 "CUS-STORE-030" Unavailable:
        "the store cannot be opened",
        "The folder `packs` or the index below `.custody` cannot be used.",
        "See `custody doctor`, and that you may read and write all below `.custody`.";

    // The pages of a server.
    WEB_001 "CUS-WEB-001" Fault:
        "the page cannot be shown",
        "What it is made of was there, but not put into a page. What was asked for by a form is done.",
        "Report what you did; `custody ledger log` says what was done.";
    WEB_002 "CUS-WEB-002" Invalid:
        "the two passwords differ",
        "A new password is typed twice, so that it is the one that was meant.",
        "Type the same password twice.";
    WEB_003 "CUS-WEB-003" NotFound:
        "there is no such page",
        "The address is that of no page of this server.",
        "Begin at the first page.";

    // Workspaces.
    WORK_001 "CUS-WORK-001" NotFound:
        "there is no workspace",
        "Neither this folder nor one above it has a workspace.",
        "Make one with `custody init`, or name it with `--workspace`.";
    WORK_002 "CUS-WORK-002" Conflict:
        "there is a workspace already",
        "`custody init` makes none where one is.",
        "Use it as it is; see what it has with `custody ls`.";
    WORK_003 "CUS-WORK-003" Invalid:
        "a newer program made the workspace",
        "Its format is one that this program does not know, so it changes nothing in it.",
        "Use the newer program.";
    WORK_004 "CUS-WORK-004" Integrity:
        "a file of the workspace is damaged",
        "The named file is not in its form.",
        "Put the file back from a copy.";
    WORK_005 "CUS-WORK-005" Unavailable:
        "the workspace cannot be read or written",
        "The machine refused a read or a write below `.custody`.",
        "See that you may read and write there, and that the disk has room.";
}
