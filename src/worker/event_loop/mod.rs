//! The threads of the workers: the loop that each turns, and the watchdog that sees when one does not turn. `server`
//! starts them.

pub(crate) mod turn;
pub(crate) mod watchdog;
