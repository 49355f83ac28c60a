//! Server functions of `checkout`: who, parse, store, reply.
