/// tests/fuzz/shadow_fuzz.cpp - libFuzzer target: no answers of Shadow Drive make the target read outside or run away, and
/// nothing is taken for an object that is not one. Input bytes: u8 bit 0 which API, bits 1 and 2 which status | the answer to
/// everything.
#include "archive/content.hpp"
#include "archive/shadow_api.hpp"
#include "fuzz/fuzz_support.hpp"
#include "fuzz/http_answers.hpp"

using namespace dvesp;
using fuzz::require;
using fuzz::touch;

namespace {

/// Answers everything alike.
class OneAnswer final : public fuzz::PretendedClient {
  public:
    OneAnswer(int status, ByteView body) : status_(status), body_(body) {}
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        const int status = request.method == "HEAD" ? 404 : status_;
        return deliver(status, {{"content-length", std::string(text_of(body_))}}, body_, sink);
    }

  private:
    int status_;
    ByteView body_;
};

/// Nobody reads it: the client above sends nothing.
class UnreadSource final : public ports::ByteSource {
  public:
    [[nodiscard]] std::uint64_t size() const noexcept override { return 2 * archive::shadow_part_bytes; }
    Result<void> read(std::uint64_t, MutableBytes) override { return fail(ErrorCode::io_failed, "unread"); }
};

archive::ShadowDriveOptions options_of(std::uint8_t which) {
    archive::ShadowDriveOptions options;
    options.endpoint = "http://drive";
    options.files_base = "http://drive";
    options.account = "11111111111111111111111111111111";
    options.api = which % 2 == 0 ? "v2" : "v1.5";
    return options;
}

void try_api(const archive::ShadowApi& api) {
    UnreadSource content;
    static_cast<void>(api.upload("0.dvseg", Hash{}, content).ok());
    static_cast<void>(api.remove("0.dvseg").ok());
    const auto files = api.list();
    if (!files.ok()) return;
    for (const archive::ShadowApi::File& file : *files) touch(file.name);
}

void try_target(archive::Target& target, ByteView body) {
    const std::string_view text = "object";
    archive::MemorySource content(bytes_of(text));
    const archive::ObjectName name{sha256(bytes_of(text)), text.size(), {}};
    const auto got = target.get(name, [](ByteView) { return Result<void>(); });
    require(!got.ok() || text_of(body) == text);
    static_cast<void>(target.put(name, content).ok());
    static_cast<void>(target.has(name).ok());
    const auto objects = target.list();
    if (objects.ok()) {
        for (const archive::ObjectName& each : *objects) touch(each.sha256);
    }
    const auto names = target.list_documents();
    if (names.ok()) require(std::is_sorted(names->begin(), names->end()));
    const auto document = target.get_document("keyring");
    if (document.ok() && document->has_value()) require(std::equal(body.begin(), body.end(), (*document)->begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::array<int, 4> statuses = {200, 500, 400, 404};
    fuzz::Input input(data, size);
    const std::uint8_t which = input.byte();
    const ByteView rest = input.rest();
    const fuzz::Bytes bytes(rest.begin(), rest.end());  // an allocation of its own, so that reading outside is seen
    OneAnswer client(statuses[which / 2 % statuses.size()], bytes);
    try_api(archive::ShadowApi(options_of(which), client));
    const auto target = archive::make_shadow_drive_target(options_of(which), client);
    require(target.ok());
    try_target(**target, bytes);
    return 0;
}
