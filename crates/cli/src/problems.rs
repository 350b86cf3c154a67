//! What the user is told when something on this side of the API does not work.

use custody_backends::user_files::UserFilesError;
use custody_types::{ExitCode, Problem};

/// Tells why the user's own files could not be read or written.
pub(crate) fn user_files_problem(error: &UserFilesError) -> Problem {
    let (code, exit, hint) = match error {
        UserFilesError::NoRoom(path) => {
            return Problem::no_room(format!("`{}`", path.display()));
        }
        UserFilesError::Missing(_) => (
            "CUS-CLI-020",
            ExitCode::NotFound,
            "look at the path; it is taken from the folder in which you type",
        ),
        UserFilesError::Special(_) => (
            "CUS-CLI-021",
            ExitCode::Usage,
            "only regular files are stored; leave it out",
        ),
        UserFilesError::Link(_) => (
            "CUS-CLI-027",
            ExitCode::Usage,
            "name what it leads to, or replace it by that: a link that somebody else made could lead to any file of yours",
        ),
        UserFilesError::Outside { .. } => (
            "CUS-CLI-028",
            ExitCode::Usage,
            "nothing was read; copy what it leads to into the folder, or name that by its whole path",
        ),
        UserFilesError::Name { .. } => ("CUS-CLI-022", ExitCode::Usage, "rename the file"),
        UserFilesError::Twice(_) => (
            "CUS-CLI-023",
            ExitCode::Usage,
            "put the files into folders of their own, and put the folder above them",
        ),
        UserFilesError::Exists(_) => (
            "CUS-CLI-024",
            ExitCode::NotFound,
            "name another folder with `--to`, or move this one away; nothing is overwritten",
        ),
        UserFilesError::Stream(_) => (
            "CUS-CLI-025",
            ExitCode::Fault,
            "nothing was written; look with `custody verify` whether the stored bytes are whole",
        ),
        UserFilesError::Io { .. } => (
            "CUS-CLI-026",
            ExitCode::Later,
            "see that the disk has room and that you may write there",
        ),
    };
    Problem::new(code, exit, error.to_string()).hint(hint)
}
