//! One module per stage: load, decide, save, hand on.
