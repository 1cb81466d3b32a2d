//! Which known name somebody may have meant.

/// Returns the known names that are near `name`, the nearest first, at most three.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let mut all: Vec<_> = known.into_iter().map(|known| (distance(known), known)).collect();
    all.retain(|(distance, known)| *distance <= 2.max(known.len() / 3));
    all.sort_unstable();
    all.dedup();
    // Beside one that is meant almost surely, others only confuse.
    let nearest = all.first().map_or(0, |(distance, _)| *distance);
    all.retain(|(distance, _)| *distance <= nearest + 1);
    all.into_iter().take(3).map(|(_, known)| known).collect()
}

/// Returns what follows an unknown name in a message: the near names, or else all of them.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match near(name, known.iter().copied()) {
        near if !near.is_empty() => format!("; near: {}", list(&near)),
        _ if known.is_empty() => String::new(),
        _ => format!("; known: {}", list(&known)),
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn near_names_come_first_and_all_names_if_none_is_near() {
        let known = ["weight", "name", "path"];
        assert_eq!(hint("wieght", known), "; near: `weight`");
        assert_eq!(hint("Paths", known), "; near: `path`");
        assert_eq!(hint("colour", known), "; known: `weight`, `name`, `path`");
        assert_eq!(hint("colour", []), "");
    }
}
