//! A small WHIP and WHEP HTTP client.
