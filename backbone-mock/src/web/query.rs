//! Query strings: names in any case, lists by repetition or by index.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use listener::query;
use transport::wire::bytes::from_any_base64;
use transport::wire::{ByteText, Id};

use super::AppState;
use super::problem::Problem;
use crate::domain::page::PageRequest;
use crate::domain::parse_id;

/// The arguments of a request.
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequestParts<AppState> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    fn parse(text: &str) -> Result<Self, Problem> {
        let decoded = |(name, value)| Ok((decode(name)?.to_ascii_lowercase(), decode(value)?));
        query::pairs(text).map(decoded).collect::<Result<_, Problem>>().map(Self)
    }

    /// The first value with this name. An empty value counts as absent.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Problem> {
        let parse = |text: &str| text.parse().map_err(|_| Problem::unreadable(format!("'{name}': not a number")));
        self.value(name).map(parse).transpose()
    }

    /// Bytes in either base64 alphabet.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<ByteText>, Problem> {
        let parse = |text| {
            from_any_base64(text).map(ByteText).map_err(|error| Problem::unreadable(format!("'{name}': {error}")))
        };
        self.value(name).map(parse).transpose()
    }

    /// Identifiers: `ids=A&ids=B`.
    pub(crate) fn ids<I: Id>(&self) -> Result<Option<Vec<I>>, Problem> {
        let ids: Vec<I> = self.values("ids").map(|text| parse_id("ids", text)).collect::<Result<_, _>>()?;
        Ok(Some(ids).filter(|ids| !ids.is_empty()))
    }

    /// Identifiers in the form of older clients: `tokens.0.id=A&tokens.1.id=B`. The first gap ends the list.
    pub(crate) fn indexed_ids<I: Id>(&self, list: &str) -> Result<Vec<I>, Problem> {
        // A map, because searching all arguments for each id takes quadratic time.
        let texts: HashMap<&str, &str> = self.given().collect();
        let mut ids = Vec::new();
        while let Some(text) = texts.get(format!("{list}.{}.id", ids.len()).as_str()) {
            ids.push(parse_id("ids", text)?);
        }
        Ok(ids)
    }

    /// The requested page of a list.
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        Ok(PageRequest::new(self.number("pageNumber")?, self.number("pageSize")?)?)
    }

    fn values<'q>(&'q self, name: &str) -> impl Iterator<Item = &'q str> {
        let name = name.to_ascii_lowercase();
        self.given().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Names and values, without the empty ones.
    fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    query::decode(text).map_err(|_| Problem::unreadable("query: not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use transport::wire::TokenId;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    #[test]
    fn names_are_read_in_any_case_and_empty_values_as_absent() {
        assert_eq!(query("PAGENUMBER=2").number("pageNumber").unwrap(), Some(2));
        assert_eq!(query("password=").bytes("password").unwrap(), None);
        assert!(query("pageNumber=two").number("pageNumber").is_err());
    }

    #[test]
    fn both_base64_alphabets_are_read_and_decoded_once() {
        for text in ["password=%2F%2B8%3D", "password=_-8", "password=_-8%3D"] {
            assert_eq!(query(text).bytes("password").unwrap(), Some(ByteText(vec![0xff, 0xef])), "{text}");
        }
        assert!(query("password=/+8=").bytes("password").is_err());
    }

    #[test]
    fn the_first_gap_ends_an_indexed_list() {
        let text = "tokens.0.id=TOKaaaaaaaaaaaaaaaa1&Tokens.1.Id=TOKaaaaaaaaaaaaaaaa2&tokens.3.id=TOKaaaaaaaaaaaaaaaa3";
        let ids: Vec<TokenId> = query(text).indexed_ids("tokens").unwrap();
        assert_eq!(ids.len(), 2);
    }
}
