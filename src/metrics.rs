//! The instruments that `/metrics` shows.
