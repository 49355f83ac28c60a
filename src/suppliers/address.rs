//! Which addresses a channel may have.
