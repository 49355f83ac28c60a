//! Server functions of `usage`: who, parse, store, reply.
