//! One binary for every test over HTTP: a real port, a real Postgres, no mocks of our own code.
