//! Server functions of `wallet`: who, parse, store, reply.
