//! p2p/src/raft_abi.rs - include/dvesp_p2p/raft.h in Rust. A panic inside raft-rs ends the group (BROKEN), not the process.
use crate::raft_storage::{Log, SharedLog};
use crate::raft_views::*;
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeType, Message, MessageType, Snapshot};
use raft::{Config, RawNode, ReadOnlyOption, StateRole};
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};

const OK: i32 = 0;
const REFUSED: i32 = 1;
const MALFORMED: i32 = 2;
const BROKEN: i32 = 3;
const LOST: i32 = 4; // others were told of entries that this log has no more

/// Bytes of entries in one append message; they are small, their payloads travel beside them.
const APPEND_BYTES_MAX: u64 = 64 << 10;
const APPENDS_IN_FLIGHT_MAX: usize = 256;

pub struct Group {
    node: RawNode<SharedLog>,
    log: SharedLog,
    persisted: u64,
    broken: bool,
}

fn make_group(config: &GroupConfig) -> Option<Group> {
    let log = SharedLog::default();
    {
        let mut inner = log.0.borrow_mut();
        let inner: &mut Log = &mut inner;
        inner.truncated_index = config.truncated_index;
        inner.truncated_term = config.truncated_term;
        inner.hard_state.term = config.term;
        inner.hard_state.vote = config.vote;
        inner.hard_state.commit = config.commit;
        inner.conf_state.voters = unsafe { view(config.voters, config.voter_count) }.to_vec();
        inner.conf_state.learners = unsafe { view(config.learners, config.learner_count) }.to_vec();
        for given in unsafe { view(config.entries, config.entry_count) } {
            if given.index != inner.last_index() + 1 {
                return None;
            }
            inner.entries.push(entry_from(given));
        }
    }
    let last_index = log.0.borrow().last_index();
    let options = Config {
        id: config.id,
        election_tick: config.election_ticks as usize,
        heartbeat_tick: config.heartbeat_ticks as usize,
        min_election_tick: config.election_ticks as usize,
        max_election_tick: config.election_ticks as usize + 1, // one value: nothing is left to chance
        applied: config.applied,
        pre_vote: true,
        check_quorum: true,
        read_only_option: ReadOnlyOption::Safe,
        max_size_per_msg: APPEND_BYTES_MAX,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        max_committed_size_per_ready: 1 << 20,
        ..Default::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let node = RawNode::new(&options, log.clone(), &logger).ok()?;
    Some(Group { node, log, persisted: last_index, broken: false })
}

/// Runs `work` on a group; once raft-rs has panicked, the group answers BROKEN for good.
unsafe fn guarded(raft: *mut Group, work: impl FnOnce(&mut Group) -> i32) -> i32 {
    let group = &mut *raft;
    if group.broken {
        return BROKEN;
    }
    catch_unwind(AssertUnwindSafe(|| work(group))).unwrap_or_else(|_| {
        (*raft).broken = true;
        BROKEN
    })
}

fn code<T, E>(result: Result<T, E>) -> i32 {
    if result.is_ok() {
        OK
    } else {
        REFUSED
    }
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_new(config: *const GroupConfig) -> *mut Group {
    let made = catch_unwind(AssertUnwindSafe(|| make_group(&*config)));
    match made {
        Ok(Some(group)) => Box::into_raw(Box::new(group)),
        _ => std::ptr::null_mut(),
    }
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_free(raft: *mut Group) {
    if !raft.is_null() {
        drop(Box::from_raw(raft));
    }
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_tick(raft: *mut Group) -> i32 {
    guarded(raft, |group| {
        group.node.tick();
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_step(raft: *mut Group, message: *const u8, size: usize) -> i32 {
    let Ok(parsed) = Message::parse_from_bytes(view(message, size)) else { return MALFORMED };
    if raft::raw_node::is_local_msg(parsed.get_msg_type()) {
        return MALFORMED;
    }
    guarded(raft, |group| {
        let core = &group.node.raft;
        let is_heartbeat = parsed.get_msg_type() == MessageType::MsgHeartbeat && parsed.term >= core.term;
        if is_heartbeat && parsed.commit > core.raft_log.last_index() {
            return LOST; // a heartbeat vouches for no more than this replica has acknowledged
        }
        code(group.node.step(parsed))
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_campaign(raft: *mut Group) -> i32 {
    guarded(raft, |group| code(group.node.campaign()))
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_propose(raft: *mut Group, data: *const u8, size: usize) -> i32 {
    let data = view(data, size).to_vec();
    guarded(raft, |group| {
        if group.node.raft.state != StateRole::Leader {
            return REFUSED; // never forwarded: the caller knows which log it is in
        }
        code(group.node.propose(vec![], data))
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_propose_conf(raft: *mut Group, change: i32, node: u64) -> i32 {
    let mut wanted = ConfChange::default();
    wanted.node_id = node;
    wanted.set_change_type(match change {
        0 => ConfChangeType::AddNode,
        1 => ConfChangeType::RemoveNode,
        2 => ConfChangeType::AddLearnerNode,
        _ => return MALFORMED,
    });
    guarded(raft, |group| {
        if group.node.raft.state != StateRole::Leader || group.node.raft.has_pending_conf() {
            return REFUSED;
        }
        code(group.node.propose_conf_change(vec![], wanted))
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_read_index(raft: *mut Group, read: u64) -> i32 {
    guarded(raft, |group| {
        if group.node.raft.state != StateRole::Leader || !group.node.raft.commit_to_current_term() {
            return REFUSED;
        }
        group.node.read_index(read.to_le_bytes().to_vec());
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_transfer(raft: *mut Group, to: u64) -> i32 {
    guarded(raft, |group| {
        group.node.transfer_leader(to);
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_unreachable(raft: *mut Group, node: u64) -> i32 {
    guarded(raft, |group| {
        group.node.report_unreachable(node);
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_snapshot_sent(raft: *mut Group, node: u64, ok: i32) -> i32 {
    guarded(raft, |group| {
        let status = if ok != 0 { raft::SnapshotStatus::Finish } else { raft::SnapshotStatus::Failure };
        group.node.report_snapshot(node, status);
        OK
    })
}

unsafe fn hand_messages(sink: &Sink, messages: Vec<Message>, after_persist: i32) {
    for message in messages {
        let bytes = message.write_to_bytes().expect("a message of our own");
        (sink.message)(sink.context, message.to, after_persist, bytes.as_ptr(), bytes.len());
    }
}

unsafe fn hand_snapshot(sink: &Sink, snapshot: &Snapshot) {
    let metadata = snapshot.get_metadata();
    let conf = metadata.get_conf_state();
    (sink.snapshot)(
        sink.context,
        metadata.index,
        metadata.term,
        snapshot.data.as_ptr(),
        snapshot.data.len(),
        conf.voters.as_ptr(),
        conf.voters.len(),
        conf.learners.as_ptr(),
        conf.learners.len(),
    );
}

unsafe fn hand_ready(group: &mut Group, sink: &Sink) -> u64 {
    if !group.node.has_ready() {
        return 0;
    }
    let mut ready = group.node.ready();
    let number = ready.number();
    hand_messages(sink, ready.take_messages(), 0);
    if !ready.snapshot().is_empty() {
        group.log.0.borrow_mut().restore(ready.snapshot());
        hand_snapshot(sink, ready.snapshot());
    }
    for read in ready.take_read_states() {
        if let Ok(bytes) = <[u8; 8]>::try_from(read.request_ctx.as_slice()) {
            (sink.read_state)(sink.context, u64::from_le_bytes(bytes), read.index);
        }
    }
    for entry in ready.take_committed_entries() {
        (sink.committed)(sink.context, &entry_view(&entry));
    }
    for entry in ready.entries() {
        (sink.entry)(sink.context, &entry_view(entry));
    }
    group.log.0.borrow_mut().append(ready.entries());
    if let Some(state) = ready.hs() {
        group.log.0.borrow_mut().hard_state = state.clone();
        (sink.hard_state)(sink.context, state.term, state.vote, state.commit);
    }
    hand_messages(sink, ready.take_persisted_messages(), 1);
    group.node.advance_append_async(ready);
    number
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_ready(raft: *mut Group, sink: *const Sink) -> i64 {
    let mut number = 0;
    let outcome = guarded(raft, |group| {
        number = hand_ready(group, &*sink);
        OK
    });
    if outcome == OK {
        number as i64
    } else {
        -1
    }
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_persisted(raft: *mut Group, ready_number: u64) -> i32 {
    guarded(raft, |group| {
        group.node.on_persist_ready(ready_number);
        group.persisted = group.node.raft.raft_log.persisted;
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_applied(raft: *mut Group, index: u64) -> i32 {
    guarded(raft, |group| {
        group.node.advance_apply_to(index);
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_apply_conf(raft: *mut Group, data: *const u8, size: usize) -> i32 {
    let Ok(change) = ConfChange::parse_from_bytes(view(data, size)) else { return MALFORMED };
    guarded(raft, |group| match group.node.apply_conf_change(&change) {
        Ok(state) => {
            group.log.0.borrow_mut().conf_state = state;
            OK
        }
        Err(_) => REFUSED,
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_compact(raft: *mut Group, index: u64) -> i32 {
    guarded(raft, |group| {
        if index > group.node.raft.raft_log.applied || !group.log.0.borrow_mut().compact(index) {
            return REFUSED;
        }
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_set_snapshot(raft: *mut Group, index: u64, data: *const u8, size: usize) -> i32 {
    let data = view(data, size).to_vec();
    guarded(raft, |group| {
        let mut log = group.log.0.borrow_mut();
        if index == 0 {
            log.snapshot = Snapshot::default();
            return OK;
        }
        let Ok(term) = log.term(index) else { return REFUSED };
        let mut snapshot = Snapshot::default();
        snapshot.data = data.into();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = term;
        let conf = log.conf_state.clone();
        snapshot.mut_metadata().set_conf_state(conf);
        log.snapshot = snapshot;
        log.snapshot_wanted = 0;
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_get_status(raft: *const Group, status: *mut GroupStatus) {
    let group = &*raft;
    let node = &group.node.raft;
    *status = GroupStatus {
        role: match node.state {
            StateRole::Follower => 0,
            StateRole::Candidate => 1,
            StateRole::Leader => 2,
            StateRole::PreCandidate => 3,
        },
        leader: node.leader_id,
        term: node.term,
        vote: node.vote,
        commit: node.raft_log.committed,
        applied: node.raft_log.applied,
        last_index: node.raft_log.last_index(),
        first_index: node.raft_log.first_index(),
        persisted: node.raft_log.persisted,
        in_lease: u8::from(node.in_lease()),
        commit_is_current: u8::from(node.state == StateRole::Leader && node.commit_to_current_term()),
        snapshot_wanted: group.log.0.borrow().snapshot_wanted,
    };
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_get_progress(raft: *const Group, out: *mut ProgressView, most: usize) -> usize {
    let group = &*raft;
    let tracker = group.node.raft.prs();
    let mut all: Vec<ProgressView> = tracker
        .iter()
        .map(|(id, progress)| ProgressView {
            id: *id,
            matched: progress.matched,
            next: progress.next_idx,
            is_learner: u8::from(tracker.conf().learners().contains(id)),
            is_recent: u8::from(progress.recent_active || *id == group.node.raft.id),
        })
        .collect();
    all.sort_by_key(|progress| progress.id);
    let count = all.len();
    for (position, progress) in all.into_iter().take(most).enumerate() {
        out.add(position).write(progress);
    }
    count
}

unsafe fn hand_ids(mut ids: Vec<u64>, out: *mut u64, most: usize) -> usize {
    ids.sort_unstable();
    for (position, id) in ids.iter().take(most).enumerate() {
        out.add(position).write(*id);
    }
    ids.len()
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_get_voters(raft: *const Group, out: *mut u64, most: usize) -> usize {
    hand_ids((*raft).log.0.borrow().conf_state.voters.to_vec(), out, most)
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_get_learners(raft: *const Group, out: *mut u64, most: usize) -> usize {
    hand_ids((*raft).log.0.borrow().conf_state.learners.to_vec(), out, most)
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_term_of(raft: *const Group, index: u64) -> u64 {
    (*raft).log.0.borrow().term(index).unwrap_or(0)
}

#[no_mangle]
pub unsafe extern "C" fn dv_raft_peek(
    message: *const u8,
    size: usize,
    out: *mut MessageView,
    context: *mut c_void,
    entry: Option<EntryCall>,
    snapshot: Option<SnapshotPeek>,
) -> i32 {
    let Ok(parsed) = Message::parse_from_bytes(view(message, size)) else { return MALFORMED };
    let kind = parsed.get_msg_type();
    *out = MessageView {
        kind: kind as u32,
        from: parsed.from,
        to: parsed.to,
        term: parsed.term,
        is_append: u8::from(kind == MessageType::MsgAppend),
        is_snapshot: u8::from(kind == MessageType::MsgSnapshot),
    };
    if let Some(call) = entry {
        for one in parsed.get_entries() {
            call(context, &entry_view(one));
        }
    }
    if let (Some(call), MessageType::MsgSnapshot) = (snapshot, kind) {
        let given = parsed.get_snapshot();
        call(context, given.get_metadata().index, given.get_metadata().term, given.data.as_ptr(), given.data.len());
    }
    OK
}
