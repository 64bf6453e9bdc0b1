//! p2p/src/raft_views.rs - the structures of include/dvesp_p2p/raft.h as Rust sees them, and entries to and from them.
use raft::eraftpb::{Entry, EntryType};
use std::ffi::c_void;
use std::slice;

#[repr(C)]
pub struct EntryView {
    pub index: u64,
    pub term: u64,
    pub kind: u32,
    pub data: *const u8,
    pub size: usize,
}

#[repr(C)]
pub struct GroupConfig {
    pub id: u64,
    pub election_ticks: u32,
    pub heartbeat_ticks: u32,
    pub term: u64,
    pub vote: u64,
    pub commit: u64,
    pub applied: u64,
    pub truncated_index: u64,
    pub truncated_term: u64,
    pub voters: *const u64,
    pub voter_count: usize,
    pub learners: *const u64,
    pub learner_count: usize,
    pub entries: *const EntryView,
    pub entry_count: usize,
}

#[repr(C)]
pub struct GroupStatus {
    pub role: u32,
    pub leader: u64,
    pub term: u64,
    pub vote: u64,
    pub commit: u64,
    pub applied: u64,
    pub last_index: u64,
    pub first_index: u64,
    pub persisted: u64,
    pub in_lease: u8,
    pub commit_is_current: u8,
    pub snapshot_wanted: u64,
}

#[repr(C)]
pub struct ProgressView {
    pub id: u64,
    pub matched: u64,
    pub next: u64,
    pub is_learner: u8,
    pub is_recent: u8,
}

pub type EntryCall = unsafe extern "C" fn(*mut c_void, *const EntryView);
pub type SnapshotPeek = unsafe extern "C" fn(*mut c_void, u64, u64, *const u8, usize);

#[repr(C)]
pub struct Sink {
    pub context: *mut c_void,
    pub message: unsafe extern "C" fn(*mut c_void, u64, i32, *const u8, usize),
    pub entry: EntryCall,
    pub hard_state: unsafe extern "C" fn(*mut c_void, u64, u64, u64),
    pub committed: EntryCall,
    pub read_state: unsafe extern "C" fn(*mut c_void, u64, u64),
    #[allow(clippy::type_complexity)]
    pub snapshot: unsafe extern "C" fn(*mut c_void, u64, u64, *const u8, usize, *const u64, usize, *const u64, usize),
}

#[repr(C)]
pub struct MessageView {
    pub kind: u32,
    pub from: u64,
    pub to: u64,
    pub term: u64,
    pub is_append: u8,
    pub is_snapshot: u8,
}

/// A view of C memory; an empty one may have any pointer.
pub unsafe fn view<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        &[]
    } else {
        slice::from_raw_parts(data, count)
    }
}

pub fn entry_view(entry: &Entry) -> EntryView {
    EntryView {
        index: entry.index,
        term: entry.term,
        kind: u32::from(entry.get_entry_type() != EntryType::EntryNormal),
        data: entry.data.as_ptr(),
        size: entry.data.len(),
    }
}

pub fn entry_from(view_of: &EntryView) -> Entry {
    let mut entry = Entry::default();
    entry.index = view_of.index;
    entry.term = view_of.term;
    entry.set_entry_type(if view_of.kind == 0 { EntryType::EntryNormal } else { EntryType::EntryConfChange });
    entry.data = unsafe { view(view_of.data, view_of.size) }.to_vec().into();
    entry
}
