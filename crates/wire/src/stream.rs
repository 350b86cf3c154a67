//! Blocking reads and writes over a bounded channel of byte pieces.
//!
//! The edges speak asynchronous streams, the work behind them blocks; a [`PieceWriter`] and a
//! [`PieceReader`] join the two without holding a whole file in memory.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

/// A piece of a stream, or why the stream broke off.
pub type Piece = Result<Bytes, io::Error>;

/// How many pieces wait in a channel at most.
const PIECES: usize = 4;
/// How many bytes a [`PieceWriter`] gathers into a piece.
const PIECE_BYTES: usize = 256 << 10;

/// Makes a channel for pieces: what is sent waits until it is taken.
pub fn channel() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(PIECES)
}

/// Writes pieces into a channel. Blocks; not for use inside an asynchronous task.
#[derive(Debug)]
pub struct PieceWriter {
    sender: mpsc::Sender<Piece>,
    gathered: Vec<u8>,
}

impl PieceWriter {
    /// Writes into `sender`.
    pub fn new(sender: mpsc::Sender<Piece>) -> Self {
        Self {
            sender,
            gathered: Vec::with_capacity(PIECE_BYTES),
        }
    }

    /// Sends a piece as it is, behind what was gathered.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when nobody reads any more.
    pub fn give(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.flush()?;
        self.send(piece)
    }

    fn send(&self, piece: Vec<u8>) -> io::Result<()> {
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Sends what was gathered; the reader then sees the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when nobody reads any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    /// Ends the stream with an error that the reader sees.
    pub fn fail(self, error: io::Error) {
        let _reader_is_gone = self.sender.blocking_send(Err(error));
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE_BYTES));
        self.send(piece)
    }
}

/// Reads pieces from a channel. Blocks; not for use inside an asynchronous task.
#[derive(Debug)]
pub struct PieceReader {
    receiver: mpsc::Receiver<Piece>,
    piece: Bytes,
}

impl PieceReader {
    /// Reads from `receiver`.
    pub fn new(receiver: mpsc::Receiver<Piece>) -> Self {
        Self {
            receiver,
            piece: Bytes::new(),
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        if let Some(target) = buffer.get_mut(..count) {
            self.piece.copy_to_slice(target);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_order() {
        let (sender, receiver) = channel();
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = bytes.clone();
        let writer = std::thread::spawn(move || {
            let mut writer = PieceWriter::new(sender);
            let (most, rest) = bytes.split_at(bytes.len() / 2);
            for part in most.chunks(7919).chain(rest.chunks(7920)) {
                if part.len() % 2 == 0 {
                    writer.write_all(part).unwrap();
                } else {
                    writer.give(part.to_vec()).unwrap();
                }
            }
            writer.finish().unwrap();
        });
        let mut read = Vec::new();
        PieceReader::new(receiver).read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert!(read == expected);
    }

    #[test]
    fn a_broken_stream_is_no_short_stream() {
        let (sender, receiver) = channel();
        let writer = std::thread::spawn(move || {
            let mut writer = PieceWriter::new(sender);
            writer.write_all(b"part").unwrap();
            writer.flush().unwrap();
            writer.fail(io::Error::other("the disk is gone"));
        });
        let mut read = Vec::new();
        let error = PieceReader::new(receiver)
            .read_to_end(&mut read)
            .unwrap_err();
        writer.join().unwrap();
        assert_eq!(error.to_string(), "the disk is gone");
    }

    #[test]
    fn a_writer_learns_that_nobody_reads() {
        let (sender, receiver) = channel();
        drop(receiver);
        let mut writer = PieceWriter::new(sender);
        writer.write_all(b"x").unwrap();
        assert_eq!(
            writer.finish().unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
