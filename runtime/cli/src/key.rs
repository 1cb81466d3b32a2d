//! `drover key`: keys of the gateway.

use std::process::ExitCode;

use drover_gateway::access::{Functions, NewKey};

use crate::control::print;

/// Prints a new key, once, and the lines for the file of keys.
pub(crate) fn new(name: &str, functions: &[String]) -> anyhow::Result<ExitCode> {
    let functions = Functions::parse(functions.iter().map(|name| name.trim())).map_err(anyhow::Error::msg)?;
    let key = NewKey::new(name, &functions)?;
    // The key goes where it can be piped from; what is for a person, too, but as a comment of the file.
    print(&format!(
        "# The key, shown this once; clients send `Authorization: Bearer KEY`:\n#\n#   {}\n#\n\
         # For the file that access.keys names:\n{}# rate = \"100/s\"\n# concurrency = 50\n",
        key.secret, key.toml
    ));
    Ok(ExitCode::SUCCESS)
}
