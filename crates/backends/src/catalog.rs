//! The catalog in SQLite.
//!
//! It lies beside the packs, so it must not tell what they hide: where chunks lie and how long they are is
//! sealed, row by row, with a random vector and bound to the row. Identities are in clear: they are looked up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use custody_crypto::aead::{AeadKey, IV_BYTES};
use custody_store::{
    Catalog, CatalogError, ChunkId, ChunkKind, ChunkPlace, DomainId, PackChunk, PackId, StagedRow,
    Staging, ViewRow, ViewRows,
};
use custody_types::{ArtifactName, Digest, Entropy, VersionName, VersionNumber, is_no_room};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params,
    params_from_iter,
};

use crate::disk;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS packs (id BLOB PRIMARY KEY, domain BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    domain BLOB NOT NULL, id BLOB NOT NULL, pack BLOB NOT NULL, kind INTEGER NOT NULL, place BLOB NOT NULL, PRIMARY KEY (domain, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunks_by_pack ON chunks (pack);
CREATE TABLE IF NOT EXISTS records (digest BLOB NOT NULL, domain BLOB NOT NULL, chunk BLOB NOT NULL, PRIMARY KEY (digest, domain)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged (project TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (project, name, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lacking (record BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned (pack BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS view (key TEXT PRIMARY KEY, bucket INTEGER NOT NULL, value BLOB NOT NULL, next TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS view_by_bucket ON view (bucket);
CREATE TABLE IF NOT EXISTS view_nodes (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS view_root (one INTEGER PRIMARY KEY CHECK (one = 1), root TEXT NOT NULL);
";

/// The form of the tables. A catalog of another form is made anew.
const FORM: i64 = 4;
/// How much of the file is kept in memory: less than 0, in KiB.
const CACHED: i64 = -(32 << 10);
/// The same for each of those that only read.
const READER_CACHED: i64 = -(4 << 10);
/// How many connections that only read are kept for the next who reads.
const IDLE_READERS: usize = 8;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// How many chunks are looked up by one statement.
const AT_ONCE: usize = 16;
/// How long one waits for another process that writes.
const PATIENCE: Duration = Duration::from_mins(1);
const SHARED_FILE_SIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
/// The plaintext of a chunk's place: offset 8, stored length 4, compressed 1, plain length 4; big-endian.
const PLACE: usize = 17;

/// Seals where chunks lie.
#[derive(Debug)]
pub struct PlaceSeal {
    key: Box<dyn AeadKey>,
    entropy: Arc<dyn Entropy>,
}

impl PlaceSeal {
    /// Takes the key that seals, of this catalog alone.
    pub fn new(key: Box<dyn AeadKey>, entropy: Arc<dyn Entropy>) -> Self {
        Self { key, entropy }
    }

    /// Draws a vector for each of `count` places; a call for each costs more than its bytes.
    fn vectors(&self, count: usize) -> Vec<u8> {
        let mut vectors = vec![0; count * IV_BYTES];
        self.entropy.fill(&mut vectors);
        vectors
    }

    fn seal(
        &self,
        vector: [u8; IV_BYTES],
        row: &[u8],
        chunk: &PackChunk,
    ) -> Result<Vec<u8>, CatalogError> {
        let mut place = Vec::with_capacity(PLACE);
        place.extend(chunk.offset.to_be_bytes());
        place.extend(chunk.stored.to_be_bytes());
        place.push(u8::from(chunk.compressed));
        place.extend(chunk.length.to_be_bytes());
        let tag = self
            .key
            .seal(vector, row, &mut place)
            .map_err(|error| CatalogError::Failed {
                source: error.into(),
            })?;
        Ok([&vector[..], &place, &tag].concat())
    }

    fn open(&self, row: &Row<'_>) -> rusqlite::Result<Option<(DomainId, ChunkPlace)>> {
        let (domain, id, pack, kind): ([u8; 16], [u8; 32], [u8; 16], u8) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let sealed: Vec<u8> = row.get(4)?;
        let opened = || {
            let (vector, rest) = sealed.split_first_chunk::<IV_BYTES>()?;
            let mut place = rest.to_vec();
            let bound = [&domain[..], &id, &pack, &[kind]].concat();
            self.key.open(*vector, &bound, &mut place).ok()?;
            let (offset, rest) = place.split_first_chunk::<8>()?;
            let (stored, rest) = rest.split_first_chunk::<4>()?;
            let (compressed, rest) = rest.split_first()?;
            let (length, _) = rest.split_first_chunk::<4>()?;
            Some(PackChunk {
                id: ChunkId::from_bytes(id),
                kind: ChunkKind::of_byte(kind)?,
                offset: u64::from_be_bytes(*offset),
                stored: u32::from_be_bytes(*stored),
                compressed: *compressed == 1,
                length: u32::from_be_bytes(*length),
            })
        };
        Ok(opened().map(|chunk| {
            (
                DomainId::from_bytes(domain),
                ChunkPlace {
                    pack: PackId::from_bytes(pack),
                    chunk,
                },
            )
        }))
    }
}

/// The catalog in one SQLite file, written ahead and synced at each commit. Who writes, or asks the view of the ledger,
/// waits for others who do; who looks something else up waits for nobody.
#[derive(Debug)]
pub struct SqliteCatalog {
    path: PathBuf,
    /// The one that writes.
    connection: Mutex<Connection>,
    /// Those that only read and have nothing to do.
    readers: Mutex<Vec<Connection>>,
    seal: Arc<PlaceSeal>,
}

fn failed(error: rusqlite::Error) -> CatalogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CatalogError::NoSpace,
        // The file that the readers share could not grow.
        _ if error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == SHARED_FILE_SIZE) =>
        {
            CatalogError::NoSpace
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CatalogError::Damaged {
            because: error.to_string(),
        },
        _ => CatalogError::Failed {
            source: error.into(),
        },
    }
}

fn damaged(what: &str) -> CatalogError {
    CatalogError::Damaged {
        because: format!("a {what} in it cannot be read"),
    }
}

impl SqliteCatalog {
    /// Opens the catalog at `path`, which is created where there is none.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] when the file is no sound database.
    pub fn open(path: &Path, seal: Arc<PlaceSeal>) -> Result<Self, CatalogError> {
        // SQLite gives the files beside it the same mode.
        disk::create_private(path).map_err(|error| {
            if is_no_room(&error) {
                CatalogError::NoSpace
            } else {
                CatalogError::Failed {
                    source: error.into(),
                }
            }
        })?;
        let connection = connect(path, CACHED)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(failed)?;
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        let form: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(failed)?;
        if tables > 0 && form != FORM {
            return Err(damaged("form"));
        }
        connection.execute_batch(SCHEMA).map_err(failed)?;
        connection
            .pragma_update(None, "user_version", FORM)
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            readers: Mutex::default(),
            seal,
        })
    }

    /// Opens the catalog, or a new one in the place of one that SQLite cannot read: it is a cache that is
    /// made anew from packs and ledger. The old file is kept beside it.
    ///
    /// # Errors
    /// As [`SqliteCatalog::open`].
    pub fn open_or_renew(path: &Path, seal: Arc<PlaceSeal>) -> Result<Self, CatalogError> {
        match Self::open(path, seal.clone()) {
            Err(CatalogError::Damaged { because }) => {
                disk::set_aside(path).map_err(|error| CatalogError::Damaged {
                    because: format!("{because}, and cannot be moved away: {error}"),
                })?;
                Self::open(path, seal)
            }
            opened => opened,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn transaction(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = begin(&mut connection)?;
        work(&transaction)?;
        transaction.commit().map_err(failed)
    }

    /// Lends a connection that sees all that was committed before.
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let readers = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = readers().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path, READER_CACHED)?;
                connection
                    .pragma_update(None, "query_only", true)
                    .map_err(failed)?;
                connection
            }
        };
        let answer = work(&connection);
        let mut readers = readers();
        if answer.is_ok() && readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        answer
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, CatalogError> {
        self.lock()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(failed)
    }
}

fn connect(path: &Path, cached: i64) -> Result<Connection, CatalogError> {
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .pragma_update(None, "cache_size", cached)
        .map_err(failed)?;
    Ok(connection)
}

/// Begins to write: a transaction that read first and then has to wait would fail at once.
fn begin(connection: &mut Connection) -> Result<Transaction<'_>, CatalogError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)
}

fn staged(row: &Row<'_>) -> Result<StagedRow, CatalogError> {
    let wrong = |_| damaged("staged version");
    let (project, name): (String, String) =
        (row.get(0).map_err(wrong)?, row.get(1).map_err(wrong)?);
    let artifact: ArtifactName = format!("{project}/{name}")
        .parse()
        .map_err(|_| damaged("name"))?;
    let number = VersionNumber::new(row.get(2).map_err(wrong)?).ok_or_else(|| damaged("number"))?;
    Ok(StagedRow {
        name: artifact.version(number),
        record: Digest::from_bytes(row.get(3).map_err(wrong)?),
    })
}

fn enter_version(transaction: &Transaction<'_>, row: &StagedRow) -> Result<(), CatalogError> {
    let artifact = &row.name.artifact;
    let inserted = transaction.execute(
        "INSERT INTO staged (project, name, number, record) VALUES (?1, ?2, ?3, ?4)",
        params![
            artifact.project().as_str(),
            artifact.name(),
            row.name.number.number(),
            row.record.as_bytes(),
        ],
    );
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(CatalogError::Conflict {
                name: row.name.to_string(),
                because: "there is such a version already".to_owned(),
            })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Refuses a chunk that is not there, or lies in a pack that was found damaged.
fn check_relied_upon(transaction: &Transaction<'_>, staging: &Staging) -> Result<(), CatalogError> {
    let mut there = transaction
        .prepare_cached(
            "SELECT 1 FROM chunks WHERE domain = ?1 AND id = ?2 AND pack NOT IN (SELECT pack FROM condemned)",
        )
        .map_err(failed)?;
    for chunk in &staging.relied_upon {
        let values = params![staging.domain.as_bytes(), chunk.as_bytes()];
        if !there.exists(values).map_err(failed)? {
            return Err(CatalogError::Conflict {
                name: chunk.to_string(),
                because: "it was stored before, and the pack that holds it is gone or was found damaged meanwhile".to_owned(),
            });
        }
    }
    Ok(())
}

fn enter_chunks(
    transaction: &Transaction<'_>,
    staging: &Staging,
    seal: &PlaceSeal,
) -> Result<(), CatalogError> {
    let domain = staging.domain.as_bytes();
    let mut insert = transaction
        .prepare_cached("INSERT OR REPLACE INTO chunks (domain, id, pack, kind, place) VALUES (?1, ?2, ?3, ?4, ?5)")
        .map_err(failed)?;
    for (pack, chunks) in &staging.packs {
        transaction
            .execute(
                "INSERT OR IGNORE INTO packs (id, domain) VALUES (?1, ?2)",
                params![pack.as_bytes(), domain],
            )
            .map_err(failed)?;
        let vectors = seal.vectors(chunks.len());
        for (chunk, vector) in chunks.iter().zip(vectors.as_chunks::<IV_BYTES>().0) {
            let bound = [
                &domain[..],
                chunk.id.as_bytes(),
                pack.as_bytes(),
                &[chunk.kind.byte()],
            ];
            let place = seal.seal(*vector, &bound.concat(), chunk)?;
            let values = params![
                domain,
                chunk.id.as_bytes(),
                pack.as_bytes(),
                chunk.kind.byte(),
                place
            ];
            insert.execute(values).map_err(failed)?;
        }
    }
    Ok(())
}

impl Catalog for SqliteCatalog {
    fn stage(&self, staging: &Staging) -> Result<(), CatalogError> {
        self.transaction(|transaction| {
            check_relied_upon(transaction, staging)?;
            enter_chunks(transaction, staging, &self.seal)?;
            for record in &staging.records {
                let values = params![
                    record.digest.as_bytes(),
                    staging.domain.as_bytes(),
                    record.chunk.as_bytes()
                ];
                transaction
                    .execute(
                        "INSERT OR REPLACE INTO records (digest, domain, chunk) VALUES (?1, ?2, ?3)",
                        values,
                    )
                    .map_err(failed)?;
            }
            staging
                .versions
                .iter()
                .try_for_each(|row| enter_version(transaction, row))
        })
    }

    fn unstage(&self, versions: &[VersionName]) -> Result<(), CatalogError> {
        const SQL: &str = "DELETE FROM staged WHERE project = ?1 AND name = ?2 AND number = ?3";
        self.transaction(|transaction| {
            for name in versions {
                let (artifact, number) = (&name.artifact, name.number.number());
                let values = params![artifact.project().as_str(), artifact.name(), number];
                transaction.execute(SQL, values).map_err(failed)?;
            }
            Ok(())
        })
    }

    fn staged(&self) -> Result<Vec<StagedRow>, CatalogError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT project, name, number, record FROM staged ORDER BY project, name, number")
                .map_err(failed)?;
            let rows = statement
                .query_map([], |row| Ok(staged(row)))
                .map_err(failed)?;
            rows.map(|row| row.map_err(failed)?).collect()
        })
    }

    fn chunks(
        &self,
        domain: &DomainId,
        chunks: &[ChunkId],
    ) -> Result<Vec<Option<ChunkPlace>>, CatalogError> {
        self.read(|connection| {
            let mut found = HashMap::with_capacity(chunks.len());
            for some in chunks.chunks(AT_ONCE) {
                // A few forms of the statement, whatever is asked.
                let marks = vec!["?"; some.len().next_power_of_two()].join(", ");
                let sql = format!("SELECT domain, id, pack, kind, place FROM chunks WHERE domain = ? AND id IN ({marks})");
                let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
                let last = some.last().into_iter().cycle();
                let ids = some.iter().chain(last).take(some.len().next_power_of_two());
                let ids = ids.map(|id| id.as_bytes().as_slice());
                let values = [domain.as_bytes().as_slice()].into_iter().chain(ids);
                let rows = statement
                    .query_map(params_from_iter(values), |row| self.seal.open(row))
                    .map_err(failed)?;
                for row in rows {
                    let (_, place) = row.map_err(failed)?.ok_or_else(|| damaged("chunk"))?;
                    found.insert(place.chunk.id, place);
                }
            }
            Ok(chunks.iter().map(|id| found.get(id).cloned()).collect())
        })
    }

    fn record(&self, digest: &Digest) -> Result<Vec<(DomainId, ChunkId)>, CatalogError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT domain, chunk FROM records WHERE digest = ?1 ORDER BY domain",
                )
                .map_err(failed)?;
            let rows = statement
                .query_map(params![digest.as_bytes()], |row| {
                    Ok((
                        DomainId::from_bytes(row.get(0)?),
                        ChunkId::from_bytes(row.get(1)?),
                    ))
                })
                .map_err(failed)?;
            rows.map(|row| row.map_err(failed)).collect()
        })
    }

    fn highest(&self, artifact: &ArtifactName) -> Result<u32, CatalogError> {
        let sql = "SELECT coalesce(max(number), 0) FROM staged WHERE project = ?1 AND name = ?2";
        let values = params![artifact.project().as_str(), artifact.name()];
        self.read(|connection| {
            connection
                .query_row(sql, values, |row| row.get(0))
                .map_err(failed)
        })
    }

    fn view(
        &self,
        work: &mut dyn FnMut(&dyn ViewRows) -> Result<bool, CatalogError>,
    ) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let synchronous = |connection: &Connection, level: &str| {
            connection.pragma_update(None, "synchronous", level)
        };
        // What is written here follows from the ledger: a loss of power may take it, and the start makes it anew.
        synchronous(&connection, "NORMAL").map_err(failed)?;
        let worked = begin(&mut connection).and_then(|transaction| {
            if work(&View(&transaction))? {
                transaction.commit().map_err(failed)
            } else {
                transaction.rollback().map_err(failed)
            }
        });
        synchronous(&connection, "FULL").map_err(failed)?;
        worked
    }

    fn set_lacking(&self, records: &[Digest]) -> Result<(), CatalogError> {
        self.transaction(|transaction| {
            transaction
                .execute("DELETE FROM lacking", [])
                .map_err(failed)?;
            for record in records {
                let values = params![record.as_bytes()];
                transaction
                    .execute("INSERT OR IGNORE INTO lacking (record) VALUES (?1)", values)
                    .map_err(failed)?;
            }
            Ok(())
        })
    }

    fn is_lacking(&self, record: &Digest) -> Result<bool, CatalogError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT 1 FROM lacking WHERE record = ?1")
                .map_err(failed)?;
            statement.exists(params![record.as_bytes()]).map_err(failed)
        })
    }

    fn condemn(&self, pack: &PackId) -> Result<(), CatalogError> {
        let sql = "INSERT OR IGNORE INTO condemned (pack) VALUES (?1)";
        self.change(sql, params![pack.as_bytes()]).map(drop)
    }

    fn absolve(&self, pack: &PackId) -> Result<(), CatalogError> {
        let sql = "DELETE FROM condemned WHERE pack = ?1";
        self.change(sql, params![pack.as_bytes()]).map(drop)
    }

    fn is_condemned(&self, pack: &PackId) -> Result<bool, CatalogError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT 1 FROM condemned WHERE pack = ?1")
                .map_err(failed)?;
            statement.exists(params![pack.as_bytes()]).map_err(failed)
        })
    }

    fn packs(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, CatalogError> {
        const SQL: &str = "SELECT id FROM packs WHERE id > ?1 AND EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = packs.id) ORDER BY id LIMIT ?2";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(SQL).map_err(failed)?;
            let after = after.map_or(&[][..], |after| after.as_bytes());
            let rows = statement
                .query_map(params![after, row_limit(limit)], |row| {
                    Ok(PackId::from_bytes(row.get(0)?))
                })
                .map_err(failed)?;
            rows.map(|row| row.map_err(failed)).collect()
        })
    }

    fn places(
        &self,
        after: Option<(&DomainId, &ChunkId)>,
        limit: usize,
    ) -> Result<Vec<(DomainId, ChunkPlace)>, CatalogError> {
        const SQL: &str = "SELECT domain, id, pack, kind, place FROM chunks WHERE (domain, id) > (?1, ?2) ORDER BY domain, id LIMIT ?3";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(SQL).map_err(failed)?;
            let (domain, chunk) = after.map_or((&[][..], &[][..]), |(domain, chunk)| {
                (domain.as_bytes(), chunk.as_bytes())
            });
            let rows = statement
                .query_map(params![domain, chunk, row_limit(limit)], |row| {
                    self.seal.open(row)
                })
                .map_err(failed)?;
            rows.map(|row| row.map_err(failed)?.ok_or_else(|| damaged("chunk")))
                .collect()
        })
    }

    fn forget(&self, packs: &[PackId]) -> Result<(), CatalogError> {
        self.transaction(|transaction| {
            for pack in packs {
                for sql in [
                    "DELETE FROM chunks WHERE pack = ?1",
                    "DELETE FROM packs WHERE id = ?1",
                ] {
                    let forgotten = transaction.execute(sql, params![pack.as_bytes()]);
                    forgotten.map_err(failed)?;
                }
            }
            let sql = "DELETE FROM records WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.domain = records.domain AND chunks.id = records.chunk)";
            transaction.execute(sql, []).map(drop).map_err(failed)
        })
    }
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The view of the ledger within a transaction.
struct View<'a>(&'a Transaction<'a>);

impl View<'_> {
    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), CatalogError> {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map(drop)
            .map_err(failed)
    }

    fn one<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, CatalogError> {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
            .map_err(failed)
    }
}

impl ViewRows for View<'_> {
    fn root(&self) -> Result<Option<String>, CatalogError> {
        self.one("SELECT root FROM view_root", [])
    }

    fn set_root(&self, root: &str) -> Result<(), CatalogError> {
        self.change(
            "INSERT OR REPLACE INTO view_root (one, root) VALUES (1, ?1)",
            [root],
        )
    }

    fn node(&self, id: u32) -> Result<Option<Vec<u8>>, CatalogError> {
        self.one("SELECT bytes FROM view_nodes WHERE id = ?1", [id])
    }

    fn set_node(&self, id: u32, bytes: &[u8]) -> Result<(), CatalogError> {
        self.change(
            "INSERT OR REPLACE INTO view_nodes (id, bytes) VALUES (?1, ?2)",
            params![id, bytes],
        )
    }

    fn buckets(&self) -> Result<Vec<u16>, CatalogError> {
        let sql = "SELECT DISTINCT bucket FROM view ORDER BY bucket";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let buckets = statement.query_map([], |row| row.get(0)).map_err(failed)?;
        let buckets = buckets.map(|bucket| bucket.map_err(|_| damaged("row")));
        buckets.collect()
    }

    fn bucket(&self, bucket: u16) -> Result<Vec<ViewRow>, CatalogError> {
        let sql = "SELECT key, value, next FROM view WHERE bucket = ?1 ORDER BY key";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = statement
            .query_map([bucket], |row| {
                Ok(ViewRow {
                    key: row.get(0)?,
                    value: row.get(1)?,
                    next: row.get(2)?,
                })
            })
            .map_err(failed)?;
        rows.map(|row| row.map_err(|_| damaged("row"))).collect()
    }

    fn before(&self, key: &str) -> Result<Option<String>, CatalogError> {
        self.one(
            "SELECT key FROM view WHERE key < ?1 ORDER BY key DESC LIMIT 1",
            [key],
        )
    }

    fn set(&self, bucket: u16, row: &ViewRow) -> Result<(), CatalogError> {
        self.change(
            "INSERT OR REPLACE INTO view (key, bucket, value, next) VALUES (?1, ?2, ?3, ?4)",
            params![row.key, bucket, row.value, row.next],
        )
    }

    fn remove(&self, key: &str) -> Result<(), CatalogError> {
        self.change("DELETE FROM view WHERE key = ?1", [key])
    }

    fn clear(&self) -> Result<(), CatalogError> {
        self.change("DELETE FROM view", [])?;
        self.change("DELETE FROM view_nodes", [])?;
        self.change("DELETE FROM view_root", [])
    }
}
