//! The SDK's example `probe`, a function that does what a test asks for and needs no model.

use std::fmt::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{Instance, built_example};

const BYTES: &[u8] = b"not a model";

/// A running probe: see `runtime/sdk/examples/probe.rs`.
#[derive(Debug)]
pub struct Probe {
    instance: Instance,
    _folder: TempDir,
}

impl Probe {
    /// Builds the probe, starts it with settings, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not build or start.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a model");
        write_model(folder.path());
        let mut command = Instance::command(&built_example("drover", "probe"));
        command.env("DROVER_MODEL", folder.path()).envs(settings.iter().copied());
        Self { instance: Instance::start(command).await, _folder: folder }
    }
}

impl Deref for Probe {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl DerefMut for Probe {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

/// Writes a model card, and the file that it names, into `folder`, for `DROVER_MODEL`.
///
/// # Panics
/// If they cannot be written.
pub fn write_model(folder: &Path) {
    let sha256 = Sha256::digest(BYTES).iter().fold(String::new(), |mut all, byte| {
        let _never_fails = write!(all, "{byte:02x}");
        all
    });
    let card = format!(
        "name = 'probe'\nversion = '1.2.3'\ndescription = 'A probe.'\nfile = 'model.bin'\nsha256 = '{sha256}'\n\
         labels = ['a', 'b']\nlicence = 'CC0-1.0'\n\
         [[inputs]]\nname = 'x'\ntype = 'float32'\nshape = [-1, 1]\n\
         [[outputs]]\nname = 'probabilities'\ntype = 'float32'\nshape = [-1, 2]\n\
         [data]\nsource = 'none'\nlicence = 'CC0-1.0'\ncitation = 'none'\nrows_train = 0\nrows_test = 0\n[metrics]\n"
    );
    for (name, bytes) in [("model.bin", BYTES), ("model.toml", card.as_bytes())] {
        std::fs::write(folder.join(name), bytes).unwrap_or_else(|e| panic!("{}: {e}", folder.join(name).display()));
    }
}
