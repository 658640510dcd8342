//! What holds for every configuration, however odd it is: nothing panics, and secrets stay out of messages.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::keys::{KEYS, ValueForm};
use super::{Configuration, Layer, tree};

/// Stands in every secret.
const SECRET: &str = "planted";

/// Any JSON value, and texts that keys take.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["http://a", "https://b.example/", "127.0.0.1:0", "[::1]:80", "10MB", "", " ", "env:X", "file:x"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((any::<String>(), inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Some keys, known ones and others, with any values.
fn values() -> impl Strategy<Value = Value> {
    let known = (0..KEYS.len(), value()).prop_map(|(key, value)| {
        let key = &KEYS[key];
        let text = Value::String(format!("{SECRET} {value}"));
        (key.path.to_owned(), if key.form == ValueForm::Secret { text } else { value })
    });
    let keys = prop_oneof![9 => known, 1 => ("[a-z.]{0,12}", value())];
    vec(keys, 0..6).prop_map(|keys| {
        let mut values = Value::Object(Map::new());
        for (key, value) in keys {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            tree::set(&mut values, &path, value);
        }
        values
    })
}

fn check(layers: &[Layer]) {
    match Configuration::merge(layers) {
        Ok(configuration) => {
            assert!(!configuration.masked().to_string().contains(SECRET));
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert!(errors.0.iter().all(|error| !error.to_string().contains(SECRET)), "{errors:?}");
        }
    }
}

proptest! {
    // Looking for the nearest known key takes long.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_file_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(layer) = Layer::parse("config.json".as_ref(), &bytes) {
            check(&[layer]);
        }
    }

    #[test]
    fn a_file_with_any_values_is_a_configuration_or_refused(values in values(), cut in any::<prop::sample::Index>()) {
        let text = values.to_string();
        let layer = Layer::parse("config.json".as_ref(), text.as_bytes()).unwrap();
        prop_assert_eq!(&layer.values, &values);
        check(&[layer]);
        let _ = Layer::parse("config.json".as_ref(), &text.as_bytes()[..cut.index(text.len())]);
    }

    #[test]
    fn layers_with_any_values_are_a_configuration_or_refused(stronger in values(), weaker in values()) {
        let layer = |values: &Value| Layer::parse("config.json".as_ref(), values.to_string().as_bytes()).unwrap();
        check(&[layer(&stronger), layer(&weaker)]);
    }

    #[test]
    fn any_settings_and_variables_are_a_configuration_or_refused(
        settings in vec(("[a-zA-Z:]{0,12}", any::<String>()), 0..4),
        variables in vec(("(enlace|modules|logging)__[a-zA-Z_:]{0,12}", any::<String>()), 0..4),
    ) {
        check(&[Layer::from_command_line(&settings), Layer::from_environment(variables.into_iter())]);
    }
}
