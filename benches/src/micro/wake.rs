//! Question: how long does a parked leader take to be up with the item in its hand, over what the
//! standard library's `Thread::unpark` takes to bring one word, and what does the waking push cost its producer?
//!
//! Both threads sleep between two wakings, as they do in a gateway that is not busy: the producer
//! for [`PAUSE`], after it has seen the last item arrive. So these are wall times, and on a busy machine
//! the scheduler's; each way meets the same ones.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_batcher::Arrivals;
use tidegate_loadtest::statistics::median;
use tokio::sync::Notify;

use super::queue::wait::{block_on, unparker};
use crate::output::{Table, figure};

/// Long enough for the consumer to be asleep again.
const PAUSE: Duration = Duration::from_micros(100);
const WAKINGS: usize = 400;

struct Arm {
    name: &'static str,
    run: fn(usize) -> Wakings,
}

const ARMS: [Arm; 3] = [
    Arm { name: "Thread::unpark", run: unpark },
    Arm { name: "Arrivals", run: arrivals },
    Arm { name: "tokio Notify", run: notify },
];

/// Nanoseconds of each.
#[derive(Default)]
struct Wakings {
    /// From before the push until the consumer has the item.
    latency: Vec<f64>,
    /// Of the push alone.
    push: Vec<f64>,
}

pub fn compare(rounds: usize) -> String {
    let rounds: Vec<Vec<Wakings>> =
        (0..rounds).map(|_| ARMS.iter().map(|arm| (arm.run)(WAKINGS)).collect()).collect();
    let p50 = |wakings: &Wakings| median(wakings.latency.iter().copied());
    let mut table = Table::new(&["way"], &["p50 us", "ratio", "p99 us", "push us"]);
    for (index, arm) in ARMS.iter().enumerate() {
        let of = |figure: &dyn Fn(&Wakings) -> f64| {
            median(rounds.iter().map(|round| figure(&round[index]))) / 1e3
        };
        let ratio = median(rounds.iter().map(|round| p50(&round[index]) / p50(&round[0])));
        table.row([
            arm.name.to_owned(),
            figure(of(&p50)),
            format!("{ratio:.2}"),
            figure(of(&|wakings| p99(&wakings.latency))),
            figure(of(&|wakings| median(wakings.push.iter().copied()))),
        ]);
    }
    format!(
        "**Waking a parked consumer**, {WAKINGS} times a round; wall time.\n\n{}",
        table.into_markdown()
    )
}

fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() * 99 / 100]
}

fn unpark(wakings: usize) -> Wakings {
    let (word, consumer) = (Word::default(), thread::current());
    measure(
        wakings,
        |item| {
            word.put(item);
            consumer.unpark();
        },
        || loop {
            match word.take() {
                Some(item) => return item,
                None => thread::park(),
            }
        },
    )
}

fn notify(wakings: usize) -> Wakings {
    let (word, notify) = (Word::default(), Notify::new());
    measure(
        wakings,
        |item| {
            word.put(item);
            notify.notify_one();
        },
        || loop {
            block_on(notify.notified());
            if let Some(item) = word.take() {
                return item;
            }
        },
    )
}

fn arrivals(wakings: usize) -> Wakings {
    let arrivals = Arrivals::new(16);
    let waker = unparker();
    let mut taken = 0;
    measure(
        wakings,
        |item| {
            arrivals.reserve(1).expect("one is under way at a time");
            arrivals.push(item, 1);
        },
        || loop {
            arrivals.awake();
            if let Some(item) = arrivals.pop() {
                arrivals.release(1);
                taken += 1;
                return item;
            }
            let context = &mut Context::from_waker(&waker);
            if arrivals.poll_pushed(context, taken + 1, false).is_pending() {
                thread::park();
            }
        },
    )
}

/// Nanoseconds since the start, from 1 on.
type Item = NonZeroU64;

/// One item in a word of memory, for what wakes and carries nothing.
#[derive(Default)]
struct Word(AtomicU64);

impl Word {
    // Relaxed: waking and being woken order the two sides, and the word is all that is read.
    fn put(&self, item: Item) {
        self.0.store(item.get(), Ordering::Relaxed);
    }

    fn take(&self) -> Option<Item> {
        Item::new(self.0.swap(0, Ordering::Relaxed))
    }
}

/// The consumer is this thread.
fn measure(
    wakings: usize,
    push: impl Fn(Item) + Send,
    mut receive: impl FnMut() -> Item,
) -> Wakings {
    let start = Instant::now();
    let now = || Item::new(start.elapsed().as_nanos() as u64).unwrap_or(Item::MIN);
    let received = AtomicUsize::new(0);
    thread::scope(|scope| {
        let received = &received;
        let producer = scope.spawn(move || {
            let push = |number| {
                thread::sleep(PAUSE);
                let sent = now();
                push(sent);
                let took = now().get() - sent.get();
                while received.load(Ordering::Acquire) <= number {
                    thread::yield_now();
                }
                took as f64
            };
            (0..wakings).map(push).collect()
        });
        let latency = (0..wakings)
            .map(|number| {
                let sent = receive();
                let took = now().get() - sent.get();
                received.store(number + 1, Ordering::Release);
                took as f64
            })
            .collect();
        Wakings { latency, push: producer.join().expect("it only pushes") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_wakes_as_often_as_it_is_asked() {
        for arm in &ARMS {
            let wakings = (arm.run)(20);
            assert_eq!((wakings.latency.len(), wakings.push.len()), (20, 20), "{}", arm.name);
        }
    }
}
