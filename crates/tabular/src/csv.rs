//! Tables of text with delimiters.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::block::{Block, Blocks, Cut, Text, each_block, lines};
use crate::build::{Misfit, Reader, batch, schema};
use crate::dialect::Settled;
use crate::error::{Refusal, TabularError};
use crate::evidence::Guess;
use crate::recognise::{Original, Packing, reading, unpack};
use crate::rows::{Fault, Rows};
use crate::types::Columns;

/// What all rows of a file show.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) rows: u64,
    pub(crate) guesses: Vec<Guess>,
    /// How many fields hold the name of their column.
    pub(crate) like_name: u64,
}

struct Open<'a> {
    blocks: Blocks<'a, 'a>,
    ascii: bool,
    encoding: &'static str,
}

fn open<'a>(
    file: &'a mut dyn Original,
    packing: Packing,
    settled: &'a Settled,
) -> Result<Open<'a>, TabularError> {
    let from = unpack(file, packing).map_err(|error| reading(error, packing))?;
    let text = Text::new(from, packing, settled.encoding.as_deref())?;
    Ok(Open {
        ascii: text.is_ascii(),
        encoding: text.encoding,
        blocks: Blocks::new(text, &settled.dialect),
    })
}

fn line_of(block: &Block, at: usize, settled: &Settled) -> u64 {
    block.line
        + lines(
            block.text.get(..at).unwrap_or_default(),
            settled.dialect.line_end(),
        )
}

fn faulty(fault: Fault, block: &Block, settled: &Settled) -> Refusal {
    let refusal = Refusal::new(fault.because).at(line_of(block, fault.at, settled), None);
    match fault.hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

fn blank(line: u64, width: usize) -> Refusal {
    let refusal = Refusal::new("a blank line between rows").at(line, None);
    refusal.hint(if width == 1 {
        "declare `csv: {blank_lines: row}` if it is a row without a value, `csv: {blank_lines: skip}` if it is nothing"
    } else {
        "declare `csv: {blank_lines: skip}` if it is nothing"
    })
}

/// Follows what goes from one block to the next.
#[derive(Default)]
struct Order {
    blank: Option<u64>,
}

impl Order {
    fn follow(
        &mut self,
        rows: usize,
        at_end: Option<usize>,
        between: Option<usize>,
        block: &Block,
        settled: &Settled,
    ) -> Result<(), Refusal> {
        let width = settled.names.len();
        if rows > 0
            && let Some(line) = self.blank
        {
            return Err(blank(line, width));
        }
        if let Some(at) = between {
            return Err(blank(line_of(block, at, settled), width));
        }
        if let Some(at) = at_end {
            self.blank.get_or_insert(line_of(block, at, settled));
        }
        Ok(())
    }
}

fn rows_of<'b>(
    block: &'b Block,
    settled: &Settled,
    ascii: bool,
    encoding: &'static str,
) -> Result<(&'b str, Rows), Refusal> {
    let text = block.checked(ascii, encoding, settled.dialect.line_end())?;
    let mut rows = settled
        .dialect
        .rows(text, Some(settled.names.len()))
        .map_err(|fault| faulty(fault, block, settled))?;
    // Only what stands at the beginning of the file is a header.
    if settled.header && block.line == 1 {
        rows.without_first(settled.names.len());
    }
    Ok((text, rows))
}

/// Looks at every row.
pub(crate) fn see(
    file: &mut dyn Original,
    packing: Packing,
    settled: &Settled,
) -> Result<Seen, TabularError> {
    let open = open(file, packing, settled)?;
    let (ascii, encoding) = (open.ascii, open.encoding);
    let mut blocks = open.blocks;
    let width = settled.names.len();
    let mut seen = Seen {
        rows: 0,
        guesses: vec![Guess::new(&settled.style); width],
        like_name: 0,
    };
    let mut order = Order::default();
    let look = |block: &Block| -> Result<_, Refusal> {
        let (text, rows) = rows_of(block, settled, ascii, encoding)?;
        let mut scratch = String::new();
        let mut like_name = 0_u64;
        let guesses: Vec<_> = settled
            .names
            .iter()
            .enumerate()
            .map(|(column, name)| {
                let mut guess = Guess::new(&settled.style);
                for (field, quoted) in rows.column(text, width, column) {
                    if settled.style.is_null(field, quoted) {
                        guess.nulls += 1;
                    } else {
                        guess.see(field, &settled.style, &mut scratch);
                        like_name += u64::from(field == name);
                    }
                }
                guess
            })
            .collect();
        Ok((
            rows.len(),
            rows.blank_at_end,
            rows.first_blank,
            guesses,
            like_name,
        ))
    };
    each_block(&mut blocks, look, |looked| {
        for (result, block) in looked {
            let (rows, at_end, between, guesses, like_name) = result?;
            order.follow(rows, at_end, between, &block, settled)?;
            seen.rows += u64::try_from(rows).unwrap_or(u64::MAX);
            seen.like_name += like_name;
            for (whole, part) in seen.guesses.iter_mut().zip(&guesses) {
                whole.merge(part);
            }
        }
        Ok(())
    })?;
    Ok(seen)
}

/// Reads every row as declared columns, and hands out batches with the size of their text.
pub(crate) fn read(
    file: &mut dyn Original,
    packing: Packing,
    settled: &Settled,
    columns: &Columns,
    mut take: impl FnMut(&SchemaRef, Vec<(RecordBatch, usize)>) -> Result<(), TabularError>,
) -> Result<(), TabularError> {
    let schema = schema(columns)?;
    let readers = columns
        .0
        .iter()
        .map(|(_, column)| Reader::new(column))
        .collect::<Result<Vec<_>, _>>()?;
    let open = open(file, packing, settled)?;
    let (ascii, encoding) = (open.ascii, open.encoding);
    let mut blocks = open.blocks;
    let width = settled.names.len();
    let mut order = Order::default();
    let build = |block: &Block| -> Result<_, Refusal> {
        let (text, rows) = rows_of(block, settled, ascii, encoding)?;
        let mut arrays = Vec::with_capacity(width);
        let mut first: Option<Misfit> = None;
        for (column, reader) in readers.iter().enumerate() {
            match reader.array(rows.column(text, width, column), rows.len(), &settled.style) {
                Ok(array) => arrays.push(array),
                Err(misfit) if first.as_ref().is_none_or(|first| misfit.row < first.row) => {
                    first = Some(Misfit { column, ..misfit });
                }
                Err(_) => {}
            }
        }
        if let Some(misfit) = first {
            // The line of the row; a field on a later line of it is told by its column.
            let line = line_of(block, rows.start(misfit.row), settled);
            let name = settled.names.get(misfit.column).map(String::as_str);
            let mut refusal = Refusal::new(misfit.because).at(line, name);
            refusal.hint = misfit.hint.map(ToOwned::to_owned);
            refusal.data = Some(misfit.data);
            return Err(refusal);
        }
        Ok((
            rows.len(),
            rows.blank_at_end,
            rows.first_blank,
            batch(&schema, arrays)?,
        ))
    };
    each_block(&mut blocks, build, |built| {
        let mut batches = Vec::with_capacity(built.len());
        for (result, block) in built {
            let (rows, at_end, between, batch) = result?;
            order.follow(rows, at_end, between, &block, settled)?;
            batches.push((batch, block.text.len()));
        }
        take(&schema, batches)
    })
}
