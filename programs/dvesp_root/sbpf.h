/* sbpf.h - what a Solana program sees of its machine: types, system calls, and the parameters that the loader hands over.
 * Source: the loader's aligned serialization (agave, programs/bpf_loader, serialization.rs) and sol/types of its C SDK. */
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

_Static_assert(sizeof(u64) == 8 && sizeof(void *) == 8, "SBPF is a machine of 64 bits");

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const u8 *data;
    u64 bytes;
} Slice;

/* An account as instructions name it. */
typedef struct {
    const u8 *key;
    u8 is_writable;
    u8 is_signer;
} AccountMeta;

typedef struct {
    const u8 *program;
    const AccountMeta *accounts;
    u64 account_count;
    const u8 *data;
    u64 data_bytes;
} Instruction;

/* An account as the loader lays it out; the order of the fields is the machine's. */
typedef struct {
    const u8 *key;
    u64 *lamports;
    u64 data_bytes;
    u8 *data;
    u8 *owner;
    u64 rent_epoch;
    u8 is_signer;
    u8 is_writable;
    u8 is_executable;
} Account;

typedef struct {
    const Slice *seeds;
    u64 seed_count;
} SignerSeeds;

typedef struct {
    u64 slot;
    u64 epoch_start_timestamp;
    u64 epoch;
    u64 leader_schedule_epoch;
    u64 unix_timestamp; /* an i64; it is only copied */
} Clock;

typedef struct {
    u64 lamports_per_byte_year;
    u64 exemption_threshold_bits; /* an f64 */
    u64 burn_percent;             /* a u8 */
} Rent;

/* All return 0 when they succeed. The linker makes calls of these names. */
extern u64 sol_get_clock_sysvar(Clock *out);
extern u64 sol_get_rent_sysvar(Rent *out);
extern u64 sol_invoke_signed_c(const Instruction *, const Account *, u64 account_count, const SignerSeeds *, u64 signer_count);
extern u64 sol_log_data(const Slice *, u64 count);
extern u64 sol_sha256(const Slice *, u64 count, u8 *out_32);
extern u64 sol_try_find_program_address(const Slice *, u64 count, const u8 *program, u8 *out_32, u8 *out_bump);

/* The machine allows unaligned accesses of 8 bytes; through these, clang emits one instruction each. */
INLINE u64 load64(const u8 *at) { return *(const u64 *)at; }
INLINE void store64(u8 *at, u64 value) { *(u64 *)at = value; }
INLINE void copy_key(u8 *to, const u8 *from) {
    for (int word = 0; word < 4; word++) store64(to + 8 * word, load64(from + 8 * word));
}
INLINE int same_key(const u8 *a, const u8 *b) {
    u64 differs = 0;
    for (int word = 0; word < 4; word++) differs |= load64(a + 8 * word) ^ load64(b + 8 * word);
    return differs == 0;
}

typedef struct {
    u64 account_count; /* may be above the number of accounts that were asked for */
    const u8 *data;
    u64 data_bytes;
    const u8 *program;
} Call;

enum { NOT_A_DUPLICATE = 0xff, GROWTH_BYTES = 10240 };

/* Reads the loader's parameters; of the accounts, the first `accounts_max`.
 * Each account: u8 duplicate of | u8 signer, writable, executable | u32 | key | owner | lamports | data_bytes | data, room to
 * grow, padding to 8 | rent_epoch; a duplicate has 8 bytes. Then data_bytes | data | program. */
INLINE Call parse_call(u8 *at, Account *accounts, u64 accounts_max) {
    Call call;
    call.account_count = load64(at);
    at += 8;
    for (u64 index = 0; index < call.account_count; index++) {
        const u8 first = at[0];
        if (first != NOT_A_DUPLICATE) {
            if (index < accounts_max && first < index) accounts[index] = accounts[first];
            at += 8;
            continue;
        }
        Account account;
        account.is_signer = at[1];
        account.is_writable = at[2];
        account.is_executable = at[3];
        account.key = at + 8;
        account.owner = at + 40;
        account.lamports = (u64 *)(at + 72);
        account.data_bytes = load64(at + 80);
        account.data = at + 88;
        at += 88 + account.data_bytes + GROWTH_BYTES;
        at = (u8 *)(((u64)at + 7) & ~7ULL);
        account.rent_epoch = load64(at);
        at += 8;
        if (index < accounts_max) accounts[index] = account;
    }
    call.data_bytes = load64(at);
    call.data = at + 8;
    call.program = call.data + call.data_bytes;
    return call;
}

/* The loader reads the length back from in front of the data. */
INLINE void set_data_bytes(Account *account, u64 bytes) { store64(account->data - 8, bytes); }
