//! Configuration values as a tree of JSON objects: set, merge, walk.

use serde_json::{Map, Value};

/// Sets the value at a path, making objects on the way. A value that is in the way is replaced.
pub(crate) fn set(tree: &mut Value, path: &[String], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = tree;
    for level in parents {
        place = object(place).entry(level.clone()).or_insert(Value::Null);
    }
    object(place).insert(last.clone(), value);
}

/// Whether there is something at a path.
pub(crate) fn has(tree: &Value, path: &[String]) -> bool {
    path.iter().try_fold(tree, |place, level| place.get(level)).is_some()
}

/// Removes what is at a path, if there is something.
pub(crate) fn remove(tree: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let place = parents.iter().try_fold(tree, |place, level| place.get_mut(level));
    if let Some(Value::Object(members)) = place {
        members.remove(last);
    }
}

/// Lays `stronger` over `weaker`, object by object and key by key.
pub(crate) fn merge(weaker: &mut Value, stronger: &Value) {
    match (weaker, stronger) {
        (Value::Object(weaker), Value::Object(stronger)) => {
            for (name, value) in stronger {
                merge(weaker.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (weaker, stronger) => *weaker = stronger.clone(),
    }
}

/// Visits everything that is not an object, and every empty object, with its path.
pub(crate) fn leaves<'a>(tree: &'a Value, visit: &mut impl FnMut(&[String], &'a Value)) {
    walk(tree, &mut Vec::new(), visit);
}

fn walk<'a>(tree: &'a Value, path: &mut Vec<String>, visit: &mut impl FnMut(&[String], &'a Value)) {
    match tree {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                path.push(name.clone());
                walk(value, path, visit);
                path.pop();
            }
        }
        leaf => visit(path, leaf),
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object just above")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_key_by_key_and_everything_else_is_replaced() {
        let mut tree = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut tree, &json!({"a": {"c": [3], "e": true}, "d": {"f": 2}}));
        assert_eq!(tree, json!({"a": {"b": 1, "c": [3], "e": true}, "d": {"f": 2}}));
    }

    #[test]
    fn removing_leaves_everything_else() {
        let mut tree = json!({"a": {"b": 1, "c": 2}});
        for path in [["a", "b"], ["a", "x"], ["x", "y"]] {
            remove(&mut tree, &path.map(str::to_owned));
        }
        assert_eq!(tree, json!({"a": {"c": 2}}));
    }

    #[test]
    fn setting_makes_the_objects_on_the_way() {
        let mut tree = json!({"a": 1});
        set(&mut tree, &["a".into(), "b".into()], json!("x"));
        assert_eq!(tree, json!({"a": {"b": "x"}}));
    }
}
