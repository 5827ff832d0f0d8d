//! Wake-ups that come from other threads, gathered: however many requests of one I/O thread a batch answers,
//! that thread is woken once.
//!
//! Waking a task of a single-threaded runtime from outside costs a system call, each time. So the tasks here
//! hand out wakers that put the task into its thread's mailbox, and only the first one in there rings; the
//! thread then wakes all of them from inside, where that is a push to a list.

use std::cell::OnceCell;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// The mailbox of this I/O thread; other threads have none.
    static HERE: OnceCell<Arc<Mailbox>> = const { OnceCell::new() };
}

#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Letters>);

#[derive(Debug, Default)]
struct Letters {
    /// Tasks that other threads want to be woken.
    tasks: Vec<Waker>,
    /// Whoever empties the box; known from its first look on.
    keeper: Option<Waker>,
    closed: bool,
}

/// A task of an I/O thread whose wakers may be used far away.
pub struct Gathered<F> {
    future: Pin<Box<F>>,
    home: Arc<Mailbox>,
    /// Made for the waker of the first poll; a task's own never changes.
    waker: Option<FromAfar>,
}

struct FromAfar {
    task: Waker,
    /// The same, by way of the mailbox.
    posted: Waker,
}

struct Envelope {
    task: Waker,
    home: Arc<Mailbox>,
}

impl Mailbox {
    /// Makes this the mailbox of the calling thread, which has none yet, for as long as the thread lives.
    pub fn stay(self: &Arc<Self>) {
        HERE.with(|here| {
            here.get_or_init(|| Arc::clone(self));
        });
    }

    /// The calling thread's.
    pub fn here() -> Option<Arc<Self>> {
        HERE.with(|here| here.get().cloned())
    }

    fn is_here(&self) -> bool {
        HERE.with(|here| here.get().is_some_and(|home| std::ptr::eq(&**home, self)))
    }

    /// Ready once it is closed; until then, wakes who was posted.
    pub fn poll_keep(&self, cx: &mut Context<'_>, room: &mut Vec<Waker>) -> Poll<()> {
        let mut letters = self.lock();
        mem::swap(&mut letters.tasks, room);
        match &mut letters.keeper {
            Some(keeper) => keeper.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let closed = letters.closed;
        drop(letters);
        room.drain(..).for_each(Waker::wake);
        if closed { Poll::Ready(()) } else { Poll::Pending }
    }

    pub fn close(&self) {
        let mut letters = self.lock();
        letters.closed = true;
        ring(letters);
    }

    fn post(&self, task: Waker) {
        let mut letters = self.lock();
        letters.tasks.push(task);
        // Whoever posted the first has rung, and the keeper has not looked since.
        if letters.tasks.len() == 1 {
            ring(letters);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a keeper nobody has looked yet: the first look finds what there is.
fn ring(letters: MutexGuard<'_, Letters>) {
    let keeper = letters.keeper.clone();
    drop(letters);
    if let Some(keeper) = keeper {
        keeper.wake();
    }
}

impl<F> Gathered<F> {
    pub fn new(future: F, home: Arc<Mailbox>) -> Self {
        Self { future: Box::pin(future), home, waker: None }
    }
}

impl<F: Future> Future for Gathered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, home, waker } = &mut *self;
        let known = waker.take().filter(|known| known.task.will_wake(cx.waker()));
        let known = waker.insert(known.unwrap_or_else(|| FromAfar::new(cx.waker(), home)));
        future.as_mut().poll(&mut Context::from_waker(&known.posted))
    }
}

impl FromAfar {
    fn new(task: &Waker, home: &Arc<Mailbox>) -> Self {
        let envelope = Envelope { task: task.clone(), home: Arc::clone(home) };
        Self { task: task.clone(), posted: Arc::new(envelope).into() }
    }
}

impl Wake for Envelope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.home.is_here() {
            self.task.wake_by_ref();
        } else {
            self.home.post(self.task.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Bell {
        fn rung(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that never ends, and the waker that it hands out.
    fn handed_out(task: &Arc<Bell>, home: &Arc<Mailbox>) -> Waker {
        let mut seen = None;
        let future = poll_fn(|cx| {
            seen = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        let mut gathered = Gathered::new(future, Arc::clone(home));
        let task = Arc::clone(task).into();
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&task)).is_pending());
        drop(gathered);
        seen.unwrap()
    }

    #[test]
    fn many_wake_ups_from_afar_ring_once_and_wake_each_task() {
        let home = Arc::<Mailbox>::default();
        let (keeper, tasks) = (Arc::<Bell>::default(), [(); 3].map(|()| Arc::<Bell>::default()));
        let waker = Arc::clone(&keeper).into();
        let look = || home.poll_keep(&mut Context::from_waker(&waker), &mut Vec::new());
        assert!(look().is_pending());
        for round in 1..3 {
            tasks.iter().for_each(|task| handed_out(task, &home).wake());
            assert_eq!((keeper.rung(), tasks[0].rung()), (round, round - 1));
            assert!(look().is_pending());
            assert!(tasks.iter().all(|task| task.rung() == round));
        }
    }

    #[test]
    fn what_was_posted_before_the_first_look_is_found_by_it() {
        let home = Arc::<Mailbox>::default();
        let task = Arc::<Bell>::default();
        handed_out(&task, &home).wake();
        let looked = home.poll_keep(&mut Context::from_waker(Waker::noop()), &mut Vec::new());
        assert_eq!((looked, task.rung()), (Poll::Pending, 1));
    }

    #[test]
    fn at_home_a_task_is_woken_without_a_letter() {
        let home = Arc::<Mailbox>::default();
        let (task, here) = (Arc::<Bell>::default(), Arc::clone(&home));
        let waker = handed_out(&task, &home);
        thread::scope(|scope| {
            scope.spawn(|| {
                here.stay();
                waker.wake();
            });
        });
        assert_eq!((task.rung(), home.lock().tasks.len()), (1, 0));
    }

    #[test]
    fn closing_ends_the_keeping() {
        let home = Arc::<Mailbox>::default();
        let keeper = Arc::<Bell>::default();
        let waker = Arc::clone(&keeper).into();
        let look = || home.poll_keep(&mut Context::from_waker(&waker), &mut Vec::new());
        assert!(look().is_pending());
        home.close();
        assert_eq!((keeper.rung(), look()), (1, Poll::Ready(())));
    }
}
