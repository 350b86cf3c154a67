//! What the user is told when something on this side of the API does not work.

use custody_backends::user_files::UserFilesError;
use custody_types::{Problem, code};

/// Tells why the user's own files could not be read or written.
pub fn user_files_problem(error: &UserFilesError) -> Problem {
    let (code, hint) = match error {
        UserFilesError::NoRoom(path) => {
            return Problem::no_room(format!("`{}`", path.display()));
        }
        UserFilesError::Missing(_) => (
            code::CLI_020,
            "look at the path; it is taken from the folder in which you type",
        ),
        UserFilesError::Special(_) => {
            (code::CLI_021, "only regular files are stored; leave it out")
        }
        UserFilesError::Link(_) => (
            code::CLI_027,
            "name what it leads to, or replace it by that: a link that somebody else made could lead to any file of yours",
        ),
        UserFilesError::Outside { .. } => (
            code::CLI_028,
            "nothing was read; copy what it leads to into the folder, or name that by its whole path",
        ),
        UserFilesError::Name { .. } => (code::CLI_022, "rename the file"),
        UserFilesError::Twice(_) => (
            code::CLI_023,
            "put the files into folders of their own, and put the folder above them",
        ),
        UserFilesError::Exists(_) => (
            code::CLI_024,
            "name another folder with `--to`, or move this one away; nothing is overwritten",
        ),
        UserFilesError::Stream(_) => (
            code::CLI_025,
            "nothing was written; look with `custody verify` whether the stored bytes are whole",
        ),
        UserFilesError::Io { .. } => (
            code::CLI_026,
            "see that the disk has room and that you may write there",
        ),
    };
    Problem::new(code, error.to_string()).hint(hint)
}
