//! What has to be there first: binaries of this workspace, and which commit they are of.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use super::{Error, Result};
use crate::checkout;

/// Builds `package` for release, beside this bench, and returns the directory of its binary.
///
/// # Errors
/// If it cannot be built.
pub async fn build(package: &str) -> Result<PathBuf> {
    build_with(package, &[]).await
}

/// As [`build`], with `options` of Cargo, e.g. `--example NAME`.
///
/// # Errors
/// As [`build`].
pub async fn build_with(package: &str, options: &[&str]) -> Result<PathBuf> {
    println!("building {package} {} ...", options.join(" "));
    // target/release/deps/bench-0123456789abcdef
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).ok_or("the bench is in no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(checkout()).args(["build", "--quiet", "--release", "--package", package]).args(options);
    end(build.env("CARGO_TARGET_DIR", target)).await?;
    Ok(target.join("release"))
}

/// Returns the commit, marked if the files differ from it.
pub async fn revision() -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(checkout()).args(["describe", "--always", "--dirty"]).kill_on_drop(true);
    match git.output().await {
        Ok(output) if output.status.success() => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
        _ => Ok("unknown".to_owned()),
    }
}

/// Runs `command` to its end, which must be a good one.
pub async fn end(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).kill_on_drop(true).status().await;
    let shown = format!("{:?}", command.as_std());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::from(format!("{shown}: {status}"))),
        Err(why) => Err(Error::from(format!("{shown}: {why}"))),
    }
}
