//! How a run goes, as people see it while it does: what steps print, and on a terminal a line for each running
//! step, with its time and the bar that it draws.
//!
//! INVARIANT: what a step prints reaches the terminal as letters only ([`visible`]), in lines of bounded length.

use std::collections::BTreeMap;
use std::time::Duration;

use custody_types::{visible, without_styles};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::Output;

/// How often the time of a running step is drawn. It appears when a step has run for as long.
const TICK: Duration = Duration::from_millis(250);
/// How much of a line is shown, in characters.
const WIDTH: usize = 2000;

/// The running steps.
pub(crate) struct Progress {
    /// The lines of the running steps; none where there is no terminal.
    drawn: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Draws nothing if `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            drawn: (!quiet).then(MultiProgress::new),
            bars: BTreeMap::new(),
        }
    }

    /// Tells that a step began.
    pub(crate) fn start(&mut self, output: &Output, step: &str) {
        self.line(output, &format!("… {step}"));
        let Some(drawn) = &self.drawn else {
            return;
        };
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let bar = drawn.add(bar.with_prefix(visible(step)));
        bar.enable_steady_tick(TICK);
        self.bars.insert(step.to_owned(), bar);
    }

    /// Tells what a step printed. The states of a line that has not ended are drawn on a terminal, and left out
    /// elsewhere: the last one comes as a line.
    pub(crate) fn log(&self, output: &Output, step: &str, text: &str) {
        if let Some(state) = text.strip_prefix('\r') {
            if let Some(bar) = self.bars.get(step) {
                bar.set_message(shown(state));
            }
            return;
        }
        if let Some(bar) = self.bars.get(step) {
            bar.set_message(String::new());
        }
        for line in text.lines() {
            self.line(output, &format!("  {step} | {}", shown(line)));
        }
    }

    /// Takes a step's line away.
    pub(crate) fn finish(&mut self, step: &str) {
        if let Some(bar) = self.bars.remove(step) {
            bar.finish_and_clear();
        }
    }

    /// Takes all lines away: the run is over.
    pub(crate) fn end(&mut self) {
        for bar in std::mem::take(&mut self.bars).into_values() {
            bar.finish_and_clear();
        }
    }

    /// Writes a line that stays.
    fn line(&self, output: &Output, line: &str) {
        match &self.drawn {
            Some(drawn) if !self.bars.is_empty() => {
                drawn.suspend(|| output.note(line));
            }
            _ => output.note(line),
        }
    }
}

/// Returns a line as it may be shown: no letter of it steers the terminal, tabs are blanks, and what is longer
/// than [`WIDTH`] is counted.
fn shown(line: &str) -> String {
    let mut letters = line.chars();
    let begin: String = letters.by_ref().take(WIDTH).collect();
    let begin = visible(&without_styles(&begin)).replace('\t', "    ");
    match letters.count() {
        0 => begin,
        more => format!("{begin} [{more} characters more]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_steers_the_terminal() {
        let printed = [
            // Colours, the title, the clipboard, moves of the cursor, other screens, questions to the terminal.
            "\u{1b}[31mred\u{1b}[0m",
            "\u{1b}]0;title\u{7}",
            "\u{1b}]52;c;aGk=\u{1b}\\",
            "\u{1b}[2J\u{1b}[H\u{1b}[A\u{1b}[?1049h",
            "\u{1b}P$q\u{1b}\\\u{1b}[6n",
            // The same in one letter; deletion, bell, form feed; a return inside a line.
            "\u{9b}2J\u{90}\u{9d}",
            "a\u{8}b\u{7f}\u{7}\u{c}\u{b}\u{0}",
            "safe\rwrong",
            // The direction of writing.
            "\u{202e}gnorw\u{2066}\u{202a}",
        ];
        for line in printed {
            let shown = shown(line);
            assert!(!shown.contains(custody_types::steers), "{shown:?}");
        }
        assert_eq!(shown("grün ██ 50%\tdone"), "grün ██ 50%    done");
        assert_eq!(shown("\u{1b}[32m3 passed\u{1b}[0m"), "3 passed");
    }

    #[test]
    fn long_lines_are_counted() {
        assert_eq!(shown(&"x".repeat(WIDTH)).len(), WIDTH);
        let long = shown(&"ä".repeat(WIDTH + 7));
        assert!(long.ends_with("ä [7 characters more]"));
    }
}
