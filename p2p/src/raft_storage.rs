//! p2p/src/raft_storage.rs - the entries of one group since its last compaction, in memory; C++ keeps them durable.
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    pub truncated_index: u64,
    pub truncated_term: u64,
    pub hard_state: HardState,
    pub conf_state: ConfState,
    pub snapshot: Snapshot,
    pub snapshot_wanted: u64,
}

impl Log {
    pub fn last_index(&self) -> u64 {
        self.truncated_index + self.entries.len() as u64
    }

    fn position(&self, index: u64) -> usize {
        (index - self.truncated_index - 1) as usize
    }

    pub fn term(&self, index: u64) -> Result<u64> {
        if index == self.truncated_index {
            return Ok(self.truncated_term);
        }
        if index < self.truncated_index {
            return Err(Error::Store(StorageError::Compacted));
        }
        match self.entries.get(self.position(index)) {
            Some(entry) => Ok(entry.term),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    /// Takes new entries; those at their indexes and behind give way.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.truncated_index && first.index <= self.last_index() + 1, "a gap in the log");
        let keep = self.position(first.index);
        self.entries.truncate(keep);
        self.entries.extend_from_slice(entries);
    }

    pub fn compact(&mut self, index: u64) -> bool {
        if index <= self.truncated_index {
            return true;
        }
        let Ok(term) = self.term(index) else { return false };
        self.entries.drain(..(index - self.truncated_index) as usize);
        self.truncated_index = index;
        self.truncated_term = term;
        true
    }

    pub fn restore(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        self.entries.clear();
        self.truncated_index = metadata.index;
        self.truncated_term = metadata.term;
        self.conf_state = metadata.get_conf_state().clone();
        self.hard_state.commit = self.hard_state.commit.max(metadata.index);
        self.hard_state.term = self.hard_state.term.max(metadata.term);
    }
}

#[derive(Clone, Default)]
pub struct SharedLog(pub Rc<RefCell<Log>>);

impl Storage for SharedLog {
    fn initial_state(&self) -> Result<RaftState> {
        let log = self.0.borrow();
        Ok(RaftState { hard_state: log.hard_state.clone(), conf_state: log.conf_state.clone() })
    }

    fn entries(&self, low: u64, high: u64, max_size: impl Into<Option<u64>>, _: GetEntriesContext) -> Result<Vec<Entry>> {
        let log = self.0.borrow();
        if low <= log.truncated_index {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > log.last_index() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let mut entries = log.entries[log.position(low)..log.position(high)].to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        self.0.borrow().term(index)
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.0.borrow().truncated_index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.0.borrow().last_index())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> Result<Snapshot> {
        let mut log = self.0.borrow_mut();
        let index = log.snapshot.get_metadata().index;
        let conf = log.snapshot.get_metadata().get_conf_state();
        let is_for_it = conf.voters.contains(&to) || conf.learners.contains(&to); // else it would be ignored there
        if index > 0 && index >= request_index && index >= log.truncated_index && is_for_it {
            return Ok(log.snapshot.clone());
        }
        log.snapshot_wanted = request_index.max(log.truncated_index).max(1);
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
