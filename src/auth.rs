//! Who may do what: every request carries a grant.
