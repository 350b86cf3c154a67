//! Versions as tables: an object store that holds the given versions and nothing else.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use custody_types::{FilePath, VersionFiles};
use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use url::Url;

/// The one scheme that there is.
pub(crate) const SCHEME: &str = "custody";

/// A version under the name that SQL calls it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name.
    pub name: String,
    /// The version; its Parquet files make the table.
    pub files: Arc<dyn VersionFiles>,
}

/// The objects of one query: `<number of the table>/<path in the version>`. Read-only.
#[derive(Debug)]
pub(crate) struct Objects(pub(crate) Vec<Table>);

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("versions")
    }
}

fn refused(what: &str) -> Error {
    Error::NotSupported {
        source: format!("versions are never {what}").into(),
    }
}

impl Objects {
    fn meta(number: usize, path: &FilePath, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(format!("{number}/{path}")),
            last_modified: DateTime::UNIX_EPOCH,
            size,
            e_tag: None,
            version: None,
        }
    }

    fn all(&self) -> Vec<ObjectMeta> {
        let tables = self.0.iter().enumerate();
        tables
            .flat_map(|(number, table)| {
                table
                    .files
                    .files()
                    .iter()
                    .map(move |file| Self::meta(number, &file.path, file.size.bytes()))
            })
            .collect()
    }

    fn find(&self, location: &Path) -> Result<(&Table, FilePath, u64)> {
        let missing = || Error::NotFound {
            path: location.to_string(),
            source: "there is no such file in the version".into(),
        };
        let (number, path) = location.as_ref().split_once('/').ok_or_else(missing)?;
        let table = number
            .parse::<usize>()
            .ok()
            .and_then(|number| self.0.get(number))
            .ok_or_else(missing)?;
        let file = table
            .files
            .files()
            .iter()
            .find(|file| file.path.as_str() == path)
            .ok_or_else(missing)?;
        Ok((table, file.path.clone(), file.size.bytes()))
    }

    fn read(table: &Table, path: &FilePath, range: Range<u64>) -> Result<Bytes> {
        table
            .files
            .read(path, range)
            .map_err(|error| Error::Generic {
                store: "versions",
                source: Box::new(error),
            })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(refused("written"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("written"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (table, path, size) = self.find(location)?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: DateTime::UNIX_EPOCH,
            size,
            e_tag: None,
            version: None,
        };
        let range = match &options.range {
            Some(range) => range.as_range(size).map_err(|error| Error::Generic {
                store: "versions",
                source: Box::new(error),
            })?,
            None => 0..size,
        };
        let bytes = if options.head {
            Bytes::new()
        } else {
            Self::read(table, &path, range.clone())?
        };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult {
            payload,
            meta,
            range,
            attributes: Attributes::new(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(refused("deleted"))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_default();
        let found: Vec<_> = self
            .all()
            .into_iter()
            .filter(|meta| meta.location.prefix_matches(&prefix))
            .map(Ok)
            .collect();
        stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let objects = self
            .all()
            .into_iter()
            .filter(|meta| meta.location.prefix_matches(&prefix))
            .collect();
        Ok(ListResult {
            common_prefixes: Vec::new(),
            objects,
        })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(refused("copied"))
    }
}

/// Knows the versions of one query, and no file system.
#[derive(Debug)]
pub(crate) struct OnlyVersions(pub(crate) Arc<Objects>);

impl ObjectStoreRegistry for OnlyVersions {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        if url.scheme() == SCHEME {
            Ok(self.0.clone())
        } else {
            Err(datafusion::error::DataFusionError::Plan(format!(
                "`{}` is not allowed: only the step's inputs are tables",
                url.scheme()
            )))
        }
    }
}
