//! Requests that may share a batch, in the order in which they should run.
//!
//! Inside a priority the earliest target goes first. A request gains one level for every [`AGING`] that
//! it has waited, so the lowest priority moves even if the highest never stops; between equal levels the
//! earliest target decides again, over all buckets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::batch::Member;

/// What a request has to wait to become as urgent as those one level above it.
pub const AGING: Duration = Duration::from_millis(100);

/// Smaller goes first: the level after aging, the target, the order of arrival.
pub type Urgency = (u8, Instant, u64);

/// A member and its place in the order of arrival over all buckets.
pub struct Waiting {
    pub place: u64,
    pub member: Member,
}

#[derive(Default)]
pub struct Bucket {
    /// By level; those without members are kept for their memory.
    classes: Vec<Class>,
    rows: usize,
    requests: usize,
}

/// Requests of one priority, the earliest target first.
struct Class {
    level: u8,
    /// The level after aging, as of the last [`Bucket::age`].
    aged: u8,
    members: VecDeque<Waiting>,
    /// Whether somebody overtook somebody: only then the first is not the one that waits longest.
    is_mixed: bool,
}

impl Bucket {
    pub fn push(&mut self, waiting: Waiting) {
        self.rows += waiting.member.rows;
        self.requests += 1;
        let level = waiting.member.terms.priority.level();
        let at = self.classes.partition_point(|class| class.level < level);
        if self.classes.get(at).is_none_or(|class| class.level != level) {
            self.classes.insert(at, Class::new(level));
        }
        self.classes[at].push(waiting);
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn requests(&self) -> usize {
        self.requests
    }

    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// Any of its members: they all agree in shape.
    pub fn any(&self) -> Option<&Member> {
        self.members().next().map(|waiting| &waiting.member)
    }

    /// When the request that waits longest came.
    pub fn oldest(&self) -> Option<Instant> {
        self.classes.iter().filter_map(Class::oldest).min()
    }

    /// Brings the levels up to date. Order is by the levels of the last call.
    pub fn age(&mut self, now: Instant) {
        self.classes.iter_mut().for_each(|class| class.age(now));
    }

    /// The first instant by which one of them should be answered.
    pub fn first_target(&self) -> Option<Instant> {
        let heads = self.classes.iter().filter_map(|class| class.members.front());
        heads.map(|head| head.member.terms.target.instant()).min()
    }

    /// Of the request that would go first.
    pub fn urgency(&self) -> Option<Urgency> {
        self.most_urgent().map(|(_, urgency)| urgency)
    }

    pub fn first(&self) -> Option<&Member> {
        let (class, _) = self.most_urgent()?;
        self.classes[class].members.front().map(|waiting| &waiting.member)
    }

    pub fn pop_first(&mut self) -> Option<Member> {
        let (class, _) = self.most_urgent()?;
        let member = self.classes[class].members.pop_front()?.member;
        self.count_out(&member);
        Some(member)
    }

    /// Takes out those for whom `leaves` is true.
    pub fn take_all(
        &mut self,
        mut leaves: impl FnMut(&Member) -> bool,
        mut out: impl FnMut(Member),
    ) {
        for class in 0..self.classes.len() {
            if !self.classes[class].members.iter().any(|waiting| leaves(&waiting.member)) {
                continue;
            }
            for waiting in std::mem::take(&mut self.classes[class].members) {
                if leaves(&waiting.member) {
                    self.count_out(&waiting.member);
                    out(waiting.member);
                } else {
                    self.classes[class].members.push_back(waiting);
                }
            }
        }
    }

    fn count_out(&mut self, member: &Member) {
        self.rows -= member.rows;
        self.requests -= 1;
    }

    fn members(&self) -> impl Iterator<Item = &Waiting> {
        self.classes.iter().flat_map(|class| &class.members)
    }

    fn most_urgent(&self) -> Option<(usize, Urgency)> {
        let classes = self.classes.iter().enumerate();
        classes
            .filter_map(|(index, class)| Some((index, class.urgency()?)))
            .min_by_key(|(_, urgency)| *urgency)
    }
}

impl Class {
    fn new(level: u8) -> Self {
        Self { level, aged: level, members: VecDeque::new(), is_mixed: false }
    }

    /// Mostly at the end: equal timeouts have their targets in the order of arrival.
    fn push(&mut self, waiting: Waiting) {
        let target = waiting.member.terms.target;
        let after =
            self.members.iter().rev().take_while(|w| w.member.terms.target > target).count();
        self.is_mixed = after > 0 || (self.is_mixed && !self.members.is_empty());
        self.members.insert(self.members.len() - after, waiting);
    }

    fn oldest(&self) -> Option<Instant> {
        let all = if self.is_mixed { self.members.len() } else { 1 };
        self.members.iter().take(all).map(|waiting| waiting.member.enqueued).min()
    }

    /// By the one that waits longest.
    fn age(&mut self, now: Instant) {
        let Some(oldest) = self.oldest() else { return };
        let gained = now.saturating_duration_since(oldest).as_nanos() / AGING.as_nanos();
        let gained = u8::try_from(gained).unwrap_or(u8::MAX);
        self.aged = self.level.saturating_sub(gained).max(1);
    }

    /// Of its head.
    fn urgency(&self) -> Option<Urgency> {
        let head = self.members.front()?;
        Some((self.aged, head.member.terms.target.instant(), head.place))
    }
}
