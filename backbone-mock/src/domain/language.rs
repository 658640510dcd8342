//! Two-letter language codes of ISO 639-1.

use super::{Refusal, Rule};

/// What devices speak that do not say it.
pub(crate) const DEFAULT: &str = "en";

const CODES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv \
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it \
    iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb \
    nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss \
    st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Reads a language code; absent means [`DEFAULT`].
pub(crate) fn parse(text: Option<String>) -> Result<String, Refusal> {
    let text = text.unwrap_or_else(|| DEFAULT.to_owned());
    if CODES.split_ascii_whitespace().any(|code| code == text) { Ok(text) } else { Err(Rule::InvalidLanguage.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_183_codes() {
        assert_eq!(CODES.split_ascii_whitespace().count(), 183);
        assert!(parse(Some("de".to_owned())).is_ok());
        assert_eq!(parse(None).unwrap(), "en");
        for text in ["", "DE", "xx", "deu"] {
            assert!(parse(Some(text.to_owned())).is_err(), "{text:?}");
        }
    }
}
