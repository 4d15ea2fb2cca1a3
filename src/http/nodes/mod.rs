//! What other nodes of the cluster ask for. Each request needs a token that the secret of the cluster signs.

pub(super) mod stream;
