//! Reads vector files.

use serde_json::Value;

/// A file of `tests/vectors/`, without its extension.
pub(crate) fn load(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Shorthand for the members of a vector.
pub(crate) trait Vector {
    fn list(&self, name: &str) -> &[Value];
    fn text(&self, name: &str) -> &str;
    fn optional_text(&self, name: &str) -> Option<&str>;
    fn hex(&self, name: &str) -> Vec<u8>;
    fn hex_array<const N: usize>(&self, name: &str) -> [u8; N];
    fn number(&self, name: &str) -> u64;
    fn flag(&self, name: &str) -> bool;
}

impl Vector for Value {
    fn list(&self, name: &str) -> &[Value] {
        let list = self[name].as_array().unwrap_or_else(|| panic!("{name} is a list"));
        assert!(!list.is_empty(), "{name} is not empty");
        list
    }

    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_else(|| panic!("{name} is a text"))
    }

    fn optional_text(&self, name: &str) -> Option<&str> {
        self[name].as_str()
    }

    fn hex(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    fn hex_array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.hex(name).try_into().unwrap_or_else(|_| panic!("{name} has {N} bytes"))
    }

    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_else(|| panic!("{name} is a number"))
    }

    fn flag(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_else(|| panic!("{name} is a flag"))
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}
