//! Models of every kind, signed and verified.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use custody_signing::hash::Scheme;
use custody_signing::keys::{Curve, FileKey, KeyError, ModelSigner as _, PublicKey};
use custody_signing::sign::sign;
use custody_signing::tree::Model;
use custody_signing::verify::{
    NotCovered, Options, Signer, SigningMethod, TimeBasis, Unlisted, verify,
};
use custody_signing::{HashType, Method};
use custody_types::{ByteSize, Digest, FileEntry};

use crate::common::{Counting, Folder, NOW, key, link, time, trust_key};

fn shards(size: u64, hash: HashType) -> Scheme {
    Scheme {
        method: Method::Shards(NonZeroU64::new(size).unwrap()),
        hash,
    }
}

const BLAKE3: Scheme = Scheme {
    method: Method::Files,
    hash: HashType::Blake3,
};

#[test]
fn every_curve_and_scheme_verifies() {
    for curve in Curve::ALL {
        let key = key(curve);
        for scheme in [
            Scheme::default(),
            BLAKE3,
            shards(1_000, HashType::Sha256),
            shards(1, HashType::Blake3),
        ] {
            let folder = Folder::new();
            let bundle = folder.sign(scheme, &key);
            let verified = folder.verify(&bundle, &trust_key(key.public())).unwrap();
            assert_eq!(verified.method, SigningMethod::Key);
            assert_eq!(verified.signer, Signer::Key(key.public().id().to_owned()));
            assert_eq!(verified.time, TimeBasis::None);
            assert_eq!(
                (verified.hash, verified.name.as_str()),
                (scheme.hash, "model")
            );
            assert_eq!(verified.covered_bytes, 2_504);
            let by_files = scheme.method == Method::Files;
            assert_eq!(verified.covered.contains(&"empty".to_owned()), by_files);
            let empty = ("empty".to_owned(), NotCovered::Empty);
            assert_eq!(verified.not_covered.contains(&empty), !by_files);
        }
    }
}

#[test]
fn progress_is_told_of_every_byte() {
    let folder = Folder::new();
    let seen = AtomicU64::new(0);
    let add = |bytes| {
        seen.fetch_add(bytes, Ordering::Relaxed);
    };
    let model = Model::Path(&folder.path);
    sign(model, &folder.signature, BLAKE3, &key(Curve::P256), &add).unwrap();
    assert_eq!(seen.into_inner(), 2_504);
}

#[test]
fn large_files_have_the_digest_of_their_bytes() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..17_000_001_u32)
        .map(|index| index.to_le_bytes()[1])
        .collect();
    folder.write("large", &bytes);
    let key = key(Curve::P256);
    let digest = |scheme| {
        let model = Model::Path(&folder.path);
        let signed = sign(model, &folder.signature, scheme, &key, &|_| {}).unwrap();
        let mut found = signed.manifest.resources().iter();
        found
            .find(|one| one.path == "large")
            .unwrap()
            .digest
            .clone()
    };
    assert_eq!(digest(Scheme::default()), Digest::of(&bytes).as_bytes());
    assert_eq!(digest(BLAKE3), blake3::hash(&bytes).as_bytes());
}

#[test]
fn a_model_of_one_file_verifies() {
    let folder = Folder::new();
    let key = key(Curve::P256);
    let path = folder.path.join("weights.bin");
    let signature = folder.temporary.path().join("weights.sig");
    let check = |bundle: &str| {
        let trust = trust_key(key.public());
        let options = Options::default();
        let bytes = bundle.as_bytes();
        verify(
            Model::Path(&path),
            &signature,
            bytes,
            &trust,
            &options,
            time(NOW),
            &|_| {},
        )
    };
    for scheme in [Scheme::default(), shards(1_000, HashType::Sha256)] {
        let signed = sign(Model::Path(&path), &signature, scheme, &key, &|_| {}).unwrap();
        assert_eq!(check(&signed.bundle).unwrap().covered, ["weights.bin"]);
    }
    let signed = sign(Model::Path(&path), &signature, BLAKE3, &key, &|_| {}).unwrap();
    fs::write(&path, b"other").unwrap();
    assert!(
        check(&signed.bundle)
            .unwrap_err()
            .to_string()
            .contains("changed: `weights.bin`")
    );
}

#[test]
fn an_object_of_a_store_is_signed_and_verified_unread() {
    let folder = Folder::new();
    let key = key(Curve::P384);
    let trust = trust_key(key.public());
    let entry = |path: &str, bytes: &[u8]| FileEntry {
        path: path.parse().unwrap(),
        size: ByteSize::from_bytes(bytes.len() as u64),
        sha256: Digest::of(bytes),
        executable: false,
    };
    let mut files = vec![
        entry("weights.bin", &[7; 2_500]),
        entry("sub/config.json", b"{}"),
        entry("sub.json", b"[]"),
        entry("empty", b""),
    ];
    let stored = |files: &[FileEntry], bundle: &str| {
        let model = Model::Stored {
            name: "model",
            files,
            content: None,
        };
        let options = Options::default();
        let bytes = bundle.as_bytes();
        verify(
            model,
            Path::new("model.sig"),
            bytes,
            &trust,
            &options,
            time(NOW),
            &|_| {},
        )
    };
    let model = Model::Stored {
        name: "model",
        files: &files,
        content: None,
    };
    let by_store = sign(
        model,
        Path::new("model.sig"),
        Scheme::default(),
        &key,
        &|_| {},
    )
    .unwrap();
    let by_disk = folder.sign(Scheme::default(), &key);
    assert_eq!(
        folder
            .verify(&by_store.bundle, &trust)
            .unwrap()
            .covered
            .len(),
        4
    );
    assert_eq!(stored(&files, &by_disk).unwrap().covered.len(), 4);
    let blake3 = folder.sign(BLAKE3, &key);
    assert!(
        stored(&files, &blake3)
            .unwrap_err()
            .to_string()
            .contains("only the sha256")
    );
    files[0] = entry("weights.bin", &[8; 2_500]);
    assert!(
        stored(&files, &by_disk)
            .unwrap_err()
            .to_string()
            .contains("changed: `weights.bin`")
    );
}

#[test]
fn files_that_are_not_signed_can_be_allowed_and_are_reported() {
    let folder = Folder::new();
    let key = key(Curve::P256);
    folder.write(".git/config", b"");
    let bundle = folder.sign(Scheme::default(), &key);
    folder.write("extra.py", b"");
    let trust = trust_key(key.public());
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("not signed: `extra.py`")
    );
    let options = Options {
        unlisted: Unlisted::Allow,
        ..Options::default()
    };
    let verified = folder
        .verify_with(&bundle, &trust, &options, time(NOW))
        .unwrap();
    assert_eq!(
        verified.not_covered,
        [
            (".git".to_owned(), NotCovered::Default),
            ("model.sig".to_owned(), NotCovered::Signature),
            ("extra.py".to_owned(), NotCovered::Unlisted),
        ]
    );
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let folder = Folder::new();
    let key = key(Curve::P256);
    let refused = |scheme| {
        let model = Model::Path(&folder.path);
        sign(model, &folder.signature, scheme, &key, &|_| {})
            .unwrap_err()
            .to_string()
    };
    let blake2 = Scheme {
        method: Method::Files,
        hash: HashType::Blake2b,
    };
    assert!(refused(blake2).contains("blake2b"));
    let check = |make: &dyn Fn(), undo: &str, because: &str| {
        make();
        assert!(refused(Scheme::default()).contains(because), "{because}");
        fs::remove_file(folder.path.join(undo)).unwrap();
    };
    let at = |path: &str| folder.path.join(path);
    check(
        &|| link("/etc/passwd".as_ref(), &at("l")),
        "l",
        "`l` is a symbolic link",
    );
    check(
        &|| link(&at("sub.json"), &at("sub/l")),
        "sub/l",
        "`sub/l` is a symbolic link",
    );
    check(
        &|| link(&at("sub"), &at("l")),
        "l",
        "`l` is a symbolic link",
    );
    check(
        &|| link(&at("gone"), &at("l")),
        "l",
        "`l` is a symbolic link",
    );
    check(
        &|| folder.write("Sub.json", b""),
        "Sub.json",
        "the same name",
    );
    check(
        &|| folder.write("\u{17f}ub.json", b""),
        "\u{17f}ub.json",
        "the same name",
    );
    check(&|| folder.write("SUB/x", b""), "SUB/x", "the same name");
    fs::remove_dir(at("SUB")).unwrap();
    folder.write("caf\u{e9}", b"");
    check(
        &|| folder.write("cafe\u{301}", b""),
        "cafe\u{301}",
        "the same name",
    );
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9.bin");
    fs::write(folder.path.join(latin), b"").unwrap();
    assert!(refused(Scheme::default()).contains("not UTF-8"));
    fs::remove_file(folder.path.join(latin)).unwrap();
    let escape = "a\u{1b}[2K";
    check(
        &|| folder.write(escape, b""),
        escape,
        "`a\\u{1b}[2K` has hidden characters",
    );
    let socket = std::os::unix::net::UnixListener::bind(at("s")).unwrap();
    assert!(refused(Scheme::default()).contains("neither a file nor a folder"));
    drop(socket);
    fs::remove_file(at("s")).unwrap();
    let file = at("sub.json");
    let error = sign(Model::Path(&file), &file, Scheme::default(), &key, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("is the model itself"));
    let deep = "d/".repeat(101);
    folder.write(&format!("{deep}x"), b"");
    assert!(refused(Scheme::default()).contains("more than 100 deep"));
    fs::remove_dir_all(at("d")).unwrap();
    folder.write("million", &vec![0; 1_000_001]);
    assert!(refused(shards(1, HashType::Sha256)).contains("more than 1000000 files or shards"));
    let hollow = tempfile::tempdir().unwrap();
    fs::write(hollow.path().join(".gitignore"), b"").unwrap();
    let model = Model::Path(hollow.path());
    let error = sign(model, &folder.signature, Scheme::default(), &key, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("no file to sign"));
}

#[test]
fn keys_are_read_in_every_form() {
    for curve in Curve::ALL {
        let key = key(curve);
        let read = FileKey::from_pem(&key.to_pem().unwrap(), None).unwrap();
        assert_eq!(read.public(), key.public());
        let public = PublicKey::from_pem(key.public().pem()).unwrap();
        assert_eq!(&public, key.public());
        assert_eq!(public.curve(), curve);
        assert_eq!(public.id(), Digest::of(public.pem().as_bytes()).to_hex());
        let signature = key.sign(b"message").unwrap();
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert!(!public.verify(b"message", &changed), "byte {index}");
        }
        let long = [signature.as_slice(), &[0]].concat();
        assert!(!public.verify(b"message", &long));
    }
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(FileKey::from_pem(text, None).is_err(), "{text}");
        assert!(PublicKey::from_pem(text).is_err(), "{text}");
    }
    let mut point = vec![4; 65];
    point[64] = 5;
    assert_eq!(
        PublicKey::from_point(Curve::P256, &point),
        Err(KeyError::Curve)
    );
}

/// Made by `openssl ecparam -genkey` and `openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret`.
const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEIMvbjbcrqz1sy8xy7vcH5U7horV4Q4sCjstmfNXjsxZ3oAoGCCqGSM49\n\
AwEHoUQDQgAERO8fODSsd1ITQbgICsuvNA82WUGKwB1ZocjEHETQ5dyDZmmuuy8/\n\
X1RZDtb/zxi2Gi+KLrbtT8yeiPzFGEK40g==\n\
-----END EC PRIVATE KEY-----\n\
";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjpn3w1flwD4gICCAAw\n\
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHWaf17x5JtIdkWAIh69jvgEgZBU\n\
VO61xIkCrt8Cwn8ev2zFSOMVs8dZjBrkgTX2iI8+mhNuUo6Edc/LTDlMeYv4D1qo\n\
8pbZT7qdywWkUfxnRqBEwXvt0ZzZzNmGVoQd5yzIKFXpTBm8rso0MLU5wKc6tHb+\n\
7Mebu+OzOn4Q2N8A/L83YAbpsERVAeo2/vEFgATU81H4pxnL8Sewwv0U46whLYg=\n\
-----END ENCRYPTED PRIVATE KEY-----\n\
";

#[test]
fn a_key_is_kept_under_a_password() {
    let key = key(Curve::P521);
    let pem = key
        .to_encrypted_pem(b"secret", &Counting::default())
        .unwrap();
    let opened = FileKey::from_pem(&pem, Some(b"secret")).unwrap();
    assert_eq!(opened.public(), key.public());
    assert!(FileKey::from_pem(&pem, Some(b"")).is_err());
}

#[test]
fn keys_of_openssl_are_read() {
    let plain = FileKey::from_pem(SEC1, None).unwrap();
    let opened = FileKey::from_pem(ENCRYPTED, Some(b"secret")).unwrap();
    assert_eq!(plain.public(), opened.public());
    assert_eq!(
        FileKey::from_pem(ENCRYPTED, None).unwrap_err(),
        KeyError::Locked
    );
    assert_eq!(
        FileKey::from_pem(ENCRYPTED, Some(b"Secret")).unwrap_err(),
        KeyError::Password
    );
    let old = SEC1.replace(
        "PRIVATE KEY-----\nMHc",
        "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMHc",
    );
    assert_eq!(
        FileKey::from_pem(&old, None).unwrap_err(),
        KeyError::OldEncryption
    );
}
