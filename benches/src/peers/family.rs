//! A server with everything it started, and signals to all of it.
//!
//! Peers are process trees (a front end, workers, resource trackers), and some of their processes
//! leave the process group or outlive their parent. So a family is told by descent, read from /proc,
//! and its root is our own keeper, to whom orphans fall.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Processes may be born while others are being stopped; so often is looked again.
const SWEEPS: usize = 10;

/// All descendants of a process, itself not included.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    root: i32,
}

/// One process, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    id: i32,
    parent: i32,
    /// Ended, and not waited for yet.
    zombie: bool,
}

impl Family {
    pub fn of(root: Pid) -> Self {
        Self { root: root.as_raw_nonzero().get() }
    }

    pub fn is_alive(self) -> Result<bool> {
        Ok(descendants(&processes()?, self.root).iter().any(|one| !one.zombie))
    }

    pub fn send(self, signal: Signal) -> Result<()> {
        send(&descendants(&processes()?, self.root), signal);
        Ok(())
    }

    /// Stands still, wholly, until [`Family::thaw`]: a server that polls while it has nothing to do
    /// takes nothing from the one that is measured.
    pub fn freeze(self) -> Result<()> {
        let mut frozen = HashSet::new();
        for _ in 0..SWEEPS {
            let mut found = descendants(&processes()?, self.root);
            found.retain(|one| frozen.insert(one.id));
            if found.is_empty() {
                break;
            }
            send(&found, Signal::STOP);
        }
        Ok(())
    }

    pub fn thaw(self) -> Result<()> {
        self.send(Signal::CONT)
    }
}

fn send(members: &[Member], signal: Signal) {
    for pid in members.iter().filter_map(|one| Pid::from_raw(one.id)) {
        // It fails for a process that has just ended, which is no harm to any caller.
        let _ = kill_process(pid, signal);
    }
}

fn processes() -> Result<Vec<Member>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that ended since the folder was read has no file any more.
        if let Ok(stat) = fs::read_to_string(entry.path().join("stat")) {
            found.push(parse(&stat).ok_or("/proc/<pid>/stat is not as proc(5) says")?);
        }
    }
    Ok(found)
}

fn parse(stat: &str) -> Option<Member> {
    // The name, in brackets, may contain anything, brackets too.
    let (head, tail) = stat.rsplit_once(')')?;
    let id = head.split_once(' ')?.0.parse().ok()?;
    let mut fields = tail.split_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    Some(Member { id, parent, zombie })
}

fn descendants(all: &[Member], root: i32) -> Vec<Member> {
    let mut known = HashSet::from([root]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for one in all {
            if known.contains(&one.parent) && known.insert(one.id) {
                found.push(*one);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: i32, parent: i32) -> Member {
        Member { id, parent, zombie: false }
    }

    #[test]
    fn a_line_of_proc_is_read_behind_any_name() {
        let stat = "17 (a) b (c) S 5 7 7 0 -1 4194560 1 0 0 0 150 50 30 20 20 0 1 0 9 9 9";
        assert_eq!(parse(stat), Some(member(17, 5)));
        let zombie = parse(&stat.replace(" S ", " Z ")).unwrap();
        assert!(zombie.zombie);
        assert_eq!(parse("17 (a"), None);
    }

    #[test]
    fn a_family_is_all_who_descend_from_its_root_in_any_order() {
        let all = [member(9, 8), member(8, 3), member(4, 1), member(3, 1), member(5, 3)];
        let ids: HashSet<i32> = descendants(&all, 3).iter().map(|one| one.id).collect();
        assert_eq!(ids, HashSet::from([5, 8, 9]));
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        let all = processes().unwrap();
        let parent = all.iter().find(|one| one.id == own).unwrap().parent;
        assert!(descendants(&all, parent).iter().any(|one| one.id == own));
    }
}
