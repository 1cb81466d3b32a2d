//! Who runs where, and how many.
