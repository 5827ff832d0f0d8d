//! Which models are served, asked and changed while the gateway runs: what the repository extension of
//! Triton and the reload call of TensorFlow Serving ask for, in one trait.
//!
//! Ingress knows no control plane; it asks through this, as it asks for predictions through
//! [`Admission`](crate::Admission). Every answer is a future, because a load takes as long as the engine
//! takes. What was begun is ended, also when the future is dropped.

use std::collections::BTreeMap;
use std::pin::Pin;

use crate::{Error, ErrorKind, Label, Result, Version, VersionPolicy};

/// Not an `async fn`, so that the trait can be an object.
pub type Managed<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Implemented by the control plane, and by mocks in tests. Names come as they were sent: what cannot be a
/// name is the name of no model.
pub trait Management: Send + Sync + 'static {
    /// Looks into the repository again for this model. Its new versions are loaded, those that were
    /// unloaded or failed are loaded again, those whose files or configuration changed are replaced without
    /// losing a request, and those whose folder has gone are unloaded. Ends when all that was tried.
    ///
    /// Errors: [`ErrorKind::UnknownModel`] when the repository does not hold it;
    /// [`ErrorKind::InvalidArgument`] when a version cannot be loaded, and why: the others serve, and what
    /// was to be replaced serves on; or when the model's configuration cannot be used: then nothing has changed.
    fn load(&self, model: String, request: LoadRequest) -> Managed<'_>;

    /// Takes all versions of a model out of service: no request reaches them any more, those inside are
    /// answered, and then they end. Unloading what is unloaded does nothing.
    ///
    /// Errors: [`ErrorKind::UnknownModel`].
    fn unload(&self, model: String) -> Managed<'_>;

    /// Replaces the list of what is served: models and versions that it does not name are unloaded, those
    /// that it names are loaded, and their labels become the ones given. All of it is checked before
    /// anything changes; when a version cannot be loaded, nothing is unloaded and no label moves.
    ///
    /// Errors: [`ErrorKind::InvalidArgument`], with all mistakes at once.
    fn reload(&self, wanted: Vec<WantedModel>) -> Managed<'_>;
}

/// What may come with a load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadRequest {
    /// A model configuration in Triton's JSON, to be used instead of the one in the repository until the next load.
    pub config: Option<String>,
}

impl LoadRequest {
    /// Takes in one of the parameters that Triton's load call has, whichever wire it came by. `text` is its
    /// value, if that is a string.
    ///
    /// # Errors
    /// [`ErrorKind::Unimplemented`] for files in the request; [`ErrorKind::InvalidArgument`] for a
    /// parameter that there is not: a load that was misunderstood would be found out too late.
    pub fn set(&mut self, parameter: &str, text: Option<&str>) -> Result<()> {
        let shown: String = parameter.chars().take(64).collect();
        if parameter.starts_with("file:") {
            return Err(Error::new(
                ErrorKind::Unimplemented,
                format!(
                    "load parameter '{shown}': model files in the request are not supported: put them \
                     into the model repository"
                ),
            ));
        }
        if parameter != "config" {
            return Err(Error::invalid(format!(
                "load parameter '{shown}' is unknown, expected 'config'"
            )));
        }
        let text = text.ok_or_else(|| {
            Error::invalid(
                "load parameter 'config': expected a model configuration as a JSON string",
            )
        })?;
        self.config = Some(text.to_owned());
        Ok(())
    }
}

/// One model in the list of a [reload](Management::reload).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedModel {
    pub name: String,
    /// Absent, or the model's folder in the repository: there is no other place to serve from.
    pub base_path: Option<String>,
    pub versions: VersionPolicy,
    /// All its labels from now on. Each points to a version that will be served.
    pub labels: BTreeMap<Label, Version>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_takes_a_configuration_no_files_and_nothing_it_does_not_know() {
        let mut request = LoadRequest::default();
        request.set("config", Some("{}")).unwrap();
        assert_eq!(request.config.as_deref(), Some("{}"));
        let refusal = |parameter, text| LoadRequest::default().set(parameter, text).unwrap_err();
        assert_eq!(refusal("file:1/model.onnx", Some("")).kind(), ErrorKind::Unimplemented);
        assert_eq!(refusal("file:1/model.onnx", None).kind(), ErrorKind::Unimplemented);
        assert_eq!(refusal("config", None).kind(), ErrorKind::InvalidArgument);
        assert_eq!(refusal("cofnig", Some("{}")).kind(), ErrorKind::InvalidArgument);
    }
}
