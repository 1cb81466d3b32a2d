//! All that the author of a function imports.
