//! Server functions of `catalog`: who, parse, store, reply.
