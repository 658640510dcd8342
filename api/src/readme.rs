//! The README's tables of the interface, compared with the interface.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::connector::REQUEST_HEADERS;
use crate::{faces, openapi_json};

const README: &str = include_str!("../../README.md");

/// The rows below a heading of columns.
fn table(heading: &str) -> Vec<&'static str> {
    let rows = README.lines().skip_while(|line| *line != heading).skip(2);
    rows.take_while(|line| line.starts_with('|')).collect()
}

fn check(heading: &str, expected: &[String]) {
    assert_eq!(table(heading), expected, "replace the table by:\n{}", expected.join("\n"));
}

/// Paths below a prefix, with methods and the query members of `GET`. `HEAD`, which is wherever `GET` is, is left out.
fn routes(dialect: &str) -> Vec<(String, Vec<String>, Vec<String>)> {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let below = paths.filter_map(|(path, methods)| Some((path.strip_prefix(dialect)?.to_owned(), methods)));
    below
        .map(|(path, methods)| {
            let names = methods.as_object().unwrap().keys().filter(|name| *name != "head");
            let names = names.map(|name| name.to_uppercase()).collect();
            let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|parameter| parameter["in"] == "query");
            (path, names, query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect())
        })
        .collect()
}

fn code(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_readme_has_the_table_of_all_routes() {
    let (first, second) = (routes("/api/v2/"), routes("/api/core/v1/"));
    let known: BTreeSet<_> = second.iter().map(|(path, ..)| path).collect();
    assert!(first.iter().all(|(path, ..)| known.contains(path)), "the table has no row for what is in /api/v2 alone");
    let row = |(path, methods, _): &(String, Vec<String>, Vec<String>)| {
        let in_both = first.iter().find(|(other, ..)| other == path).map(|(_, methods, _)| methods.clone());
        let in_both = in_both.unwrap_or_default();
        let alone: Vec<_> = methods.iter().filter(|method| !in_both.contains(method)).cloned().collect();
        format!("| `{path}` | {} | {} |", in_both.join(", "), alone.join(", ")).replace("|  |", "| |")
    };
    check("| Route | Methods | In `/api/core/v1` only |", &second.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_readme_says_which_routes_the_own_face_has() {
    let own = [
        "Files/Direct",
        "Peers",
        "Codes",
        "Downloads/{id}",
        "Tokens",
        "Tokens/{id}/Revoke",
        "Tokens/{id}/Rotate",
        "Tokens/{id}/Terms",
        "TokenServices",
    ];
    let changed = ("Tokens/{id}", "PATCH");
    let (alone, mut in_own): (Vec<_>, Vec<_>) =
        routes("/api/enlace/v1/").into_iter().partition(|(path, ..)| own.contains(&path.as_str()));
    assert_eq!(alone.len(), own.len());
    let (_, methods, _) = in_own.iter_mut().find(|(path, ..)| path == changed.0).unwrap();
    methods.retain(|method| method != changed.1);
    assert!(README.contains(&format!("`{} {}`", changed.1, changed.0)));
    for (path, methods, _) in alone {
        let route = format!("`{} {path}`", methods.join(", "));
        assert!(README.contains(&route), "say that it has {route}");
    }
    let areas: BTreeSet<_> = in_own.iter().map(|(path, ..)| area(path)).collect();
    let named: Vec<_> = areas.iter().map(|area| format!("`{area}`")).collect();
    let [first, second, third] = named.as_slice() else { panic!("{named:?}") };
    let sentence = format!("It has the routes of `/api/core/v1` below {first}, {second} and {third}");
    assert!(README.contains(&sentence), "say: {sentence}");
    let in_dialect = routes("/api/core/v1/").into_iter().filter(|(path, ..)| areas.contains(&area(path)));
    assert_eq!(in_own, in_dialect.collect::<Vec<_>>());
}

fn area(path: &str) -> String {
    path.split('/').next().unwrap_or_default().to_owned()
}

#[test]
fn the_readme_has_the_table_of_all_query_members() {
    let mut expected = Vec::new();
    for (dialect, in_one) in [("/api/v2/", true), ("/api/core/v1/", false)] {
        let mut members: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (path, _, query) in routes(dialect).into_iter().filter(|(.., query)| !query.is_empty()) {
            match members.iter_mut().find(|(_, known)| *known == query) {
                Some((paths, _)) => paths.push(path),
                None => members.push((vec![path], query)),
            }
        }
        let rows = members.iter().map(|(paths, query)| format!("| {} | {} |", code(paths), code(query)));
        for row in rows.filter(|row| in_one || !expected.contains(row)).collect::<Vec<_>>() {
            expected.push(row);
        }
    }
    check("| `GET` of | Query members |", &expected);
}

#[test]
fn the_readme_has_the_table_of_all_request_headers() {
    let rows = table("| Request header | Meaning |");
    let names: Vec<_> = rows.iter().map(|row| row.split('`').nth(1).unwrap_or_default()).collect();
    assert_eq!(names.join(", "), REQUEST_HEADERS.to_str().unwrap());
}

#[test]
fn the_readme_names_paths_of_the_interface_only() {
    let prefixes: Vec<_> = faces::all().iter().map(crate::face::Face::path_prefix).collect();
    for path in README.split(['`', ' ', '/', '\n']).collect::<Vec<_>>().windows(3).filter(|words| words[0] == "api") {
        let path = format!("/{}/{}", path[0], path[1]);
        assert!(prefixes.iter().any(|prefix| prefix.starts_with(&path)), "{path}");
    }
    assert!(prefixes.iter().all(|prefix| README.contains(&format!("`{prefix}`"))));
}
