//! Server functions of `suppliers`: who, parse, store, reply.
