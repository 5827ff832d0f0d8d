//! For any mix of requests, any axis and any datatype, scatter gives every caller what gather took
//! from it: scatter(gather(x)) = x.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;
use tidegate_batcher::{
    BatchPolicy, Batching, InputAxis, InputBuffers, RowLayout, RunTimes, Step, TensorView,
    ViewData, queue,
};
use tidegate_inference::{DataType, Deadline, Shape, Tensor, TensorData};

/// A model of some inputs, each with its rank, batch axis and datatype.
#[derive(Clone, Debug)]
struct Model {
    inputs: Vec<(Vec<usize>, usize, DataType)>,
}

fn model() -> impl Strategy<Value = Model> {
    let datatype = prop::sample::select(DataType::ALL.to_vec());
    let input = (prop::collection::vec(0_usize..4, 1..4), any::<prop::sample::Index>(), datatype)
        .prop_map(|(dims, axis, datatype)| {
            let axis = axis.index(dims.len());
            (dims, axis, datatype)
        });
    prop::collection::vec(input, 1..4).prop_map(|inputs| Model { inputs })
}

/// Distinct bytes, so that a row in the wrong place shows.
fn tensor(shape: Shape, datatype: DataType, seed: &mut u32) -> Tensor {
    let elements = shape.elements().unwrap();
    let mut next = || {
        *seed += 1;
        seed.to_le_bytes()
    };
    let data = match datatype.size() {
        Some(size) => {
            let bytes: Vec<u8> =
                (0..elements).flat_map(|_| next().into_iter().cycle().take(size)).collect();
            TensorData::Fixed(bytes.into())
        }
        None => TensorData::Strings(
            (0..elements).map(|_| Bytes::copy_from_slice(&next()[..2])).collect(),
        ),
    };
    Tensor::new("x", datatype, shape, data).unwrap()
}

fn owned(view: &TensorView<'_>) -> Tensor {
    let data = match &view.data {
        ViewData::Fixed(bytes) => TensorData::Fixed(Bytes::copy_from_slice(bytes)),
        ViewData::Strings(strings) => {
            TensorData::Strings(strings.iter().map(|string| (*string).clone()).collect())
        }
    };
    Tensor::new("x", view.datatype, view.shape.clone(), data).unwrap()
}

proptest! {
    #[test]
    fn every_caller_gets_back_exactly_what_it_sent(
        model in model(),
        requests in prop::collection::vec(1_usize..6, 1..12),
        max_batch_size in 1_usize..9,
    ) {
        let axes: Vec<usize> = model.inputs.iter().map(|(_, axis, _)| *axis).collect();
        let layout = RowLayout {
            inputs: axes.iter().map(|axis| InputAxis::Rows(*axis)).collect(),
            outputs: axes,
        };
        let size = NonZeroUsize::new(max_batch_size).unwrap();
        let policy = BatchPolicy::new(size, size, Duration::ZERO).unwrap();
        let (queue, mut batcher) =
            queue(Batching::Rows { layout, policy }, NonZeroUsize::new(256).unwrap());

        let now = Instant::now();
        let mut seed = 0;
        let mut callers = Vec::new();
        for rows in requests {
            let inputs: Vec<Tensor> = model
                .inputs
                .iter()
                .map(|(dims, axis, datatype)| {
                    tensor(Shape::new(dims).with_dim(*axis, rows), *datatype, &mut seed)
                })
                .collect();
            let deadline = Deadline::after(now, Duration::from_secs(60));
            callers.push((inputs.clone(), queue.submit(inputs, deadline, now).unwrap()));
        }

        let mut buffers = InputBuffers::default();
        while let Step::Dispatch(batch) = batcher.step(now) {
            prop_assert!(batch.rows() <= max_batch_size);
            let outputs = batch.gather(&mut buffers).unwrap().iter().map(owned).collect();
            let times = RunTimes { dispatched: now, gathered: now, executed: now, scattered: now };
            batch.scatter(outputs, times);
        }
        for (sent, answer) in callers {
            prop_assert_eq!(answer.now_or_never().expect("answered").unwrap().outputs(), sent);
        }
    }
}
