//! A key in a real token, that of `SoftHSM` 2.
//!
//! The module finds its tokens by an environment variable, which a process cannot safely set for itself:
//! the test runs itself once more with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use custody_signing::hash::Scheme;
use custody_signing::keys::ModelSigner as _;
use custody_signing::pkcs11::{TokenKey, TokenUri};

use crate::common::{Folder, trust_key};

const CONFIGURATION: &str = "SOFTHSM2_CONF";
const INNER: &str = "CUSTODY_TEST_TOKEN_FOLDER";
const PLACES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

fn module() -> PathBuf {
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("this test needs SoftHSM 2: install it with `apt-get install softhsm2`")
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .expect("this test needs SoftHSM 2: install it with `apt-get install softhsm2`");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_token_signs_on_every_curve() {
    if let Some(folder) = std::env::var_os(INNER) {
        return inside(Path::new(&folder));
    }
    module();
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    fs::create_dir(folder.path().join("tokens")).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        folder.path().join("tokens").display()
    );
    fs::write(&configuration, text).unwrap();
    let tool = |arguments: &[&str]| {
        run(Command::new("softhsm2-util")
            .args(arguments)
            .env(CONFIGURATION, &configuration));
    };
    tool(&[
        "--init-token",
        "--free",
        "--label",
        "release",
        "--so-pin",
        "87654321",
        "--pin",
        "1234",
    ]);
    for (index, curve) in custody_signing::keys::Curve::ALL.into_iter().enumerate() {
        let key = crate::common::key(curve);
        let path = folder.path().join(format!("{index}.pem"));
        fs::write(&path, key.to_pem().unwrap().as_bytes()).unwrap();
        fs::write(path.with_extension("pub"), key.public().pem()).unwrap();
        let path = path.display().to_string();
        let (label, id) = (format!("key {index}"), format!("a{index}"));
        tool(&[
            "--import", &path, "--token", "release", "--label", &label, "--id", &id, "--pin",
            "1234",
        ]);
    }
    fs::write(folder.path().join("pin"), "1234\n").unwrap();
    run(Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "token::a_token_signs_on_every_curve",
            "--nocapture",
        ])
        .env(CONFIGURATION, &configuration)
        .env(INNER, folder.path()));
    assert!(folder.path().join("done").exists());
}

fn inside(folder: &Path) {
    let module = module().display().to_string();
    let pin = format!("&pin-source=file:{}", folder.join("pin").display());
    let open = |path: &str, pin: &str| {
        let uri = format!("pkcs11:{path}?module-path={module}{pin}");
        TokenKey::open(&TokenUri::parse(&uri).unwrap())
    };
    for index in 0..3 {
        let path = format!("token=release;object=key%20{index};id=%a{index}");
        let key = open(&path, &pin).unwrap();
        let public = fs::read_to_string(folder.join(format!("{index}.pub"))).unwrap();
        assert_eq!(key.public().pem(), public);
        let model = Folder::new();
        let bundle = model.sign(Scheme::default(), &key);
        assert!(model.verify(&bundle, &trust_key(key.public())).is_ok());
    }
    for (path, pin, because) in [
        (
            "token=other;object=key%200",
            pin.as_str(),
            "no token `other`",
        ),
        (
            "token=release;object=key%209",
            pin.as_str(),
            "has 0 private keys",
        ),
        (
            "token=release;id=%a0;object=key%201",
            pin.as_str(),
            "has 0 private keys",
        ),
        (
            "token=release;id=%a0",
            "&pin-source=/no/pin",
            "with the PIN cannot be read",
        ),
    ] {
        let error = open(path, pin).unwrap_err().to_string();
        assert!(error.contains(because), "{path}: {error}");
    }
    fs::write(folder.join("done"), "").unwrap();
}
