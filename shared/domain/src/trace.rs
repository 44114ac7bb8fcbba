//! The trace: one name for everything that a report, a request or a tick brought about.
//!
//! A message carries the trace of what caused it ([`crate::envelope::Envelope::trace`]), and every line of a log names it, so
//! that one report can be followed from ingest to the installed fix. Its form is the trace id of
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/), which AWS X-Ray understands too.
//!
//! Stages know nothing of it: who runs a stage runs it [in the trace](in_trace) of its message, and a commit puts the trace
//! on what it hands on. **Invariant: a trace decides nothing**: no id is made from it, no rule reads it.
//!
//! Where many things meet, the trace is that of the one which caused the step: the report that opened or raised an issue,
//! the approval that sent a train off, the tick that cut one or widened a rollout.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

/// 16 bytes, not all zero, written as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

/// A text that is not the id of a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a trace id: expected 32 lowercase hex digits, not all zero")]
pub struct NotATrace;

impl TraceId {
    /// The trace named by the first half of a digest: a fresh one, or that of what began it.
    pub fn from_digest(digest: Digest) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        if bytes == [0; 16] {
            // Zeros mean "no trace" in the specification.
            bytes = [1; 16];
        }
        Self(bytes)
    }

    /// The trace that a header `traceparent` names (W3C Trace Context, §3.2). Later versions may append fields.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(is_lower_hex);
        let zero_parent = parent.bytes().all(|byte| byte == b'0');
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(parent, 16)
            && !zero_parent
            && is_hex(flags, 2)
            && (version != "00" || parts.next().is_none());
        is_valid.then(|| trace.parse().ok()).flatten()
    }

    /// The trace that a header `X-Amzn-Trace-Id` names: `Root=1-<8 digits of time>-<24 digits>`, with other fields around.
    pub fn from_amazon(header: &str) -> Option<Self> {
        let root = header
            .split(';')
            .find_map(|field| field.trim().strip_prefix("Root=1-"))?;
        let (time, rest) = root.split_once('-')?;
        if time.len() != 8 || rest.len() != 24 {
            return None;
        }
        format!("{time}{rest}").parse().ok()
    }

    /// The header by which services of AWS hand the trace on, without a decision on whether X-Ray samples it.
    pub fn to_amazon(self) -> String {
        let digits = self.to_string();
        let (time, rest) = digits.split_at_checked(8).unwrap_or_default();
        format!("Root=1-{time}-{rest}")
    }

    /// The trace that the current step belongs to; none outside of [`in_trace`].
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl FromStr for TraceId {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, NotATrace> {
        let mut bytes = [0; 16];
        if !text.bytes().all(is_lower_hex) {
            return Err(NotATrace);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotATrace)?;
        if bytes == [0; 16] {
            return Err(NotATrace);
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for TraceId {
    type Error = NotATrace;

    fn try_from(text: String) -> Result<Self, NotATrace> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(trace: TraceId) -> Self {
        trace.to_string()
    }
}

thread_local! {
    /// Set while a future of [`in_trace`] is being polled, and only then.
    static CURRENT: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// A future that runs in a trace; made by [`in_trace`].
#[derive(Debug)]
pub struct InTrace<F> {
    trace: Option<TraceId>,
    future: Pin<Box<F>>,
}

/// Runs a step in a trace, or in none. What the step spawns elsewhere does not belong to it.
pub fn in_trace<F: Future>(trace: Option<TraceId>, future: F) -> InTrace<F> {
    InTrace {
        trace,
        future: Box::pin(future),
    }
}

/// Puts back what was current before, also when the step panics.
struct Entered(Option<TraceId>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl<F: Future> Future for InTrace<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = Entered(CURRENT.replace(self.trace));
        self.future.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn trace(text: &str) -> TraceId {
        text.parse().unwrap()
    }

    /// Polls once; the futures of these tests never wait for anything but themselves.
    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_trace_of_a_traceparent_is_taken_and_anything_malformed_is_not() {
        let parent = |text: &str| TraceId::from_traceparent(text);
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parent(&good), Some(trace(TRACE)));
        assert_eq!(parent(&format!(" {good} ")), Some(trace(TRACE)));
        // A later version may say more behind what we know.
        let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-is-to-come");
        assert_eq!(parent(&later), Some(trace(TRACE)));
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("0x-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}é-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(parent(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_root_of_amazons_header_is_the_trace() {
        let amazon = TraceId::from_amazon;
        let root = Some(trace("5759e988bd862e3fe1be46a994272793"));
        assert_eq!(amazon("Root=1-5759e988-bd862e3fe1be46a994272793"), root);
        assert_eq!(
            amazon("Self=1-1-2; Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"),
            root
        );
        for bad in [
            "",
            "Root=1-5759e988",
            "Root=1-5759e9-88bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279z",
        ] {
            assert_eq!(amazon(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_trace_is_written_as_it_is_read_and_never_zero() {
        assert_eq!(trace(TRACE).to_string(), TRACE);
        let json = serde_json::to_string(&trace(TRACE)).unwrap();
        assert_eq!(
            serde_json::from_str::<TraceId>(&json).unwrap(),
            trace(TRACE)
        );
        assert_eq!("0".repeat(32).parse::<TraceId>(), Err(NotATrace));
        let named = TraceId::from_digest(Digest::of(b"a tick"));
        assert!(
            Digest::of(b"a tick")
                .to_string()
                .starts_with(&named.to_string())
        );
    }

    #[test]
    fn each_step_sees_its_own_trace_however_they_take_turns() {
        let (one, two) = (trace(TRACE), TraceId::from_digest(Digest::of(b"two")));
        let step = || async {
            let before = TraceId::current();
            let mut waited = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
            (before, TraceId::current())
        };
        let mut first = in_trace(Some(one), step());
        let mut second = in_trace(Some(two), step());
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        assert_eq!(TraceId::current(), None);
        assert_eq!(poll(&mut first), Poll::Ready((Some(one), Some(one))));
        assert_eq!(poll(&mut second), Poll::Ready((Some(two), Some(two))));
        assert_eq!(TraceId::current(), None);
    }

    #[test]
    fn a_step_that_panics_leaves_no_trace_behind() {
        let broken = std::panic::catch_unwind(|| {
            poll(&mut in_trace(
                Some(trace(TRACE)),
                Box::pin(async { panic!("a defect") }),
            ))
        });
        assert!(broken.is_err());
        assert_eq!(TraceId::current(), None);
    }
}
