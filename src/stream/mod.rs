//! Streams: the registry, inboxes, demand, and guards whose drop is the teardown.
