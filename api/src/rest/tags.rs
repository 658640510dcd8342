//! What the dialect that checks tags says of those that are invalid.

use runtime::tag;

use crate::code::FaceCode;
use crate::problem::Problem;

/// Checks tags.
///
/// # Errors
/// 400 naming every invalid tag.
pub(crate) fn check(tags: &[String]) -> Result<(), Problem> {
    let invalid: Vec<String> = tags.iter().filter(|tag| !tag::is_valid(tag)).map(|tag| format!("'{tag}'")).collect();
    if invalid.is_empty() {
        return Ok(());
    }
    let message = format!("Detected invalidity of the following tags: {}.", invalid.join(", "));
    Err(Problem::new(FaceCode::InvalidTags, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invalid_tag_is_named() {
        let tags = ["x:", "language:xx", "plain"].map(str::to_owned);
        let body = serde_json::to_value(check(&tags).unwrap_err().body(runtime::Timestamp::NEVER)).unwrap();
        assert_eq!(body["error"]["message"], "Detected invalidity of the following tags: 'language:xx', 'plain'.");
    }
}
