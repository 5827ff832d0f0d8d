//! One load's share on one generator thread: its connections, the requests that wait for one, and its tally.
//!
//! A request that is due gets the connection that was used last, or a new one while there may be more, or it waits. All
//! of it happens on one thread, so plain cells hold it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use http::Method;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout_at};

use super::body::RequestBody;
use super::link::{Counted, Link, Lost};
use super::tally::{Ended, Tally, Times, Window};
use crate::load::{Behaviour, Endpoint, Load, Transport};
use crate::question::{Answer, Ending, Judged, Question, ServerFacts};

/// How often a request is offered to another connection when the one it was given turns out to be closed.
const TRIES: usize = 3;
/// Requests that may wait for a connection on one thread; more are not sent, and counted as such.
const MOST_WAITING: usize = 1 << 20;

pub struct Lane {
    pub load: Load,
    pub window: Window,
    /// Of the load's own windows, in their order.
    parts: Vec<Window>,
    pub tally: RefCell<Tally>,
    connections: usize,
    open: Rc<Cell<usize>>,
    /// Connections that requests on their way are about to open, and that are being opened.
    promised: Rc<Cell<usize>>,
    opening: Rc<Cell<usize>>,
    /// Held while an HTTP/2 connection is opened.
    turn: Mutex<()>,
    idle: RefCell<Vec<Link>>,
    waiting: RefCell<VecDeque<Job>>,
    in_flight: Cell<u64>,
    next_endpoint: Cell<usize>,
    next_question: Cell<usize>,
    all_ended: Notify,
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Job {
    due: Instant,
    turned: Instant,
    waited: bool,
    question: usize,
}

/// What was learnt while a request was being asked, also when it is given up half-way.
#[derive(Default)]
struct Trace {
    promise: Cell<Option<Counted>>,
    began: Cell<Option<Instant>>,
    sent: Cell<Option<Instant>>,
}

impl Lane {
    /// `first` question and endpoint differ by thread, so that neighbours do not all ask the same.
    pub fn new(load: Load, start: Instant, connections: usize, first: usize) -> Self {
        let from = start + load.start + load.warm_up;
        Self {
            window: Window { start: from, end: from + load.duration },
            parts: load
                .windows
                .iter()
                .map(|part| Window { start: start + part.start, end: start + part.end })
                .collect(),
            load,
            tally: RefCell::default(),
            connections,
            open: Rc::default(),
            promised: Rc::default(),
            opening: Rc::default(),
            turn: Mutex::new(()),
            idle: RefCell::default(),
            waiting: RefCell::default(),
            in_flight: Cell::new(0),
            next_endpoint: Cell::new(first),
            next_question: Cell::new(first),
            all_ended: Notify::new(),
        }
    }

    /// A request of an open loop is due: it is on its way when this returns.
    pub fn dispatch(self: &Rc<Self>, due: Instant) {
        let job = self.begin(due);
        if let Some(link) = self.idle_link() {
            self.spawn(job, Some(link));
        } else if self.may_open() {
            self.spawn(job, None);
        } else if self.waiting.borrow().len() < MOST_WAITING {
            self.waiting.borrow_mut().push_back(Job { waited: true, ..job });
        } else {
            let detail = format!("{MOST_WAITING} requests were waiting for a connection");
            self.end(&job, &Trace::default(), failed(Ending::NotSent, detail));
        }
    }

    /// One request of a closed loop, asked and answered. The caller keeps its connection.
    pub async fn ask_now(self: &Rc<Self>, link: &mut Option<Link>) -> Ending {
        let job = self.begin(Instant::now());
        self.ask(job, link, Trace::default()).await
    }

    /// Returns when no request is on its way any more.
    pub async fn ended(&self) {
        while self.in_flight.get() > 0 {
            self.all_ended.notified().await;
        }
    }

    /// Gives up what waits for a connection. What is on its way ends by its own timeout.
    pub fn give_up(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for job in waiting {
            let detail = "the run ended before a connection was free".to_owned();
            self.end(&job, &Trace::default(), failed(Ending::NotSent, detail));
        }
    }

    fn begin(&self, due: Instant) -> Job {
        let turned = Instant::now().max(due);
        let question = self.next_question.get();
        self.next_question.set((question + 1) % self.load.questions.len());
        self.in_flight.set(self.in_flight.get() + 1);
        let mut tally = self.tally.borrow_mut();
        tally.due += 1;
        tally.most_in_flight = tally.most_in_flight.max(self.in_flight.get());
        Job { due, turned, waited: false, question: question % self.load.questions.len() }
    }

    fn idle_link(&self) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        while let Some(link) = idle.pop() {
            if link.is_usable() {
                return Some(link);
            }
        }
        None
    }

    fn may_open(&self) -> bool {
        match self.load.transport {
            Transport::Http1 => self.open.get() + self.promised.get() < self.connections,
            // A connection brings many streams: one is opened at a time, and requests wait for it.
            Transport::Http2 { .. } => {
                self.open.get() < self.connections && self.promised.get() + self.opening.get() == 0
            }
        }
    }

    fn spawn(self: &Rc<Self>, job: Job, link: Option<Link>) {
        let promise = link.is_none().then(|| Counted::one_more(&self.promised));
        let lane = Rc::clone(self);
        tokio::task::spawn_local(async move { lane.serve(job, link, promise).await });
    }

    /// Asks, and then asks what waits, until nothing does. The promise is for the connection that the first may open.
    async fn serve(self: Rc<Self>, job: Job, mut link: Option<Link>, promise: Option<Counted>) {
        let trace = Trace::default();
        trace.promise.set(promise);
        self.ask(job, &mut link, trace).await;
        while let Some(next) = self.next_waiting() {
            self.ask(next, &mut link, Trace::default()).await;
        }
        self.idle.borrow_mut().extend(link.filter(Link::is_usable));
    }

    fn next_waiting(&self) -> Option<Job> {
        self.waiting.borrow_mut().pop_front()
    }

    /// A new HTTP/2 connection brought more links than one: they serve what waits.
    fn share_idle(self: &Rc<Self>) {
        while !self.waiting.borrow().is_empty() {
            let Some(link) = self.idle_link() else { return };
            if let Some(job) = self.next_waiting() {
                self.spawn(job, Some(link));
            }
        }
    }

    async fn ask(self: &Rc<Self>, job: Job, link: &mut Option<Link>, trace: Trace) -> Ending {
        let now = Instant::now();
        trace.began.set(Some(now));
        let question = &self.load.questions[job.question];
        let deadline = job.due + self.load.timeout;
        if now >= deadline {
            let detail = format!("no connection was free within {:?}", self.load.timeout);
            return self.end(&job, &trace, failed(Ending::NotSent, detail));
        }
        let until = match self.load.behaviour {
            Behaviour::HangsUp { after } => deadline.min(now + after),
            _ => deadline,
        };
        let judged = match timeout_at(until, self.attempt(question, link, &trace)).await {
            Ok(Ok(answer)) => {
                let ended = Instant::now();
                let judged = self.load.wire.judge(question, &answer);
                return self.end_at(&job, &trace, judged, ended);
            }
            Ok(Err(judged)) => judged,
            Err(_elapsed) => {
                if self.load.transport == Transport::Http1 {
                    *link = None;
                }
                if until < deadline {
                    Judged {
                        ending: Ending::Abandoned,
                        detail: None,
                        server: ServerFacts::default(),
                    }
                } else {
                    let detail = format!("no whole answer within {:?}", self.load.timeout);
                    failed(Ending::TimedOut, detail)
                }
            }
        };
        self.end(&job, &trace, judged)
    }

    async fn attempt(
        self: &Rc<Self>,
        question: &Question,
        link: &mut Option<Link>,
        trace: &Trace,
    ) -> Result<Answer, Judged> {
        for _ in 0..TRIES {
            if !link.as_ref().is_some_and(Link::is_usable) {
                *link = None;
                let opened = self.open_link(trace).await;
                *link = Some(opened.map_err(|detail| failed(Ending::NotConnected, detail))?);
            }
            let Some(asked) = link.as_mut() else { continue };
            let body = question.request.body.clone();
            let body = match self.load.behaviour {
                Behaviour::SlowToSend(over) => RequestBody::slow(body, over),
                _ => RequestBody::from(body),
            };
            let request = asked
                .request(Method::POST, &question.request, body)
                .map_err(|detail| failed(Ending::NotSent, detail))?;
            trace.sent.set(Some(Instant::now()));
            match asked.exchange(request).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Unsent) => {
                    *link = None;
                    self.tally.borrow_mut().resent += 1;
                }
                Err(Lost::Sent { ending, detail }) => {
                    *link = None;
                    return Err(failed(ending, detail));
                }
            }
        }
        let detail = format!("{TRIES} connections were closed before they took the request");
        Err(failed(Ending::NotConnected, detail))
    }

    /// A link of a connection to the next endpoint that takes one. What it brings beyond one link is shared out.
    async fn open_link(self: &Rc<Self>, trace: &Trace) -> Result<Link, String> {
        let _turn = match self.load.transport {
            Transport::Http1 => None,
            Transport::Http2 { .. } => Some(self.turn.lock().await),
        };
        if let Some(link) = self.idle_link() {
            return Ok(link);
        }
        let _opening = Counted::one_more(&self.opening);
        let mut failure = String::new();
        for _ in 0..self.load.endpoints.len() {
            let (endpoint, open) = (self.next_endpoint(), Rc::clone(&self.open));
            // From here on the connection is counted as open.
            drop(trace.promise.take());
            match Link::open(endpoint, self.load.transport, self.load.behaviour, open).await {
                Ok(mut links) => {
                    self.tally.borrow_mut().connections_opened += 1;
                    let link = links.pop().ok_or("a connection without a link")?;
                    self.idle.borrow_mut().append(&mut links);
                    self.share_idle();
                    return Ok(link);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// In turn, those that are out of the rotation passed over; if all are, the next one all the same.
    fn next_endpoint(&self) -> Endpoint {
        let endpoints = &self.load.endpoints;
        let first = self.next_endpoint.get();
        let turn = (0..endpoints.len()).map(|step| (first + step) % endpoints.len());
        let ready = turn.clone().find(|&index| endpoints[index].is_ready());
        let index = ready.unwrap_or(first % endpoints.len());
        self.next_endpoint.set(index + 1);
        endpoints[index].clone()
    }

    fn end(&self, job: &Job, trace: &Trace, judged: Judged) -> Ending {
        self.end_at(job, trace, judged, Instant::now())
    }

    fn end_at(&self, job: &Job, trace: &Trace, judged: Judged, ended: Instant) -> Ending {
        let ending = judged.ending;
        let began = trace.began.get();
        let times = Times {
            due: job.due,
            turned: job.turned,
            granted: began.filter(|_| job.waited),
            began,
            sent: trace.sent.get(),
            ended,
        };
        let rows = self.load.questions[job.question].rows;
        let ended = Ended { times, rows, judged };
        self.tally.borrow_mut().record(ended, &self.window, &self.parts);
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            self.all_ended.notify_one();
        }
        ending
    }
}

fn failed(ending: Ending, detail: String) -> Judged {
    Judged { ending, detail: Some(detail), server: ServerFacts::default() }
}
