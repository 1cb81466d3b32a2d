//! What a path asks for.

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// A path of a function: its name, and the path as the instance sees it.
    Function(&'a str, &'a str),
    /// The control API: the parts of the path below `/api`.
    Api(&'a str),
    /// Whether the gateway lives.
    Health,
    /// What can be found here.
    Index,
    /// Nothing.
    Unknown,
}

impl<'a> Route<'a> {
    /// Returns what `path` asks for.
    pub(crate) fn of(path: &'a str) -> Self {
        if let Some(below) = path.strip_prefix("/functions/") {
            let end = below.find('/').unwrap_or(below.len());
            let (name, rest) = below.split_at(end);
            return Self::Function(name, if rest.is_empty() { "/" } else { rest });
        }
        if let Some(below) = path.strip_prefix("/api/") {
            return Self::Api(below);
        }
        match path {
            "/" => Self::Index,
            "/health" | "/health/live" | "/health/ready" => Self::Health,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_they_ask_for() {
        for (path, route) in [
            ("/", Route::Index),
            ("/health", Route::Health),
            ("/functions/penguins/predict", Route::Function("penguins", "/predict")),
            ("/functions/penguins/v2/models/penguins", Route::Function("penguins", "/v2/models/penguins")),
            ("/functions/penguins/", Route::Function("penguins", "/")),
            ("/functions/penguins", Route::Function("penguins", "/")),
            ("/functions/", Route::Function("", "/")),
            ("/functions", Route::Unknown),
            ("/api/functions", Route::Api("functions")),
            ("/predict", Route::Unknown),
            ("*", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
