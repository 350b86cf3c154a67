//! Acknowledged entries a second, on real files, beside what the disk gives one writer that appends and
//! syncs each record by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::SystemClock;
use custody_ledger::{EntryDraft, Ledger, LedgerDeps, Lineage, Outcome, Phase, Subject};
use custody_tlog::note::NoteSigner;
use custody_types::{Action, ActorKind};

use crate::measure::Failure;

const CLIENTS: [u64; 3] = [1, 64, 256];
const TIME: Duration = Duration::from_secs(5);
/// About the size of an entry.
const RECORD: usize = 400;

fn draft(client: u64, number: u64) -> EntryDraft {
    EntryDraft {
        id: format!("{client:08x}-{number:016x}"),
        project: Some("bench".to_owned()),
        action: Action::Read,
        phase: Phase::Outcome,
        subject: Subject {
            kind: ActorKind::User,
            reference: "5f0c1d2e3b4a59687786950a1b2c3d4e".to_owned(),
            via: "bench".to_owned(),
            on_behalf_of: None,
            by: None,
        },
        objects: Vec::new(),
        decision: None,
        purpose: None,
        outcome: Some(Outcome::Ok),
        error: None,
        lineage: Lineage::default(),
        facts: BTreeMap::new(),
        relates_to: None,
    }
}

/// Returns the acknowledged entries a second.
fn acknowledged(clients: u64) -> Result<f64, Failure> {
    let folder = tempfile::tempdir_in("target")?;
    let files = LedgerFolder::take(folder.path())?;
    let ledger = Ledger::open(LedgerDeps {
        sequencer: files.sequencer(),
        tiles: files.tiles(),
        head: files.head(),
        signer: NoteSigner::new("example.com/bench", &[1; 32])?,
        clock: Arc::new(SystemClock::start()),
    })?;
    let (done, start) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|client| {
                let (ledger, done) = (&ledger, &done);
                scope.spawn(move || -> Result<(), Failure> {
                    for number in 0.. {
                        if start.elapsed() >= TIME {
                            break;
                        }
                        ledger.append(draft(client, number))?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| Failure::from("a client stopped"))?
        })
    })?;
    Ok(rate(done.into_inner(), start))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn rate(count: u64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Returns how many records a second one writer can append and sync, each by itself.
fn synced() -> Result<f64, Failure> {
    let folder = tempfile::tempdir_in("target")?;
    let mut file = File::create(folder.path().join("log"))?;
    let (mut count, start) = (0, Instant::now());
    while start.elapsed() < TIME {
        file.write_all(&[b'x'; RECORD])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(rate(count, start))
}

pub(crate) fn bench() -> Result<(), Failure> {
    println!(
        "\nledger: durable, receipted entries a second over {} s, clients are threads",
        TIME.as_secs()
    );
    println!(
        "{:<32} {:>10}",
        "one writer, sync after each",
        format!("{:.0}", synced()?)
    );
    for clients in CLIENTS {
        println!(
            "{:<32} {:>10.0}",
            format!("{clients} clients"),
            acknowledged(clients)?
        );
    }
    Ok(())
}
