//! Parsing and writing both text forms of references.

use url::form_urlencoded::byte_serialize;

use super::base_url::{DIRECT, Split};
use super::{
    BaseUrl, KEY_ALGORITHM, MAX_REFERENCE_LENGTH, Referable, Reference, ReferenceError, ReferenceKey, base_url,
};
use crate::wire::bytes::{from_base64, from_base64url, to_base64, to_base64url};
use crate::wire::password::{PasswordLocationIndicator, PasswordProtectionError, SharedPasswordProtection};

/// Prefixes of truncated references in QR codes of major version 6.
const QR_CODE_PREFIXES: [&str; 2] = ["nmshd://tr#", "nmshd://qr#"];

/// A reference whose id has not been checked yet.
pub(super) struct Parts {
    pub(super) id: String,
    backbone_base_url: Option<String>,
    key: ReferenceKey,
    for_identity_truncated: Option<String>,
    password_protection: Option<SharedPasswordProtection>,
    password: Option<String>,
    direct: Option<String>,
}

impl Parts {
    pub(super) fn read(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_REFERENCE_LENGTH {
            return Err(ReferenceError::TooLong);
        }
        if text.starts_with("http") {
            return Self::from_url(text);
        }
        let truncated = QR_CODE_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        Self::from_truncated(&decode(truncated)?)
    }

    fn from_url(text: &str) -> Result<Self, ReferenceError> {
        let Split { base_url, id, direct, fragment } = base_url::split(text)?;
        let inner = decode(&fragment)?;
        let [algorithm, key, for_identity, password]: [&str; 4] = components(&inner)?;
        Ok(Self { direct, ..Self::assemble(id, Some(base_url), algorithm, key, for_identity, password)? })
    }

    fn from_truncated(inner: &str) -> Result<Self, ReferenceError> {
        let [place, algorithm, key, for_identity, password] = match components::<3>(inner) {
            Ok([place, algorithm, key]) => [place, algorithm, key, "", ""],
            Err(_) => components(inner)?,
        };
        let (id, base_url) = match place.split_once('@') {
            Some((id, base_url)) => (id, Some(base_url::check(base_url)?)),
            None => (place, None),
        };
        Self::assemble(id.to_owned(), base_url, algorithm, key, for_identity, password)
    }

    fn assemble(
        id: String,
        backbone_base_url: Option<String>,
        algorithm: &str,
        key: &str,
        for_identity: &str,
        password: &str,
    ) -> Result<Self, ReferenceError> {
        if algorithm != KEY_ALGORITHM.to_string() {
            return Err(ReferenceError::Algorithm);
        }
        let key = ReferenceKey::from_base64url(key).ok_or(ReferenceError::Key)?;
        let (password_protection, password) = read_password(password)?;
        let for_identity_truncated = read_for_identity(for_identity)?;
        let direct = None;
        Ok(Self { id, backbone_base_url, key, for_identity_truncated, password_protection, password, direct })
    }

    pub(super) fn into_reference<I: Referable>(self) -> Result<Reference<I>, ReferenceError> {
        Ok(Reference {
            id: self.id.parse().map_err(|_| ReferenceError::Kind { expected: I::PREFIX })?,
            backbone_base_url: self.backbone_base_url,
            key: self.key,
            for_identity_truncated: self.for_identity_truncated,
            password_protection: self.password_protection,
            password: self.password,
            direct: self.direct,
        })
    }
}

pub(super) fn truncated<I: Referable>(reference: &Reference<I>) -> String {
    let place = match &reference.backbone_base_url {
        Some(base_url) => format!("{}@{base_url}", reference.id),
        None => reference.id.to_string(),
    };
    to_base64url(format!("{place}|{}", secret_parts(reference)).as_bytes())
}

pub(super) fn url<I: Referable>(reference: &Reference<I>, app: Option<&str>) -> Option<String> {
    let base_url = reference.backbone_base_url.as_deref()?;
    let app = app.map(|app| format!("app={}", byte_serialize(app.as_bytes()).collect::<String>()));
    let direct = reference.direct.as_ref().map(|direct| format!("{DIRECT}={direct}"));
    let query: Vec<String> = app.into_iter().chain(direct).collect();
    let question = if query.is_empty() { "" } else { "?" };
    let fragment = to_base64url(secret_parts(reference).as_bytes());
    Some(format!("{base_url}/r/{}{question}{}#{fragment}", reference.id, query.join("&")))
}

pub(super) fn forms<I: Referable>(reference: &Reference<I>, place: &BaseUrl) -> (String, String) {
    let (id, base_url, parts) = (&reference.id, place.as_str(), secret_parts(reference));
    let truncated = to_base64url([id.as_ref(), "@", base_url, "|", &parts].concat().as_bytes());
    let url = [base_url, "/r/", id.as_ref(), "#", &to_base64url(parts.as_bytes())].concat();
    (truncated, url)
}

fn secret_parts<I: Referable>(reference: &Reference<I>) -> String {
    let for_identity = reference.for_identity_truncated.as_deref().unwrap_or_default();
    format!("{KEY_ALGORITHM}|{}|{for_identity}|{}", reference.key.to_base64url(), write_password(reference))
}

fn write_password<I: Referable>(reference: &Reference<I>) -> String {
    let Some(protection) = &reference.password_protection else { return String::new() };
    let mut text = format!("{}&{}", protection.password_type, to_base64(&protection.salt));
    if let Some(location) = protection.location {
        text += &format!("&{}", location.value());
    } else if reference.password.is_some() {
        text.push('&');
    }
    if let Some(password) = &reference.password {
        text += &format!("&{password}");
    }
    text
}

fn read_password(text: &str) -> Result<(Option<SharedPasswordProtection>, Option<String>), PasswordProtectionError> {
    if text.is_empty() {
        return Ok((None, None));
    }
    let mut parts = text.splitn(4, '&');
    let (Some(password_type), Some(salt)) = (parts.next(), parts.next()) else {
        return Err(PasswordProtectionError::Parts);
    };
    let location = parts.next().filter(|text| !text.is_empty()).map(read_location).transpose()?;
    let password = match parts.next() {
        None => None,
        Some(password) if !password.is_empty() && !password.contains('&') => Some(password.to_owned()),
        Some(_) => return Err(PasswordProtectionError::Parts),
    };
    let salt = from_base64(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or(PasswordProtectionError::Salt)?;
    Ok((Some(SharedPasswordProtection { location, password_type: password_type.parse()?, salt }), password))
}

fn read_location(text: &str) -> Result<PasswordLocationIndicator, PasswordProtectionError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten().ok_or(PasswordProtectionError::Location)?;
    PasswordLocationIndicator::new(value)
}

fn read_for_identity(text: &str) -> Result<Option<String>, ReferenceError> {
    match text.as_bytes() {
        [] => Ok(None),
        [_, _, _, _] if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) => Ok(Some(text.to_owned())),
        _ => Err(ReferenceError::ForIdentity),
    }
}

fn decode(text: &str) -> Result<String, ReferenceError> {
    from_base64url(text)
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(ReferenceError::Encoding)
}

fn components<const N: usize>(text: &str) -> Result<[&str; N], ReferenceError> {
    text.split('|').collect::<Vec<_>>().try_into().map_err(|_| ReferenceError::Parts)
}
