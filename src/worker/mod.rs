//! The event loop of one media thread.
