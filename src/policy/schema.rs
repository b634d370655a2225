//! The JSON Schema of a policy file, for editors: completion and a first check while typing.
//!
//! It is written by hand, because its descriptions are for people. The tests compare its keys and words with the checker's.

/// The schema, as JSON text (draft 2020-12).
#[must_use]
pub const fn schema() -> &'static str {
    include_str!("schema.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::policy::check::{EXEMPTION_KEYS, FILE_KEYS, LIMIT_KEYS, POLICY_KEYS};
    use crate::policy::model::{Action, Mode, Protection};

    fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
        let object = schema.pointer(pointer).and_then(Value::as_object);
        object.expect(pointer).keys().cloned().collect()
    }

    fn words(schema: &Value, pointer: &str) -> BTreeSet<String> {
        let words = schema.pointer(pointer).and_then(Value::as_array).expect(pointer);
        words
            .iter()
            .map(|word| word.as_str().expect("a word").to_owned())
            .collect()
    }

    fn set(words: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
        words.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_has_the_same_words_as_the_checker() {
        let schema: Value = serde_json::from_str(schema()).expect("JSON");
        assert_eq!(keys(&schema, "/properties"), set(FILE_KEYS));
        assert_eq!(keys(&schema, "/$defs/policy/properties"), set(POLICY_KEYS));
        assert_eq!(keys(&schema, "/$defs/exemption/properties"), set(EXEMPTION_KEYS));
        assert_eq!(keys(&schema, "/$defs/limits/properties"), set(LIMIT_KEYS));
        assert_eq!(words(&schema, "/$defs/action/enum"), set(Action::ALL.map(Action::name)));
        assert_eq!(
            words(&schema, "/$defs/policy/properties/mode/enum"),
            set(Mode::ALL.map(Mode::name))
        );
        let liftable = Protection::ALL.into_iter().filter(|one| !one.is_never_lifted());
        let allowed = words(&schema, "/$defs/policy/properties/allow/items/enum");
        assert_eq!(allowed, set(liftable.map(Protection::name)));
    }
}
