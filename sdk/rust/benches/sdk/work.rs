//! What the product does when it reports: an error with a cause, a good way down the stack.

use std::error::Error;
use std::fmt;
use std::hint::black_box;
use std::num::ParseIntError;

/// Frames between the start of the work and the report.
pub(crate) const DEPTH: usize = 30;

/// Where the work is; it keeps the frames apart.
pub(crate) type Place = usize;

/// Does something so many frames further down.
#[inline(never)]
pub(crate) fn deep<T>(frames: usize, work: &mut dyn FnMut(Place) -> T) -> T {
    let done = if frames == 0 {
        work(frames)
    } else {
        deep(frames - 1, work)
    };
    // What comes after the call keeps it from becoming a loop.
    black_box(&frames);
    done
}

/// An error of the product.
#[derive(Debug)]
pub(crate) struct TotalError {
    cause: ParseIntError,
}

impl fmt::Display for TotalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the total of drawer 3 cannot be read")
    }
}

impl Error for TotalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// One of them.
pub(crate) fn mistake() -> TotalError {
    TotalError {
        cause: "12,50".parse::<i32>().unwrap_err(),
    }
}
