//! Work on threads of their own: unpacking, and the parts of the corrections run beside the caller,
//! who takes both digests and writes the result.
//!
//! **Invariants: threads change no result and no error; at most five run beside the caller's and all end before
//! the call does; what waits between them is bounded. Where a thread cannot be had, the work is done one
//! step after the other.**

use super::{CUT_OFF, DeltaError};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, available_parallelism, scope};

/// Bytes that are handed on at once: enough that a call per piece costs nothing.
const CHUNK: usize = 1 << 18;
/// A chunk may be longer by a part of a copy.
const CHUNK_MOST: usize = CHUNK + (1 << 16);
/// Chunks of one worker that may wait for who takes them: while the caller takes the digest of the base, all do.
const WAITING: usize = 6;
/// Chunks that are unpacked ahead of their use.
const AHEAD: usize = 8;
/// Contents below so many bytes are not worth a thread.
const SMALL: u64 = 1 << 20;

/// Whether threads are of use for this many bytes here.
pub(super) fn is_worth(bytes: u64) -> bool {
    bytes >= SMALL && available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// Takes the result.
type Take<'t> = dyn FnMut(&[u8]) -> Result<(), DeltaError> + 't;

/// Collects small pieces, so that who takes them is called for large ones.
pub(super) struct Chunks<'t> {
    bytes: Vec<u8>,
    take: &'t mut Take<'t>,
}

impl<'t> Chunks<'t> {
    pub(super) fn new(take: &'t mut Take<'t>) -> Self {
        let bytes = Vec::with_capacity(CHUNK);
        Self { bytes, take }
    }

    /// Takes the next bytes.
    pub(super) fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        if self.bytes.len() + bytes.len() > CHUNK {
            self.flush()?;
            if bytes.len() > CHUNK {
                return (self.take)(bytes);
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands on what was collected.
    pub(super) fn flush(&mut self) -> Result<(), DeltaError> {
        let taken = (self.take)(&self.bytes);
        self.bytes.clear();
        taken
    }
}

/// What a worker hands on: chunks, in order, perhaps an error at the end.
type Handed = Result<Vec<u8>, DeltaError>;

/// Where a worker hands on what it made.
pub(super) struct Hand {
    sender: SyncSender<Handed>,
    /// Chunks to fill again.
    spare: Receiver<Vec<u8>>,
}

/// A chunk to fill.
pub(super) fn blank() -> Vec<u8> {
    Vec::with_capacity(CHUNK_MOST)
}

impl Hand {
    /// Hands a chunk on and leaves an empty one. It fails only if nobody wants more.
    pub(super) fn give(&self, chunk: &mut Vec<u8>) -> Result<(), DeltaError> {
        let empty = self.spare.try_recv();
        let empty = empty.unwrap_or_else(|_| blank());
        let chunk = std::mem::replace(chunk, empty);
        self.sender.send(Ok(chunk)).map_err(|_| CUT_OFF)
    }
}

/// What one worker makes, as it is taken.
struct Making {
    chunks: Receiver<Handed>,
    back: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

/// What workers make, each by itself.
pub(super) struct Made(Vec<Making>);

impl Made {
    /// The next bytes of a worker; it handed them on in one chunk.
    pub(super) fn take(&mut self, worker: usize, count: usize) -> Result<&[u8], DeltaError> {
        let making = self.0.get_mut(worker).ok_or(CUT_OFF)?;
        if making.at == making.chunk.len() {
            let next = making.chunks.recv().map_err(|_| CUT_OFF)??;
            let mut chunk = std::mem::replace(&mut making.chunk, next);
            making.at = 0;
            chunk.clear();
            // What finds no room is not needed.
            let _ = making.back.try_send(chunk);
        }
        let start = making.at;
        making.at += count;
        making.chunk.get(start..making.at).ok_or(CUT_OFF)
    }

    /// Waits until all are done; the first error of the first worker that has one.
    pub(super) fn end(&mut self) -> Result<(), DeltaError> {
        self.0.iter().try_for_each(|making| {
            let last = making.chunks.recv();
            last.map_or(Ok(()), |handed| handed.map(|_| ()))
        })
    }
}

/// Has `count` workers work on threads of their own while what they make is taken here; it is taken without workers if
/// there are no threads for them, or `threads` says so.
pub(super) fn made<R>(
    threads: bool,
    count: usize,
    work: impl Fn(usize, &Hand) -> Result<(), DeltaError> + Sync,
    take: impl FnOnce(Option<&mut Made>) -> R,
) -> R {
    let work = &work;
    scope(|scope| {
        let mut made = Made(Vec::new());
        for number in 0..if threads { count } else { 0 } {
            let (sender, chunks) = sync_channel(WAITING);
            let (back, spare) = sync_channel(WAITING);
            let run = move || {
                let hand = Hand { sender, spare };
                if let Err(error) = work(number, &hand) {
                    // Who does not want it has another error.
                    let _ = hand.sender.send(Err(error));
                }
            };
            if Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
            made.0.push(Making {
                chunks,
                back,
                chunk: Vec::new(),
                at: 0,
            });
        }
        if threads && made.0.len() == count {
            take(Some(&mut made))
        } else {
            // Those that began end when nobody takes anything.
            drop(made);
            take(None)
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

    /// What is taken from two workers in turns, and the outcome; the second ends with `end`.
    fn taken(
        threads: bool,
        end: &Result<(), DeltaError>,
        most: usize,
    ) -> Option<(Vec<u8>, Result<(), DeltaError>)> {
        const PIECE: usize = 999;
        let bytes = bytes();
        let work = |number: usize, hand: &Hand| {
            for piece in bytes.chunks(PIECE).skip(number).step_by(2) {
                hand.give(&mut piece.to_vec())?;
            }
            if number == 1 { end.clone() } else { Ok(()) }
        };
        made(threads, 2, work, |made| {
            let made = made?;
            let mut got = Vec::new();
            for (number, piece) in bytes.chunks(PIECE).enumerate() {
                if got.len() + piece.len() > most {
                    return Some((got, Err(DeltaError::WrongResult)));
                }
                got.extend_from_slice(made.take(number % 2, piece.len()).unwrap());
            }
            Some((got, made.end()))
        })
    }

    #[test]
    fn what_workers_make_is_taken_in_order_and_their_error_at_the_end() {
        let (got, outcome) = taken(true, &Ok(()), usize::MAX).unwrap();
        assert!(got == bytes() && outcome == Ok(()));
        let (got, outcome) = taken(true, &Err(DeltaError::NotADelta), usize::MAX).unwrap();
        assert!(got == bytes() && outcome == Err(DeltaError::NotADelta));
        assert_eq!(taken(false, &Ok(()), usize::MAX), None);
    }

    #[test]
    fn workers_end_when_nobody_takes_what_they_make() {
        let (got, outcome) = taken(true, &Ok(()), 10_000).unwrap();
        assert!(bytes().starts_with(&got) && outcome == Err(DeltaError::WrongResult));
    }

    #[test]
    fn small_pieces_are_handed_on_together_and_in_order() {
        for piece in [999, 700_000] {
            let (mut got, mut calls) = (Vec::new(), 0);
            let mut take = |part: &[u8]| {
                got.extend_from_slice(part);
                calls += 1;
                Ok(())
            };
            let mut chunks = Chunks::new(&mut take);
            for piece in bytes().chunks(piece) {
                chunks.give(piece).unwrap();
            }
            chunks.flush().unwrap();
            assert!(got == bytes() && calls < 20, "{calls}");
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
