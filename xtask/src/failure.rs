//! Why a verb could not do its work: one sentence for the person at the terminal.
//!
//! No caller branches on it, so it is a sentence and not an enum; whoever makes one puts the cause into it.

/// A sentence that says what failed and on what.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What every verb and step returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Failure(sentence)
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        Failure(sentence.to_owned())
    }
}
