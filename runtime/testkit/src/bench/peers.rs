//! The Python of `peers.py`, which is the penguins function in FastAPI.

use std::path::PathBuf;

use tokio::process::Command;

use super::{Result, end};
use crate::checkout;

/// What it trains and infers with, and what it serves with.
const REQUIREMENTS: [&str; 2] =
    ["functions/penguins/train/requirements.txt", "runtime/sdk/benches/serve/requirements.txt"];

/// Makes the virtual environment `bench-venv` in the target directory of this bench, unless it is there with these very
/// versions; returns its Python.
///
/// # Errors
/// If it cannot be made.
pub async fn peers() -> Result<PathBuf> {
    // target/release/deps/bench-0123456789abcdef
    let own = std::env::current_exe()?;
    let venv = own.ancestors().nth(3).ok_or("the bench is in no target directory")?.join("bench-venv");
    let (python, stamp) = (venv.join("bin/python"), venv.join("drover-bench.txt"));
    let files = REQUIREMENTS.map(|file| checkout().join(file));
    let wanted = files.iter().map(std::fs::read_to_string).collect::<std::io::Result<String>>()?;
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there.trim() == wanted.trim()) {
        return Ok(python);
    }
    println!("making {} ...", venv.display());
    end(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    files.iter().for_each(|file| _ = pip.arg("-r").arg(file));
    end(&mut pip).await?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}
