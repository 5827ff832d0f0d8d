//! Runs batches: the Backend trait, the workers that pull, the batch-safety check, the mock.
