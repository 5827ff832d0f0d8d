//! The requests that are under way. Each carries its own number through queue, batch and model, so that an answer shows
//! whose it is.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use tidegate_batcher::{Answer, Answered};
use tidegate_inference::{DataType, Error, Shape, Tensor, TensorData};

use super::crew::lock;
use crate::Failure;

pub struct Requests {
    slots: Vec<Slot>,
    free: Vec<usize>,
    next: u64,
    /// Slots whose answers have come.
    rung: Arc<Mutex<Vec<usize>>>,
}

struct Slot {
    request: Option<Request>,
    answer: Option<Answer>,
    waker: Waker,
}

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub number: u64,
    /// From the start.
    pub due: Duration,
    /// In a closed loop.
    pub caller: Option<usize>,
    pub crew: usize,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Right,
    /// By a full queue, or because it would have been late.
    Refused,
    /// Its deadline passed.
    Late,
}

struct Bell {
    slot: usize,
    rung: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        lock(&self.rung).push(self.slot);
    }
}

impl Requests {
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), next: 0, rung: Arc::default() }
    }

    pub fn begin(&mut self, due: Duration, caller: Option<usize>, crew: usize) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let waker = Arc::new(Bell { slot, rung: Arc::clone(&self.rung) }).into();
            self.slots.push(Slot { request: None, answer: None, waker });
            slot
        });
        let request = Request { number: self.next, due, caller, crew, outcome: None };
        self.slots[slot].request = Some(request);
        self.next += 1;
        slot
    }

    pub fn get(&mut self, slot: usize) -> &mut Request {
        self.slots[slot].request.as_mut().expect("a slot is freed once, when its request ends")
    }

    pub fn end(&mut self, slot: usize) -> Request {
        self.free.push(slot);
        self.slots[slot].request.take().expect("a slot is freed once, when its request ends")
    }

    /// The answer will ring.
    pub fn await_answer(&mut self, slot: usize, answer: Answer) {
        self.slots[slot].answer = Some(answer);
        if self.poll(slot).is_some() {
            lock(&self.rung).push(slot);
        }
    }

    /// Into `slots`: those whose answers have come since the last call, in that order.
    pub fn take_rung(&mut self, slots: &mut Vec<usize>) {
        slots.clear();
        slots.append(&mut lock(&self.rung));
    }

    /// # Errors
    /// When the answer is another request's.
    pub fn answered(&mut self, slot: usize) -> Result<Outcome, Failure> {
        let number = self.get(slot).number;
        let result = self.poll(slot);
        self.slots[slot].answer = None;
        match result {
            Some(Ok(answered)) if is_for(number, &answered) => Ok(Outcome::Right),
            Some(Ok(_)) => Err(format!("request {number} was answered with another's rows").into()),
            Some(Err(_)) => Ok(Outcome::Late),
            None => Err(format!("request {number} was told of an answer that is not there").into()),
        }
    }

    fn poll(&mut self, slot: usize) -> Option<Result<Answered, Error>> {
        let Slot { answer, waker, .. } = &mut self.slots[slot];
        match Pin::new(answer.as_mut()?).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

fn is_for(number: u64, answered: &Answered) -> bool {
    let own = |tensor: &Tensor| match tensor.data() {
        TensorData::Fixed(bytes) => bytes.chunks_exact(8).all(|row| row == number.to_le_bytes()),
        TensorData::Strings(_) => false,
    };
    answered.outputs().iter().all(own)
}

/// So many rows of one number.
pub fn tensor(number: u64, rows: usize) -> Result<Tensor, Failure> {
    let data = TensorData::Fixed(Bytes::from(number.to_le_bytes().repeat(rows)));
    Tensor::new("x", DataType::Uint64, Shape::new(&[rows, 1]), data)
        .map_err(|error| Failure::new(error.message()))
}
