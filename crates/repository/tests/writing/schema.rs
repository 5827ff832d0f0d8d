//! docs/schema/versions.json tells the truth: what is written fits it, names nothing that it does not, and leaves out
//! nothing that it has.
//!
//! The checker knows the keywords that the schema uses and panics at any other, so none goes unchecked but `pattern`,
//! whose values the manifest's own types are stricter about.

use serde_json::{Map, Value};
use tidegate_repository::Manifest;

use crate::site::{Site, version};

struct Schema(Value);

impl Schema {
    fn read() -> Self {
        let text = include_str!("../../../../docs/schema/versions.json");
        Self(serde_json::from_str(text).unwrap())
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        self.fits(&self.0, value, "")
    }

    fn fits(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{place}: {what}: {value}"));
        for (keyword, wanted) in schema.as_object().unwrap() {
            let fits = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "properties" | "pattern" => true,
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                    self.fits(self.0.pointer(pointer).unwrap(), value, place)?;
                    true
                }
                "anyOf" => {
                    let mut any = wanted.as_array().unwrap().iter();
                    any.any(|schema| self.fits(schema, value, place).is_ok())
                }
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "type" => is_of(wanted.as_str().unwrap(), value),
                "minimum" => value.as_i64().is_none_or(|value| value >= wanted.as_i64().unwrap()),
                "maximum" => value.as_i64().is_none_or(|value| value <= wanted.as_i64().unwrap()),
                "minLength" => length(value) >= wanted.as_u64().unwrap(),
                "maxLength" => length(value) <= wanted.as_u64().unwrap(),
                "minItems" => items(value) >= wanted.as_u64().unwrap(),
                "maxItems" => items(value) <= wanted.as_u64().unwrap(),
                "required" => {
                    let mut names = wanted.as_array().unwrap().iter();
                    names.all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.fits(wanted, item, &format!("{place}/{index}"))?;
                    }
                    true
                }
                "additionalProperties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        self.fits(wanted, value, &format!("{place}/{name}"))?;
                    }
                    true
                }
                unknown => panic!("the checker does not know '{unknown}'"),
            };
            if !fits {
                return wrong(keyword);
            }
        }
        if let (Some(properties), Some(object)) = (schema.get("properties"), value.as_object()) {
            self.properties(properties.as_object().unwrap(), object, place)?;
        }
        Ok(())
    }

    fn properties(
        &self,
        properties: &Map<String, Value>,
        object: &Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        for (name, value) in object {
            let Some(schema) = properties.get(name) else {
                return Err(format!("{place}/{name} is in no schema"));
            };
            self.fits(schema, value, &format!("{place}/{name}"))?;
        }
        Ok(())
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        unknown => panic!("the checker does not know the type '{unknown}'"),
    }
}

fn length(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.chars().count() as u64)
}

fn items(value: &Value) -> u64 {
    value.as_array().map_or(0, |items| items.len() as u64)
}

/// Everything that a manifest can say is in it.
fn written() -> Value {
    let site = Site::new();
    site.push(1, "one", &["blue"]);
    site.push(2, "two", &[]);
    for number in [1, 2] {
        site.open().activate(version(number)).unwrap();
    }
    let path = site.model_folder().join("versions.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document["versions"][0]["name"] = "v1.0.0".into();
    std::fs::write(&path, document.to_string()).unwrap();
    Manifest::read(&site.model_folder()).unwrap();
    document
}

#[test]
fn what_is_written_fits_the_schema_and_uses_all_of_it() {
    let schema = Schema::read();
    let document = written();
    schema.check(&document).unwrap();
    for (place, names) in [
        ("", 7),
        ("/$defs/activation", 3),
        ("/$defs/version", 7),
        ("/$defs/tensor", 3),
        ("/$defs/file", 3),
    ] {
        let properties = schema.0.pointer(&format!("{place}/properties")).unwrap();
        assert_eq!(properties.as_object().unwrap().len(), names, "{place}");
    }
    let entry = &document["versions"][0];
    assert_eq!(document.as_object().unwrap().len(), 7);
    assert_eq!(document["active"].as_object().unwrap().len(), 3);
    assert_eq!(entry.as_object().unwrap().len(), 7);
    assert_eq!(entry["signature"]["inputs"][0].as_object().unwrap().len(), 3);
    assert_eq!(entry["files"][0].as_object().unwrap().len(), 3);
}

#[test]
fn a_manifest_before_its_first_activation_fits_too() {
    let mut document = written();
    document["active"] = Value::Null;
    Schema::read().check(&document).unwrap();
}

#[test]
fn what_is_spoilt_does_not_fit() {
    for (place, value) in [
        ("/schema", Value::from(2)),
        ("/active", Value::from(2)),
        ("/active/by", Value::from("")),
        ("/labels/blue/version", Value::from(0)),
        ("/versions/0/files", Value::Array(Vec::new())),
        ("/versions/0/signature/outputs/0/datatype", Value::from("FP33")),
        ("/versions/0/signature/outputs/0/shape/0", Value::from(-2)),
        ("/versions/1/files/0/size", Value::from("large")),
    ] {
        let mut document = written();
        *document.pointer_mut(place).unwrap() = value;
        assert!(Schema::read().check(&document).is_err(), "{place}");
    }
    let mut document = written();
    document.as_object_mut().unwrap().remove("labels");
    assert!(Schema::read().check(&document).is_err());
    document["lables"] = Value::Null;
    assert!(Schema::read().check(&document).is_err());
}
