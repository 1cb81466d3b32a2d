//! The command `drover`.

fn main() {}
