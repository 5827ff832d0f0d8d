//! Decides with whom and when: the lock-free queue, the batching rule, gather and scatter.
