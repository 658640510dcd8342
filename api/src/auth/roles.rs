//! Roles: what a key was given, and what a route needs.
//!
//! A granted role is a pattern of segments joined by `:`. `*` stands for exactly one segment, `**` for one or more, and
//! the whole role has to match: `core:*` covers `core:files`, not `core:requests:incoming`.

/// Most patterns one key may have; more are ignored, which only ever takes rights away.
const MAX_PATTERNS: usize = 64;

/// The roles a key was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Vec<String>>);

/// What a route needs: any one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need(pub(crate) &'static [&'static str]);

impl Roles {
    pub(crate) fn new(patterns: &[String]) -> Self {
        let split = |pattern: &String| pattern.split(':').map(str::to_owned).collect();
        Self(patterns.iter().take(MAX_PATTERNS).map(split).collect())
    }

    /// Whether one of the patterns covers one of the needed roles.
    pub(crate) fn satisfy(&self, need: Need) -> bool {
        need.0.iter().any(|role| {
            let role: Vec<&str> = role.split(':').collect();
            self.0.iter().any(|pattern| covers(pattern, &role))
        })
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
        Roles::new(&[pattern.to_owned()]).satisfy(Need(Box::leak(Box::new([role]))))
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
    fn any_needed_role_is_enough() {
        let roles = Roles::new(&["admin".to_owned()]);
        assert!(roles.satisfy(Need(&["admin", "core:files"])));
        assert!(!roles.satisfy(Need(&["core:files"])));
        assert!(!Roles::new(&[]).satisfy(Need(&["core:files"])));
    }
}
