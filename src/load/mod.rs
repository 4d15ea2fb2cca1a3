//! Synthetic publishers and viewers, and the report of what they saw.
