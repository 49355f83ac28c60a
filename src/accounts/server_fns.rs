//! Server functions of `accounts`: who, parse, store, reply.
