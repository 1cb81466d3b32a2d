//! `drover key`: keys of the gateway.

use std::process::ExitCode;

use drover_gateway::access::{Functions, NewKey};

use crate::control::print;

/// Prints a new key to standard error, once, and the lines for the file of keys to standard output.
pub(crate) fn new(name: &str, functions: &[String]) -> anyhow::Result<ExitCode> {
    let functions = Functions::parse(functions.iter().map(|name| name.trim())).map_err(anyhow::Error::msg)?;
    let key = NewKey::new(name, &functions)?;
    // Apart, so that `drover key new NAME >> keys.toml` leaves the key out of the file.
    eprintln!("The key, shown this once; clients send it as `Authorization: Bearer KEY`:\n\n  {}\n", key.secret);
    print(&format!("{}# rate = \"100/s\"\n# concurrency = 50\n", key.toml));
    Ok(ExitCode::SUCCESS)
}
