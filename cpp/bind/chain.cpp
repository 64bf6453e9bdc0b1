/// bind/chain.cpp - bytes and texts in, dicts out; the chain is talked to without the GIL.
#include "bind/chain.hpp"

#include <pybind11/stl.h>

#include <algorithm>

#include "archive/program_deploy.hpp"
#include "bind/arguments.hpp"
#include "bind/errors.hpp"
#include "bind/metadata.hpp"
#include "os/executor.hpp"
#include "os/http_client.hpp"
#include "os/random.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

py::bytes py_bytes(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

ByteView view_of(const py::bytes& value) {
    const std::string_view text(value);
    return bytes_of(text);
}

Hash hash_of(const py::bytes& value, const char* field) {
    const ByteView bytes = view_of(value);
    Hash out;
    if (bytes.size() != out.size()) refuse(std::string(field) + ": must be 32 bytes");
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return out;
}

crypto::Key32 seed_of(const PyKeyring& keyring, const char* field) {
    const sealed::UserSecret secret = keyring.secret();
    if (secret.kind != sealed::SecretKind::wallet_seed) refuse(std::string(field) + ": must be a wallet, not another secret");
    return crypto::Key32(secret.bytes.bytes());
}

py::dict as_dict(const archive::AnchoredRoot& anchored) {
    py::dict out;
    out["authority"] = archive::key_text(anchored.authority);
    out["root"] = to_hex(anchored.root);
    out["leaf_count"] = anchored.leaf_count;
    out["sequence"] = anchored.sequence;
    out["chain_hash"] = to_hex(anchored.chain_hash);
    out["slot"] = anchored.slot;
    out["unix_timestamp"] = anchored.unix_timestamp;
    return out;
}

py::list path_of(const codec::Proof& proof) {
    py::list out;
    for (const Hash& hash : proof) out.append(to_hex(hash));
    return out;
}

/// @param frame_count  the root of the first so many frames, too
py::dict collection_root(PyStore& store, const std::string& name, const std::string& root_of,
                         const std::optional<std::uint64_t>& frame_count) {
    const node::RootKind kind = take(node::parse_root_kind(root_of));
    store::Database& database = store.embedded().database();
    std::optional<Hash> earlier;
    Hash id{};
    const archive::RootState state = take(unlocked([&]() -> Result<archive::RootState> {
        DVESP_ASSIGN(const auto collection, database.collection(name));
        id = database.collection_id(*collection);
        DVESP_ASSIGN(const archive::RootState current, node::current_root(database, *collection, kind));
        if (kind == node::RootKind::frames && frame_count) {
            DVESP_ASSIGN(auto frames, database.frame_roots(*collection));
            if (*frame_count <= frames.size()) {
                earlier = store::root_of_frames(std::span(frames).first(static_cast<std::size_t>(*frame_count)));
            }
        }
        return current;
    }));
    py::dict out;
    out["collection_id"] = py_bytes(id);
    out["root"] = py_bytes(state.root);
    out["leaf_count"] = state.leaf_count;
    out["only_grows"] = state.only_grows;
    out["earlier_root"] = earlier ? py::object(py_bytes(*earlier)) : py::object(py::none());
    return out;
}

py::list frame_roots(PyStore& store, const std::string& name) {
    store::Database& database = store.embedded().database();
    const auto frames = take(unlocked([&]() -> Result<std::vector<store::FrameRoot>> {
        DVESP_ASSIGN(const auto collection, database.collection(name));
        DVESP_TRY(collection->check_whole());
        return database.frame_roots(*collection);
    }));
    py::list out;
    for (const store::FrameRoot& frame : frames) {
        out.append(py::make_tuple(frame.hlc, frame.shard, py_bytes(frame.root), frame.leaf_count));
    }
    return out;
}

py::dict prove(PyStore& store, const std::string& name, const py::str& id, const std::optional<std::uint64_t>& frame_count) {
    const std::string id_text(utf8_of(id, "id"));
    store::Database& database = store.embedded().database();
    const store::RecordProof proof = take(unlocked([&]() -> Result<store::RecordProof> {
        DVESP_ASSIGN(const auto collection, database.collection(name));
        DVESP_TRY(collection->check_whole());
        return database.prove(*collection, id_text, frame_count);
    }));
    if (!store::verify_record_proof(proof)) raise(fail(ErrorCode::integrity, "the proof of " + id_text + " does not hold"));
    py::dict out;
    out["id"] = id;
    out["version"] = proof.version;
    out["salt"] = to_hex(proof.salt);
    out["leaf"] = to_hex(proof.leaf);
    out["leaf_index"] = proof.leaf_index;
    out["leaf_count"] = proof.leaf_count;
    out["path"] = path_of(proof.path);
    out["frame_root"] = to_hex(proof.frame.root);
    out["frame_index"] = proof.frame_index;
    out["frame_count"] = proof.frame_count;
    out["frame_path"] = path_of(proof.frame_path);
    out["root"] = to_hex(proof.root);
    return out;
}

/// A new wallet: a random seed and its public key.
py::bytes make_wallet() {
    crypto::SecretBytes wallet(crypto::key_bytes * 2);
    os::make_random()->fill(wallet.bytes().first(crypto::key_bytes));
    const crypto::PublicKey key = crypto::Ed25519Key(crypto::Key32(wallet.bytes().first(crypto::key_bytes))).public_key();
    std::copy(key.begin(), key.end(), wallet.bytes().begin() + static_cast<std::ptrdiff_t>(crypto::key_bytes));
    return py_bytes(wallet.bytes());
}

void attach(PyStore& store, const PyChain& chain, const std::string& root_of) {
    store.embedded().attach_chain(chain.keeper_options(root_of));
}

}  // namespace

PyChain::PyChain(ChainArguments arguments) : http_(os::make_http_client()) {
    options_.rpc.url = std::move(arguments.rpc_url);
    options_.rpc.commitment = take(archive::parse_commitment(arguments.commitment));
    options_.mode = take(archive::parse_anchor_mode(arguments.anchor_mode));
    options_.program_id = take(archive::parse_key(arguments.program_id, "program_id"));
    options_.priority_microlamports = arguments.priority_microlamports;
    if (arguments.wallet) wallet_ = seed_of(*arguments.wallet, "wallet");
    if (!wallet_ && !arguments.creator) refuse("wallet: give the wallet that signs, or creator: whose roots are read");
    if (wallet_) options_.creator = crypto::Ed25519Key(*wallet_).public_key();
    if (arguments.creator) options_.creator = take(archive::parse_key(*arguments.creator, "creator"));
    if (options_.mode == archive::AnchorMode::off) return;
    auto wallet = wallet_ ? std::optional(wallet_->clone()) : std::nullopt;
    anchor_ = std::make_unique<archive::RootAnchor>(*http_, options_, std::move(wallet));
}

archive::RootAnchor& PyChain::anchor() const {
    if (!anchor_) refuse("anchor_mode: is 'off', so there is no chain to talk to");
    return *anchor_;
}

node::ChainOptions PyChain::keeper_options(const std::string& root_of) const {
    static_cast<void>(anchor());
    if (!wallet_) raise(fail(ErrorCode::sealed, "wallet: posting roots needs the wallet that signs them"));
    node::ChainOptions out;
    out.anchor = options_;
    out.wallet = wallet_->clone();
    out.root_of = take(node::parse_root_kind(root_of));
    out.http = os::make_http_client();
    out.executor = os::make_executor(1, 1);
    return out;
}

std::string PyChain::address(const py::bytes& collection_id) const {
    return archive::key_text(anchor().address(hash_of(collection_id, "collection_id")));
}

py::dict PyChain::post(const py::bytes& collection_id, const py::bytes& root, std::uint64_t leaf_count, bool only_grows) {
    const Hash id = hash_of(collection_id, "collection_id");
    const archive::RootState state{hash_of(root, "root"), leaf_count, only_grows};
    archive::RootAnchor& anchor = this->anchor();
    const archive::PostedRoot posted = take(unlocked([&] {
        const std::scoped_lock lock(mutex_);
        return anchor.post(id, state);
    }));
    py::dict out = as_dict(posted.anchored);
    out["signature"] = posted.signature;
    out["units"] = posted.units;
    return out;
}

py::object PyChain::read(const py::bytes& collection_id) {
    const Hash id = hash_of(collection_id, "collection_id");
    archive::RootAnchor& anchor = this->anchor();
    const auto found = take(unlocked([&] {
        const std::scoped_lock lock(mutex_);
        return anchor.read(id);
    }));
    return found ? py::object(as_dict(*found)) : py::object(py::none());
}

py::list PyChain::history(const py::bytes& collection_id, std::size_t limit) {
    const Hash id = hash_of(collection_id, "collection_id");
    archive::RootAnchor& anchor = this->anchor();
    const auto past = take(unlocked([&] {
        const std::scoped_lock lock(mutex_);
        return anchor.history(id, limit);
    }));
    py::list out;
    for (const archive::PastRoot& one : past) {
        py::dict entry = as_dict(one.anchored);
        entry["signature"] = one.signature;
        out.append(entry);
    }
    return out;
}

std::uint64_t PyChain::balance() {
    archive::RootAnchor& anchor = this->anchor();
    return take(unlocked([&] {
        const std::scoped_lock lock(mutex_);
        return anchor.balance();
    }));
}

py::dict PyChain::deploy(const std::shared_ptr<PyKeyring>& program_key, const py::bytes& program) {
    const crypto::Key32 seed = seed_of(*program_key, "program key");
    archive::RootAnchor& anchor = this->anchor();
    if (anchor.wallet() == nullptr) raise(fail(ErrorCode::sealed, "wallet: deploying needs the wallet that pays"));
    const ByteView bytes = view_of(program);
    const archive::Deployment deployment = take(unlocked([&] {
        const std::scoped_lock lock(mutex_);
        return archive::deploy_program(anchor, seed, bytes);
    }));
    py::dict out;
    out["program_id"] = archive::key_text(deployment.program_id);
    out["program_bytes"] = deployment.program_bytes;
    out["transactions"] = deployment.transactions;
    out["lamports_spent"] = deployment.lamports_spent;
    return out;
}

py::dict chain_report(const node::ChainKeeper* keeper) {
    const node::ChainStatus status = keeper != nullptr ? keeper->status() : node::ChainStatus();
    py::dict out;
    py::dict collections;
    out["configured"] = keeper != nullptr;
    out["posted_sequence"] = 0;
    out["posted_root"] = py::none();
    for (const node::ChainStatus::Posted& posted : status.posted) {
        py::dict one;
        one["address"] = posted.address;
        one["posted_sequence"] = posted.sequence;
        one["posted_root"] = to_hex(posted.root);
        one["leaf_count"] = posted.leaf_count;
        collections[py::str(posted.collection)] = one;
        if (posted.collection != status.newest) continue;
        out["posted_sequence"] = posted.sequence;
        out["posted_root"] = to_hex(posted.root);
    }
    out["pending"] = status.pending;
    out["last_error"] = status.last_error.empty() ? py::object(py::none()) : py::object(py::str(status.last_error));
    out["lamports"] = status.lamports ? py::object(py::int_(*status.lamports)) : py::object(py::none());
    out["collections"] = collections;
    return out;
}

void PyChain::define(py::module_& module) {
    py::class_<PyChain, std::shared_ptr<PyChain>>(module, "Chain", "Roots of collections on Solana; safe to share.")
        .def(py::init([](std::string rpc_url, std::string program_id, std::string commitment, std::uint64_t priority,
                         std::string anchor_mode, const std::optional<std::shared_ptr<PyKeyring>>& wallet,
                         std::optional<std::string> creator) {
                 return std::make_shared<PyChain>(ChainArguments{std::move(rpc_url), std::move(program_id),
                                                                 std::move(commitment), priority, std::move(anchor_mode),
                                                                 wallet.value_or(nullptr), std::move(creator)});
             }),
             py::arg("rpc_url"), py::arg("program_id"), py::arg("commitment"), py::arg("priority_microlamports"),
             py::arg("anchor_mode"), py::arg("wallet"), py::arg("creator"))
        .def("creator", &PyChain::creator, "The key under which records are, in base58.")
        .def("address", &PyChain::address, py::arg("collection_id"), "The account of a collection's record, in base58.")
        .def("post", &PyChain::post, py::arg("collection_id"), py::arg("root"), py::arg("leaf_count"), py::arg("only_grows"),
             "Puts a root on the chain, unless it is there.")
        .def("read", &PyChain::read, py::arg("collection_id"), "The root on the chain, or None.")
        .def("history", &PyChain::history, py::arg("collection_id"), py::arg("limit"), "Roots that were posted, newest first.")
        .def("balance", &PyChain::balance, "Lamports of the wallet, or of the creator.")
        .def("deploy", &PyChain::deploy, py::arg("program_key"), py::arg("program"), "Puts the program onto the chain.")
        .def("cancel", &PyChain::cancel, "Ends a call that waits, and refuses later ones.");
    module.def("make_wallet", &make_wallet, "The 64 bytes of a new wallet: a random seed and its public key.");
    module.def("chain_attach", &attach, py::arg("store"), py::arg("chain"), py::arg("root_of"),
               "From now on the roots of a store's collections follow its writes to the chain.");
    module.def("chain_root", &collection_root, py::arg("store"), py::arg("collection"), py::arg("root_of"),
               py::arg("frame_count"), "A collection's identity on a chain, its root and leaves.");
    module.def("chain_frames", &frame_roots, py::arg("store"), py::arg("collection"),
               "(hlc, shard, root, rows) of every batch, in the order of the tree.");
    module.def("chain_prove", &prove, py::arg("store"), py::arg("collection"), py::arg("id"), py::arg("frame_count"),
               "That a record is under the root of all frames, or of the first frame_count.");
}

}  // namespace dvesp::bind
