//! The checked-in OpenAPI document is the one that the program serves.

#[test]
fn the_checked_in_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let current = api::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &current).expect("openapi.json can be written");
    }
    let checked_in = std::fs::read_to_string(path).expect("openapi.json is there");
    assert!(
        checked_in == current,
        "run `UPDATE_OPENAPI=1 cargo test -p enlace-api --test openapi` and look at the diff"
    );
}
