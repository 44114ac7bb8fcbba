//! Work on threads of their own: digests, unpacking and writing run beside the decoder.
//!
//! **Invariants: threads change no result and no error; at most four run beside the caller's and all end before
//! the call does; what waits between them is bounded. Where a thread cannot be had, the work is done one
//! step after the other.**

use super::{CUT_OFF, DeltaError};
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, available_parallelism, scope};

/// Bytes that are handed on at once: enough that a call per piece costs nothing.
const CHUNK: usize = 1 << 18;
/// Chunks that may wait for who takes them.
const WAITING: usize = 4;
/// Chunks that are unpacked ahead of their use.
const AHEAD: usize = 8;
/// Contents below so many bytes are not worth a thread.
const SMALL: u64 = 1 << 20;

/// Whether threads are of use for this many bytes here.
pub(super) fn is_worth(bytes: u64) -> bool {
    bytes >= SMALL && available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// Does `other` on a thread of its own, if one can be had and `threads` says so, while it does `own`.
pub(super) fn both<A, B: Send>(
    threads: bool,
    other: impl FnOnce() -> B + Send,
    own: impl FnOnce() -> A,
) -> (Option<B>, A) {
    let waiting = Mutex::new(Some(other));
    let work = || {
        let work = waiting.lock().ok().and_then(|mut work| work.take());
        work.map(|work| work())
    };
    scope(|scope| {
        let thread = threads.then(|| Builder::new().spawn_scoped(scope, work));
        if let Some(Ok(thread)) = thread {
            let own = own();
            match thread.join() {
                Ok(other) => (other, own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        } else {
            (work(), own())
        }
    })
}

/// Takes what is produced.
type Take<'t> = dyn FnMut(&[u8]) -> Result<(), DeltaError> + 't;

/// Collects small pieces, so that who takes them is called for large ones.
pub(super) struct Chunks<'h> {
    bytes: Vec<u8>,
    /// Takes what is collected and leaves nothing behind.
    hand_on: &'h mut dyn FnMut(&mut Vec<u8>) -> Result<(), DeltaError>,
}

impl Chunks<'_> {
    /// Takes the next bytes.
    pub(super) fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        for part in bytes.chunks(CHUNK) {
            if self.bytes.len() + part.len() > CHUNK {
                (self.hand_on)(&mut self.bytes)?;
            }
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }
}

/// Produces on a thread of its own, if one can be had and `threads` says so, what is taken here, in order.
/// The first error ends both.
pub(super) fn produced(
    threads: bool,
    produce: impl FnOnce(&mut Chunks<'_>) -> Result<(), DeltaError> + Send,
    take: &mut Take<'_>,
) -> Result<(), DeltaError> {
    let waiting = Mutex::new(Some(produce));
    let run = |hand_on: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), DeltaError>| {
        let produce = waiting.lock().ok().and_then(|mut work| work.take());
        let mut chunks = Chunks {
            bytes: Vec::with_capacity(CHUNK),
            hand_on,
        };
        match produce {
            Some(produce) => {
                produce(&mut chunks).and_then(|()| (chunks.hand_on)(&mut chunks.bytes))
            }
            None => Ok(()),
        }
    };
    let piped = threads.then(|| pipe(&run, take)).flatten();
    piped.unwrap_or_else(|| {
        run(&mut |chunk| {
            let taken = take(chunk);
            chunk.clear();
            taken
        })
    })
}

/// Runs a producer on a thread of its own; none if there is no thread for it.
fn pipe<R>(run: &R, take: &mut Take<'_>) -> Option<Result<(), DeltaError>>
where
    R: Fn(&mut dyn FnMut(&mut Vec<u8>) -> Result<(), DeltaError>) -> Result<(), DeltaError> + Sync,
{
    let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
    let (back, spare) = sync_channel::<Vec<u8>>(WAITING);
    scope(|scope| {
        let send = move || {
            run(&mut |chunk| {
                let empty = spare.try_recv();
                let empty = empty.unwrap_or_else(|_| Vec::with_capacity(CHUNK));
                // It fails only if what came before was refused, and that is the error that counts.
                sender
                    .send(std::mem::replace(chunk, empty))
                    .map_err(|_| CUT_OFF)
            })
        };
        let thread = Builder::new().spawn_scoped(scope, send).ok()?;
        let mut taken = Ok(());
        for mut chunk in &receiver {
            taken = take(&chunk);
            if taken.is_err() {
                break;
            }
            chunk.clear();
            // What finds no room is not needed.
            let _ = back.try_send(chunk);
        }
        drop(receiver);
        match thread.join() {
            Ok(made) => Some(taken.and(made)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What is read ahead of its use.
struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                // The thread is done.
                Err(_) => return Ok(0),
            }
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let read = rest.len().min(out.len());
        if let (Some(out), Some(rest)) = (out.get_mut(..read), rest.get(..read)) {
            out.copy_from_slice(rest);
        }
        self.at += read;
        Ok(read)
    }
}

/// Reads on a thread of its own, if one can be had and `threads` says so, ahead of what is asked for. `open`
/// opens the stream, always from its start. What is returned has to go before the scope ends.
pub(super) fn ahead<'s, 'e: 's, E>(
    threads: bool,
    scope: &'s Scope<'s, 'e>,
    open: impl Fn() -> Result<Box<dyn Read + Send + 'e>, E>,
) -> Result<Box<dyn Read + Send + 'e>, E> {
    let mut stream = open()?;
    if !threads {
        return Ok(stream);
    }
    let (sender, chunks) = sync_channel(AHEAD);
    let read = move || while read_chunk(&mut stream, &sender) {};
    match Builder::new().spawn_scoped(scope, read) {
        Ok(_) => Ok(Box::new(Ahead {
            chunks,
            chunk: Vec::new(),
            at: 0,
        })),
        Err(_) => open(),
    }
}

/// Reads once and says whether there may be more to read, and somebody who wants it.
fn read_chunk(stream: &mut dyn Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> bool {
    let mut chunk = vec![0; CHUNK];
    match stream.read(&mut chunk) {
        Ok(0) => false,
        Ok(read) => {
            chunk.truncate(read);
            sender.send(Ok(chunk)).is_ok()
        }
        Err(error) => {
            // Who does not want it has another error.
            let _ = sender.send(Err(error));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..2_000_000_u32).map(|at| at.to_le_bytes()[1]).collect()
    }

    /// What is taken of pieces of this length, and the outcome.
    fn taken(
        threads: bool,
        piece: usize,
        end: Result<(), DeltaError>,
        most: usize,
    ) -> (Vec<u8>, Result<(), DeltaError>) {
        let mut got = Vec::new();
        let produce = |chunks: &mut Chunks<'_>| {
            for piece in bytes().chunks(piece) {
                chunks.give(piece)?;
            }
            end
        };
        let outcome = produced(threads, produce, &mut |part| {
            if got.len() + part.len() > most {
                return Err(DeltaError::WrongResult);
            }
            got.extend_from_slice(part);
            Ok(())
        });
        (got, outcome)
    }

    #[test]
    fn what_is_produced_is_taken_in_order_with_threads_and_without() {
        for threads in [true, false] {
            for piece in [999, 700_000] {
                let (got, outcome) = taken(threads, piece, Ok(()), usize::MAX);
                assert!(got == bytes() && outcome == Ok(()), "{threads} {piece}");
            }
        }
    }

    #[test]
    fn the_error_of_who_takes_ends_the_work_and_counts_first() {
        for threads in [true, false] {
            let (got, outcome) = taken(threads, 999, Err(CUT_OFF), 1_000_000);
            assert_eq!(outcome, Err(DeltaError::WrongResult));
            assert!(!got.is_empty() && bytes().starts_with(&got));
            let (_, outcome) = taken(threads, 999, Err(CUT_OFF), usize::MAX);
            assert_eq!(outcome, Err(CUT_OFF));
        }
    }

    #[test]
    fn both_are_done_with_threads_and_without() {
        for threads in [true, false] {
            assert_eq!(both(threads, || 2, || 1), (Some(2), 1));
        }
    }

    #[test]
    fn what_is_read_ahead_is_the_stream_with_its_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no more"))
            }
        }
        let bytes = bytes();
        for threads in [true, false] {
            scope(|scope| {
                let open =
                    || Ok::<Box<dyn Read + Send>, ()>(Box::new(bytes.as_slice().chain(Broken)));
                let mut stream = ahead(threads, scope, open).unwrap();
                let mut got = Vec::new();
                let error = stream.read_to_end(&mut got).unwrap_err();
                assert!(got == bytes && error.to_string() == "no more", "{threads}");
                // Who stops reading does not wait for the rest.
                drop(ahead(threads, scope, open).unwrap());
            });
        }
    }
}
