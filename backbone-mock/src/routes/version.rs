//! `GET /Version`.

use transport::wire::backbone::envelope::Version;

use crate::web::answer::Answer;

/// For clients of major version 6, which accept nothing else.
pub(super) async fn six() -> Answer<Version> {
    version("6")
}

/// For everybody else.
pub(super) async fn seven() -> Answer<Version> {
    version("7")
}

fn version(major: &str) -> Answer<Version> {
    Answer::ok(Version { major_version: major.to_owned() })
}
