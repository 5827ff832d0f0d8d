//! A control plane behind the front door that does nothing but note what it was asked for; it knows no model
//! called `unknown`.

use std::sync::{Mutex, PoisonError};

use tidegate_inference::{Error, ErrorKind, LoadRequest, Managed, Management, WantedModel};

#[derive(Default)]
pub struct Manager(Mutex<Vec<Asked>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Load(String, LoadRequest),
    Unload(String),
    Reload(Vec<WantedModel>),
}

impl Manager {
    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, asked: Asked) -> Managed<'_> {
        let is_unknown = match &asked {
            Asked::Load(model, _) | Asked::Unload(model) => model == "unknown",
            Asked::Reload(_) => false,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        Box::pin(async move {
            let refusal = Error::new(ErrorKind::UnknownModel, "no such model");
            if is_unknown { Err(refusal) } else { Ok(()) }
        })
    }
}

impl Management for Manager {
    fn load(&self, model: String, request: LoadRequest) -> Managed<'_> {
        self.note(Asked::Load(model, request))
    }

    fn unload(&self, model: String) -> Managed<'_> {
        self.note(Asked::Unload(model))
    }

    fn reload(&self, wanted: Vec<WantedModel>) -> Managed<'_> {
        self.note(Asked::Reload(wanted))
    }
}
