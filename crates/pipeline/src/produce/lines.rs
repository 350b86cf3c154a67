//! What a program prints, handed on as people read it: whole lines, and the states of a line that is drawn
//! again and again, as progress bars are.

/// How much of a line that has not ended is gathered, in bytes; then it ends here.
const LINE: usize = 64 << 10;
/// How much of a state is handed on, in characters.
const STATE: usize = 500;
/// How much is handed on in lines, in bytes.
const MOST: usize = 1 << 20;

/// Text that comes in pieces.
///
/// A text that is handed on is either lines, each with its end, or a carriage return and the state of the
/// line that has not ended yet, which the next text of the step replaces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has not ended; of a line that was drawn again, the last state.
    line: Vec<u8>,
    /// Whether the line was drawn again.
    redrawn: bool,
    /// The state that was handed on last.
    shown: Vec<u8>,
    handed_on: usize,
}

impl Lines {
    /// Takes the next piece.
    pub(super) fn take(&mut self, bytes: &[u8], said: &mut (dyn FnMut(&str) + Send)) {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            self.redraw();
            if self.line.ends_with(b"\n") || self.line.len() > LINE {
                lines.append(&mut self.line);
                if !lines.ends_with(b"\n") {
                    lines.push(b'\n');
                }
                self.redrawn = false;
                self.shown.clear();
            }
        }
        self.hand_on(&lines, said);
        self.show(said);
    }

    /// Hands on what is left; the program is over.
    pub(super) fn end(mut self, said: &mut (dyn FnMut(&str) + Send)) {
        let mut line = std::mem::take(&mut self.line);
        while line.ends_with(b"\r") {
            line.pop();
        }
        if !line.is_empty() {
            line.push(b'\n');
            self.hand_on(&line, said);
        }
    }

    /// Forgets what was drawn over. A return at the end waits for what comes: the end of the line or a new
    /// state.
    fn redraw(&mut self) {
        let text_end = self
            .line
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
            .map_or(0, |last| last + 1);
        if self.line.ends_with(b"\n") {
            self.line.truncate(text_end);
            self.line.push(b'\n');
        }
        self.redrawn |= self.line.contains(&b'\r');
        let text = self.line.get(..text_end).unwrap_or_default();
        if let Some(before) = text.iter().rposition(|byte| *byte == b'\r') {
            self.line.drain(..=before);
        }
    }

    fn hand_on(&mut self, lines: &[u8], said: &mut (dyn FnMut(&str) + Send)) {
        if lines.is_empty() || self.handed_on > MOST {
            return;
        }
        let room = MOST - self.handed_on;
        self.handed_on += lines.len();
        let shown = lines.get(..lines.len().min(room)).unwrap_or_default();
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if self.handed_on > MOST {
            text.push_str("\n[what is printed from here on is not shown]\n");
        }
        said(&text);
    }

    fn show(&mut self, said: &mut (dyn FnMut(&str) + Send)) {
        if !self.redrawn {
            return;
        }
        let state = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if state.is_empty() || state == self.shown.as_slice() {
            return;
        }
        let text = String::from_utf8_lossy(state);
        said(
            &text
                .chars()
                .take(STATE)
                .fold("\r".to_owned(), |mut all, letter| {
                    all.push(letter);
                    all
                }),
        );
        self.shown = state.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the pieces; the texts that are handed on must be these.
    #[track_caller]
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut told = Vec::new();
        let mut said = |text: &str| told.push(text.to_owned());
        let mut lines = Lines::default();
        for piece in pieces {
            lines.take(piece.as_bytes(), &mut said);
        }
        lines.end(&mut said);
        assert_eq!(told, expected);
    }

    #[test]
    fn lines_come_whole() {
        check(&["a\nb", "c\nd"], &["a\n", "bc\n", "d\n"]);
        check(&["a\r\nb\r", "\n"], &["a\n", "\rb", "b\n"]);
        check(&["\n", ""], &["\n"]);
    }

    #[test]
    fn a_bar_comes_as_it_is_drawn_and_its_last_state_is_the_line() {
        // As tqdm draws, and as `print(end="\r")` does.
        check(
            &["\r 0%", "\r 50%", "\r100%", "\nafter\n"],
            &["\r 0%", "\r 50%", "\r100%", "100%\nafter\n"],
        );
        check(&["1\r", "2\r3\r", "4\r"], &["\r1", "\r3", "\r4", "4\n"]);
        check(&["before\n\rx", "\rx", "\r"], &["before\n", "\rx", "x\n"]);
    }

    #[test]
    fn what_is_handed_on_is_bounded() {
        let (mut count, mut last) = (0, String::new());
        let mut said = |text: &str| {
            count += text.len();
            text.clone_into(&mut last);
        };
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.take(&vec![b'x'; 60_000], &mut said);
            lines.take(b"\r", &mut said);
            lines.take(b"yyy", &mut said);
        }
        assert!(lines.line.len() <= LINE + 60_000);
        let line = format!("{}\n", "z".repeat(999));
        for _ in 0..2000 {
            lines.take(line.as_bytes(), &mut said);
        }
        lines.take(b"\rbar", &mut said);
        assert!(count < 2 * MOST);
        assert_eq!(last, "\rbar");
    }
}
