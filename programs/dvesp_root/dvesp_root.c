/* dvesp_root.c - a Solana program that keeps one Merkle root for each collection of an owner, and how often it changed.
 * Bytes, errors and accounts: docs/formats/chain.md. The interface is Anchor's (discriminators, error codes, events), described
 * by dvesp_root.json; the code is C without any library. Built by `make program`, linked by link.py.
 *
 *   initialize(collection_id 32)                                  record (w, new), authority (w, s), system program
 *   post_root(expected_sequence u64, root 32, leaf_count u64)     record (w), authority (s)
 *   transfer_authority(new_authority 32)                          record (w), authority (s)
 *   close()                                                       record (w), authority (w, s)
 *
 * The record's address is derived from "root", the authority that initialized it, and collection_id. Only the record's
 * authority changes it, and post_root only when it has seen the newest state: what two writers believe cannot cross. */
#include "sbpf.h"

/* The first 8 bytes of SHA-256("global:<instruction>" | "account:CollectionRoot" | "event:RootPosted"), little-endian;
 * tests/python/test_chain_program.py computes them. */
#define INITIALIZE 0xed9b980d1f6dafafULL
#define POST_ROOT 0x23ae1bc79e9cd29aULL
#define TRANSFER_AUTHORITY 0xa137b4e5484ca930ULL
#define CLOSE 0x60ce416cb1c9a562ULL
#define COLLECTION_ROOT 0xc1a8d1f82d3ee1a5ULL
#define ROOT_POSTED 0xe7fce3570004fbf5ULL

enum { /* Anchor's numbers; from 6000 on our own */
    UNKNOWN_INSTRUCTION = 101,
    WRONG_DATA = 102,
    OTHER_AUTHORITY = 2001,
    WRONG_ADDRESS = 2006,
    WRONG_DISCRIMINATOR = 3002,
    TOO_FEW_ACCOUNTS = 3005,
    NOT_WRITABLE = 3006,
    OTHER_OWNER = 3007,
    NOT_THE_SYSTEM_PROGRAM = 3008,
    NOT_A_SIGNER = 3010,
    STALE_SEQUENCE = 6000,
    EXISTS_ALREADY = 6001,
};

enum { /* CollectionRoot */
    VERSION_AT = 8,
    BUMP_AT = 9,
    AUTHORITY_AT = 10,
    COLLECTION_AT = 42,
    MERKLE_ROOT_AT = 74,
    LEAF_COUNT_AT = 106,
    SEQUENCE_AT = 114,
    CHAIN_HASH_AT = 122,
    SLOT_AT = 154,
    UNIX_TIMESTAMP_AT = 162,
    RECORD_BYTES = 170,
    EVENT_BYTES = 8 + RECORD_BYTES - AUTHORITY_AT, /* the record without its first fields, behind the event's discriminator */
    ACCOUNT_OVERHEAD_BYTES = 128,                  /* what rent counts besides the data */
};

enum { RECORD, AUTHORITY, SYSTEM_PROGRAM, ACCOUNTS_MAX };

static const u64 record_version = 1;
#define YEARS_2 0x4000000000000000ULL /* 2.0 as an f64 */

/* An account that is a record of this program, may be changed, and whose authority signed. */
INLINE u64 check_record(const Call *call, const Account *accounts) {
    if (call->account_count < 2) return TOO_FEW_ACCOUNTS;
    const Account *record = &accounts[RECORD];
    if (!record->is_writable) return NOT_WRITABLE;
    if (!accounts[AUTHORITY].is_signer) return NOT_A_SIGNER;
    if (!same_key(record->owner, call->program)) return OTHER_OWNER;
    if (record->data_bytes != RECORD_BYTES || load64(record->data) != COLLECTION_ROOT) return WRONG_DISCRIMINATOR;
    if (!same_key(record->data + AUTHORITY_AT, accounts[AUTHORITY].key)) return OTHER_AUTHORITY;
    return 0;
}

INLINE u64 stamp(u8 *record) {
    Clock clock;
    const u64 failed = sol_get_clock_sysvar(&clock);
    if (failed) return failed;
    store64(record + SLOT_AT, clock.slot);
    store64(record + UNIX_TIMESTAMP_AT, clock.unix_timestamp);
    return 0;
}

INLINE u64 post_root(const Call *call, const Account *accounts) {
    const u8 *arguments = call->data + 8;
    if (call->data_bytes != 8 + 8 + 32 + 8) return WRONG_DATA;
    const u64 refused = check_record(call, accounts);
    if (refused) return refused;
    u8 *record = accounts[RECORD].data;
    const u64 sequence = load64(record + SEQUENCE_AT);
    if (load64(arguments) != sequence) return STALE_SEQUENCE;
    copy_key(record + MERKLE_ROOT_AT, arguments + 8);
    store64(record + LEAF_COUNT_AT, load64(arguments + 40));
    store64(record + SEQUENCE_AT, sequence + 1);
    const Slice linked[3] = {{record + CHAIN_HASH_AT, 32}, {record + MERKLE_ROOT_AT, 32}, {record + SEQUENCE_AT, 8}};
    u64 chain_hash[4];
    u64 failed = sol_sha256(linked, 3, (u8 *)chain_hash);
    if (failed) return failed;
    copy_key(record + CHAIN_HASH_AT, (const u8 *)chain_hash);
    failed = stamp(record);
    if (failed) return failed;
    u64 event[EVENT_BYTES / 8];
    event[0] = ROOT_POSTED;
    for (int word = 1; word < EVENT_BYTES / 8; word++) event[word] = load64(record + AUTHORITY_AT + 8 * (word - 1));
    const Slice logged = {(const u8 *)event, EVENT_BYTES};
    return sol_log_data(&logged, 1);
}

/* Instructions of the system program, whose numbers are u32. */
enum { CREATE_ACCOUNT = 0, ASSIGN = 1, TRANSFER = 2, ALLOCATE = 8 };

typedef struct {
    const Account *accounts;
    const SignerSeeds *signer;
} SystemCaller;

INLINE u64 call_system(const SystemCaller *caller, const u8 *data, u64 bytes, const AccountMeta *metas, u64 count) {
    const Instruction instruction = {caller->accounts[SYSTEM_PROGRAM].key, metas, count, data, bytes};
    return sol_invoke_signed_c(&instruction, caller->accounts, ACCOUNTS_MAX, caller->signer, 1);
}

/* Gives the record its bytes and this program as owner. Somebody may have sent lamports to its address before, so that
 * create_account would refuse: then what it does is done in steps. */
INLINE u64 allocate_record(const Call *call, const SystemCaller *caller, u64 lamports_needed) {
    const Account *record = &caller->accounts[RECORD];
    const AccountMeta both[2] = {{caller->accounts[AUTHORITY].key, 1, 1}, {record->key, 1, 1}};
    u64 words[7]; /* 8-byte aligned room for the largest instruction, 52 bytes */
    u8 *data = (u8 *)words;
    if (*record->lamports == 0) {
        *(u32 *)data = CREATE_ACCOUNT;
        store64(data + 4, lamports_needed);
        store64(data + 12, RECORD_BYTES);
        copy_key(data + 20, call->program);
        return call_system(caller, data, 52, both, 2);
    }
    u64 failed = 0;
    if (*record->lamports < lamports_needed) {
        const AccountMeta from_to[2] = {{caller->accounts[AUTHORITY].key, 1, 1}, {record->key, 1, 0}};
        *(u32 *)data = TRANSFER;
        store64(data + 4, lamports_needed - *record->lamports);
        failed = call_system(caller, data, 12, from_to, 2);
        if (failed) return failed;
    }
    *(u32 *)data = ALLOCATE;
    store64(data + 4, RECORD_BYTES);
    failed = call_system(caller, data, 12, both + 1, 1);
    if (failed) return failed;
    *(u32 *)data = ASSIGN;
    copy_key(data + 4, call->program);
    return call_system(caller, data, 36, both + 1, 1);
}

INLINE u64 initialize(const Call *call, const Account *accounts) {
    if (call->account_count < 3) return TOO_FEW_ACCOUNTS;
    if (call->data_bytes != 8 + 32) return WRONG_DATA;
    const Account *record = &accounts[RECORD];
    const Account *authority = &accounts[AUTHORITY];
    const u8 *collection_id = call->data + 8;
    if (!record->is_writable || !authority->is_writable) return NOT_WRITABLE;
    if (!authority->is_signer) return NOT_A_SIGNER;
    const u64 zeros[4] = {0, 0, 0, 0}; /* the system program's key */
    if (!same_key(accounts[SYSTEM_PROGRAM].key, (const u8 *)zeros)) return NOT_THE_SYSTEM_PROGRAM;

    const u64 prefix = 0x746f6f72; /* "root" */
    u64 key[4];
    u64 bump = 0;
    const Slice seeds[4] = {{(const u8 *)&prefix, 4}, {authority->key, 32}, {collection_id, 32}, {(const u8 *)&bump, 1}};
    if (sol_try_find_program_address(seeds, 3, call->program, (u8 *)key, (u8 *)&bump)) return WRONG_ADDRESS;
    if (!same_key((const u8 *)key, record->key)) return WRONG_ADDRESS;
    if (!same_key(record->owner, (const u8 *)zeros) || record->data_bytes != 0) return EXISTS_ALREADY;

    Rent rent;
    u64 failed = sol_get_rent_sysvar(&rent);
    if (failed) return failed;
    /* The threshold is 2.0 years, or 1.0 where SIMD-0194 is in force: the machine has no floating point. */
    const u64 years = rent.exemption_threshold_bits == YEARS_2 ? 2 : 1;
    const u64 lamports_needed = (ACCOUNT_OVERHEAD_BYTES + RECORD_BYTES) * rent.lamports_per_byte_year * years;
    const SignerSeeds signer = {seeds, 4};
    const SystemCaller caller = {accounts, &signer};
    failed = allocate_record(call, &caller, lamports_needed);
    if (failed) return failed;

    u8 *data = record->data;
    store64(data, COLLECTION_ROOT);
    data[VERSION_AT] = (u8)record_version;
    data[BUMP_AT] = (u8)bump;
    copy_key(data + AUTHORITY_AT, authority->key);
    copy_key(data + COLLECTION_AT, collection_id);
    return stamp(data);
}

INLINE u64 transfer_authority(const Call *call, const Account *accounts) {
    if (call->data_bytes != 8 + 32) return WRONG_DATA;
    const u64 refused = check_record(call, accounts);
    if (refused) return refused;
    copy_key(accounts[RECORD].data + AUTHORITY_AT, call->data + 8);
    return 0;
}

/* Takes the record away and gives its lamports to the authority. */
INLINE u64 close_record(const Call *call, Account *accounts) {
    if (call->data_bytes != 8) return WRONG_DATA;
    const u64 refused = check_record(call, accounts);
    if (refused) return refused;
    Account *record = &accounts[RECORD];
    if (!accounts[AUTHORITY].is_writable) return NOT_WRITABLE;
    *accounts[AUTHORITY].lamports += *record->lamports;
    *record->lamports = 0;
    for (int at = 0; at + 8 <= RECORD_BYTES; at += 8) store64(record->data + at, 0);
    store64(record->data + RECORD_BYTES - 8, 0);
    set_data_bytes(record, 0);
    const u64 zeros[4] = {0, 0, 0, 0};
    copy_key(record->owner, (const u8 *)zeros);
    return 0;
}

u64 entrypoint(u8 *input) {
    Account accounts[ACCOUNTS_MAX];
    const Call call = parse_call(input, accounts, ACCOUNTS_MAX);
    if (call.data_bytes < 8) return UNKNOWN_INSTRUCTION;
    switch (load64(call.data)) {
        case INITIALIZE: return initialize(&call, accounts);
        case POST_ROOT: return post_root(&call, accounts);
        case TRANSFER_AUTHORITY: return transfer_authority(&call, accounts);
        case CLOSE: return close_record(&call, accounts);
        default: return UNKNOWN_INSTRUCTION;
    }
}
