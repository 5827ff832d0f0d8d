//! What a request says about its answer: its id, which outputs, and in which form.

use std::sync::Arc;

use super::parameters;
use crate::json::{JsonError, Reader, Result};
use crate::shared_memory::{Claim, Window};

/// How the caller wants the answer written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Echoed when given.
    pub id: Option<String>,
    /// In this order; empty means all.
    pub outputs: Vec<RequestedOutput>,
    /// `binary_data_output`: for every output that does not say.
    pub binary_default: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    pub name: Arc<str>,
    /// `binary_data`
    pub binary: Option<bool>,
    /// `classification`: the best so many as `"value:index"`, instead of the tensor.
    pub classification: Option<usize>,
    /// Where it is to be written, instead of into the answer.
    pub shared: Option<Window>,
}

impl Reply {
    /// The outputs to ask the model for (`Request::outputs`).
    pub fn output_names(&self) -> Vec<Arc<str>> {
        self.outputs.iter().map(|output| Arc::clone(&output.name)).collect()
    }

    /// Where this output is to be written, if not into the answer.
    pub(crate) fn shared(&self, output: &str) -> Option<&Window> {
        self.wish(output)?.shared.as_ref()
    }

    pub(super) fn wish(&self, output: &str) -> Option<&RequestedOutput> {
        self.outputs.iter().find(|wish| &*wish.name == output)
    }

    pub(super) fn is_binary(&self, output: &str) -> bool {
        self.wish(output).and_then(|wish| wish.binary).unwrap_or(self.binary_default)
    }
}

/// Reads one element of the request's `outputs`.
pub(super) fn read_output(reader: &mut Reader<'_>) -> Result<RequestedOutput> {
    let (mut name, mut binary, mut classification) = (None, None, None);
    let mut claim = Claim::default();
    reader.object(|key, reader| match key {
        "name" => {
            name = Some(Arc::from(&*reader.string()?));
            Ok(())
        }
        "parameters" => parameters::read(reader, |key, value| {
            match key {
                "binary_data" => binary = Some(parameters::as_bool(key, &value)?),
                "classification" => {
                    classification = Some(parameters::as_size(key, &value)?);
                }
                _ => {
                    claim.take(key, &value).map_err(JsonError::refused)?;
                }
            }
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    let name: Arc<str> = name.ok_or_else(|| {
        JsonError::refused("Unable to parse 'outputs': a requested output has no 'name'")
    })?;
    if classification == Some(0) {
        return Err(JsonError::refused(format!(
            "output '{name}': parameter 'classification' must be greater than 0"
        )));
    }
    let shared = claim
        .window()
        .map_err(|problem| JsonError::refused(format!("output '{name}': {problem}")))?;
    Ok(RequestedOutput { name, binary, classification, shared })
}
