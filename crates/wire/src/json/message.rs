//! Walking JSON objects and arrays without building them: what an object's fields mean is a [`Message`], what an
//! array's elements mean is [`Elements`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::seed;

/// An object that is read field by field.
pub(crate) trait Message<'de>: Sized {
    /// What the object amounts to.
    type Value;
    /// What is expected where the object is, for errors.
    const EXPECTED: &'static str;

    /// Reads the value of the field `name`; [`skip`] where the name is not known.
    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error>;

    /// Called after the last field; also, without any, where there is `null`.
    fn end<E: de::Error>(self) -> Result<Self::Value, E>;
}

/// An array that is read element by element.
pub(crate) trait Elements<'de>: Sized {
    /// What is expected where the array is, for errors.
    const EXPECTED: &'static str;

    /// Reads the next element; false where there is none.
    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// Passes over the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// The seed that reads a [`Message`].
pub(crate) struct Read<M>(pub(crate) M);

impl<'de, M: Message<'de>> de::DeserializeSeed<'de> for Read<M> {
    type Value = M::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<M::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, M: Message<'de>> Visitor<'de> for Read<M> {
    type Value = M::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(M::EXPECTED)
    }

    fn visit_none<E: de::Error>(self) -> Result<M::Value, E> {
        self.0.end()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<M::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<M::Value, A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            self.0.field(name.as_bytes(), &mut map)?;
        }
        self.0.end()
    }
}

/// The name of a field. Asked for as text, because the path in an error is made of names that are.
struct Name;
seed!(Name, Cow<'de, str>, deserialize_str);

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The seed that reads [`Elements`].
pub(crate) struct ReadAll<L>(pub(crate) L);

impl<'de, L: Elements<'de>> de::DeserializeSeed<'de> for ReadAll<L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, L: Elements<'de>> Visitor<'de> for ReadAll<L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(L::EXPECTED)
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while self.0.next(&mut seq)? {}
        Ok(())
    }
}
