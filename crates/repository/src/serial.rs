//! How words of the house are written in the manifest. They know no serde themselves, and shall not: what a file looks
//! like is decided beside the file.

pub mod model {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_inference::ModelName;

    pub fn serialize<S: Serializer>(model: &ModelName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(model.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ModelName, D::Error> {
        ModelName::new(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub mod version {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_inference::Version;

    pub fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(version.get())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Version, D::Error> {
        let number = u64::deserialize(from)?;
        Version::new(number).ok_or_else(|| D::Error::custom(format!("{number} is not a version")))
    }
}

pub mod labels {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_inference::Label;

    use crate::Activation;

    pub fn serialize<S: Serializer>(
        labels: &BTreeMap<Label, Activation>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(labels.iter().map(|(label, activation)| (label.as_str(), activation)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Label, Activation>, D::Error> {
        let labels = BTreeMap::<String, Activation>::deserialize(from)?.into_iter();
        let labels = labels.map(|(label, activation)| Ok((Label::new(&label)?, activation)));
        labels.collect::<Result<_, tidegate_inference::Error>>().map_err(D::Error::custom)
    }
}

pub mod signature {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tidegate_inference::{Dim, Signature, TensorSpec};

    #[derive(Deserialize, Serialize)]
    struct Document {
        inputs: Vec<Tensor>,
        outputs: Vec<Tensor>,
    }

    #[derive(Deserialize, Serialize)]
    struct Tensor {
        name: String,
        datatype: String,
        /// -1 is any length, as on the wire.
        shape: Vec<i64>,
    }

    pub fn serialize<S: Serializer>(signature: &Signature, to: S) -> Result<S::Ok, S::Error> {
        let all = |specs: &[TensorSpec]| specs.iter().map(written).collect();
        let document =
            Document { inputs: all(&signature.inputs), outputs: all(&signature.outputs) };
        document.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Signature, D::Error> {
        let Document { inputs, outputs } = Document::deserialize(from)?;
        let all = |tensors: Vec<Tensor>| tensors.into_iter().map(read).collect();
        let (inputs, outputs): (Result<_, String>, Result<_, _>) = (all(inputs), all(outputs));
        Ok(Signature {
            inputs: inputs.map_err(D::Error::custom)?,
            outputs: outputs.map_err(D::Error::custom)?,
        })
    }

    fn written(spec: &TensorSpec) -> Tensor {
        let length = |dim: &Dim| match dim {
            // No dimension of a model in memory is beyond what i64 holds.
            Dim::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
            Dim::Dynamic => -1,
        };
        Tensor {
            name: spec.name.to_string(),
            datatype: spec.datatype.to_string(),
            shape: spec.shape.iter().map(length).collect(),
        }
    }

    fn read(tensor: Tensor) -> Result<TensorSpec, String> {
        let Tensor { name, datatype, shape } = tensor;
        let datatype = datatype.parse().map_err(|error| format!("tensor '{name}': {error}"))?;
        let dim = |length: i64| match usize::try_from(length) {
            Ok(length) => Ok(Dim::Fixed(length)),
            Err(_) if length == -1 => Ok(Dim::Dynamic),
            Err(_) => Err(format!("tensor '{name}': expected a length or -1, got {length}")),
        };
        let shape = shape.into_iter().map(dim).collect::<Result<_, _>>()?;
        Ok(TensorSpec { name: name.into(), datatype, shape })
    }
}
