//! Whether a new version keeps the contract of the model it joins: callers that are right today shall be right after the
//! traffic has moved.
//!
//! So an input may not go, come, or take less than it took; an output may not go or become something else. An output
//! that comes, and a dimension of an output that is declared more or less exactly, break nobody and are told: exporters
//! differ in how much of an output's shape they write down.

use std::fmt;

use tidegate_inference::{Dim, Signature, TensorSpec, Version};

/// Two signatures beside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContractChange {
    /// A line for each thing that breaks callers.
    pub breaks: Vec<String>,
    /// A line for each thing that does not.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

impl ContractChange {
    /// From the signature of `version` to one that is to follow it.
    pub fn between(version: Version, before: &Signature, after: &Signature) -> Self {
        let mut change = Self::default();
        change.compare(Side::Input, version, &before.inputs, &after.inputs);
        change.compare(Side::Output, version, &before.outputs, &after.outputs);
        if before.outputs.len() == 1 && after.outputs.len() > 1 {
            change.notes.push(
                "TensorFlow Serving's JSON gives a single output bare and several by name: its callers get another form"
                    .to_owned(),
            );
        }
        change
    }

    fn compare(
        &mut self,
        side: Side,
        version: Version,
        before: &[TensorSpec],
        after: &[TensorSpec],
    ) {
        let named = |specs: &[TensorSpec], name: &str| specs.iter().any(|spec| &*spec.name == name);
        let mut new: Vec<&TensorSpec> =
            after.iter().filter(|spec| !named(before, &spec.name)).collect();
        for old in before {
            let Some(now) = after.iter().find(|spec| spec.name == old.name) else {
                let mut line = format!(
                    "{side} '{}': {} in version {version}, missing here",
                    old.name,
                    Form(old)
                );
                // What looks the same under a new name is most likely the same.
                let same =
                    |new: &&TensorSpec| (new.datatype, &new.shape) == (old.datatype, &old.shape);
                if let Some(place) = new.iter().position(same) {
                    let new = new.remove(place);
                    line += &format!("; '{}' {} is new", new.name, Form(new));
                }
                self.breaks.push(line);
                continue;
            };
            if (now.datatype, &now.shape) == (old.datatype, &old.shape) {
                continue;
            }
            let line = format!(
                "{side} '{}': {} in version {version}, {} here",
                old.name,
                Form(old),
                Form(now)
            );
            self.add(side.breaks(old, now), line);
        }
        for new in new {
            let line = format!("{side} '{}': {} is new", new.name, Form(new));
            self.add(matches!(side, Side::Input), line);
        }
    }

    fn add(&mut self, is_break: bool, line: String) {
        if is_break { self.breaks.push(line) } else { self.notes.push(line) }
    }
}

impl Side {
    fn breaks(self, old: &TensorSpec, now: &TensorSpec) -> bool {
        let fits = |(old, now): (&Dim, &Dim)| match (self, old, now) {
            (_, Dim::Fixed(old), Dim::Fixed(now)) => old == now,
            (Self::Input, Dim::Dynamic, Dim::Fixed(_)) => false,
            _ => true,
        };
        old.datatype != now.datatype
            || old.shape.len() != now.shape.len()
            || !old.shape.iter().zip(&now.shape).all(fits)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// `FP32 [-1,64]`.
struct Form<'a>(&'a TensorSpec);

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = self.0.shape.iter().map(|dim| match dim {
            Dim::Fixed(length) => length.to_string(),
            Dim::Dynamic => "-1".to_owned(),
        });
        write!(f, "{} [{}]", self.0.datatype, dims.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::DataType;

    use super::*;

    fn spec(name: &str, datatype: DataType, shape: &[i64]) -> TensorSpec {
        let dim = |length: &i64| usize::try_from(*length).map_or(Dim::Dynamic, Dim::Fixed);
        TensorSpec { name: name.into(), datatype, shape: shape.iter().map(dim).collect() }
    }

    fn digits(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> ContractChange {
        let before = Signature {
            inputs: vec![spec("pixels", DataType::Fp32, &[-1, 64])],
            outputs: vec![
                spec("label", DataType::Int64, &[-1]),
                spec("probabilities", DataType::Fp32, &[-1, 10]),
            ],
        };
        let after = Signature { inputs, outputs };
        ContractChange::between(Version::new(3).unwrap(), &before, &after)
    }

    fn pixels() -> Vec<TensorSpec> {
        vec![spec("pixels", DataType::Fp32, &[-1, 64])]
    }

    fn outputs(probabilities: TensorSpec) -> Vec<TensorSpec> {
        vec![probabilities, spec("label", DataType::Int64, &[-1])]
    }

    fn probabilities() -> TensorSpec {
        spec("probabilities", DataType::Fp32, &[-1, 10])
    }

    #[test]
    fn the_same_tensors_in_any_order_are_the_same_contract() {
        assert_eq!(digits(pixels(), outputs(probabilities())), ContractChange::default());
    }

    #[test]
    fn a_renamed_output_is_told_with_both_names() {
        let change = digits(pixels(), outputs(spec("probs", DataType::Fp32, &[-1, 10])));
        let line = "output 'probabilities': FP32 [-1,10] in version 3, missing here; 'probs' FP32 [-1,10] is new";
        assert_eq!((change.breaks, change.notes), (vec![line.to_owned()], vec![]));
    }

    #[test]
    fn what_goes_or_becomes_something_else_breaks() {
        let float64 = digits(pixels(), outputs(spec("probabilities", DataType::Fp64, &[-1, 10])));
        let line = "output 'probabilities': FP32 [-1,10] in version 3, FP64 [-1,10] here";
        assert_eq!(float64.breaks, [line]);
        let classes = digits(pixels(), outputs(spec("probabilities", DataType::Fp32, &[-1, 11])));
        assert_eq!(classes.breaks.len(), 1);
        let rank = digits(pixels(), outputs(spec("probabilities", DataType::Fp32, &[-1, 10, 1])));
        assert_eq!(rank.breaks.len(), 1);
        let gone = digits(pixels(), vec![probabilities()]);
        assert_eq!(gone.breaks, ["output 'label': INT64 [-1] in version 3, missing here"]);
    }

    #[test]
    fn an_output_more_is_told_and_an_input_more_breaks() {
        let mut more = outputs(probabilities());
        more.push(spec("logits", DataType::Fp32, &[-1, 10]));
        let change = digits(pixels(), more);
        assert_eq!(change.breaks, [""; 0]);
        assert_eq!(change.notes, ["output 'logits': FP32 [-1,10] is new"]);
        let mut inputs = pixels();
        inputs.push(spec("temperature", DataType::Fp32, &[]));
        let change = digits(inputs, outputs(probabilities()));
        assert_eq!(change.breaks, ["input 'temperature': FP32 [] is new"]);
    }

    #[test]
    fn an_input_may_take_more_and_not_less() {
        let shaped = |shape: &[i64]| {
            digits(vec![spec("pixels", DataType::Fp32, shape)], outputs(probabilities()))
        };
        assert_eq!(shaped(&[-1, -1]).breaks, [""; 0]);
        assert_eq!(shaped(&[-1, -1]).notes.len(), 1);
        assert_eq!(shaped(&[1, 64]).breaks.len(), 1);
        assert_eq!(shaped(&[-1, 65]).breaks.len(), 1);
    }

    #[test]
    fn an_output_that_is_declared_less_exactly_is_told() {
        let change = digits(pixels(), outputs(spec("probabilities", DataType::Fp32, &[-1, -1])));
        assert_eq!((change.breaks.len(), change.notes.len()), (0, 1));
    }

    #[test]
    fn a_second_output_is_told_for_its_form_in_tensorflow_servings_json() {
        let one = Signature { inputs: pixels(), outputs: vec![probabilities()] };
        let two = Signature { inputs: pixels(), outputs: outputs(probabilities()) };
        let change = ContractChange::between(Version::new(1).unwrap(), &one, &two);
        assert_eq!(change.breaks, [""; 0]);
        assert!(change.notes[1].contains("by name"), "{:?}", change.notes);
    }
}
