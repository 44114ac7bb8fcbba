//! The routes of the HTTP stages, one definition for Lambda and the local server.
