//! What a port asks before it lets a request in: does it bring a key, is the key known, and is it good for this.
//!
//! The answer comes from the headers alone, so a refusal costs no body and no permit.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_inference::{Error, ErrorKind};
use tidegate_telemetry::Port;

use crate::digest::Digest;
use crate::file::LENGTHS;
use crate::keys::Keys;
use crate::presented::{Presented, presented};
use crate::ring::Key;
use crate::scope::Scope;

/// One port's way to ask.
#[derive(Clone, Debug)]
pub struct Door {
    keys: Arc<Keys>,
    port: Port,
    guards_metrics: bool,
}

/// Somebody with a known key.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Key>);

/// Why somebody was not let in, and who it was, if the key was known.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    pub caller: Option<Caller>,
}

impl Door {
    /// With `guards_metrics`, a scrape needs a key as well.
    pub fn new(keys: Arc<Keys>, port: Port, guards_metrics: bool) -> Self {
        Self { keys, port, guards_metrics }
    }

    /// Who asks; `None` where anybody may.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] without a known key, [`ErrorKind::PermissionDenied`] when it is not good for this.
    pub fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<Option<Caller>, Refused> {
        if scope == Scope::Metrics && !self.guards_metrics {
            return Ok(None);
        }
        let caller = self.recognise(headers).map_err(Refused::unknown)?;
        match caller.must_have(scope) {
            Ok(()) => {
                caller.0.metrics.allowed(self.port);
                Ok(Some(caller))
            }
            Err(error) => {
                caller.0.metrics.denied(self.port);
                Err(Refused { error, caller: Some(caller) })
            }
        }
    }

    fn recognise(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let refuse = |message| Err(Error::new(ErrorKind::Unauthenticated, message));
        match presented(headers) {
            Presented::Nothing => {
                self.keys.metrics.missing(self.port);
                refuse("an API key is needed: send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
            }
            Presented::Several => {
                self.keys.metrics.unknown(self.port);
                refuse("expected one API key, in 'Authorization' or in 'X-API-Key', got several")
            }
            Presented::Key(key) => match self.find(key) {
                Some(caller) => Ok(caller),
                None => {
                    self.keys.metrics.unknown(self.port);
                    refuse("the API key is not known here")
                }
            },
        }
    }

    fn find(&self, key: &[u8]) -> Option<Caller> {
        // Hashing what is longer takes time; and a hash in the file does not tell that it is of a word.
        if !LENGTHS.contains(&key.len()) {
            return None;
        }
        self.keys.ring.load().find(&Digest::of(key)).cloned().map(Caller)
    }
}

impl Caller {
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when the key is not good for this.
    pub fn must_have(&self, scope: Scope) -> Result<(), Error> {
        if self.0.scopes.contains(scope) {
            return Ok(());
        }
        let (name, scope) = (self.name(), scope.as_str());
        let message = format!("API key '{name}' lacks the scope '{scope}', which this needs");
        Err(Error::new(ErrorKind::PermissionDenied, message))
    }
}

impl Refused {
    fn unknown(error: Error) -> Self {
        Self { error, caller: None }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_telemetry::Telemetry;

    use super::*;

    const WEB: &str = "0123456789abcdef-web";
    const OPS: &str = "0123456789abcdef-ops";
    /// Of a key that is too short to be one: FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    struct Site {
        telemetry: Arc<Telemetry>,
        keys: Arc<Keys>,
    }

    impl Site {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("keys");
            std::fs::write(&file, format!("web {WEB} predict\nops {OPS}\nabc {ABC}\n")).unwrap();
            let telemetry = Telemetry::new();
            let keys = Keys::read(&file, &telemetry).unwrap();
            Self { telemetry, keys }
        }

        fn door(&self, port: Port, guards_metrics: bool) -> Door {
            Door::new(Arc::clone(&self.keys), port, guards_metrics)
        }

        fn counts(&self, series: &str) -> bool {
            self.telemetry.encode().contains(&format!("\n{series}\n"))
        }
    }

    fn with(key: &str) -> HeaderMap {
        HeaderMap::from_iter([("x-api-key".parse().unwrap(), key.parse().unwrap())])
    }

    fn outcome(
        door: &Door,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<String, (ErrorKind, String)> {
        match door.check(headers, scope) {
            Ok(caller) => Ok(caller.map_or(String::new(), |caller| caller.name().to_owned())),
            Err(refused) => Err((refused.error.kind(), refused.error.message().to_owned())),
        }
    }

    #[test]
    fn a_known_key_is_let_in_by_name_as_far_as_its_scopes_go() {
        let site = Site::new();
        let door = site.door(Port::Data, true);
        assert_eq!(outcome(&door, &with(WEB), Scope::Predict), Ok("web".to_owned()));
        assert_eq!(outcome(&door, &with(OPS), Scope::Admin), Ok("ops".to_owned()));
        for scope in [Scope::Admin, Scope::Metrics] {
            let (kind, message) = outcome(&door, &with(WEB), scope).unwrap_err();
            let lacks =
                format!("API key 'web' lacks the scope '{}', which this needs", scope.as_str());
            assert_eq!((kind, message), (ErrorKind::PermissionDenied, lacks));
        }
        assert!(site.counts(
            r#"tidegate_api_key_requests_total{key="web",port="data",outcome="allowed"} 1"#
        ));
        assert!(site.counts(
            r#"tidegate_api_key_requests_total{key="web",port="data",outcome="denied"} 2"#
        ));
    }

    #[test]
    fn whoever_is_not_known_is_told_what_was_expected_and_counted() {
        let site = Site::new();
        let door = site.door(Port::Admin, false);
        let mut several = with(WEB);
        several.insert("authorization", format!("Bearer {OPS}").parse().unwrap());
        let almost = format!("{}x", &WEB[..WEB.len() - 1]);
        for (headers, said) in [
            (HeaderMap::new(), "an API key is needed"),
            (with(&almost), "not known"),
            (with(&WEB[..WEB.len() - 1]), "not known"),
            (with(&"k".repeat(LENGTHS.end() + 1)), "not known"),
            (with("abc"), "not known"),
            (several, "got several"),
        ] {
            let (kind, message) = outcome(&door, &headers, Scope::Predict).unwrap_err();
            assert_eq!(kind, ErrorKind::Unauthenticated);
            assert!(message.contains(said), "{message}");
            assert!(!message.contains(&WEB[..8]), "{message}");
        }
        let rejected = |reason: &str, count: usize| {
            let labels = format!(r#"{{port="admin",reason="{reason}"}}"#);
            site.counts(&format!("tidegate_api_keys_rejected_total{labels} {count}"))
        };
        assert!(rejected("missing", 1) && rejected("unknown", 5));
    }

    #[test]
    fn a_scrape_needs_a_key_only_where_it_was_asked_for() {
        let site = Site::new();
        let nobody = HeaderMap::new();
        assert_eq!(
            outcome(&site.door(Port::Data, false), &nobody, Scope::Metrics),
            Ok(String::new())
        );
        let guarded = site.door(Port::Data, true);
        assert!(outcome(&guarded, &nobody, Scope::Metrics).is_err());
        assert_eq!(outcome(&guarded, &with(OPS), Scope::Metrics), Ok("ops".to_owned()));
    }

    #[test]
    fn nothing_that_is_printed_shows_a_key() {
        let site = Site::new();
        let door = site.door(Port::Data, true);
        let caller = door.check(&with(WEB), Scope::Predict).unwrap();
        let refused = door.check(&with(WEB), Scope::Admin).unwrap_err();
        let printed = format!("{door:?} {caller:?} {refused:?} {:?}", site.keys.ring.load());
        assert!(printed.contains("web"), "{printed}");
        assert!(!printed.contains("0123456789abcdef"), "{printed}");
        assert!(!site.telemetry.encode().contains("0123456789abcdef"));
    }
}
