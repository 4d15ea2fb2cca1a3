//! What reaches a peer: STUN, paths and their proof, restarts, ClientHello, budgets.
