//! Checking a contract: typed checks over the rows of a table, on all cores, with the same figures on any number of them.
//!
//! A contract is compiled against the columns of the table ([`compile`]); what cannot be meant is a mistake in the
//! contract ([`ContractError::Mistaken`]), found before a row is read, and says nothing about the data. Checks that share
//! columns are computed together, unit by unit of the table ([`crate::parts::Unit`]); what the units give is put together
//! in their order, so that nothing depends on which core was faster.

mod compile;
mod condition;
mod values;

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use custody_stats::Fault;
use custody_stats::contract::{
    Check, CheckOutcome, ColumnBounds, ContractReport, CountBounds, FailingRow, FileRows, SqlCheck,
};
use custody_types::ByteSize;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::{EngineError, no_column};
use crate::identity::{self, Identity, Pass, Repeated};
use crate::moments::Moments;
use crate::parts::{Parts, Unit};
use crate::query::{Engine, texts_of};
use crate::ratio::Ratio;
use crate::schema::Layout;
use crate::table::Table;
use compile::{Rule, compile};

/// What a condition calls the table, where it names it.
const TABLE: &str = "data";
/// How many rows that break a check are named, the first ones.
pub const NAMED: usize = 10;

/// Why a contract gives no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The contract asks for what cannot be meant; the data may be as it should.
    #[error("{}", fault.because)]
    Mistaken {
        /// The check, by its position in the contract; none where it is the key.
        check: Option<usize>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The table cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The checks that share columns, and the columns that they read.
#[derive(Debug)]
struct Group {
    columns: Vec<usize>,
    rules: Vec<(usize, Rule)>,
}

/// How a pass looks at the rows.
struct Look {
    secret: [u8; 16],
    pass: Pass,
}

/// What a rule found in the rows looked at so far.
#[derive(Debug)]
enum Tally {
    Rows(Failing),
    Missing(u64),
    Moments(Moments),
    Identities(Vec<u128>),
    Counted(Repeated),
}

/// The rows that break a rule.
#[derive(Debug, Default)]
struct Failing {
    rows: u64,
    /// Those of them whose value could not be read as what the check is about.
    unlike: u64,
    /// In how many rows each column of the check has no value, where it is about several.
    without: Vec<u64>,
    /// Whether the rows were counted to the end.
    cut: bool,
    /// The first of them.
    first: Vec<(Unit, u64)>,
}

impl Engine {
    /// Checks a table against a contract. `key`: the column whose values name rows in the report.
    ///
    /// # Errors
    /// [`ContractError`] when the contract is mistaken or the table cannot be read.
    pub fn check(
        &self,
        table: &Table,
        checks: &[Check],
        key: Option<&str>,
    ) -> Result<ContractReport, ContractError> {
        let parts = Parts::open(table)?;
        let (key, rules) = self.compiled(&parts.schema, checks, key)?;
        let groups = groups(rules);
        let (rows, found) = self.tally(&parts, &groups)?;
        let mut found: BTreeMap<usize, Tally> = found.into_iter().collect();
        let mut by_number: Vec<_> = groups
            .iter()
            .flat_map(|group| {
                group
                    .rules
                    .iter()
                    .map(move |(number, rule)| (*number, rule, group))
            })
            .collect();
        by_number.sort_by_key(|(number, ..)| *number);
        let mut report = ContractReport {
            ok: true,
            rows,
            files: parts.parts.iter().map(file_rows).collect(),
            checks: Vec::new(),
        };
        for (check, (number, rule, group)) in checks.iter().zip(by_number) {
            let tally = found.remove(&number);
            let (mut outcome, first) = self.judge(&parts, check, (rule, group), tally, rows)?;
            if !outcome.passed {
                outcome.rows = named(&parts, key, &first)?;
            }
            report.ok &= outcome.passed;
            report.checks.push(outcome);
        }
        Ok(report)
    }

    /// Finds what is wrong with a contract for tables of these columns, without reading a row.
    ///
    /// # Errors
    /// [`ContractError::Mistaken`].
    pub fn examine(
        &self,
        layout: &Layout,
        checks: &[Check],
        key: Option<&str>,
    ) -> Result<(), ContractError> {
        self.compiled(&layout.0, checks, key).map(drop)
    }

    /// Compiles a contract; also returns the place of the key.
    fn compiled(
        &self,
        schema: &SchemaRef,
        checks: &[Check],
        key: Option<&str>,
    ) -> Result<(Option<usize>, Vec<Rule>), ContractError> {
        let key = key.map(|key| find_key(schema, key)).transpose()?;
        let condition = |check: &SqlCheck| self.condition(TABLE, schema, check);
        let mut rules = Vec::new();
        for (number, check) in checks.iter().enumerate() {
            let rule = compile(check, schema, &condition);
            rules.push(rule.map_err(|fault| ContractError::Mistaken {
                check: Some(number),
                fault,
            })?);
        }
        Ok((key, rules))
    }

    /// Applies all rules to all units; also returns the number of rows.
    fn tally(
        &self,
        parts: &Parts,
        groups: &[Group],
    ) -> Result<(u64, Vec<(usize, Tally)>), EngineError> {
        let apart = groups.iter().flat_map(|group| &group.rules);
        let apart = apart.filter(|(_, rule)| rule.identity().is_some()).count() as u64;
        let bytes = parts.rows().saturating_mul(apart * IDENTITY_BYTES.bytes());
        let passes = bytes.div_ceil(self.memory().bytes().max(1)).max(1);
        let mut counted: BTreeMap<usize, Tally> = BTreeMap::new();
        let mut rows = 0;
        for number in 0..passes {
            let pass = Pass { number, of: passes };
            let (read, tallies) = self.pass(parts, groups, pass)?;
            rows = read;
            for (number, tally) in tallies {
                let tally = match tally {
                    Tally::Identities(values) => {
                        Tally::Counted(self.pool().install(|| identity::count(values)))
                    }
                    other => other,
                };
                match counted.entry(number) {
                    Entry::Vacant(place) => drop(place.insert(tally)),
                    Entry::Occupied(mut known) => {
                        if let Tally::Counted(_) = &tally {
                            known.get_mut().add(tally);
                        }
                    }
                }
            }
        }
        Ok((rows, counted.into_iter().collect()))
    }

    /// Goes through all units once.
    fn pass(
        &self,
        parts: &Parts,
        groups: &[Group],
        pass: Pass,
    ) -> Result<(u64, Vec<(usize, Tally)>), EngineError> {
        let units = parts.units.iter();
        let work: Vec<(Unit, &Group)> = units
            .flat_map(|unit| groups.iter().map(|group| (*unit, group)))
            .collect();
        let look = Look {
            secret: self.secret(),
            pass,
        };
        let done: Vec<_> = self.pool().install(|| {
            work.par_iter()
                .map(|(unit, group)| of_unit(parts, *unit, group, &look))
                .collect()
        });
        let mut totals: Vec<Vec<(usize, Tally)>> = groups
            .iter()
            .map(|group| {
                let empty = |(number, rule): &(usize, Rule)| (*number, rule.nothing());
                group.rules.iter().map(empty).collect()
            })
            .collect();
        let mut rows = 0;
        for (number, done) in done.into_iter().enumerate() {
            let (counted, tallies) = done?;
            let at = number % groups.len().max(1);
            if at == 0 {
                rows += counted;
            }
            for ((_, total), tally) in totals.get_mut(at).into_iter().flatten().zip(tallies) {
                total.add(tally);
            }
        }
        Ok((rows, totals.into_iter().flatten().collect()))
    }

    /// Judges what was found; also returns the rows to name.
    fn judge(
        &self,
        parts: &Parts,
        check: &Check,
        (rule, group): (&Rule, &Group),
        tally: Option<Tally>,
        rows: u64,
    ) -> Result<(CheckOutcome, Vec<(Unit, u64)>), EngineError> {
        let mut outcome = CheckOutcome {
            check: check.label(),
            kind: check.kind().to_owned(),
            passed: false,
            expected: check.expected(),
            observed: String::new(),
            failing_rows: None,
            share: None,
            rows: Vec::new(),
        };
        let mut first = Vec::new();
        match (rule, tally) {
            (Rule::Known(passed, observed), _) => {
                outcome.passed = *passed;
                outcome.observed.clone_from(observed);
            }
            (Rule::RowCount(CountBounds { min, max }), _) => {
                outcome.passed =
                    min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
                outcome.observed = rows.to_string();
            }
            (Rule::Missing { max, .. }, Some(Tally::Missing(missing))) => {
                let share = share(missing, rows);
                outcome.passed = share.is_some_and(|share| share <= *max);
                outcome.observed = share.map_or_else(nothing, |share| {
                    format!("{share} ({missing} of {rows} rows)")
                });
            }
            (Rule::Mean(_, bounds), Some(Tally::Moments(moments))) => {
                within(&mut outcome, bounds, moments.mean(), &moments);
                if let Some(mean) = moments.exact_mean() {
                    outcome.passed = inside(&mean, bounds, false);
                }
            }
            (Rule::Stddev(_, bounds), Some(Tally::Moments(moments))) => {
                within(&mut outcome, bounds, moments.stddev(), &moments);
                if let Some(variance) = moments.exact_variance() {
                    outcome.passed = inside(&variance, bounds, true);
                }
            }
            (Rule::Distinct(_, bounds), Some(Tally::Counted(counted))) => {
                outcome.passed = between(exact(counted.different), bounds);
                outcome.observed = counted.different.to_string();
            }
            (Rule::Unique(identity), Some(Tally::Counted(repeated))) => {
                of_rows(&mut outcome, repeated.rows, rows);
                first = self.repeats(parts, identity, group, &repeated)?;
            }
            (_, Some(Tally::Rows(failing))) => {
                of_rows(&mut outcome, failing.rows, rows);
                if failing.unlike > 0 {
                    outcome.observed = format!(
                        "{}; in {} of them {}",
                        outcome.observed,
                        failing.unlike,
                        rule.unlike()
                    );
                }
                if let (Check::NotNull(check), true) = (check, failing.without.len() > 1) {
                    let without = check.columns().iter().zip(&failing.without);
                    let without = without.filter(|(_, rows)| **rows > 0);
                    let without: Vec<_> = without
                        .map(|(column, rows)| format!("{rows} without {column}"))
                        .collect();
                    if !without.is_empty() {
                        outcome.observed = format!("{}; {}", outcome.observed, without.join(", "));
                    }
                }
                if failing.cut {
                    outcome.observed = format!("at least {}", outcome.observed);
                }
                first = failing.first;
            }
            _ => nothing().clone_into(&mut outcome.observed),
        }
        Ok((outcome, first))
    }

    /// Finds the first rows that agree with one before them.
    fn repeats(
        &self,
        parts: &Parts,
        identity: &Identity,
        group: &Group,
        repeated: &Repeated,
    ) -> Result<Vec<(Unit, u64)>, EngineError> {
        let (mut first, mut seen) = (Vec::new(), BTreeSet::new());
        if repeated.rows == 0 {
            return Ok(first);
        }
        // The places of a rule are those among the columns of its group.
        let local = identity.columns().iter();
        let columns: Vec<usize> = local
            .filter_map(|place| group.columns.get(*place).copied())
            .collect();
        let local = Identity::new((0..columns.len()).collect());
        let secret = self.secret();
        for unit in &parts.units {
            let mut row = 0;
            for batch in parts.read(*unit, &columns) {
                let batch = batch?;
                for value in local.of_rows(&batch, &secret)? {
                    if let Some(value) = value
                        && repeated.holds(value)
                        && !seen.insert(value)
                    {
                        first.push((*unit, row));
                        if first.len() == NAMED {
                            return Ok(first);
                        }
                    }
                    row += 1;
                }
            }
        }
        Ok(first)
    }
}

fn find_key(schema: &SchemaRef, key: &str) -> Result<usize, ContractError> {
    schema.index_of(key).map_err(|_| ContractError::Mistaken {
        check: None,
        fault: Fault {
            path: Vec::new(),
            because: no_column(
                key,
                schema.fields().iter().map(|field| field.name().as_str()),
            ),
        },
    })
}

fn file_rows(part: &crate::parts::Part) -> FileRows {
    FileRows {
        file: part.path.to_string(),
        rows: part.rows,
    }
}

/// Columns, and the rules that read them.
type Shared = (BTreeSet<usize>, Vec<(usize, Rule)>);

/// Puts rules together that share columns, so that each column is read once.
fn groups(rules: Vec<Rule>) -> Vec<Group> {
    let mut groups: Vec<Shared> = Vec::new();
    for (number, rule) in rules.into_iter().enumerate() {
        let mut columns: BTreeSet<usize> = rule.columns().into_iter().collect();
        let mut rules = vec![(number, rule)];
        let (shared, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(known, _)| {
            !known.is_disjoint(&columns) || (known.is_empty() && columns.is_empty())
        });
        for (known, others) in shared {
            columns.extend(known);
            rules.extend(others);
        }
        groups = apart;
        groups.push((columns, rules));
    }
    // Rules without a column need no work of their own where there is any.
    if let Some(free) = groups.iter().position(|(columns, _)| columns.is_empty())
        && groups.len() > 1
    {
        let (_, rules) = groups.remove(free);
        if let Some((_, others)) = groups.first_mut() {
            others.extend(rules);
        }
    }
    groups
        .into_iter()
        .map(|(columns, rules)| {
            let columns: Vec<usize> = columns.into_iter().collect();
            let place = |column: usize| columns.iter().position(|known| *known == column);
            let rules = rules
                .into_iter()
                .map(|(number, rule)| (number, rule.placed(&place)))
                .collect();
            Group { columns, rules }
        })
        .collect()
}

/// Applies the rules of a group to a unit; also returns its rows.
fn of_unit(
    parts: &Parts,
    unit: Unit,
    group: &Group,
    look: &Look,
) -> Result<(u64, Vec<Tally>), EngineError> {
    let mut tallies: Vec<Tally> = group.rules.iter().map(|(_, rule)| rule.nothing()).collect();
    let mut rows = 0;
    for batch in parts.read(unit, &group.columns) {
        let batch = batch?;
        for ((_, rule), tally) in group.rules.iter().zip(&mut tallies) {
            rule.look(&batch, unit, rows, tally, look)?;
        }
        rows += batch.num_rows() as u64;
    }
    Ok((rows, tallies))
}

impl Tally {
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Rows(total), Self::Rows(more)) => total.add(more),
            (Self::Missing(total), Self::Missing(more)) => *total += more,
            (Self::Moments(total), Self::Moments(more)) => total.add(&more),
            (Self::Identities(total), Self::Identities(more)) => total.extend(more),
            (Self::Counted(total), Self::Counted(more)) => total.add(more),
            _ => {}
        }
    }
}

impl Failing {
    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.unlike += more.unlike;
        self.without
            .resize(self.without.len().max(more.without.len()), 0);
        for (total, more) in self.without.iter_mut().zip(more.without) {
            *total += more;
        }
        self.cut |= more.cut;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(more.first.into_iter().take(room));
    }

    /// Notes that a row breaks the rule.
    fn note(&mut self, unit: Unit, row: u64) {
        self.rows += 1;
        if self.first.len() < NAMED {
            self.first.push((unit, row));
        }
    }
}

fn nothing() -> String {
    "there are no values".to_owned()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| exact(part) / exact(whole))
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn exact(count: u64) -> f64 {
    count as f64
}

fn between(value: f64, bounds: &ColumnBounds) -> bool {
    bounds.min.is_none_or(|min| value >= min)
        && bounds.max.is_none_or(|max| value <= max)
        && !value.is_nan()
}

/// Holds an exact figure against bounds, each meant as it is written; `squared`: the figure is the square of what the
/// bounds are about, which is never below zero.
fn inside(figure: &Ratio, bounds: &ColumnBounds, squared: bool) -> bool {
    let against = |bound: f64| match Ratio::written(bound) {
        Some(bound) if !squared => figure.compare(&bound),
        Some(root) if bound >= 0.0 => figure.compare(&root.square()),
        _ if bound > 0.0 => Ordering::Less,
        _ => Ordering::Greater,
    };
    bounds.min.is_none_or(|min| against(min).is_ge())
        && bounds.max.is_none_or(|max| against(max).is_le())
}

fn within(
    outcome: &mut CheckOutcome,
    bounds: &ColumnBounds,
    value: Option<f64>,
    moments: &Moments,
) {
    match value {
        Some(value) => {
            outcome.passed = between(value, bounds);
            outcome.observed = match moments.nan() {
                0 => value.to_string(),
                nan => format!("{value} ({nan} values are NaN)"),
            };
        }
        None => outcome.observed = nothing(),
    }
}

fn of_rows(outcome: &mut CheckOutcome, failing: u64, rows: u64) {
    outcome.passed = failing == 0;
    outcome.observed = format!("{failing} of {rows} rows break it");
    outcome.failing_rows = Some(failing);
    outcome.share = share(failing, rows);
}

/// Names rows by their files, places and keys.
fn named(
    parts: &Parts,
    key: Option<usize>,
    rows: &[(Unit, u64)],
) -> Result<Vec<FailingRow>, EngineError> {
    let mut keys: Vec<Option<String>> = vec![None; rows.len()];
    if let Some(key) = key {
        for chunk in rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((unit, _)) = chunk.first() else {
                continue;
            };
            let mut start = 0;
            for batch in parts.read(*unit, &[key]) {
                let batch = batch?;
                let end = start + batch.num_rows() as u64;
                for (at, (_, row)) in rows
                    .iter()
                    .enumerate()
                    .filter(|(_, (of, row))| of == unit && (start..end).contains(row))
                {
                    if let Some(place) = keys.get_mut(at) {
                        *place = Some(key_text(&batch, *row - start)?);
                    }
                }
                start = end;
            }
        }
    }
    let named = rows.iter().zip(keys).map(|((unit, row), key)| FailingRow {
        file: parts
            .parts
            .get(unit.part)
            .map(|part| part.path.to_string())
            .unwrap_or_default(),
        row: unit.before + row + 1,
        key,
    });
    Ok(named.collect())
}

fn key_text(batch: &RecordBatch, row: u64) -> Result<String, EngineError> {
    let row = usize::try_from(row).map_err(|_| EngineError::Failed("a row is not there"))?;
    let mut texts = Vec::new();
    texts_of(&batch.column(0).slice(row, 1), &mut texts)?;
    let text = texts.into_iter().next().flatten();
    Ok(text.unwrap_or_else(|| "null".to_owned()))
}

/// What the identity of a row takes while rows are told apart.
const IDENTITY_BYTES: ByteSize = ByteSize::from_bytes(16);
