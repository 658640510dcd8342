//! Roles: what a key was given, and what a route needs.
//!
//! A granted role is a pattern of segments joined by `:`. `*` stands for exactly one segment, `**` for one or more, and
//! the whole role has to match: `core:*` covers `core:files`, not `core:requests:incoming`.

use std::sync::Arc;

/// The roles a key was given. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(Arc<[Vec<String>]>);

/// The role that a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need(pub(crate) &'static str);

impl Roles {
    pub(crate) fn new(patterns: &[String]) -> Self {
        let split = |pattern: &String| pattern.split(':').map(str::to_owned).collect();
        Self(patterns.iter().map(split).collect())
    }

    /// Whether one of the patterns covers the needed role.
    pub(crate) fn satisfy(&self, need: Need) -> bool {
        let role: Vec<&str> = need.0.split(':').collect();
        self.0.iter().any(|pattern| covers(pattern, &role))
    }
}

fn covers(pattern: &[String], role: &[&str]) -> bool {
    match pattern.split_first() {
        None => role.is_empty(),
        Some((first, rest)) if first == "**" => (1..=role.len()).any(|taken| covers(rest, &role[taken..])),
        Some((first, rest)) => role
            .split_first()
            .is_some_and(|(segment, others)| (first == "*" || first == segment) && covers(rest, others)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn satisfied(pattern: &str, role: &'static str) -> bool {
        Roles::new(&[pattern.to_owned()]).satisfy(Need(role))
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_one_or_more() {
        for (pattern, role, expected) in [
            ("core:files", "core:files", true),
            ("core:*", "core:files", true),
            ("core:*", "core:requests:incoming", false),
            ("core:**", "core:requests:incoming", true),
            ("core:**", "core:files", true),
            ("core:**", "core", false),
            ("**", "monitoring:version", true),
            ("*", "core:files", false),
            ("admin", "core:files", false),
            ("*:version", "monitoring:version", true),
            ("**:version", "monitoring:version", true),
            ("core:file", "core:files", false),
            ("core", "core:files", false),
            ("", "core:files", false),
            ("CORE:files", "core:files", false),
        ] {
            assert_eq!(satisfied(pattern, role), expected, "{pattern} for {role}");
        }
    }

    #[test]
    fn any_pattern_is_enough_and_none_is_not() {
        let roles = Roles::new(&["core:tokens".to_owned(), "core:files".to_owned()]);
        assert!(roles.satisfy(Need("core:files")));
        assert!(!roles.satisfy(Need("core:account")));
        assert!(!Roles::new(&[]).satisfy(Need("core:files")));
    }
}
