//! Who is at work, when nobody says so: a note for people, and no proof of anything.

use std::env;

use tidegate_repository::Author;

pub fn of_this_process() -> Author {
    let said = |name| env::var(name).ok().filter(|text| !text.trim().is_empty());
    let who = said("TIDEGATE_USER").unwrap_or_else(|| {
        let user = said("USER").or_else(|| said("LOGNAME")).unwrap_or_else(|| "unknown".to_owned());
        format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
    });
    plain(&who)
}

/// An environment can hold anything; what does not fit a line is left out.
fn plain(text: &str) -> Author {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(32).collect();
    shown.parse().unwrap_or_else(|_| "unknown".parse().expect("a plain word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_environment_holds_becomes_an_author() {
        assert_eq!(plain("alice@host").as_str(), "alice@host");
        assert_eq!(plain("a\nb\u{7}").as_str(), "ab");
        assert_eq!(plain("\n").as_str(), "unknown");
        assert_eq!(plain(&"ü".repeat(500)).as_str().chars().count(), 32);
        assert!(!of_this_process().as_str().is_empty());
    }
}
