//! Every way in which one answer is falsified: a deterministic list that follows from an honest answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use enlace_tests::{Answer, Fate};
use serde_json::{Value, json};

/// Runs all mutations instead of a fixed selection.
const ALL: &str = "ENLACE_ALL_MUTATIONS";
/// Longer than any text that an honest answer has.
const LONG: usize = 70_000;

/// What is done to the items of a list.
type Rearrange = fn(&mut Vec<Value>);
type Change = Arc<dyn Fn(&mut Vec<u8>) -> bool + Send + Sync>;

/// One falsification of an answer.
#[derive(Clone)]
pub(crate) struct Mutation {
    /// Where and what.
    name: String,
    /// Whether something is left out that nobody can miss: lists leave out what is superseded.
    pub(crate) withholds: bool,
    change: Change,
    happened: Arc<AtomicBool>,
}

/// A place in a JSON value that is there in other answers of the same kind as well.
#[derive(Clone)]
enum Step {
    Member(String),
    First,
    Second,
    Last,
}

impl Mutation {
    fn bytes(name: String, change: impl Fn(&mut Vec<u8>) -> bool + Send + Sync + 'static) -> Self {
        Self { name, withholds: false, change: Arc::new(change), happened: Arc::default() }
    }

    fn json(name: String, change: impl Fn(&mut Value) -> Option<()> + Send + Sync + 'static) -> Self {
        Self::bytes(name, move |body| {
            let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return false };
            let done = change(&mut value).is_some();
            *body = value.to_string().into_bytes();
            done
        })
    }

    fn replaced(path: &[Step], what: &str, new: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let path = path.to_vec();
        Self::json(format!("{} {what}", shown(&path)), move |body| {
            let place = at(body, &path)?;
            *place = new(place);
            Some(())
        })
    }

    /// What it does to answers on a line.
    pub(crate) fn fate(&self) -> Fate {
        let mutation = self.clone();
        Fate::changed(move |answer| {
            let mut body = answer.body.to_vec();
            if (mutation.change)(&mut body) {
                mutation.happened.store(true, Ordering::SeqCst);
            }
            Answer { body: body.into(), ..answer }
        })
    }

    /// Whether it met an answer that has the place that it changes.
    pub(crate) fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Every mutation of the answer, or every `share`-th unless all are asked for.
pub(crate) fn selected(all: Vec<Mutation>, share: usize) -> Vec<Mutation> {
    let share = if std::env::var_os(ALL).is_some() { 1 } else { share };
    all.into_iter().step_by(share).collect()
}

/// Mutations of every member of a JSON answer. `known` are texts of this world that a liar could put in place of others.
pub(crate) fn of_json(honest: &Value, known: &[&str]) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    collect(honest, &mut Vec::new(), known, &mut mutations);
    mutations
}

/// Mutations of bytes: of every part, and of the length.
pub(crate) fn of_bytes(length: usize) -> Vec<Mutation> {
    let places = (0..16).map(|part| part * length / 16).chain([length - 1]);
    let flips = places.flat_map(|place| {
        [0x01, 0x80].map(|mask| {
            Mutation::bytes(format!("byte {place} ^ {mask}"), move |body| {
                body.get_mut(place).map(|byte| *byte ^= mask).is_some()
            })
        })
    });
    let cuts = [0, 1, length / 2, length - 1].map(|kept| {
        Mutation::bytes(format!("the first {kept} bytes"), move |body| {
            body.truncate(kept);
            true
        })
    });
    let more = Mutation::bytes("twice".to_owned(), |body| {
        body.extend_from_within(..);
        true
    });
    flips.chain(cuts).chain([more]).collect()
}

fn collect(value: &Value, path: &mut Vec<Step>, known: &[&str], mutations: &mut Vec<Mutation>) {
    mutations.extend(replacements(value, path, known));
    if let (Some(Step::Member(name)), above) = (path.last().cloned(), &path[..path.len().saturating_sub(1)]) {
        let above = above.to_vec();
        mutations.push(Mutation::json(format!("{} missing", shown(path)), move |body| {
            at(body, &above)?.as_object_mut()?.remove(&name).map(drop)
        }));
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                path.push(Step::Member(name.clone()));
                collect(value, path, known, mutations);
                path.pop();
            }
        }
        Value::Array(items) => {
            mutations.extend(lists(path));
            mutations.extend((items.len() > 2).then(|| without_second(path)));
            let last = items.last().filter(|_| items.len() > 2);
            for (item, step) in [(items.first(), Step::First), (items.get(1), Step::Second), (last, Step::Last)] {
                let Some(item) = item else { continue };
                path.push(step);
                collect(item, path, known, mutations);
                path.pop();
            }
        }
        _ => {}
    }
}

fn replacements(value: &Value, path: &[Step], known: &[&str]) -> Vec<Mutation> {
    let fixed = |what: &str, new: Value| Mutation::replaced(path, what, move |_| new.clone());
    let text = |what: &'static str, new: fn(&str) -> String| {
        Mutation::replaced(path, what, move |old| json!(new(old.as_str().unwrap_or_default())))
    };
    let number = |what: &'static str, new: fn(u64) -> Option<u64>| {
        Mutation::replaced(path, what, move |old| json!(old.as_u64().and_then(new)))
    };
    let mut mutations = vec![fixed("null", Value::Null), fixed("an object", json!({})), fixed("a list", json!([1]))];
    match value {
        Value::String(_) => {
            mutations.extend([
                fixed("a number", json!(7)),
                fixed("empty", json!("")),
                fixed("very long", json!("A".repeat(LONG))),
                text("with another start", |old| with_other_letter(old, 0)),
                text("with another middle", |old| with_other_letter(old, old.len() / 2)),
                text("with another end", |old| with_other_letter(old, old.len().saturating_sub(1))),
                text("cut", |old| old.chars().take(old.chars().count() / 2).collect()),
                text("twice", |old| [old, old].concat()),
            ]);
            mutations.extend(known.iter().map(|known| fixed(&format!("{known} instead"), json!(known))));
        }
        Value::Number(_) => mutations.extend([
            fixed("a text", json!("7")),
            fixed("negative", json!(-1)),
            fixed("a fraction", json!(0.5)),
            fixed("enormous", json!(1e300)),
            fixed("2^31", json!(1_u64 << 31)),
            fixed("2^40", json!(1_u64 << 40)),
            fixed("2^64 - 1", json!(u64::MAX)),
            number("one more", |old| old.checked_add(1)),
            number("one less", |old| old.checked_sub(1)),
            number("far more", |old| old.checked_add(1 << 20)),
        ]),
        Value::Bool(old) => mutations.extend([fixed("the opposite", json!(!old)), fixed("a text", json!("true"))]),
        Value::Null => mutations.extend([fixed("a number", json!(7)), fixed("a text", json!("x"))]),
        Value::Array(_) | Value::Object(_) => mutations.push(fixed("a text", json!("x"))),
    }
    mutations
}

fn lists(path: &[Step]) -> Vec<Mutation> {
    let changes: [(&str, Rearrange); 8] = [
        ("reversed", |items| items.reverse()),
        ("without the first", |items| drop(items.drain(..items.len().min(1)))),
        ("without the last", |items| drop(items.pop())),
        ("without any", Vec::clear),
        ("with the first twice", |items| items.extend(items.first().cloned())),
        ("with the last twice", |items| items.extend(items.last().cloned())),
        ("everything twice", |items| items.extend(items.clone())),
        ("rotated", |items| {
            if !items.is_empty() {
                items.rotate_left(1);
            }
        }),
    ];
    let mutation = |(what, change): (&str, Rearrange)| {
        let path = path.to_vec();
        Mutation::json(format!("{} {what}", shown(&path)), move |body| {
            change(at(body, &path)?.as_array_mut()?);
            Some(())
        })
    };
    changes.into_iter().map(mutation).collect()
}

fn without_second(path: &[Step]) -> Mutation {
    let place = path.to_vec();
    let change = move |body: &mut Value| {
        let items = at(body, &place)?.as_array_mut()?;
        (items.len() > 2).then(|| drop(items.remove(1)))
    };
    Mutation { withholds: true, ..Mutation::json(format!("{} without the second", shown(path)), change) }
}

fn at<'a>(body: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(body, |value, step| match step {
        Step::Member(name) => value.get_mut(name.as_str()),
        Step::First => value.as_array_mut()?.first_mut(),
        Step::Second => value.as_array_mut()?.get_mut(1),
        Step::Last => value.as_array_mut()?.last_mut(),
    })
}

fn shown(path: &[Step]) -> String {
    let names = path.iter().map(|step| match step {
        Step::Member(name) => name.as_str(),
        Step::First => "first",
        Step::Second => "second",
        Step::Last => "last",
    });
    names.collect::<Vec<_>>().join(".")
}

/// Another letter of the same alphabet, so that the text stays base64 or an id if it was.
fn with_other_letter(text: &str, place: usize) -> String {
    let change = |(index, letter)| match letter {
        'A' if index == place => 'B',
        _ if index == place => 'A',
        letter => letter,
    };
    text.chars().enumerate().map(change).collect()
}
