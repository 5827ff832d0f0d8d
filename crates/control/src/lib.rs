//! The one writer: repository, version lifecycle, durable state, admin API.
