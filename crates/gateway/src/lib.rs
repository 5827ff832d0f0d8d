//! The tidegate binary: reads config, builds the stack, serves, drains.
