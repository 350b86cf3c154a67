//! JSON in which no object names a member twice: what one reader sees is what every reader sees.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{AttestError, malformed};

/// Reads `what` from `bytes`, after every object in it was seen to name no member twice.
pub(super) fn read<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, AttestError> {
    serde_json::from_slice::<Unambiguous>(bytes).map_err(|error| malformed(what, error))?;
    serde_json::from_slice(bytes).map_err(|error| malformed(what, error))
}

/// Any JSON without an object that names a member twice. Keeps nothing; `serde_json` bounds the depth.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<Self>()?;
            if let Some(twice) = seen.replace(name) {
                return Err(serde::de::Error::custom(format!(
                    "an object names `{twice}` twice"
                )));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_member_named_twice_is_refused_at_any_depth() {
        for (text, well) in [
            (r#"{"a":1,"b":[{"a":null},true,1.5,-1,"x"]}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":1}"#, false),
            (r#"[{"b":{"c":1,"d":[],"c":2}}]"#, false),
            (r#"{"a":1} {}"#, false),
        ] {
            assert_eq!(
                read::<Value>("text", text.as_bytes()).is_ok(),
                well,
                "{text}"
            );
        }
        let deep = "[".repeat(100_000);
        assert!(read::<Value>("text", deep.as_bytes()).is_err());
    }
}
