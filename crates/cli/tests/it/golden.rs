//! Workspaces that older versions of the program wrote are read, verified and written on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program as the workspace's owner, the account `root` of a user namespace.
fn custody(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(env!("CARGO_BIN_EXE_custody"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.join("home"))
        .env("CUSTODY_KEY_FILE", folder.join("golden.key"))
        .output()
        .unwrap()
}

fn assert_says(output: &Output, says: &str) {
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && told.contains(says), "{told}");
}

#[test]
fn workspaces_of_old_formats_stay_readable() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let mut seen = 0;
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        seen += 1;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let archive = zstd::stream::decode_all(fs::File::open(&path).unwrap()).unwrap();
        tar::Archive::new(archive.as_slice())
            .unpack(folder)
            .unwrap();

        let noise = fs::read(folder.join("noise.bin")).unwrap();
        assert_says(&custody(folder, &["verify", "--all"]), "everything holds");
        assert_says(&custody(folder, &["ls"]), "golden/count@1");
        assert_says(
            &custody(folder, &["trace", "golden/count@1"]),
            "golden/words@1",
        );
        assert_says(
            &custody(folder, &["get", "golden/noise@good", "--to", "out"]),
            "1 file,",
        );
        assert_eq!(fs::read(folder.join("out/noise.bin")).unwrap(), noise);
        assert_says(
            &custody(folder, &["put", "golden/more", "noise.bin"]),
            "golden/more@1",
        );
        // From packs and ledger alone.
        fs::remove_file(folder.join(".custody/catalog.sqlite")).unwrap();
        assert_says(&custody(folder, &["index", "rebuild"]), "5 versions");
        assert_says(&custody(folder, &["verify", "--all"]), "everything holds");
    }
    assert!(seen > 0);
}
