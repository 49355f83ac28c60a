//! `toki openapi`: the document that describes `/v1`. Asks neither the environment nor a database.

use crate::cli::CliError;
use crate::cli::output::Output;
use crate::gateway::openapi;

pub fn run(out: &Output) -> Result<(), CliError> {
    out.raw(format!("{:#}\n", openapi::document()).as_bytes())
}
