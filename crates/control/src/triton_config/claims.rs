//! What a configuration claims of a model's inputs and outputs, held against what the model has.
//!
//! The model is right. A claim that differs is a failure and not a warning: whoever wrote it sends requests that
//! fit the claim.

use tidegate_backend::LoadError;
use tidegate_inference::{DataType, Dim, Shape, Signature, TensorSpec};

use super::section::Section;

/// Triton's names, each at its number.
pub const DATA_TYPES: [&str; 15] = [
    "TYPE_INVALID",
    "TYPE_BOOL",
    "TYPE_UINT8",
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT8",
    "TYPE_INT16",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_FP64",
    "TYPE_STRING",
    "TYPE_BF16",
];

/// Where rows lie, by what a configuration says of `max_batch_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Dimensions may be shown with or without the batch's.
    Unsaid,
    /// There is no batch dimension: all dimensions are shown.
    None,
    /// Before the dimensions that are shown.
    First,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    inputs: Vec<Claim>,
    outputs: Vec<Claim>,
}

#[derive(Clone, Debug, PartialEq)]
struct Claim {
    name: String,
    datatype: Option<DataType>,
    /// None is no claim; -1 is any length.
    dims: Option<Vec<i64>>,
    /// Where it stands in the configuration.
    place: String,
}

/// `None` for TYPE_INVALID, which is protobuf's silence.
pub fn datatype(section: &Section<'_>) -> Option<DataType> {
    let number = section.one_of("data_type", &DATA_TYPES)?;
    match DATA_TYPES[number].trim_start_matches("TYPE_") {
        "STRING" => Some(DataType::Bytes),
        name => name.parse().ok(),
    }
}

pub fn dims(section: &Section<'_>, name: &'static str) -> Vec<i64> {
    let dims = section.integers(name, -1..=i128::from(i64::MAX));
    if dims.len() > Shape::MAX_RANK {
        section.fault(name, &format!("expected at most {} dimensions", Shape::MAX_RANK));
    }
    dims
}

impl Claims {
    pub fn read(root: &Section<'_>) -> Self {
        let inputs = root.sections("input");
        for input in &inputs {
            input.not_honoured(&[
                "format",
                "is_shape_tensor",
                "allow_ragged_batch",
                "optional",
                "is_non_linear_format_io",
            ]);
        }
        let outputs = root.sections("output");
        for output in &outputs {
            output.not_honoured(&["label_filename", "is_shape_tensor", "is_non_linear_format_io"]);
        }
        let read = |sections: &[Section<'_>]| sections.iter().filter_map(Claim::read).collect();
        Self { inputs: read(&inputs), outputs: read(&outputs) }
    }

    /// # Errors
    /// Every claim that does not hold.
    pub fn check(&self, rows: Rows, signature: &Signature) -> Result<(), LoadError> {
        let inputs = self.inputs.iter().map(|claim| claim.check("input", rows, &signature.inputs));
        let outputs =
            self.outputs.iter().map(|claim| claim.check("output", rows, &signature.outputs));
        let faults: Vec<String> = inputs.chain(outputs).filter_map(Result::err).collect();
        if faults.is_empty() { Ok(()) } else { Err(LoadError::new(faults.join("; "))) }
    }
}

impl Claim {
    fn read(section: &Section<'_>) -> Option<Self> {
        let name = section.text("name");
        if name.is_none() {
            section.fault("name", "expected the name of a tensor of the model");
        }
        let shown = dims(section, "dims");
        let mut dims_of_model = (!shown.is_empty()).then_some(shown);
        if let Some(reshape) = section.section("reshape") {
            let shape = dims(&reshape, "shape");
            if dims_of_model.as_ref() != Some(&shape) {
                let message = "is not honoured: requests and answers have the model's own shape";
                section.warn("reshape", message);
                dims_of_model = Some(shape);
            }
            reshape.end();
        }
        let claim = Self {
            name: name?,
            datatype: datatype(section),
            dims: dims_of_model,
            place: section.place(),
        };
        section.end();
        Some(claim)
    }

    fn check(&self, role: &str, rows: Rows, specs: &[TensorSpec]) -> Result<(), String> {
        let Self { name, place, .. } = self;
        let Some(spec) = specs.iter().find(|spec| *spec.name == **name) else {
            let known: Vec<String> = specs.iter().map(|spec| format!("'{}'", spec.name)).collect();
            let known = known.join(", ");
            return Err(format!("{place}: {role} '{name}' is claimed, the model has {known}"));
        };
        if let Some(claimed) = self.datatype.filter(|claimed| *claimed != spec.datatype) {
            let found = spec.datatype;
            return Err(format!(
                "{place}: {role} '{name}' is claimed to be {claimed}, the model has {found}"
            ));
        }
        let Some(dims) = self.dims.as_ref().filter(|dims| !fits(dims, rows, &spec.shape)) else {
            return Ok(());
        };
        let claimed = match rows {
            Rows::First => format!("{} after the batch dimension", shown(dims)),
            Rows::None | Rows::Unsaid => shown(dims),
        };
        let found: Vec<i64> = spec.shape.iter().map(|dim| length(*dim)).collect();
        let found = shown(&found);
        Err(format!("{place}: {role} '{name}' is claimed to be {claimed}, the model has {found}"))
    }
}

/// A claim of any length is not met by a fixed one: the requests that it invites would be refused.
fn fits(dims: &[i64], rows: Rows, shape: &[Dim]) -> bool {
    let fit = |dims: &[i64], shape: &[Dim]| {
        dims.len() == shape.len()
            && dims.iter().zip(shape).all(|(claimed, dim)| match dim {
                Dim::Dynamic => true,
                Dim::Fixed(_) => *claimed == length(*dim),
            })
    };
    let after_rows = |shape: &[Dim]| match shape {
        [Dim::Dynamic, rest @ ..] => fit(dims, rest),
        _ => false,
    };
    match rows {
        Rows::First => after_rows(shape),
        Rows::None => fit(dims, shape),
        Rows::Unsaid => fit(dims, shape) || after_rows(shape),
    }
}

fn length(dim: Dim) -> i64 {
    match dim {
        Dim::Fixed(length) => i64::try_from(length).unwrap_or(i64::MAX),
        Dim::Dynamic => -1,
    }
}

fn shown(dims: &[i64]) -> String {
    let dims: Vec<String> = dims.iter().map(i64::to_string).collect();
    format!("[{}]", dims.join(","))
}
