//! How many rows wait at each level of priority: whom a newcomer would overtake it need not wait for.
//!
//! The default level is not counted, its rows are the rest: most callers never state a priority, and
//! pay nothing for those who do. All orderings are relaxed, as in the forecast that reads this. That those
//! who wait become more urgent is left out; it makes the forecast of the urgent a little too good.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use tidegate_inference::Priority;

const DEFAULT: u8 = Priority::DEFAULT.level();

pub struct Levels {
    /// By level, from 1.
    rows: [AtomicU64; Priority::LOWEST.level() as usize],
    /// Somebody has stated a priority.
    in_use: AtomicBool,
    /// The most urgent level that was ever stated.
    most_urgent: AtomicU8,
}

impl Levels {
    pub fn new() -> Self {
        Self {
            rows: [const { AtomicU64::new(0) }; _],
            in_use: AtomicBool::new(false),
            most_urgent: AtomicU8::new(DEFAULT),
        }
    }

    pub fn entered(&self, priority: Priority, rows: usize) {
        if priority == Priority::DEFAULT {
            return;
        }
        let level = priority.level();
        if level < self.most_urgent.load(Relaxed) {
            self.most_urgent.fetch_min(level, Relaxed);
        }
        self.in_use.store(true, Relaxed);
        self.of(level).fetch_add(rows as u64, Relaxed);
    }

    pub fn left(&self, priority: Priority, rows: usize) {
        if priority != Priority::DEFAULT {
            self.of(priority.level()).fetch_sub(rows as u64, Relaxed);
        }
    }

    /// How many of all the rows that wait a newcomer would wait for. While its priority is not known it
    /// is taken for the most urgent that callers of this queue have stated: nobody is refused for rows
    /// that it might overtake.
    pub fn ahead(&self, all: u64, priority: Option<Priority>) -> u64 {
        if !self.in_use.load(Relaxed) {
            return all;
        }
        let level = priority.map_or_else(|| self.most_urgent.load(Relaxed), Priority::level);
        let rows = |level: u8| self.of(level).load(Relaxed);
        let stated = (1..=Priority::LOWEST.level()).filter(|stated| *stated != DEFAULT);
        let behind: u64 = if level < DEFAULT {
            // All of the default level's too: what is left are those who stated a level at least as urgent.
            all.saturating_sub(stated.filter(|stated| *stated <= level).map(rows).sum())
        } else {
            stated.filter(|stated| *stated > level).map(rows).sum()
        };
        all.saturating_sub(behind)
    }

    fn of(&self, level: u8) -> &AtomicU64 {
        &self.rows[usize::from(level) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(number: u64) -> Priority {
        Priority::from_wire(number)
    }

    /// Of rows at these levels, for a newcomer of that level; 0 is not known.
    fn ahead(waiting: &[(u64, usize)], newcomer: u64) -> u64 {
        let levels = Levels::new();
        for (stated, rows) in waiting {
            levels.entered(level(*stated), *rows);
        }
        let all = waiting.iter().map(|(_, rows)| *rows as u64).sum();
        levels.ahead(all, (newcomer > 0).then(|| level(newcomer)))
    }

    #[test]
    fn rows_of_the_same_and_of_more_urgent_levels_are_ahead() {
        let waiting = [(1, 1), (3, 10), (5, 100), (8, 1000)];
        let by_level = [1, 2, 3, 4, 5, 7, 8, 10].map(|newcomer| ahead(&waiting, newcomer));
        assert_eq!(by_level, [1, 1, 11, 11, 111, 111, 1111, 1111]);
    }

    #[test]
    fn an_unknown_priority_is_taken_for_the_most_urgent_in_use() {
        assert_eq!(ahead(&[(5, 100)], 0), 100);
        assert_eq!(ahead(&[(5, 100), (8, 1000)], 0), 100);
        assert_eq!(ahead(&[(3, 10), (5, 100)], 0), 10);
    }

    #[test]
    fn who_has_left_is_nobodys_wait() {
        let levels = Levels::new();
        levels.entered(level(2), 7);
        levels.entered(level(9), 5);
        levels.left(level(2), 7);
        levels.left(level(5), 1);
        assert_eq!([1, 5, 9].map(|newcomer| levels.ahead(6, Some(level(newcomer)))), [0, 1, 6]);
    }
}
