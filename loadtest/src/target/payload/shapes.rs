//! The shapes of made-up inputs. A model leaves its batch open, and that is `--rows`; what else it leaves open
//! has to be said: a guess would make the load's figures figures of something else.

use tidegate_inference::{Dim, Shape, Signature, TensorSpec};

use super::super::arguments::NamedShape;
use crate::Failure;

/// How large made-up inputs are, as far as the model leaves it open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes<'a> {
    pub(super) rows: Option<usize>,
    pub(super) shapes: &'a [NamedShape],
}

impl Sizes<'_> {
    /// One shape for each of the model's inputs.
    pub(super) fn of_inputs(&self, signature: &Signature) -> Result<Vec<Shape>, Failure> {
        if signature.inputs.is_empty() {
            return Err("its metadata names no inputs: pass --payload".into());
        }
        self.check_names(signature)?;
        self.check_rows(signature)?;
        signature.inputs.iter().map(|spec| self.of_input(spec)).collect()
    }

    fn check_names(&self, signature: &Signature) -> Result<(), Failure> {
        let Some(unknown) =
            self.shapes.iter().find(|shape| signature.input(&shape.input).is_none())
        else {
            return Ok(());
        };
        let names: Vec<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
        Err(Failure::new(format!(
            "--shape {}=...: the model's inputs are {}",
            unknown.input,
            names.join(", ")
        )))
    }

    /// A model that fixes all its first dimensions takes no other number of rows.
    fn check_rows(&self, signature: &Signature) -> Result<(), Failure> {
        let takes_any =
            signature.inputs.iter().any(|spec| spec.shape.first() == Some(&Dim::Dynamic));
        match self.rows {
            Some(0) => Err("--rows 0: expected at least 1".into()),
            Some(rows) if !takes_any && rows != fixed_rows(signature) => {
                Err(Failure::new(format!(
                    "--rows {rows}: no input leaves its first dimension open ({})",
                    described(signature)
                )))
            }
            _ => Ok(()),
        }
    }

    fn of_input(&self, spec: &TensorSpec) -> Result<Shape, Failure> {
        match self.shapes.iter().find(|shape| *shape.input == *spec.name) {
            Some(given) => self.given(spec, &given.dims),
            None => self.implied(spec),
        }
    }

    fn implied(&self, spec: &TensorSpec) -> Result<Shape, Failure> {
        let rows = self.rows.unwrap_or(1);
        let dims = spec.shape.iter().enumerate().map(|(axis, dim)| match dim {
            Dim::Fixed(length) => Some(*length),
            Dim::Dynamic => (axis == 0).then_some(rows),
        });
        dims.collect::<Option<Shape>>().ok_or_else(|| {
            let rest = &spec.shape[1..];
            let example: Vec<String> = rest
                .iter()
                .map(|dim| match dim {
                    Dim::Fixed(length) => length.to_string(),
                    Dim::Dynamic => "128".to_owned(),
                })
                .collect();
            Failure::new(format!(
                "input '{}' is {}: say what is open behind its rows, such as --shape {}={}",
                spec.name,
                shown(&spec.shape),
                spec.name,
                example.join(",")
            ))
        })
    }

    /// All dimensions, or all but the rows.
    fn given(&self, spec: &TensorSpec, dims: &[usize]) -> Result<Shape, Failure> {
        let open_rows = spec.shape.first() == Some(&Dim::Dynamic);
        let whole: Vec<usize> = if open_rows && dims.len() + 1 == spec.shape.len() {
            std::iter::once(self.rows.unwrap_or(1)).chain(dims.iter().copied()).collect()
        } else {
            dims.to_vec()
        };
        let fits = whole.len() == spec.shape.len()
            && whole.iter().zip(&spec.shape).all(|(length, dim)| match dim {
                Dim::Fixed(fixed) => length == fixed,
                Dim::Dynamic => *length > 0,
            })
            && (!open_rows || self.rows.is_none_or(|rows| whole[0] == rows));
        if fits {
            return Ok(Shape::new(&whole));
        }
        let rows = self.rows.map_or(String::new(), |rows| format!(" with --rows {rows}"));
        Err(Failure::new(format!(
            "--shape {}={}: the input is {}{rows}",
            spec.name,
            whole.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
            shown(&spec.shape)
        )))
    }
}

/// How many rows a request of these shapes carries: the length of the dimension that the model leaves open, or
/// else the one that all its tensors share.
pub(super) fn rows(signature: &Signature, shapes: &[Shape]) -> usize {
    let open = signature
        .inputs
        .iter()
        .zip(shapes)
        .find(|(spec, _)| spec.shape.first() == Some(&Dim::Dynamic));
    open.map_or_else(|| fixed_rows(signature), |(_, shape)| shape[0])
}

fn fixed_rows(signature: &Signature) -> usize {
    let mut first =
        signature.inputs.iter().chain(&signature.outputs).map(|spec| spec.shape.first());
    match first.next() {
        Some(Some(Dim::Fixed(rows))) if first.all(|dim| dim == Some(&Dim::Fixed(*rows))) => *rows,
        _ => 1,
    }
}

fn described(signature: &Signature) -> String {
    let inputs =
        signature.inputs.iter().map(|spec| format!("{} {}", spec.name, shown(&spec.shape)));
    inputs.collect::<Vec<_>>().join(", ")
}

fn shown(dims: &[Dim]) -> String {
    let dims = dims.iter().map(|dim| match dim {
        Dim::Fixed(length) => length.to_string(),
        Dim::Dynamic => "-1".to_owned(),
    });
    format!("[{}]", dims.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use tidegate_inference::DataType;

    use super::*;

    const OPEN: Dim = Dim::Dynamic;

    fn spec(name: &str, dims: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.into(), datatype: DataType::Fp32, shape: dims.to_vec() }
    }

    fn model(inputs: &[&[Dim]]) -> Signature {
        let inputs = inputs.iter().enumerate();
        let inputs = inputs.map(|(index, dims)| spec(["a", "b"][index], dims)).collect();
        Signature { inputs, outputs: vec![] }
    }

    fn named(input: &str, dims: &[usize]) -> Vec<NamedShape> {
        vec![NamedShape { input: input.into(), dims: dims.to_vec() }]
    }

    fn sized(
        inputs: &[&[Dim]],
        rows: Option<usize>,
        shapes: &[NamedShape],
    ) -> Result<Vec<Shape>, String> {
        Sizes { rows, shapes }.of_inputs(&model(inputs)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_open_dimension_is_the_rows() {
        let inputs: &[&[Dim]] = &[&[OPEN, Dim::Fixed(8)], &[Dim::Fixed(3)]];
        for (given, expected) in [(None, 1), (Some(4), 4)] {
            let shapes = sized(inputs, given, &[]).unwrap();
            assert_eq!(shapes, [Shape::new(&[expected, 8]), Shape::new(&[3])]);
            assert_eq!(rows(&model(inputs), &shapes), expected);
        }
    }

    #[test]
    fn other_open_dimensions_are_given_with_or_without_rows() {
        let inputs: &[&[Dim]] = &[&[OPEN, OPEN]];
        assert_eq!(sized(inputs, Some(4), &named("a", &[7])).unwrap(), [Shape::new(&[4, 7])]);
        assert_eq!(sized(inputs, None, &named("a", &[2, 7])).unwrap(), [Shape::new(&[2, 7])]);
        assert_eq!(
            sized(&[&[OPEN, Dim::Fixed(3), OPEN]], None, &[]).unwrap_err(),
            "input 'a' is [-1,3,-1]: say what is open behind its rows, such as --shape a=3,128"
        );
    }

    #[test]
    fn what_does_not_fit_the_model_is_refused_with_what_the_model_is() {
        let fixed: &[&[Dim]] = &[&[Dim::Fixed(4), Dim::Fixed(8)]];
        for (inputs, rows, shapes, message) in [
            (&[][..], None, vec![], "its metadata names no inputs: pass --payload"),
            (
                fixed,
                Some(2),
                vec![],
                "--rows 2: no input leaves its first dimension open (a [4,8])",
            ),
            (fixed, None, named("x", &[1]), "--shape x=...: the model's inputs are a"),
            (fixed, None, named("a", &[4, 9]), "--shape a=4,9: the input is [4,8]"),
            (
                &[&[OPEN, OPEN][..]],
                Some(2),
                named("a", &[3, 7]),
                "--shape a=3,7: the input is [-1,-1] with --rows 2",
            ),
            (&[&[OPEN, OPEN][..]], None, named("a", &[0]), "--shape a=1,0: the input is [-1,-1]"),
            (&[&[OPEN][..]], Some(0), vec![], "--rows 0: expected at least 1"),
        ] {
            assert_eq!(sized(inputs, rows, &shapes).unwrap_err(), message);
        }
    }

    #[test]
    fn a_fixed_first_dimension_counts_as_rows_where_all_tensors_share_it() {
        let mut signature = model(&[&[Dim::Fixed(4), Dim::Fixed(8)]]);
        assert_eq!(rows(&signature, &[Shape::new(&[4, 8])]), 4);
        signature.outputs = vec![spec("y", &[Dim::Fixed(2)])];
        assert_eq!(rows(&signature, &[Shape::new(&[4, 8])]), 1);
    }
}
