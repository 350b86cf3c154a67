//! The name that somebody may have meant.

/// Names that differ in more than a third of their letters are no slip of the finger.
const SHARE: usize = 3;

/// Returns the name of `among` that is nearest to `name`, if one is near enough to have been meant: by
/// Damerau and Levenshtein's distance, upper and lower case alike. The first of equals.
pub fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let most = (lower.chars().count() / SHARE).max(1);
    among
        .into_iter()
        .map(|other| {
            let distance = strsim::damerau_levenshtein(&lower, &other.to_lowercase());
            (distance, other)
        })
        .filter(|(distance, other)| *distance <= most && *other != name)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        for (name, expected) in [
            ("emloyed", Some("employed")),
            ("empolyed", Some("employed")),
            ("AGE", Some("age")),
            ("aeg", Some("age")),
            ("year", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, ["employed", "age"]), expected, "{name}");
        }
    }
}
