//! `custody sign` and `custody verify-signature` of 1 GiB beside `model_signing`: whole processes, a key in a file.

use std::path::Path;
use std::process::Command;

use crate::Args;
use crate::measure::{Cost, Failure, median, run};

const MB: f64 = 1e6;

/// Makes a folder with 1 GiB and a key pair.
fn prepare(data: &Path, folder: &Path) -> Result<f64, Failure> {
    let model = folder.join("model");
    std::fs::create_dir(&model)?;
    std::fs::copy(data.join("large.npy"), model.join("weights.npy"))?;
    std::fs::write(model.join("config.json"), "{}")?;
    let openssl =
        |arguments: &[&str]| run(Command::new("openssl").args(arguments).current_dir(folder));
    let curve = "ec_paramgen_curve:P-256";
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        curve,
        "-out",
        "key.pem",
    ])?;
    openssl(&["ec", "-in", "key.pem", "-pubout", "-out", "key.pub"])?;
    let bytes = std::fs::metadata(model.join("weights.npy"))?.len();
    Ok(f64::from(u32::try_from(bytes >> 10)?) * 1024.0)
}

pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(&args.data)?;
    let size = prepare(&args.data, folder.path())?;
    let custody = |arguments: &[&str]| {
        run(Command::new(&args.custody)
            .args(arguments)
            .current_dir(folder.path()))
    };
    let peer = |arguments: &[&str]| {
        run(Command::new(&args.signer)
            .args(["-m", "model_signing"])
            .args(arguments)
            .current_dir(folder.path()))
    };
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..args.runs {
        let [sign, verify, peer_sign, peer_verify] = &mut costs;
        sign.push(custody(&[
            "sign",
            "model",
            "--key",
            "key.pem",
            "--signature",
            "ours.sig",
        ])?);
        peer_sign.push(peer(&[
            "sign",
            "key",
            "model",
            "--signature",
            "theirs.sig",
            "--private_key",
            "key.pem",
        ])?);
        // Each verifies what the other signed.
        verify.push(custody(&[
            "verify-signature",
            "model",
            "--signature",
            "theirs.sig",
            "--public-key",
            "key.pub",
        ])?);
        peer_verify.push(peer(&[
            "verify",
            "key",
            "model",
            "--signature",
            "ours.sig",
            "--public_key",
            "key.pub",
        ])?);
    }
    println!(
        "\nsignature of 1 GiB by a P-256 key, SHA-256, whole process, medians of {} runs in turn",
        args.runs
    );
    let names = [
        "custody sign",
        "custody verify-signature",
        "model_signing sign",
        "model_signing verify",
    ];
    for (name, costs) in names.into_iter().zip(&costs) {
        let wall = median(costs.iter().map(|cost| cost.wall));
        let cpu = median(costs.iter().map(|cost| cost.cpu));
        println!(
            "{name:<32} {:>9.0} MB/s of CPU  ({wall:.2} s, {cpu:.2} CPU-s)",
            size / cpu / MB
        );
    }
    Ok(())
}
