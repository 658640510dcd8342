//! The one list of tokens, with queries.

use runtime::facade::FindTokens;

use crate::connector::Call;
use crate::problem::Problem;
use crate::protocol::is_element;
use crate::reply::Reply;

const QUERIES: &str = "queries";
const FILE: &str = "file";
const TOTAL: &str = "total";

/// What the list can be asked with.
pub(crate) const PARAMETERS: [&str; 3] = ["queries[]", FILE, TOTAL];

/// `GET Tokens`
pub(crate) async fn find(call: Call) -> Result<Reply, Problem> {
    let request = request(&call.query)?;
    Ok(Reply::ok(&call.runtime().tokens().find(request).await?))
}

/// Reads the parameters. The filters of the other lists of tokens are refused: what is left out would match too much.
fn request(parameters: &[(String, String)]) -> Result<FindTokens, Problem> {
    let mut request = FindTokens::default();
    for (name, value) in parameters {
        match name.as_str() {
            FILE => request.file = Some(value.clone()),
            TOTAL => request.is_counted = flag(TOTAL, value)?,
            name if is_element(name, QUERIES) => request.queries.push(value.clone()),
            _ => {
                let message = "query must NOT have other parameters than queries[], file and total; filter with queries[], or use Tokens/Own and Tokens/Peer";
                return Err(Problem::invalid_property(message));
            }
        }
    }
    Ok(request)
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::invalid_property(format!("query/{name} must be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[(&str, &str)]) -> Result<FindTokens, Problem> {
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        request(&pairs)
    }

    #[test]
    fn queries_come_in_their_order_and_in_three_spellings() {
        let given =
            [("queries[]", "a"), ("total", "false"), ("queries[7]", "b"), ("file", "docs:plan"), ("queries", "c")];
        let queries = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(
            read(&given).unwrap(),
            FindTokens { queries, file: Some("docs:plan".to_owned()), is_counted: false }
        );
        assert_eq!(read(&[]).unwrap(), FindTokens::default());
    }

    #[test]
    fn other_parameters_are_refused() {
        for (name, value) in
            [("isOwn", "true"), ("queries[a]", "a"), ("Total", "true"), ("total", "1"), ("tokens", "true"), ("", "")]
        {
            assert_eq!(read(&[("queries[]", "a"), (name, value)]).unwrap_err().status().as_u16(), 400, "{name}");
        }
    }
}
