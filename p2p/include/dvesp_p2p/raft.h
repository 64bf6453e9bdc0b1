/// dvesp_p2p/raft.h - raft-rs (TiKV) behind a C ABI, sans-IO: messages, ticks and proposals in; messages, entries and commits out.
/// The caller keeps everything durable; the library holds entries in memory since the last `compact`. Nothing here reads a
/// clock, a file, a socket or random bits: the same calls give the same answers.
/// @threads one at a time per group; groups are independent
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dv_raft dv_raft;

enum { DV_RAFT_OK = 0, DV_RAFT_REFUSED = 1, DV_RAFT_MALFORMED = 2, DV_RAFT_BROKEN = 3, DV_RAFT_LOST = 4 };
enum { DV_RAFT_FOLLOWER = 0, DV_RAFT_CANDIDATE = 1, DV_RAFT_LEADER = 2, DV_RAFT_PRE_CANDIDATE = 3 };
enum { DV_RAFT_ENTRY_NORMAL = 0, DV_RAFT_ENTRY_CONF = 1 };
enum { DV_RAFT_ADD_VOTER = 0, DV_RAFT_REMOVE = 1, DV_RAFT_ADD_LEARNER = 2 };

typedef struct {
    uint64_t index;
    uint64_t term;
    uint32_t type;  ///< DV_RAFT_ENTRY_*
    const uint8_t* data;
    size_t size;
} dv_raft_entry;

typedef struct {
    uint64_t id;
    uint32_t election_ticks;  ///< ticks without a leader until this replica campaigns; differs between replicas
    uint32_t heartbeat_ticks;
    uint64_t term, vote, commit;  ///< the hard state
    uint64_t applied;
    uint64_t truncated_index, truncated_term;  ///< of the entry before the first of `entries`
    const uint64_t* voters;
    size_t voter_count;
    const uint64_t* learners;
    size_t learner_count;
    const dv_raft_entry* entries;
    size_t entry_count;
} dv_raft_config;

typedef struct {
    uint32_t role;
    uint64_t leader;  ///< 0 = unknown
    uint64_t term, vote, commit, applied, last_index, first_index, persisted;
    uint8_t in_lease;         ///< of a leader: a quorum answered within the last election timeout
    uint8_t commit_is_current;  ///< of a leader: an entry of its own term is committed
    uint64_t snapshot_wanted;  ///< a follower needs a snapshot at this index or later; 0 = none
} dv_raft_status;

typedef struct {
    uint64_t id, match, next;
    uint8_t is_learner, is_recent;
} dv_raft_progress;

/// What `ready` hands out; pointers are valid during the call only.
typedef struct {
    void* context;
    /// `after_persist`: to be sent only when everything of this ready is durable.
    void (*message)(void* context, uint64_t to, int after_persist, const uint8_t* data, size_t size);
    void (*entry)(void* context, const dv_raft_entry* entry);  ///< to be made durable; replaces those from its index on
    void (*hard_state)(void* context, uint64_t term, uint64_t vote, uint64_t commit);
    void (*committed)(void* context, const dv_raft_entry* entry);  ///< to be applied in this order
    void (*read_state)(void* context, uint64_t read, uint64_t index);  ///< `read` may be served at `index`
    /// A snapshot took the place of the log: its state must be installed, durably, before `persisted`.
    void (*snapshot)(void* context, uint64_t index, uint64_t term, const uint8_t* data, size_t size, const uint64_t* voters,
                     size_t voter_count, const uint64_t* learners, size_t learner_count);
} dv_raft_sink;

/// What a message says, for those who hold it back until its payloads are there.
typedef struct {
    uint32_t type;  ///< of eraftpb::MessageType
    uint64_t from, to, term;
    uint8_t is_append, is_snapshot;
} dv_raft_message;

dv_raft* dv_raft_new(const dv_raft_config* config);  ///< NULL: the configuration contradicts itself
void dv_raft_free(dv_raft* raft);
int dv_raft_tick(dv_raft* raft);
int dv_raft_step(dv_raft* raft, const uint8_t* message, size_t size);
int dv_raft_campaign(dv_raft* raft);
int dv_raft_propose(dv_raft* raft, const uint8_t* data, size_t size);  ///< REFUSED: no leader, or it hands over
int dv_raft_propose_conf(dv_raft* raft, int change, uint64_t node);
int dv_raft_read_index(dv_raft* raft, uint64_t read);
int dv_raft_transfer(dv_raft* raft, uint64_t to);
int dv_raft_unreachable(dv_raft* raft, uint64_t node);
int dv_raft_snapshot_sent(dv_raft* raft, uint64_t node, int ok);
/// Hands out what is to be done. @return the number to give to `persisted`, 0 when there was nothing, -1 = BROKEN
int64_t dv_raft_ready(dv_raft* raft, const dv_raft_sink* sink);
int dv_raft_persisted(dv_raft* raft, uint64_t ready_number);
int dv_raft_applied(dv_raft* raft, uint64_t index);
/// Applies a committed DV_RAFT_ENTRY_CONF.
int dv_raft_apply_conf(dv_raft* raft, const uint8_t* data, size_t size);
/// Forgets entries up to `index`, which is applied.
int dv_raft_compact(dv_raft* raft, uint64_t index);
/// The snapshot that lagging followers get: everything up to `index`, which is applied and not above; index 0 = none any more.
int dv_raft_set_snapshot(dv_raft* raft, uint64_t index, const uint8_t* data, size_t size);
void dv_raft_get_status(const dv_raft* raft, dv_raft_status* status);
/// @return how many there are; fills at most `most`
size_t dv_raft_get_progress(const dv_raft* raft, dv_raft_progress* out, size_t most);
size_t dv_raft_get_voters(const dv_raft* raft, uint64_t* out, size_t most);
size_t dv_raft_get_learners(const dv_raft* raft, uint64_t* out, size_t most);
uint64_t dv_raft_term_of(const dv_raft* raft, uint64_t index);  ///< 0 = unknown
/// @param entry    called for each entry of an append (may be NULL)
/// @param snapshot called with the data of a snapshot (may be NULL)
int dv_raft_peek(const uint8_t* message, size_t size, dv_raft_message* out, void* context,
                 void (*entry)(void* context, const dv_raft_entry* entry),
                 void (*snapshot)(void* context, uint64_t index, uint64_t term, const uint8_t* data, size_t size));

#ifdef __cplusplus
}
#endif
