//! Pages for people who open the URL of a token whose uses are counted. Looking at one uses nothing: only its button does, and
//! programs that look at links for previews press none.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::storage::ContentUse;

use super::preview;
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::{parse_query, segments};
use crate::reply::Reply;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("private, no-store");
/// The form goes to this node, and nothing else does anything.
const POLICY: &str =
    "default-src 'none';style-src 'unsafe-inline';base-uri 'none';form-action 'self';frame-ancestors 'none'";

/// Whether a person opened the URL in a browser.
pub(super) fn is_wanted(call: &Call<()>) -> bool {
    accepts_pages(&call.headers)
}

/// Whether a person is to be told of a failure: one who opened the URL of a token in a browser, or pressed the button of its page, and is
/// refused because of the token, or for asking too often.
pub(super) fn is_told(problem: &Problem, parts: &Parts) -> bool {
    let statuses = [StatusCode::UNAUTHORIZED, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    statuses.contains(&problem.status()) && accepts_pages(&parts.headers) && is_of_token(parts)
}

/// Whether a request is that of a URL of a token, or of the button of its page.
fn is_of_token(parts: &Parts) -> bool {
    let segments = segments(parts.uri.path());
    match segments.as_slice() {
        [_, tokens, claims] => {
            let is_claim = tokens.eq_ignore_ascii_case("tokens") && claims.eq_ignore_ascii_case("claims");
            is_claim && is_form(&parts.headers)
        }
        [_, storage, _, _, _, _, used_as] => {
            let all = [ContentUse::View, ContentUse::Preview, ContentUse::Download];
            let is_content = all.iter().any(|known| used_as.eq_ignore_ascii_case(known.as_str()));
            let query = parse_query(parts.uri.query().unwrap_or_default()).unwrap_or_default();
            storage.eq_ignore_ascii_case("storage") && is_content && query.iter().any(|(name, _)| name == "token")
        }
        _ => false,
    }
}

/// Whether a body is that of the button. Programs that claim uses send JSON, whatever else they accept.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn accepts_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut types = accepted.split(',').filter_map(|range| range.split(';').next());
    types.any(|media| media.trim().eq_ignore_ascii_case("text/html"))
}

/// A page with a button that uses the token, and then leads to the content.
pub(super) fn offer(call: &Call<()>, secret: &str, used_as: ContentUse) -> Reply {
    let button = match used_as {
        ContentUse::Download => "Download",
        ContentUse::View | ContentUse::Preview => "Open",
    };
    let parameters = match used_as {
        ContentUse::Preview => preview::given(call),
        ContentUse::View | ContentUse::Download => Vec::new(),
    };
    let hidden =
        |(name, value): (&str, &str)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value));
    let fields: String =
        [("token", secret), ("then", used_as.as_str())].into_iter().chain(parameters).map(hidden).collect();
    // A guest's browser names the project in the URL.
    let project = call.query_value("project").map_or(String::new(), |project| format!("?project={}", encoded(project)));
    let body = format!(
        "<p>This link can be used a limited number of times. The button uses it once.</p>\n\
         <form method=\"post\" action=\"/v1/tokens/claims{}\">\n\
         {fields}<button>{button}</button>\n</form>",
        escaped(&project),
    );
    page(StatusCode::OK, "A file for you", &body)
}

/// Why the URL, or the button, does not lead to the content.
pub(super) fn refused(problem: &Problem) -> Reply {
    let text = format!("<p>{}</p>", escaped(problem.message()));
    let mut page = page(problem.status(), "The file cannot be loaded", &text);
    page.headers.extend(problem.headers());
    page
}

/// A text as a part of a query.
pub(super) fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// With `no-referrer`, browsers would send forms as if they came from elsewhere, and these are refused.
fn page(status: StatusCode, title: &str, body: &str) -> Reply {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <meta name=\"referrer\" content=\"strict-origin\">\n<title>{title}</title>\n\
         <style>:root{{color-scheme:light dark}}body{{font:1rem system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}button{{font:inherit;padding:.5rem 1.5rem}}</style>\n\
         <h1>{title}</h1>\n{body}\n</html>\n"
    );
    let reply = Reply::bytes(status, HTML, text.into()).with(header::CACHE_CONTROL, NOT_KEPT);
    Reply { content_policy: Some(POLICY), ..reply }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_send_does_not_become_markup() {
        assert_eq!(escaped("a\"><b>'&"), "a&quot;&gt;&lt;b&gt;&#39;&amp;");
        assert_eq!(encoded("a\"&=b").to_string(), "a%22%26%3Db");
    }
}
