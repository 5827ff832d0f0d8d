//! `parameters` objects: strings, numbers and booleans by name, at every level of the protocol.
//! What this gateway does not act on is carried along; what it must not ignore is refused.

use tidegate_inference::ParameterValue;

use crate::json::{JsonError, Kind, Reader, Result};

/// Hands each parameter to `take`; a `null` object is none.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut take: impl FnMut(&str, ParameterValue) -> Result<()>,
) -> Result<()> {
    if reader.peek()? == Kind::Null {
        return reader.null();
    }
    reader.object(|key, reader| {
        let value = value(key, reader)?;
        take(key, value)
    })
}

fn value(key: &str, reader: &mut Reader<'_>) -> Result<ParameterValue> {
    Ok(match reader.peek()? {
        Kind::Bool => ParameterValue::Bool(reader.bool()?),
        Kind::String => ParameterValue::String(reader.string()?.into_owned()),
        Kind::Number => number(reader.number()?.token()),
        kind => {
            return Err(JsonError::refused(format!(
                "parameter '{key:.64}': expected a string, number or boolean, got {}",
                kind.described()
            )));
        }
    })
}

/// The narrowest of the three number types that holds it exactly.
fn number(token: &str) -> ParameterValue {
    if let Ok(value) = token.parse() {
        ParameterValue::Int64(value)
    } else if let Ok(value) = token.parse() {
        ParameterValue::Uint64(value)
    } else {
        ParameterValue::Double(token.parse().unwrap_or(f64::NAN))
    }
}

pub(super) fn as_bool(key: &str, value: &ParameterValue) -> Result<bool> {
    match value {
        ParameterValue::Bool(value) => Ok(*value),
        _ => Err(JsonError::refused(format!("parameter '{key}': expected a boolean"))),
    }
}

pub(super) fn as_size(key: &str, value: &ParameterValue) -> Result<usize> {
    match value {
        ParameterValue::Int64(value) => usize::try_from(*value).ok(),
        _ => None,
    }
    .ok_or_else(|| {
        JsonError::refused(format!("parameter '{key}': expected a non-negative integer"))
    })
}
