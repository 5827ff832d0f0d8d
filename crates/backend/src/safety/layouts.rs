//! Which input axes could hold the rows, likeliest first. Guesses only: the check tries them.

use tidegate_batcher::InputAxis;
use tidegate_inference::{Dim, Signature};

/// Every candidate costs runs of the model, and the right one is nearly always the first.
const MAX_CANDIDATES: usize = 16;

/// One axis for each input. An input without a dynamic dimension is shared, in every candidate.
pub(super) fn candidates(signature: &Signature) -> Vec<Vec<InputAxis>> {
    let dynamic: Vec<Vec<usize>> = signature
        .inputs
        .iter()
        .map(|spec| {
            let dims = spec.shape.iter().enumerate();
            dims.filter(|(_, dim)| **dim == Dim::Dynamic).map(|(axis, _)| axis).collect()
        })
        .collect();
    let mut candidates: Vec<Vec<InputAxis>> = Vec::new();
    let mut add = |candidate: Vec<InputAxis>| {
        let has_rows = candidate.iter().any(|axis| matches!(axis, InputAxis::Rows(_)));
        if has_rows && candidates.len() < MAX_CANDIDATES && !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    };
    // The n-th dynamic dimension of every input, or its last one.
    let choices = dynamic.iter().map(Vec::len).max().unwrap_or(0);
    let nth = |axes: &Vec<usize>, n: usize| match axes.get(n).or(axes.last()) {
        Some(&axis) => InputAxis::Rows(axis),
        None => InputAxis::Shared,
    };
    for n in 0..choices {
        add(dynamic.iter().map(|axes| nth(axes, n)).collect());
    }
    // The first of every input but one, which has its rows elsewhere or none at all.
    for (input, axes) in dynamic.iter().enumerate() {
        let elsewhere = axes.iter().skip(1).map(|&axis| InputAxis::Rows(axis));
        for other in elsewhere.chain([InputAxis::Shared]) {
            let mut candidate: Vec<InputAxis> = dynamic.iter().map(|axes| nth(axes, 0)).collect();
            candidate[input] = other;
            add(candidate);
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{DataType, TensorSpec};

    use super::InputAxis::{Rows, Shared};
    use super::*;

    fn candidates_of(shapes: &[&[i64]]) -> Vec<Vec<InputAxis>> {
        let inputs = shapes.iter().map(|shape| TensorSpec {
            name: "x".into(),
            datatype: DataType::Fp32,
            shape: shape
                .iter()
                .map(|&dim| usize::try_from(dim).map_or(Dim::Dynamic, Dim::Fixed))
                .collect(),
        });
        candidates(&Signature { inputs: inputs.collect(), outputs: vec![] })
    }

    #[test]
    fn the_first_dynamic_dimension_comes_first_and_fixed_inputs_are_shared() {
        let found = candidates_of(&[&[-1, 3], &[2, -1, 3], &[]]);
        assert_eq!(found[0], [Rows(0), Rows(1), Shared]);
    }

    #[test]
    fn another_axis_of_all_inputs_comes_before_exceptions_for_one() {
        let found = candidates_of(&[&[-1, -1], &[-1, -1]]);
        assert_eq!(found[..3], [[Rows(0), Rows(0)], [Rows(1), Rows(1)], [Rows(1), Rows(0)]]);
    }

    #[test]
    fn somebody_has_rows_in_every_candidate_and_there_are_not_too_many() {
        assert_eq!(candidates_of(&[&[-1, 3]]), [[Rows(0)]]);
        assert_eq!(candidates_of(&[&[1, 3]]), Vec::<Vec<InputAxis>>::new());
        assert_eq!(candidates_of(&[&[-1_i64, -1, -1] as &[i64]; 20]).len(), MAX_CANDIDATES);
    }
}
