//! What a key is good for.

/// What a request has to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Ask for predictions, and what models there are.
    Predict,
    /// Change what is served.
    Admin,
    /// Scrape.
    Metrics,
}

/// Those of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes([bool; Scope::ALL.len()]);

impl Scope {
    pub const ALL: [Self; 3] = [Self::Predict, Self::Admin, Self::Metrics];

    /// As the file has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

impl Scopes {
    pub const ALL: Self = Self([true; Scope::ALL.len()]);

    /// Words with commas between them; `None` when one of them is no scope.
    pub fn parse(list: &str) -> Option<Self> {
        let mut scopes = Self([false; Scope::ALL.len()]);
        for word in list.split(',') {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word)?;
            scopes.0[scope as usize] = true;
        }
        Some(scopes)
    }

    pub fn contains(self, scope: Scope) -> bool {
        self.0[scope as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_what_it_names_and_nothing_else() {
        let held = |list: &str| {
            let scopes = Scopes::parse(list)?;
            Some(Scope::ALL.map(|scope| scopes.contains(scope)))
        };
        assert_eq!(held("predict"), Some([true, false, false]));
        assert_eq!(held("metrics,admin"), Some([false, true, true]));
        for bad in ["", ",", "predict,", "Predict", "all", "predict;admin"] {
            assert_eq!(held(bad), None, "{bad}");
        }
    }
}
