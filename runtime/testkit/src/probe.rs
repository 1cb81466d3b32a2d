//! The model of the SDK's example `probe`, a function that does what a test asks for and needs no model.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

const BYTES: &[u8] = b"not a model";

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
