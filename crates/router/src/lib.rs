//! Decides whether a request enters and which version's queue it joins.
