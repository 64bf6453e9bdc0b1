/// tests/fuzz/chain_fuzz.cpp - libFuzzer target: no answers of a node and no bytes of accounts, events, logs and memos make the
/// client of the chain read outside, wait for ever or take for true what does not fit together.
/// Input bytes: u8 what | the bytes of an account, an event, a memo or a log; or answers: (u8 kind | u16 bytes | JSON)*.
#include "archive/program_deploy.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using namespace dvesp::archive;
using fuzz::require;
using fuzz::touch;

namespace {

/// A node whose every answer is the input's next piece; when it is used up, connections break.
class HostileNode final : public ports::HttpClient {
  public:
    explicit HostileNode(fuzz::Input& input) : input_(input) {}
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink&) override {
        ++calls_;
        require(!request.body.empty() && request.body.front().bytes.size() < (1U << 16));
        if (input_.empty()) return fail(ErrorCode::unavailable, "nobody is there");
        const std::uint8_t kind = input_.byte();
        const ByteView body = input_.take(input_.u16());
        ports::HttpAnswer answer;
        answer.status = kind % 8 == 7 ? 429 : 200;
        if (kind % 8 == 6) answer.headers.emplace_back("retry-after", std::string(text_of(body)));
        if (kind % 8 == 5) {
            answer.body.assign(body.begin(), body.end());
            return answer;
        }
        const char* member = kind % 8 == 4 ? "error" : "result";
        // Ids count from 1; one that was asked again has the next.
        const std::string text =
            "{\"jsonrpc\":\"2.0\",\"id\":" + std::to_string(calls_) + ",\"" + member + "\":" + std::string(text_of(body)) + "}";
        answer.body.assign(text.begin(), text.end());
        return answer;
    }
    void pause(std::uint64_t duration_ms) override {
        require(duration_ms <= 60'000);
        now_ms_ += std::max<std::uint64_t>(duration_ms, 1);
    }
    std::uint64_t wall_ms() override { return now_ms_; }
    void cancel() noexcept override {}

  private:
    fuzz::Input& input_;
    std::uint64_t calls_ = 0;
    std::uint64_t now_ms_ = 0;
};

void touch_root(const AnchoredRoot& root) {
    touch(ByteView(root.root));
    touch(ByteView(root.collection_id));
}

void try_client(fuzz::Input& input) {
    const std::uint8_t choice = input.byte();
    AnchorOptions options;
    options.rpc.url = "http://node/";
    options.program_id[0] = 7;
    options.mode = (choice & 1) != 0 ? AnchorMode::memo : AnchorMode::program;
    HostileNode node(input);
    crypto::Key32 seed;
    options.creator = crypto::Ed25519Key(seed).public_key();
    RootAnchor anchor(node, options, seed.clone());
    const Hash collection{};
    if (const auto read = anchor.read(collection); read.ok() && *read) {
        require((*read)->collection_id == collection);
        touch_root(**read);
    }
    if ((choice & 2) != 0) {
        const RootState state{Hash{1}, 3, true};
        const auto posted = anchor.post(collection, state);
        require(!posted.ok() || (posted->anchored.root == state.root && posted->anchored.leaf_count == 3));
    }
    if ((choice & 4) != 0) {
        const auto past = anchor.history(collection, 5);
        require(!past.ok() || past->size() <= 5);
    }
    if ((choice & 8) != 0) {
        std::vector<std::uint8_t> program(2000, 1);
        std::copy_n(
            "\x7f"
            "ELF",
            4, program.begin());
        static_cast<void>(deploy_program(anchor, seed, program).ok());
    }
    static_cast<void>(anchor.balance().ok());
}

void try_bytes(int what, ByteView bytes) {
    if (what == 1) {
        if (const auto record = decode_record(bytes); record.ok()) touch_root(*record);
        if (const auto event = decode_event(bytes); event.ok()) touch_root(*event);
    }
    if (what == 2) {
        const auto memo = parse_memo(text_of(bytes));
        if (memo) require(memo_of(memo->collection_id, memo->sequence, memo->root, memo->leaf_count) == text_of(bytes));
        const auto key = parse_key(text_of(bytes), "key");
        if (key.ok()) require(parse_key(key_text(*key), "key").value() == *key);
        if (key.ok()) static_cast<void>(is_on_curve(*key));
    }
    if (what == 3) {
        std::vector<std::string> lines(1);
        for (const std::uint8_t byte : bytes) {
            if (byte == '\n') {
                lines.emplace_back();
            } else {
                lines.back().push_back(static_cast<char>(byte));
            }
        }
        if (const auto event = event_in_log(lines, system_program)) touch_root(*event);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const int what = input.byte() % 4;
    if (what == 0) {
        try_client(input);
        return 0;
    }
    const ByteView rest = input.rest();
    const std::vector<std::uint8_t> copy(rest.begin(), rest.end());  // of its exact size, so that the sanitizer sees its end
    try_bytes(what, copy);
    return 0;
}
