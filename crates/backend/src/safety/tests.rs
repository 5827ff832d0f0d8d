//! Claims about the check, each on an engine that is a few lines of arithmetic.

use std::num::NonZeroUsize;
use std::path::Path;

use tidegate_batcher::InputAxis::{Rows, Shared};
use tidegate_batcher::{TensorView, ViewData};
use tidegate_inference::{DataType, Error, ErrorKind, Result as RunResult, TensorData};

use super::*;
use crate::{Backend, LoadOptions, MockBackend};

fn spec(name: &str, shape: &[i64]) -> TensorSpec {
    let dims = shape.iter().map(|&dim| usize::try_from(dim).map_or(Dim::Dynamic, Dim::Fixed));
    TensorSpec { name: name.into(), datatype: DataType::Fp32, shape: dims.collect() }
}

fn signature(inputs: &[(&str, &[i64])], outputs: &[(&str, &[i64])]) -> Signature {
    let specs =
        |list: &[(&str, &[i64])]| list.iter().map(|(name, dims)| spec(name, dims)).collect();
    Signature { inputs: specs(inputs), outputs: specs(outputs) }
}

fn values(view: &TensorView<'_>) -> Vec<f32> {
    let ViewData::Fixed(bytes) = view.data else { panic!("numbers") };
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(name, DataType::Fp32, Shape::new(shape), TensorData::Fixed(bytes)).unwrap()
}

fn check(
    signature: Signature,
    samples: &[Vec<Tensor>],
    function: impl Fn(&[TensorView<'_>]) -> RunResult<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<BatchSafety, LoadError> {
    let options = LoadOptions { instances: NonZeroUsize::MIN, intra_op_threads: NonZeroUsize::MIN };
    let mut loaded = MockBackend::new(signature, function).load(Path::new(""), &options).unwrap();
    check_batch_safety(&mut *loaded.instances[0], &loaded.signature, samples)
}

fn reason(outcome: Result<BatchSafety, LoadError>) -> String {
    match outcome.unwrap() {
        BatchSafety::Unbatched { reason } => reason,
        BatchSafety::Batched(layout) => panic!("batched: {layout:?}"),
    }
}

/// `x` [-1,2] to `y` [-1,2].
fn rows_of_two() -> Signature {
    signature(&[("x", &[-1, 2])], &[("y", &[-1, 2])])
}

#[test]
fn a_model_that_treats_rows_alone_is_batched_on_axis_0() {
    let outcome = check(rows_of_two(), &[], |inputs| {
        let doubled: Vec<f32> = values(&inputs[0]).iter().map(|value| value * 2.0).collect();
        Ok(vec![tensor("y", &inputs[0].shape, &doubled)])
    });
    let layout = RowLayout { inputs: vec![Rows(0)], outputs: vec![0] };
    assert_eq!(outcome, Ok(BatchSafety::Batched(layout)));
}

#[test]
fn a_running_sum_over_the_rows_is_seen_although_the_first_place_is_right() {
    let outcome = check(rows_of_two(), &[], |inputs| {
        let mut sum = 0.0;
        let sums: Vec<f32> = values(&inputs[0])
            .iter()
            .map(|value| {
                sum += value;
                sum
            })
            .collect();
        Ok(vec![tensor("y", &inputs[0].shape, &sums)])
    });
    let reason = reason(outcome);
    assert!(reason.starts_with("answers depend on who shares the batch: output 'y'"), "{reason}");
}

#[test]
fn an_answer_scaled_by_the_largest_value_of_the_batch_is_seen() {
    let outcome = check(rows_of_two(), &[], |inputs| {
        let x = values(&inputs[0]);
        let step = x.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())) / 127.0;
        let rounded: Vec<f32> = x.iter().map(|value| (value / step).round() * step).collect();
        Ok(vec![tensor("y", &inputs[0].shape, &rounded)])
    });
    assert!(reason(outcome).contains("who shares the batch"));
}

#[test]
fn rows_may_come_out_along_another_axis_beside_an_input_that_all_share() {
    let signature = signature(&[("x", &[-1, 2]), ("scale", &[])], &[("y", &[2, -1])]);
    let outcome = check(signature, &[], |inputs| {
        let (x, scale, rows) = (values(&inputs[0]), values(&inputs[1])[0], inputs[0].shape[0]);
        let column = |c: usize| (0..rows).map(move |r| (r, c));
        let y: Vec<f32> = column(0).chain(column(1)).map(|(r, c)| x[r * 2 + c] * scale).collect();
        Ok(vec![tensor("y", &[2, rows], &y)])
    });
    let layout = RowLayout { inputs: vec![Rows(0), Shared], outputs: vec![1] };
    assert_eq!(outcome, Ok(BatchSafety::Batched(layout)));
}

#[test]
fn an_output_that_does_not_follow_the_rows_is_named() {
    let outcome = check(signature(&[("x", &[-1])], &[("total", &[])]), &[], |inputs| {
        Ok(vec![tensor("total", &[], &[values(&inputs[0]).iter().sum()])])
    });
    let reason = reason(outcome);
    assert!(reason.starts_with("output 'total' does not follow the rows"), "{reason}");
}

#[test]
fn a_model_that_takes_one_row_says_so_only_when_stacked() {
    let outcome = check(rows_of_two(), &[], |inputs| {
        if inputs[0].shape[0] != 1 {
            return Err(Error::new(ErrorKind::ModelFailed, "cannot reshape"));
        }
        Ok(vec![tensor("y", &inputs[0].shape, &values(&inputs[0]))])
    });
    assert_eq!(reason(outcome), "it fails when requests are run together: cannot reshape");
}

#[test]
fn a_model_that_rolls_dice_is_told_apart_from_one_that_mixes_rows() {
    let runs = std::sync::atomic::AtomicU32::new(0);
    let outcome = check(rows_of_two(), &[], move |inputs| {
        let run = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f32;
        let x = values(&inputs[0]).iter().map(|value| value + run).collect::<Vec<_>>();
        Ok(vec![tensor("y", &inputs[0].shape, &x)])
    });
    assert_eq!(reason(outcome), "the same request gets different answers from run to run");
}

#[test]
fn fixed_shapes_are_not_batched_and_not_run() {
    let never = |_: &[TensorView<'_>]| -> RunResult<Vec<Tensor>> { panic!("not to be run") };
    let fixed = signature(&[("x", &[1, 4])], &[("y", &[1, 4])]);
    assert_eq!(reason(check(fixed, &[], never)), "its batch dimension is fixed at 1");
    let flat = signature(&[("x", &[4])], &[("y", &[4])]);
    assert!(reason(check(flat, &[], never)).contains("no input has a dynamic dimension"));
}

/// Accepts only whole numbers from 10 to 19, which no generator makes.
fn picky(inputs: &[TensorView<'_>]) -> RunResult<Vec<Tensor>> {
    let x = values(&inputs[0]);
    if x.iter().any(|value| value.fract() != 0.0 || !(10.0..20.0).contains(value)) {
        return Err(Error::new(ErrorKind::ModelFailed, "index out of range"));
    }
    Ok(vec![tensor("y", &inputs[0].shape, &x)])
}

#[test]
fn a_model_that_refuses_all_generated_values_asks_for_samples() {
    assert_eq!(
        reason(check(rows_of_two(), &[], picky)),
        "no sample request ran: index out of range; put two into samples/"
    );
}

#[test]
fn given_samples_are_used_and_must_run() {
    let sample = |value: f32| vec![tensor("x", &[1, 2], &[value, value + 1.0])];
    let good = [sample(10.0), sample(15.0)];
    assert!(matches!(check(rows_of_two(), &good, picky), Ok(BatchSafety::Batched(_))));
    let bad = [sample(10.0), sample(50.0)];
    let error = check(rows_of_two(), &bad, picky).unwrap_err().to_string();
    assert_eq!(error, "the version fails on its own sample 2: index out of range");
}

#[test]
fn an_engine_that_panics_fails_the_check_and_nothing_else() {
    let outcome = check(rows_of_two(), &[], |_| panic!("out of bounds"));
    assert!(reason(outcome).contains("the engine panicked: out of bounds"));
}
