//! p2p/src/lib.rs - the crate's table of contents: each module is one half of the C ABI in include/dvesp_p2p.
mod raft_abi;
mod raft_storage;
mod raft_views;
