//! Drafts fixes for a crash by templates and edit search, and the regression test that judges them.
