//! Starts every part in order, drains and stops them.
