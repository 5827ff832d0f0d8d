//! Where large bodies are decoded, inflated and encoded: on blocking threads, a few at a time. Decoding a
//! megabyte of JSON takes milliseconds; on a task that drives connections, every other caller of that
//! thread would wait for it. Small bodies never come here: the hop costs more than they do.
//!
//! A caller that goes away stops waiting; its work runs to the end, still counted against the bound.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_inference::{Error, Result};
use tokio::sync::Semaphore;

/// From this many bytes on, work is worth a hop.
const LARGE: usize = 64 * 1024;

#[derive(Debug)]
pub struct DecodePool {
    places: Arc<Semaphore>,
}

impl DecodePool {
    pub fn new(threads: NonZeroUsize) -> Self {
        let threads = threads.get().min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(threads)) }
    }

    /// Runs `work` here when it is small, else on the pool.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if bytes < LARGE {
            return Ok(work());
        }
        // Boxed, so that the small ones do not carry room for it.
        Box::pin(self.run_aside(work)).await
    }

    /// Runs `work` on the pool, whatever its size.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn run_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        done.await.map_err(|failed| {
            tracing::error!(error = %failed, "decoding or encoding a body panicked");
            Error::internal("the gateway failed on this body")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tidegate_inference::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn only_large_work_leaves_the_thread() {
        let pool = DecodePool::new(NonZeroUsize::MIN);
        let here = thread::current().id();
        assert_eq!(pool.run(10, move || thread::current().id()).await.unwrap(), here);
        assert_ne!(pool.run(LARGE, move || thread::current().id()).await.unwrap(), here);
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_and_frees_its_place() {
        let pool = DecodePool::new(NonZeroUsize::MIN);
        let failed: Error = pool.run_aside::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Internal);
        assert_eq!(pool.run_aside(|| 7).await.unwrap(), 7);
    }
}
