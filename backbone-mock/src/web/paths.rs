//! Paths: literal segments are matched in any case, identifiers are not.

use http::Uri;
use http::uri::PathAndQuery;

/// The literal segments of all routes in the case the router knows. None of them has the form of an identifier.
const LITERALS: &[&str] = &[
    "api",
    "v1",
    "v2",
    "connect",
    "token",
    "health",
    "sse",
    "Version",
    "Challenges",
    "Identities",
    "IsDeleted",
    "Devices",
    "Self",
    "Password",
    "PushNotifications",
    "Tokens",
    "UpdateContent",
    "Files",
    "Metadata",
    "RegenerateOwnershipToken",
    "ClaimOwnership",
    "ValidateOwnershipToken",
    "Datawallet",
    "Modifications",
    "SyncRuns",
    "ExternalEvents",
    "FinalizeExternalEventSync",
    "FinalizeDatawalletVersionUpgrade",
    "Tags",
    "r",
];

/// The address with its literal segments in the router's case.
pub(crate) fn canonical(uri: &Uri) -> Uri {
    let segments: Vec<&str> = uri.path().split('/').map(canonical_segment).collect();
    let mut path = segments.join("/");
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    path.parse::<PathAndQuery>().map_or_else(|_| uri.clone(), Uri::from)
}

fn canonical_segment(segment: &str) -> &str {
    LITERALS.iter().find(|literal| literal.eq_ignore_ascii_case(segment)).copied().unwrap_or(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_change_their_case() {
        let uri: Uri = "/API/v2/fILES/FILmetadataMETADATAx/metadata?Ids=aB".parse().unwrap();
        assert_eq!(canonical(&uri), "/api/v2/Files/FILmetadataMETADATAx/Metadata?Ids=aB");
    }
}
