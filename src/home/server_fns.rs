//! Server functions of `home`: who, parse, store, reply.
