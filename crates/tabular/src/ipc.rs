//! The messages of Arrow files and streams, by the specification of the IPC format.
//!
//! The library that decodes a message makes room for what a length says before it looks for the bytes. So messages are
//! taken apart here, and handed on only where each length is one that the bytes at hand bear out.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{read_dictionary, read_footer_length, read_record_batch};
use arrow_ipc::{Block, Endianness, Message, MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Refusal, TabularError};
use crate::recognise::{Original, Packing, reading, unpack};

/// What stands before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The name of the format at both ends of a file, the first time with two bytes after it.
const MAGIC_BYTES: u64 = 8;
/// What ends a file: the length of its footer and the name of the format.
const TAIL_BYTES: u64 = 10;
/// The most bytes that a message may unpack to.
const MOST_UNPACKED: u64 = 4 << 30;
/// Rows that a batch may have without a bit for each: columns that are null throughout.
const ROWS_OF_NOTHING: u64 = 1 << 20;

/// An Arrow file or stream, batch by batch.
pub(crate) struct Batches<'a> {
    from: Messages<'a>,
    schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: HashMap<i64, ArrayRef>,
}

/// Where messages come from.
enum Messages<'a> {
    File {
        file: &'a mut dyn Original,
        /// The messages that are left, dictionaries first.
        blocks: VecDeque<Block>,
    },
    Stream(BufReader<Box<dyn Read + Send + 'a>>),
}

/// A message and the bytes that go with it.
struct Framed {
    message: Vec<u8>,
    body: Buffer,
}

fn broken() -> TabularError {
    Refusal::new("it is damaged or cut off, or no Arrow at all")
        .hint("write it again, or as Parquet")
        .into()
}

/// Decodes with the library, which panics on some broken messages.
fn caught<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, TabularError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(ArrowError::NotYetImplemented(_))) => Err(Refusal::new(
            "it uses a part of Arrow that is not read here",
        )
        .hint("write it as Parquet")
        .into()),
        Ok(Err(_)) | Err(_) => Err(broken()),
    }
}

fn size(length: impl TryInto<u64>) -> Result<u64, TabularError> {
    length.try_into().map_err(|_| broken())
}

/// Reads so many bytes; room is made as they come.
fn bytes(from: &mut dyn Read, count: u64) -> Result<Vec<u8>, TabularError> {
    let mut bytes = Vec::new();
    from.take(count)
        .read_to_end(&mut bytes)
        .map_err(TabularError::Read)?;
    if bytes.len() as u64 == count {
        Ok(bytes)
    } else {
        Err(broken())
    }
}

fn parsed(message: &[u8]) -> Result<Message<'_>, TabularError> {
    root_as_message(message).map_err(|_| broken())
}

fn schema_of(schema: arrow_ipc::Schema<'_>) -> Result<SchemaRef, TabularError> {
    if schema.endianness() != Endianness::Little {
        return Err(Refusal::new("its numbers are big-endian")
            .hint("write it as Parquet")
            .into());
    }
    caught(|| Ok(Arc::new(fb_to_schema(schema))))
}

impl<'a> Batches<'a> {
    /// Opens an Arrow file, or a stream.
    pub(crate) fn open(
        file: &'a mut dyn Original,
        packing: Packing,
        stream: bool,
    ) -> Result<Self, TabularError> {
        if stream {
            let from = unpack(file, packing).map_err(|error| reading(error, packing))?;
            Self::stream(BufReader::new(from))
        } else {
            Self::file(file)
        }
    }

    fn file(file: &'a mut dyn Original) -> Result<Self, TabularError> {
        let end = file.seek(SeekFrom::End(0)).map_err(TabularError::Read)?;
        let tail_at = end.checked_sub(TAIL_BYTES).ok_or_else(broken)?;
        let tail = bytes(&mut at(file, tail_at)?, TAIL_BYTES)?;
        let tail = tail.first_chunk().ok_or_else(broken)?;
        let length = size(read_footer_length(*tail).map_err(|_| broken())?)?;
        let footer_at = tail_at.checked_sub(length).ok_or_else(broken)?;
        let footer = bytes(&mut at(file, footer_at)?, length)?;
        let footer = root_as_footer(&footer).map_err(|_| broken())?;
        let mut blocks = VecDeque::new();
        for block in footer
            .dictionaries()
            .iter()
            .chain(&footer.recordBatches())
            .flatten()
        {
            let (from, message, body) = (
                size(block.offset())?,
                size(block.metaDataLength())?,
                size(block.bodyLength())?,
            );
            let to = message
                .checked_add(body)
                .and_then(|length| from.checked_add(length));
            if from < MAGIC_BYTES || to.is_none_or(|to| to > footer_at) {
                return Err(broken());
            }
            blocks.push_back(*block);
        }
        Ok(Self {
            schema: schema_of(footer.schema().ok_or_else(broken)?)?,
            version: footer.version(),
            from: Messages::File { file, blocks },
            dictionaries: HashMap::new(),
        })
    }

    fn stream(mut from: BufReader<Box<dyn Read + Send + 'a>>) -> Result<Self, TabularError> {
        let first = framed(&mut from)?.ok_or_else(broken)?;
        let message = parsed(&first.message)?;
        let schema = message.header_as_schema().ok_or_else(broken)?;
        Ok(Self {
            schema: schema_of(schema)?,
            version: message.version(),
            from: Messages::Stream(from),
            dictionaries: HashMap::new(),
        })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Returns the next message.
    fn message(&mut self) -> Result<Option<Framed>, TabularError> {
        match &mut self.from {
            Messages::Stream(from) => framed(from),
            Messages::File { file, blocks } => {
                let Some(block) = blocks.pop_front() else {
                    return Ok(None);
                };
                let mut from = at(*file, size(block.offset())?)?;
                let message = bytes(&mut from, size(block.metaDataLength())?)?;
                let body = bytes(&mut from, size(block.bodyLength())?)?;
                // Old files have the length alone before a message.
                let prefix = if message.starts_with(&CONTINUATION) {
                    8
                } else {
                    4
                };
                Ok(Some(Framed {
                    message: message.get(prefix..).ok_or_else(broken)?.to_vec(),
                    body: body.into(),
                }))
            }
        }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, TabularError> {
        while let Some(Framed { message, body }) = self.message()? {
            let message = parsed(&message)?;
            if message.version() != self.version {
                return Err(broken());
            }
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                check(dictionary.data().ok_or_else(broken)?, &body)?;
                let known = &mut self.dictionaries;
                caught(|| read_dictionary(&body, dictionary, &self.schema, known, &self.version))?;
            } else if let Some(batch) = message.header_as_record_batch() {
                check(batch, &body)?;
                let (schema, known) = (self.schema.clone(), &self.dictionaries);
                return caught(|| {
                    read_record_batch(&body, batch, schema, known, None, &self.version)
                })
                .map(Some);
            } else {
                return Err(broken());
            }
        }
        Ok(None)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, TabularError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

fn at(file: &mut dyn Original, place: u64) -> Result<&mut dyn Original, TabularError> {
    file.seek(SeekFrom::Start(place))
        .map_err(TabularError::Read)?;
    Ok(file)
}

/// Reads a message of a stream; `None` at its end.
fn framed(from: &mut dyn BufRead) -> Result<Option<Framed>, TabularError> {
    if from.fill_buf().map_err(TabularError::Read)?.is_empty() {
        return Ok(None);
    }
    let mut word = || bytes(from, 4)?.try_into().map_err(|_| broken());
    let mut length: [u8; 4] = word()?;
    if length == CONTINUATION {
        length = word()?;
    }
    let length = size(i32::from_le_bytes(length))?;
    if length == 0 {
        return Ok(None);
    }
    let message = bytes(from, length)?;
    let body = bytes(from, size(parsed(&message)?.bodyLength())?)?;
    Ok(Some(Framed {
        message,
        body: body.into(),
    }))
}

/// Holds the lengths of a batch against its bytes.
fn check(batch: arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), TabularError> {
    let rows = size(batch.length())?;
    for node in batch.nodes().iter().flatten() {
        if size(node.null_count())? > size(node.length())? {
            return Err(broken());
        }
    }
    let packed = batch.compression().is_some();
    let mut unpacked = 0_u64;
    for buffer in batch.buffers().iter().flatten() {
        let (from, length) = (buffer.offset().try_into(), buffer.length().try_into());
        let (Ok(from), Ok(length)) = (from, length) else {
            return Err(broken());
        };
        let from: usize = from;
        let of_buffer = from
            .checked_add(length)
            .and_then(|to| body.get(from..to))
            .ok_or_else(broken)?;
        let claimed = match of_buffer.first_chunk() {
            Some(claimed) if packed => i64::from_le_bytes(*claimed),
            // -1 stands for bytes that were not packed.
            _ => -1,
        };
        unpacked = unpacked.saturating_add(match claimed {
            -1 => length as u64,
            claimed => size(claimed)?,
        });
    }
    if unpacked > MOST_UNPACKED {
        return Err(Refusal::new("a batch of it unpacks to more than 4 GiB")
            .hint("write it in smaller batches, or as Parquet")
            .into());
    }
    if rows > ROWS_OF_NOTHING && rows / 8 > unpacked {
        return Err(
            Refusal::new("a batch of it has more rows than bytes for them")
                .hint("leave out columns that are null throughout, or write it as Parquet")
                .into(),
        );
    }
    Ok(())
}
