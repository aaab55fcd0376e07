//! Where two values of the configuration differ, by their keys in the file.

use serde::Serialize;
use serde_json::Value;

/// What differs, such as `mtu, macsec.mka.hello`; `None` when nothing does.
pub(super) fn differing<T: PartialEq + Serialize>(old: &T, new: &T) -> Option<String> {
    if old == new {
        return None;
    }
    let mut paths = Vec::new();
    collect("", &plain(old), &plain(new), &mut paths);
    // What is never written down, such as a key, may differ too.
    Some(if paths.is_empty() { "changed".to_owned() } else { paths.join(", ") })
}

fn plain(one: &impl Serialize) -> Value {
    serde_json::to_value(one).unwrap_or_default()
}

fn collect(prefix: &str, old: &Value, new: &Value, paths: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return paths.push(prefix.to_owned());
    };
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let of = |all: &serde_json::Map<String, Value>| all.get(key).cloned().unwrap_or_default();
        collect(&path, &of(old), &of(new), paths);
    }
}

/// An attachment or a LAN, and what tells it from the others of its connection.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Part {
    /// Such as `ch1`, or `ch1 vlan 7`.
    #[serde(skip)]
    pub(super) name: String,
    #[serde(flatten)]
    what: Value,
}

/// The parts of a connection, each with its name.
pub(super) fn parts(all: &[impl Serialize]) -> Vec<Part> {
    let part = |one| {
        let what = plain(one);
        let text = |key| what.get(key).and_then(Value::as_str);
        let place = ["channel", "lag", "port"].into_iter().find_map(text).unwrap_or("?");
        let vlan = what.get("vlan").filter(|vlan| !vlan.is_null());
        let name = vlan.map_or_else(|| place.to_owned(), |vlan| format!("{place} vlan {vlan}"));
        Part { name, what }
    };
    all.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_named_down_to_the_one_that_differs() {
        let old = json!({"mtu": 1500, "macsec": {"mka": {"hello": 2, "life": 6}, "offset": 0}});
        let new = json!({"mtu": 1500, "macsec": {"mka": {"hello": 1, "life": 6}, "offset": 30}, "tag": 7});
        assert_eq!(differing(&old, &new).unwrap(), "macsec.mka.hello, macsec.offset, tag");
        assert_eq!(differing(&old, &old), None);
    }

    #[test]
    fn parts_are_told_from_each_other() {
        let names = |all: &[Value]| parts(all).into_iter().map(|one| one.name).collect::<Vec<_>>();
        let all =
            [json!({"channel": "ch1"}), json!({"lag": "l", "vlan": 7}), json!({"port": "lan", "vlan": null})];
        assert_eq!(names(&all), ["ch1", "l vlan 7", "lan"]);
    }
}
