//! One element of a request's `inputs` or of a response's `outputs`: its description, and its values if they stand in the JSON.
//!
//! `data` can come before the `datatype` that says how to read it; then it is stepped over, and read
//! when the object has ended.

use std::borrow::Cow;

use tidegate_inference::{DataType, Shape, Tensor};

use super::parameters;
use crate::DecodeError;
use crate::json::{JsonError, Kind, Reader, Result, TensorReader, Text};
use crate::role::Role;
use crate::shared_memory::{Claim, Window};

#[derive(Debug)]
pub(super) enum Head {
    Whole(Tensor),
    /// Its values are the next `size` bytes of the binary section.
    Binary {
        name: String,
        datatype: DataType,
        shape: Shape,
        size: usize,
    },
    /// Its values stand in shared memory.
    Shared {
        name: String,
        datatype: DataType,
        shape: Shape,
        window: Window,
    },
}

struct Fields<'a> {
    role: Role,
    name: Option<Cow<'a, str>>,
    datatype: Option<DataType>,
    shape: Option<Shape>,
    binary_size: Option<usize>,
    claim: Claim,
    data: Data<'a>,
}

enum Data<'a> {
    Absent,
    /// Stepped over; here it begins.
    Later(Reader<'a>),
    Read(Tensor),
}

impl Head {
    pub(super) fn read(role: Role, reader: &mut Reader<'_>) -> Result<Self> {
        let mut fields = Fields::new(role);
        reader.object(|key, reader| fields.read(key, reader))?;
        fields.finish()
    }
}

impl<'a> Fields<'a> {
    fn new(role: Role) -> Self {
        let data = Data::Absent;
        let claim = Claim::default();
        Self { role, name: None, datatype: None, shape: None, binary_size: None, claim, data }
    }

    fn read(&mut self, key: &str, reader: &mut Reader<'a>) -> Result<()> {
        let role = self.role;
        match key {
            "name" => once(role, key, &mut self.name, reader.string()?),
            "datatype" => {
                let datatype = reader.string()?.parse::<DataType>();
                let datatype = datatype.map_err(|unknown| self.refuse(&unknown.to_string()))?;
                once(role, key, &mut self.datatype, datatype)
            }
            "shape" => once(role, key, &mut self.shape, shape(reader)?),
            "parameters" => parameters::read(reader, |key, value| {
                if key == "binary_data_size" {
                    self.binary_size = Some(parameters::as_size(key, &value)?);
                    return Ok(());
                }
                self.claim.take(key, &value).map_err(|problem| self.refuse(&problem))?;
                Ok(())
            }),
            "data" => self.read_data(reader),
            _ => reader.skip(),
        }
    }

    fn read_data(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        if !matches!(self.data, Data::Absent) {
            return Err(self.refuse("key 'data' is given twice"));
        }
        self.data = match (&self.name, self.datatype, self.shape.take()) {
            (Some(name), Some(datatype), Some(shape)) => {
                Data::Read(data(self.role, name, datatype, shape, reader)?)
            }
            (_, _, shape) => {
                self.shape = shape;
                let start = *reader;
                reader.skip()?;
                Data::Later(start)
            }
        };
        Ok(())
    }

    fn finish(mut self) -> Result<Head> {
        if matches!((&self.data, self.binary_size), (Data::Later(_) | Data::Read(_), Some(_))) {
            return Err(self.refuse("either 'data' or 'binary_data_size' must be given, not both"));
        }
        let claim = std::mem::take(&mut self.claim);
        let window = claim.window().map_err(|problem| self.refuse(&problem))?;
        if window.is_some() && (self.binary_size.is_some() || !matches!(self.data, Data::Absent)) {
            let problem = "values in shared memory must not be given in the request as well";
            return Err(self.refuse(problem));
        }
        if let Data::Read(tensor) = self.data {
            return Ok(Head::Whole(tensor));
        }
        let shape = self.shape.take().ok_or_else(|| self.missing("shape"))?;
        let datatype = self.datatype.ok_or_else(|| self.missing("datatype"))?;
        let name = self.name.take().ok_or_else(|| self.missing("name"))?;
        if let Some(window) = window {
            return Ok(Head::Shared { name: name.into_owned(), datatype, shape, window });
        }
        match (self.data, self.binary_size) {
            (Data::Later(mut reader), _) => {
                data(self.role, &name, datatype, shape, &mut reader).map(Head::Whole)
            }
            (_, Some(size)) => Ok(Head::Binary { name: name.into_owned(), datatype, shape, size }),
            (_, None) => Err(JsonError::refused(format!(
                "{} '{name}': Unable to parse 'data': attempt to access non-existing object \
                 member 'data'",
                self.role
            ))),
        }
    }

    fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or("(not named yet)")
    }

    fn refuse(&self, problem: &str) -> Box<JsonError> {
        JsonError::refused(format!("{} '{}': {problem}", self.role, self.shown_name()))
    }

    fn missing(&self, key: &str) -> Box<JsonError> {
        self.refuse(&format!(
            "Unable to parse '{key}': attempt to access non-existing object member '{key}'"
        ))
    }
}

fn once<T>(role: Role, key: &str, place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(JsonError::refused(format!("{role}s: key '{key}' is given twice"))),
    }
}

fn data(
    role: Role,
    name: &str,
    datatype: DataType,
    shape: Shape,
    reader: &mut Reader<'_>,
) -> Result<Tensor> {
    // Of others we take what they send, protocol or not.
    if role == Role::Input && matches!(datatype, DataType::Fp16 | DataType::Bf16) {
        return Err(JsonError::refused(format!(
            "receiving {datatype} data via JSON is not supported. Please use the binary data format \
             for input '{name}'"
        )));
    }
    let Some(elements) = shape.elements() else {
        return Err(JsonError::refused(format!(
            "{role} '{name}': the element count of shape {shape} would exceed maximum size"
        )));
    };
    let mut tensor = TensorReader::new(role, name, datatype, Text::Plain);
    if reader.peek()? != Kind::Array {
        return Err(JsonError::refused(format!(
            "{role} '{name}': Unable to parse 'data': expected an array, got {}",
            reader.peek()?.described()
        )));
    }
    tensor.reserve(reader, elements);
    tensor.value(reader)?;
    tensor.finish_declared(shape)
}

fn shape(reader: &mut Reader<'_>) -> Result<Shape> {
    let mut shape = Shape::default();
    reader.array(|reader| {
        if shape.len() == Shape::MAX_RANK {
            return Err(JsonError::refused(format!(
                "Unable to parse 'shape': more than {} dimensions",
                Shape::MAX_RANK
            )));
        }
        shape.push(dimension(reader)?);
        Ok(())
    })?;
    Ok(shape)
}

/// Triton answers 500 to a negative dimension, and its own tests hold it to that.
fn dimension(reader: &mut Reader<'_>) -> Result<usize> {
    let token = match reader.peek()? {
        Kind::Number => reader.number()?.token(),
        kind => kind.described(),
    };
    token.parse().map_err(|_| {
        let refusal = DecodeError::invalid(format!(
            "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as \
             unsigned-integer: {token:.40}"
        ));
        let negative = token.parse::<f64>().is_ok_and(|dimension| dimension < 0.0);
        (if negative { refusal.with_status(500) } else { refusal }).into()
    })
}
