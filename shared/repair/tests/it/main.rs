//! The crate as the engine uses it: real events in, texts out, judged by running Python.

mod corpus;
mod hostile;
mod support;
mod till;
