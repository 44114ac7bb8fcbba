//! What all state machines share: the refusal of a move that is not in the table.

use std::fmt;

/// A move that the state machine does not have. The record stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {noun} cannot {event} while it is {state}")]
pub struct IllegalTransition {
    /// Which machine.
    pub noun: &'static str,
    /// The state it is in.
    pub state: String,
    /// The move that was asked for.
    pub event: String,
}

impl IllegalTransition {
    /// The refusal of `event` in `state`.
    pub fn new(noun: &'static str, state: &impl fmt::Debug, event: &impl fmt::Debug) -> Self {
        Self {
            noun,
            state: format!("{state:?}"),
            event: format!("{event:?}"),
        }
    }
}
