//! Yes-or-no questions on a terminal. Without one, the option that the failure names is the answer.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::output::printable;

/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64;

/// Whether a person says yes. Nobody at a terminal is a no.
pub(crate) fn confirmed(question: &str) -> bool {
    // The question goes to standard error and the answer comes from standard input, so a person has to be at both.
    io::stdin().is_terminal() && io::stderr().is_terminal() && ask(question, io::stdin().lock(), io::stderr().lock())
}

fn ask(question: &str, answers: impl BufRead, mut screen: impl Write) -> bool {
    let mut line = String::new();
    let asked = write!(screen, "{} [y/N] ", printable(question)).and_then(|()| screen.flush());
    let answered = asked.and_then(|()| answers.take(MAX_ANSWER).read_line(&mut line));
    answered.is_ok() && matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (line, expected) in
            [("y\n", true), ("YES\r\n", true), ("\n", false), ("n\n", false), ("", false), ("yesterday\n", false)]
        {
            let mut screen = Vec::new();
            assert_eq!(ask("go to \u{202e}x?", line.as_bytes(), &mut screen), expected, "{line:?}");
            assert_eq!(String::from_utf8(screen).unwrap(), "go to \u{fffd}x? [y/N] ");
        }
        assert!(!ask("?", [b'y'; 1000].as_slice(), Vec::new()));
    }
}
