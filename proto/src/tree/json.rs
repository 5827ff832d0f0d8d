//! Reads a message's JSON form into the same tree: objects are messages, arrays the same field several
//! times, `null` a field that was not given.
//!
//! What JSON cannot say is left to whoever knows the message: a 64-bit integer and an enum may both be strings,
//! a map is an object like any other, and names are as they were written, `maxBatchSize` or `max_batch_size`.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Field, FieldCount, Limits, Message, TreeError, Value, check_size, too_deep};

/// # Errors
/// When it is no JSON object, or larger than the limits: where, what was expected, what came.
pub fn read_json(text: &[u8]) -> Result<Message, TreeError> {
    check_size(text.len()).map_err(|message| TreeError { place: None, message })?;
    let mut count = FieldCount::default();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Object { depth: 0, count: &mut count }.deserialize(&mut reader);
    let read = read.and_then(|message| reader.end().map(|()| message));
    read.map_err(|error| TreeError { place: None, message: error.to_string() })
}

/// What an object is read with.
struct Object<'c> {
    depth: usize,
    count: &'c mut FieldCount,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Message, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut message = Message::default();
        while let Some(name) = map.next_key::<String>()? {
            let (depth, count, fields) = (self.depth, &mut *self.count, &mut message.fields);
            map.next_value_seed(Member { name, depth, in_array: false, count, fields })?;
        }
        Ok(message)
    }
}

/// What a member's value is read with: it becomes any number of fields.
struct Member<'c> {
    name: String,
    depth: usize,
    in_array: bool,
    count: &'c mut FieldCount,
    fields: &'c mut Vec<Field>,
}

impl Member<'_> {
    fn put<E: de::Error>(self, value: Value) -> Result<(), E> {
        self.count.one_more().map_err(E::custom)?;
        self.fields.push(Field { name: self.name, place: None, value });
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, an object, or an array of either")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(Value::Word(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(Value::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(Value::Integer(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.put(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.put(Value::Text(value.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let depth = self.depth + 1;
        if depth > Limits::DEPTH {
            return Err(de::Error::custom(too_deep()));
        }
        let message = Object { depth, count: &mut *self.count }.visit_map(map)?;
        self.in_array = false;
        self.put(Value::Message(message))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        // No field of protobuf's is a list of lists.
        if self.in_array {
            return Err(de::Error::custom(format!(
                "expected a value in '{}', got an array",
                self.name
            )));
        }
        let Self { name, depth, count, fields, .. } = self;
        loop {
            let (name, count, fields) = (name.clone(), &mut *count, &mut *fields);
            let element = Member { name, depth, in_array: true, count, fields };
            if array.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }
}
