//! Paths: fixed segments are matched in any case, identifiers are not.

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::MethodRouter;
use http::Uri;
use http::uri::PathAndQuery;

use super::AppState;

/// Routes, and the fixed segments of their paths.
pub(crate) struct Routes {
    router: Router<AppState>,
    words: Words,
    /// Of all routes.
    #[cfg(test)]
    paths: Vec<String>,
}

/// Fixed segments in the case that the router knows. None of them has the form of an identifier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(BTreeMap<String, &'static str>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            words: Words::default(),
            #[cfg(test)]
            paths: Vec::new(),
        }
    }

    /// With one more route; `path` as axum has it, `/Tokens/{id}`.
    pub(crate) fn route(mut self, path: &'static str, methods: MethodRouter<AppState>) -> Self {
        self.words.add(path);
        #[cfg(test)]
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, methods), ..self }
    }

    /// With other routes below a path.
    pub(crate) fn nest(mut self, path: &'static str, inner: Self) -> Self {
        self.words.add(path);
        self.words.0.extend(inner.words.0);
        #[cfg(test)]
        self.paths.extend(inner.paths.iter().map(|below| format!("{path}{below}")));
        Self { router: self.router.nest(path, inner.router), ..self }
    }

    #[cfg(test)]
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Both, to be finished.
    pub(crate) fn into_parts(self) -> (Router<AppState>, Words) {
        (self.router, self.words)
    }
}

impl Words {
    fn add(&mut self, path: &'static str) {
        let fixed = path.split('/').filter(|segment| !segment.is_empty() && !segment.starts_with('{'));
        self.0.extend(fixed.map(|segment| (segment.to_ascii_lowercase(), segment)));
    }

    /// The address with its fixed segments in the router's case.
    pub(crate) fn canonical(&self, uri: &Uri) -> Uri {
        let segments: Vec<&str> = uri.path().split('/').map(|segment| self.proper(segment)).collect();
        let mut path = segments.join("/");
        if let Some(query) = uri.query() {
            path.push('?');
            path.push_str(query);
        }
        path.parse::<PathAndQuery>().map_or_else(|_| uri.clone(), Uri::from)
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.values().copied()
    }

    fn proper<'s>(&self, segment: &'s str) -> &'s str {
        self.0.get(&segment.to_ascii_lowercase()).copied().unwrap_or(segment)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    fn words() -> Words {
        let below = Routes::new().route("/Files/{id}/Metadata", get(async || ()));
        Routes::new().nest("/api/v2", below).into_parts().1
    }

    #[test]
    fn only_fixed_segments_change_their_case() {
        let uri: Uri = "/API/V2/fILES/FILmetadataMETADATAx/metadata?Ids=aB".parse().unwrap();
        assert_eq!(words().canonical(&uri), "/api/v2/Files/FILmetadataMETADATAx/Metadata?Ids=aB");
        assert_eq!(words().canonical(&"/OTHER/%46iles".parse().unwrap()), "/OTHER/%46iles");
    }
}
