//! The docs at `/docs`: what this product does, for those who call it. The texts are Markdown, a file a page and language; their
//! examples are run by `scripts/docs.sh`.

pub mod examples;
pub mod page;
pub mod server_fns;
pub mod types;

pub mod contents;
mod markdown;

#[cfg(test)]
mod tests;
