//! The two forms of a body's tensors: a list of rows, or whole tensors by name. Requests and answers
//! have the same two, and neither names datatypes, so both are read against what the model declares.

use tidegate_inference::{Tensor, TensorSpec};

use super::Form;
use crate::json::{JsonError, Kind, Reader, Result, TensorReader, Text};
use crate::role::Role;

/// Reads the value of `instances`, `inputs`, `predictions` or `outputs`. `specs` are all there may be.
pub(super) fn read(
    reader: &mut Reader<'_>,
    form: Form,
    role: Role,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>> {
    match form {
        Form::Row => rows(reader, role, specs),
        Form::Column => columns(reader, role, specs),
    }
}

fn rows(reader: &mut Reader<'_>, role: Role, specs: &[TensorSpec]) -> Result<Vec<Tensor>> {
    let key = Form::Row.key(role);
    if reader.peek()? != Kind::Array {
        return Err(JsonError::refused(format!("Expecting '{key}' to be a list/array")));
    }
    let mut rows = Rows { role, specs, tensors: Vec::new(), named: false, count: 0 };
    reader.array(|reader| {
        rows.read(reader).map_err(|error| match *error {
            JsonError::Refused(refusal) => refusal
                .within(format_args!(
                    "Failed to process element: {} of '{key}' list. Error",
                    rows.count
                ))
                .into(),
            _ => error,
        })?;
        rows.count += 1;
        Ok(())
    })?;
    if rows.count == 0 {
        return Err(JsonError::refused(format!("No values in '{key}' array")));
    }
    rows.tensors.into_iter().map(|tensor| tensor.finish_items(rows.count)).collect()
}

struct Rows<'s> {
    role: Role,
    specs: &'s [TensorSpec],
    /// One for each specification, once the first row was seen.
    tensors: Vec<TensorReader<'s>>,
    /// Rows are objects with a member for each tensor.
    named: bool,
    count: usize,
}

impl Rows<'_> {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let named = is_named(reader, self.specs)?;
        if self.count == 0 {
            self.named = named;
            self.tensors = self
                .specs
                .iter()
                .map(|spec| {
                    TensorReader::of_items(self.role, &spec.name, spec.datatype, Text::OrBase64)
                })
                .collect();
        } else if named != self.named {
            return Err(JsonError::refused(if named {
                "Expecting value/list but got object"
            } else {
                "Expecting object but got value/list"
            }));
        }
        if named {
            return self.read_object(reader);
        }
        match &mut self.tensors[..] {
            [tensor] => tensor.item(reader),
            tensors => Err(JsonError::refused(format!(
                "{} is a plain list, but expecting list of objects as the model has {} {}s",
                Form::Row.key(self.role),
                tensors.len(),
                self.role
            ))),
        }
    }

    fn read_object(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let (role, specs, tensors) = (self.role, self.specs, &mut self.tensors);
        let mut given = vec![false; specs.len()];
        reader.object(|key, reader| {
            let Some(place) = specs.iter().position(|spec| &*spec.name == key) else {
                return Err(wrong_keys(specs, &format!("does not have named {role}: {key:.64}")));
            };
            if std::mem::replace(&mut given[place], true) {
                return Err(wrong_keys(specs, &format!("key '{key}' is given twice")));
            }
            tensors[place].item(reader)
        })?;
        match given.iter().position(|given| !given) {
            None => Ok(()),
            Some(place) => {
                Err(wrong_keys(specs, &format!("key '{}' is missing", specs[place].name)))
            }
        }
    }
}

fn columns(reader: &mut Reader<'_>, role: Role, specs: &[TensorSpec]) -> Result<Vec<Tensor>> {
    let key_of_all = Form::Column.key(role);
    if !is_named(reader, specs)? {
        let [spec] = specs else {
            return Err(JsonError::refused(format!(
                "{key_of_all} is a plain value/list, but expecting an object as the model has {} {role}s",
                specs.len()
            )));
        };
        return Ok(vec![column(reader, role, spec)?]);
    }
    let mut tensors: Vec<Option<Tensor>> = vec![None; specs.len()];
    reader.object(|key, reader| {
        let Some(place) = specs.iter().position(|spec| &*spec.name == key) else {
            return Err(wrong_keys(specs, &format!("does not have named {role}: {key:.64}")));
        };
        match tensors[place].replace(column(reader, role, &specs[place])?) {
            None => Ok(()),
            Some(_) => Err(wrong_keys(specs, &format!("key '{key}' is given twice"))),
        }
    })?;
    tensors
        .into_iter()
        .zip(specs)
        .map(|(tensor, spec)| {
            tensor.ok_or_else(|| {
                JsonError::refused(format!(
                    "Missing named {role}: {} in '{key_of_all}' object.",
                    spec.name
                ))
            })
        })
        .collect()
}

fn column(reader: &mut Reader<'_>, role: Role, spec: &TensorSpec) -> Result<Tensor> {
    let mut tensor = TensorReader::new(role, &spec.name, spec.datatype, Text::OrBase64);
    tensor.value(reader)?;
    tensor.finish()
}

/// The next value is an object of named tensors, not a `{"b64": ...}` value. The first key decides, so
/// that a large object is not read twice.
fn is_named(reader: &mut Reader<'_>, specs: &[TensorSpec]) -> Result<bool> {
    if reader.peek()? != Kind::Object {
        return Ok(false);
    }
    let one_is_called_b64 = specs.iter().any(|spec| &*spec.name == "b64");
    Ok(one_is_called_b64 || reader.first_key()?.as_deref() != Some("b64"))
}

#[cold]
fn wrong_keys(specs: &[TensorSpec], problem: &str) -> Box<JsonError> {
    let mut names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    names.sort_unstable();
    JsonError::refused(format!(
        "JSON object: {problem}; keys must be equal to: {}",
        names.join(",")
    ))
}
