//! What one caller's fault does to the others: thirty-two ask at one moment, one or two of them
//! amiss, and the neighbours' answers are counted.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tidegate_loadtest::question::{Answer, Ending, Prepared, Question};

use super::contender::Contender;
use super::exchange::salvo;
use super::questions::{Input, Model};
use super::server::Server;
use crate::Result;
use crate::output::progress;

/// Who asks at one moment; as many as a peer takes into a batch.
const CALLERS: usize = 32;
/// For an answer that was not expected to take a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Well-formed by the model's contract, and the model fails on it.
    Poison,
    /// A row of fifteen values where sixteen are taken.
    Shape,
    /// Rows of fifteen and of seventeen: together they are as long as two right ones.
    ShapesThatAddUp,
}

/// What came of it, over all salvoes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    pub neighbours: usize,
    /// Of them: no answer, or one that is not a success.
    pub failed: usize,
    /// Of them: a success, with numbers that are not right.
    pub wrong: usize,
    /// What the callers at fault got, by status.
    pub culprits: BTreeMap<String, usize>,
}

pub struct Case {
    pub fault: Fault,
    pub contender: Contender,
    /// Or why it could not be said.
    pub harm: Result<Harm, String>,
}

impl Fault {
    pub fn title(self) -> &'static str {
        match self {
            Self::Poison => "one of 32 makes the model fail",
            Self::Shape => "one of 32 has a wrong shape",
            Self::ShapesThatAddUp => "two of 32 have wrong shapes that add up",
        }
    }

    fn culprits(self, model: &str) -> Vec<Prepared> {
        let short = || Input::values(0, Input::WIDTH - 1).request(model);
        match self {
            // The table has a hundred rows.
            Self::Poison => vec![Input::Index(1_000).request(model)],
            Self::Shape => vec![short()],
            Self::ShapesThatAddUp => {
                vec![short(), Input::values(1, Input::WIDTH + 1).request(model)]
            }
        }
    }
}

/// Tries the fault on every server, which stand still before and after.
pub fn cases(fault: Fault, model: &Model, servers: &[Server], salvoes: usize) -> Vec<Case> {
    let tried = servers.iter().map(|server| {
        progress(&format!("{}: {}", fault.title(), server.contender.label));
        let harm = harm(fault, model, server, salvoes).map_err(|error| error.to_string());
        Case { fault, contender: server.contender, harm }
    });
    tried.collect()
}

fn harm(fault: Fault, model: &Model, server: &Server, salvoes: usize) -> Result<Harm> {
    server.thaw()?;
    let mut harm = Harm::default();
    let culprits = fault.culprits(model.name);
    for turn in 0..salvoes {
        let seats = seats(model, &culprits, turn);
        let requests: Vec<&Prepared> = seats.iter().map(Seat::request).collect();
        let answers = salvo(server.address, &requests, PATIENCE)?;
        for (seat, answer) in seats.iter().zip(answers) {
            harm.count(model, seat, answer);
        }
    }
    server.settle(model, PATIENCE)?;
    server.freeze()?;
    Ok(harm)
}

enum Seat<'a> {
    Neighbour(&'a Question),
    Culprit(&'a Prepared),
}

impl Seat<'_> {
    fn request(&self) -> &Prepared {
        match self {
            Self::Neighbour(question) => &question.request,
            Self::Culprit(request) => request,
        }
    }
}

/// The culprits sit side by side, in each salvo somewhere else.
fn seats<'a>(model: &'a Model, culprits: &'a [Prepared], turn: usize) -> Vec<Seat<'a>> {
    let neighbours = CALLERS - culprits.len();
    let questions = model.questions.iter().cycle().take(neighbours);
    let mut seats: Vec<Seat<'a>> = questions.map(Seat::Neighbour).collect();
    let place = turn * 7 % neighbours;
    seats.splice(place..place, culprits.iter().map(Seat::Culprit));
    seats
}

impl Harm {
    fn count(&mut self, model: &Model, seat: &Seat<'_>, answer: io::Result<Answer>) {
        match seat {
            Seat::Culprit(_) => {
                let got = answer
                    .map_or_else(|_| "no answer".to_owned(), |it| it.status.as_str().to_owned());
                *self.culprits.entry(got).or_default() += 1;
            }
            Seat::Neighbour(question) => {
                self.neighbours += 1;
                match answer.map(|answer| model.wire.judge(question, &answer).ending) {
                    Ok(Ending::Right) => {}
                    Ok(Ending::Wrong | Ending::Unreadable) => self.wrong += 1,
                    _ => self.failed += 1,
                }
            }
        }
    }
}
