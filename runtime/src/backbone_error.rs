//! How errors of backbone calls appear in this crate.

use transport::backbone;

use crate::Error;

impl From<backbone::Error> for Error {
    fn from(error: backbone::Error) -> Self {
        match (error.own_code(), error.status()) {
            _ if error.is_record_not_found() => Self::RecordNotFoundAtBackbone(message(error)),
            (Some(code), Some(status)) if code.starts_with("error.platform.") => Self::Backbone {
                status,
                code: code.to_owned(),
                message: error.to_string(),
                request: request(&error),
                trace_id: None,
            },
            (Some(code), _) => Self::Network { code, message: error.to_string() },
            (None, _) => from_api(error),
        }
    }
}

fn from_api(error: backbone::Error) -> Error {
    match error {
        backbone::Error::Api { status, code, message, request, trace_id } => {
            Error::Backbone { status, code, message, request, trace_id }
        }
        other => Error::Unknown(other.to_string()),
    }
}

fn message(error: backbone::Error) -> String {
    match error {
        backbone::Error::Api { message, .. } => message,
        other => other.to_string(),
    }
}

fn request(error: &backbone::Error) -> String {
    match error {
        backbone::Error::Unauthorized { request }
        | backbone::Error::Forbidden { request }
        | backbone::Error::UnexpectedStatus { request, .. } => request.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: &str) -> backbone::Error {
        let (code, message, request) = (code.to_owned(), "File not found.".to_owned(), "GET /Files".to_owned());
        backbone::Error::Api { status, code, message, request, trace_id: None }
    }

    #[test]
    fn an_unknown_record_keeps_the_backbones_text() {
        let error = Error::from(api(404, "error.platform.recordNotFound"));
        assert_eq!((error.code(), error.to_string().as_str()), ("error.runtime.recordNotFound", "File not found."));
    }

    #[test]
    fn codes_of_the_backbone_pass_through() {
        let error = Error::from(api(400, "error.platform.token.tooManyFailedPasswordAttempts"));
        assert_eq!(error.code(), "error.platform.token.tooManyFailedPasswordAttempts");
        let error = Error::from(backbone::Error::Forbidden { request: "DELETE /Files".to_owned() });
        assert!(matches!(error, Error::Backbone { status: 403, .. }));
    }

    #[test]
    fn missing_answers_are_network_errors() {
        let error = Error::from(backbone::Error::ResultUndefined { request: String::new() });
        assert_eq!(error.code(), "error.transport.request.resultUndefined");
        assert!(matches!(error, Error::Network { .. }));
    }
}
