//! The catalog in SQLite.
//!
//! It lies beside the packs, so it must not tell what they hide: where chunks lie and how long they are is
//! sealed, row by row, with a random vector and bound to the row. Identities are in clear: they are looked up.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody_crypto::aead::{AeadKey, IV_BYTES};
use custody_store::{
    Catalog, CatalogError, ChunkId, ChunkKind, ChunkPlace, DomainId, PackChunk, PackId, Staging,
    VersionFilter, VersionRow, VersionState,
};
use custody_types::{
    Alias, ArtifactName, Digest, Entropy, ProjectName, VersionName, VersionNumber, is_no_room,
};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};

use crate::disk;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS packs (id BLOB PRIMARY KEY, domain BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    domain BLOB NOT NULL, id BLOB NOT NULL, pack BLOB NOT NULL, kind INTEGER NOT NULL, place BLOB NOT NULL, PRIMARY KEY (domain, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (digest BLOB PRIMARY KEY, domain BLOB NOT NULL, chunk BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    project TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL, record BLOB NOT NULL,
    quarantined INTEGER NOT NULL, committed INTEGER NOT NULL, entry INTEGER NOT NULL, named INTEGER NOT NULL, PRIMARY KEY (project, name, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS versions_by_digest ON versions (digest);
CREATE TABLE IF NOT EXISTS aliases (project TEXT NOT NULL, name TEXT NOT NULL, alias TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (project, name, alias)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned (pack BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (project TEXT NOT NULL, key BLOB NOT NULL, statement BLOB NOT NULL, PRIMARY KEY (project, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
";

/// The form of the tables. A catalog of another form is made anew.
const FORM: i64 = 2;
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
                because: error.to_string(),
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

const VERSION_COLUMNS: &str =
    "project, name, number, digest, record, quarantined, committed, entry, named";

/// The catalog in one SQLite file, written ahead and synced at each commit.
#[derive(Debug)]
pub struct SqliteCatalog {
    connection: Mutex<Connection>,
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
            because: error.to_string(),
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
                    because: error.to_string(),
                }
            }
        })?;
        let connection = Connection::open(path).map_err(failed)?;
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
            connection: Mutex::new(connection),
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
        let transaction = connection.transaction().map_err(failed)?;
        work(&transaction)?;
        transaction.commit().map_err(failed)
    }

    fn rows(
        &self,
        tail: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<VersionRow>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(&format!("SELECT {VERSION_COLUMNS} FROM versions {tail}"))
            .map_err(failed)?;
        let rows = statement
            .query_map(values, |row| Ok(version(row)))
            .map_err(failed)?;
        rows.map(|row| row.map_err(failed)?).collect()
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, CatalogError> {
        self.lock()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(failed)
    }
}

fn version(row: &Row<'_>) -> Result<VersionRow, CatalogError> {
    let wrong = |_| damaged("version");
    let artifact: ArtifactName = format!("{}/{}", text(row, 0)?, text(row, 1)?)
        .parse()
        .map_err(|_| damaged("name"))?;
    let number = VersionNumber::new(row.get(2).map_err(wrong)?).ok_or_else(|| damaged("number"))?;
    let committed: bool = row.get(6).map_err(wrong)?;
    Ok(VersionRow {
        name: artifact.version(number),
        digest: Digest::from_bytes(row.get(3).map_err(wrong)?),
        record: Digest::from_bytes(row.get(4).map_err(wrong)?),
        quarantined: row.get(5).map_err(wrong)?,
        state: if committed {
            VersionState::Committed
        } else {
            VersionState::Staged
        },
        entry: entry(row, 7)?,
        named: entry(row, 8)?,
    })
}

fn entry(row: &Row<'_>, column: usize) -> Result<u64, CatalogError> {
    let number: i64 = row.get(column).map_err(|_| damaged("entry"))?;
    u64::try_from(number).map_err(|_| damaged("entry"))
}

fn text(row: &Row<'_>, column: usize) -> Result<String, CatalogError> {
    row.get(column).map_err(|_| damaged("text"))
}

fn number(value: u64) -> Result<i64, CatalogError> {
    i64::try_from(value).map_err(|_| CatalogError::Failed {
        because: "a number is too large".to_owned(),
    })
}

fn enter_version(transaction: &Transaction<'_>, row: &VersionRow) -> Result<(), CatalogError> {
    let artifact = &row.name.artifact;
    let inserted = transaction.execute(
        &format!(
            "INSERT INTO versions ({VERSION_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ),
        params![
            artifact.project().as_str(),
            artifact.name(),
            row.name.number.number(),
            row.digest.as_bytes(),
            row.record.as_bytes(),
            row.quarantined,
            row.state == VersionState::Committed,
            number(row.entry)?,
            number(row.named)?
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
            enter_chunks(transaction, staging, &self.seal)?;
            for record in &staging.records {
                let values = params![
                    record.digest.as_bytes(),
                    staging.domain.as_bytes(),
                    record.chunk.as_bytes()
                ];
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO records (digest, domain, chunk) VALUES (?1, ?2, ?3)",
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

    fn commit(&self, versions: &[(VersionName, u64)]) -> Result<(), CatalogError> {
        self.transaction(|transaction| {
            for (name, entry) in versions {
                let values = params![name.artifact.project().as_str(), name.artifact.name(), name.number.number(), number(*entry)?];
                let changed = transaction
                    .execute("UPDATE versions SET committed = 1, entry = ?4, named = max(named, ?4) WHERE project = ?1 AND name = ?2 AND number = ?3", values)
                    .map_err(failed)?;
                if changed == 0 {
                    return Err(CatalogError::Conflict { name: name.to_string(), because: "it is not staged".to_owned() });
                }
            }
            Ok(())
        })
    }

    fn discard(&self, version: &VersionName) -> Result<(), CatalogError> {
        let values = params![
            version.artifact.project().as_str(),
            version.artifact.name(),
            version.number.number()
        ];
        self.change("DELETE FROM versions WHERE project = ?1 AND name = ?2 AND number = ?3 AND committed = 0", values).map(|_| ())
    }

    fn staged(&self) -> Result<Vec<VersionRow>, CatalogError> {
        self.rows("WHERE committed = 0 ORDER BY project, name, number", [])
    }

    fn chunk(
        &self,
        domain: &DomainId,
        chunk: &ChunkId,
    ) -> Result<Option<ChunkPlace>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT domain, id, pack, kind, place FROM chunks WHERE domain = ?1 AND id = ?2",
            )
            .map_err(failed)?;
        let found = statement
            .query_row(params![domain.as_bytes(), chunk.as_bytes()], |row| {
                self.seal.open(row)
            })
            .optional()
            .map_err(failed)?;
        found
            .map(|place| {
                place
                    .map(|(_, place)| place)
                    .ok_or_else(|| damaged("chunk"))
            })
            .transpose()
    }

    fn record(&self, digest: &Digest) -> Result<Option<(DomainId, ChunkId)>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT domain, chunk FROM records WHERE digest = ?1")
            .map_err(failed)?;
        statement
            .query_row(params![digest.as_bytes()], |row| {
                Ok((
                    DomainId::from_bytes(row.get(0)?),
                    ChunkId::from_bytes(row.get(1)?),
                ))
            })
            .optional()
            .map_err(failed)
    }

    fn versions(&self, filter: &VersionFilter) -> Result<Vec<VersionRow>, CatalogError> {
        const ORDER: &str = "ORDER BY project, name, number";
        match (&filter.artifact, &filter.project) {
            (Some(artifact), _) => self.rows(
                &format!("WHERE committed = 1 AND project = ?1 AND name = ?2 {ORDER}"),
                params![artifact.project().as_str(), artifact.name()],
            ),
            (None, Some(project)) => self.rows(
                &format!("WHERE committed = 1 AND project = ?1 {ORDER}"),
                params![project.as_str()],
            ),
            (None, None) => self.rows(&format!("WHERE committed = 1 {ORDER}"), []),
        }
    }

    fn version(&self, name: &VersionName) -> Result<Option<VersionRow>, CatalogError> {
        let values = params![
            name.artifact.project().as_str(),
            name.artifact.name(),
            name.number.number()
        ];
        Ok(self
            .rows(
                "WHERE committed = 1 AND project = ?1 AND name = ?2 AND number = ?3",
                values,
            )?
            .pop())
    }

    fn latest(&self, artifact: &ArtifactName) -> Result<Option<VersionRow>, CatalogError> {
        let tail = "WHERE committed = 1 AND quarantined = 0 AND project = ?1 AND name = ?2 ORDER BY named DESC, number DESC LIMIT 1";
        Ok(self
            .rows(tail, params![artifact.project().as_str(), artifact.name()])?
            .pop())
    }

    fn highest(&self, artifact: &ArtifactName) -> Result<u32, CatalogError> {
        let sql = "SELECT coalesce(max(number), 0) FROM versions WHERE project = ?1 AND name = ?2";
        self.lock()
            .query_row(
                sql,
                params![artifact.project().as_str(), artifact.name()],
                |row| row.get(0),
            )
            .map_err(failed)
    }

    fn by_digest(&self, digest: &Digest) -> Result<Vec<VersionRow>, CatalogError> {
        self.rows(
            "WHERE committed = 1 AND digest = ?1 ORDER BY project, name, number",
            params![digest.as_bytes()],
        )
    }

    fn aliases(
        &self,
        artifact: &ArtifactName,
    ) -> Result<Vec<(Alias, VersionNumber)>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT alias, number FROM aliases WHERE project = ?1 AND name = ?2 ORDER BY alias",
            )
            .map_err(failed)?;
        let rows = statement
            .query_map(
                params![artifact.project().as_str(), artifact.name()],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)),
            )
            .map_err(failed)?;
        rows.map(|row| {
            let (alias, number) = row.map_err(failed)?;
            Ok((
                alias.parse().map_err(|_| damaged("alias"))?,
                VersionNumber::new(number).ok_or_else(|| damaged("alias"))?,
            ))
        })
        .collect()
    }

    fn set_alias(
        &self,
        artifact: &ArtifactName,
        alias: &Alias,
        to: VersionNumber,
    ) -> Result<(), CatalogError> {
        let values = params![
            artifact.project().as_str(),
            artifact.name(),
            alias.as_str(),
            to.number()
        ];
        self.change(
            "INSERT OR REPLACE INTO aliases (project, name, alias, number) VALUES (?1, ?2, ?3, ?4)",
            values,
        )
        .map(|_| ())
    }

    fn set_quarantine(&self, version: &VersionName, to: bool) -> Result<(), CatalogError> {
        let values = params![
            version.artifact.project().as_str(),
            version.artifact.name(),
            version.number.number(),
            to
        ];
        self.change(
            "UPDATE versions SET quarantined = ?4 WHERE project = ?1 AND name = ?2 AND number = ?3",
            values,
        )
        .map(|_| ())
    }

    fn set_named(&self, version: &VersionName, entry: u64) -> Result<(), CatalogError> {
        let values = params![
            version.artifact.project().as_str(),
            version.artifact.name(),
            version.number.number(),
            number(entry)?
        ];
        self.change("UPDATE versions SET named = max(named, ?4) WHERE project = ?1 AND name = ?2 AND number = ?3", values).map(|_| ())
    }

    fn note(&self, name: &str) -> Result<Option<String>, CatalogError> {
        self.lock()
            .query_row("SELECT text FROM notes WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()
            .map_err(failed)
    }

    fn set_note(&self, name: &str, text: &str) -> Result<(), CatalogError> {
        self.change(
            "INSERT OR REPLACE INTO notes (name, text) VALUES (?1, ?2)",
            [name, text],
        )
        .map(|_| ())
    }

    fn step(&self, project: &ProjectName, key: &Digest) -> Result<Option<Digest>, CatalogError> {
        let values = params![project.as_str(), key.as_bytes()];
        self.lock()
            .query_row(
                "SELECT statement FROM steps WHERE project = ?1 AND key = ?2",
                values,
                |row| Ok(Digest::from_bytes(row.get(0)?)),
            )
            .optional()
            .map_err(failed)
    }

    fn set_step(
        &self,
        project: &ProjectName,
        key: &Digest,
        statement: &Digest,
    ) -> Result<(), CatalogError> {
        let values = params![project.as_str(), key.as_bytes(), statement.as_bytes()];
        self.change(
            "INSERT OR REPLACE INTO steps (project, key, statement) VALUES (?1, ?2, ?3)",
            values,
        )
        .map(|_| ())
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
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT 1 FROM condemned WHERE pack = ?1")
            .map_err(failed)?;
        statement.exists(params![pack.as_bytes()]).map_err(failed)
    }

    fn packs(&self) -> Result<Vec<PackId>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT id FROM packs WHERE id IN (SELECT pack FROM chunks) ORDER BY id",
            )
            .map_err(failed)?;
        let rows = statement
            .query_map([], |row| Ok(PackId::from_bytes(row.get(0)?)))
            .map_err(failed)?;
        rows.map(|row| row.map_err(failed)).collect()
    }

    fn chunks_of(&self, kind: ChunkKind) -> Result<Vec<(DomainId, ChunkPlace)>, CatalogError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT domain, id, pack, kind, place FROM chunks WHERE kind = ?1 ORDER BY domain, id")
            .map_err(failed)?;
        let rows = statement
            .query_map(params![kind.byte()], |row| self.seal.open(row))
            .map_err(failed)?;
        rows.map(|row| row.map_err(failed)?.ok_or_else(|| damaged("chunk")))
            .collect()
    }

    fn clear(&self) -> Result<(), CatalogError> {
        self.lock()
            .execute_batch("BEGIN; DELETE FROM packs; DELETE FROM chunks; DELETE FROM records; DELETE FROM versions; DELETE FROM aliases; DELETE FROM steps; DELETE FROM notes; COMMIT;")
            .map_err(failed)
    }
}
