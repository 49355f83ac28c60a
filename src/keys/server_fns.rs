//! Server functions of `keys`: who, parse, store, reply.
