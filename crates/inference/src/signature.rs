//! What a model takes and gives: its contract, read from the model file itself. Every request is
//! held against it before it enters a queue, so a wrong request is refused alone.

use std::fmt;
use std::sync::Arc;

use crate::{DataType, Error, Result, Tensor};

/// One dimension of a tensor that the model declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(usize),
    /// Any length; shown as -1 on the wire.
    Dynamic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: Arc<str>,
    pub datatype: DataType,
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// # Errors
    /// When the tensor's datatype, rank or a fixed dimension differs.
    pub fn check(&self, tensor: &Tensor) -> Result<()> {
        if tensor.datatype() != self.datatype {
            return Err(Error::invalid(format!(
                "input '{}': data-type is {}, expected {}",
                self.name,
                tensor.datatype(),
                self.datatype
            )));
        }
        let fits = tensor.shape().len() == self.shape.len()
            && tensor.shape().iter().zip(&self.shape).all(|(got, want)| match want {
                Dim::Fixed(length) => got == length,
                Dim::Dynamic => true,
            });
        if !fits {
            return Err(Error::invalid(format!(
                "unexpected shape for input '{}': expected {}, got {}",
                self.name,
                DimList(&self.shape),
                tensor.shape()
            )));
        }
        Ok(())
    }
}

/// Prints `[-1,64]`.
struct DimList<'a>(&'a [Dim]);

impl fmt::Display for DimList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, dim) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match dim {
                Dim::Fixed(length) => write!(f, "{length}")?,
                Dim::Dynamic => f.write_str("-1")?,
            }
        }
        f.write_str("]")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|spec| &*spec.name == name)
    }

    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|spec| &*spec.name == name)
    }

    /// Holds a request's inputs against the contract and puts them into the model's own order.
    ///
    /// # Errors
    /// When an input is missing, unknown or given twice, or does not fit its specification.
    pub fn arrange(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        if self.are_in_order(&inputs) {
            return self.checked(inputs);
        }
        let mut places: Vec<Option<Tensor>> = vec![None; self.inputs.len()];
        for tensor in inputs {
            let Some(place) = self.inputs.iter().position(|spec| *spec.name == **tensor.name())
            else {
                return Err(Error::invalid(format!(
                    "unexpected inference input '{}': the model's inputs are {}",
                    tensor.name(),
                    names(&self.inputs)
                )));
            };
            self.inputs[place].check(&tensor)?;
            if places[place].is_some() {
                return Err(Error::invalid(format!("input '{}' is given twice", tensor.name())));
            }
            places[place] = Some(tensor.renamed(Arc::clone(&self.inputs[place].name)));
        }
        places
            .into_iter()
            .zip(&self.inputs)
            .map(|(tensor, spec)| {
                tensor.ok_or_else(|| {
                    Error::invalid(format!(
                        "expected {} inputs but input '{}' is missing",
                        self.inputs.len(),
                        spec.name
                    ))
                })
            })
            .collect()
    }

    fn are_in_order(&self, inputs: &[Tensor]) -> bool {
        inputs.len() == self.inputs.len()
            && inputs.iter().zip(&self.inputs).all(|(tensor, spec)| *spec.name == **tensor.name())
    }

    /// What is in order already, as most requests are, stays where it is.
    fn checked(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let pairs = inputs.into_iter().zip(&self.inputs);
        pairs
            .map(|(tensor, spec)| {
                spec.check(&tensor)?;
                Ok(tensor.renamed(Arc::clone(&spec.name)))
            })
            .collect()
    }

    /// # Errors
    /// When a requested output is not one of the model's, or is named twice.
    pub fn check_outputs(&self, requested: &[Arc<str>]) -> Result<()> {
        for (index, name) in requested.iter().enumerate() {
            if self.output(name).is_none() {
                return Err(Error::invalid(format!(
                    "unexpected inference output '{name}': the model's outputs are {}",
                    names(&self.outputs)
                )));
            }
            if requested[..index].contains(name) {
                return Err(Error::invalid(format!("output '{name}' is requested twice")));
            }
        }
        Ok(())
    }
}

fn names(specs: &[TensorSpec]) -> String {
    let quoted: Vec<String> = specs.iter().map(|spec| format!("'{}'", spec.name)).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Shape, TensorData};

    fn spec(name: &str, shape: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.into(), datatype: DataType::Uint8, shape: shape.to_vec() }
    }

    fn signature() -> Signature {
        Signature {
            inputs: vec![spec("a", &[Dim::Dynamic, Dim::Fixed(2)]), spec("b", &[Dim::Dynamic])],
            outputs: vec![spec("y", &[Dim::Dynamic])],
        }
    }

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let shape = Shape::new(shape);
        let data = TensorData::Fixed(Bytes::from(vec![0; shape.elements().unwrap()]));
        Tensor::new(name, DataType::Uint8, shape, data).unwrap()
    }

    #[test]
    fn inputs_come_out_in_the_models_order() {
        let arranged = signature().arrange(vec![tensor("b", &[1]), tensor("a", &[1, 2])]).unwrap();
        assert_eq!([&**arranged[0].name(), &**arranged[1].name()], ["a", "b"]);
    }

    #[test]
    fn a_refusal_names_the_input_what_was_expected_and_what_came() {
        let message = |inputs| signature().arrange(inputs).unwrap_err().message().to_owned();
        assert_eq!(
            message(vec![tensor("a", &[1, 3])]),
            "unexpected shape for input 'a': expected [-1,2], got [1,3]"
        );
        assert_eq!(
            message(vec![tensor("a", &[1, 2])]),
            "expected 2 inputs but input 'b' is missing"
        );
        assert_eq!(
            message(vec![tensor("c", &[1])]),
            "unexpected inference input 'c': the model's inputs are 'a', 'b'"
        );
        assert_eq!(message(vec![tensor("b", &[1]), tensor("b", &[1])]), "input 'b' is given twice");
    }

    #[test]
    fn unknown_and_repeated_outputs_are_refused() {
        assert!(signature().check_outputs(&["y".into()]).is_ok());
        assert!(signature().check_outputs(&["z".into()]).is_err());
        assert!(signature().check_outputs(&["y".into(), "y".into()]).is_err());
    }
}
