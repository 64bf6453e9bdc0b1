/// tests/fuzz/s3_fuzz.cpp - libFuzzer target: every answer that a service of S3 may give, to every method of the target.
/// Input bytes: u8 method | any number of: u8 status, u8 length, the body.
#include <array>

#include "archive/content.hpp"
#include "archive/s3.hpp"
#include "fuzz/fuzz_support.hpp"
#include "fuzz/http_answers.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

class FuzzedClient final : public fuzz::PretendedClient {
  public:
    explicit FuzzedClient(ByteView input) : input_(input) {}
    Result<ports::HttpAnswer> call(const ports::HttpCall&, const ports::ByteSink& sink) override {
        static constexpr std::array statuses{200, 204, 206, 301, 400, 403, 404, 409, 412, 429, 500, 501, 507};
        if (input_.size() < 2) return fail(ErrorCode::unavailable, "nothing more comes");
        const int status = statuses[input_[0] % statuses.size()];
        const std::size_t length = std::min<std::size_t>(input_[1], input_.size() - 2);
        const ByteView body = input_.subspan(2, length);
        input_ = input_.subspan(2 + length);
        const std::string text(text_of(body.first(std::min<std::size_t>(length, 20))));
        return deliver(status, {{"content-length", text}, {"etag", text}}, body, sink);
    }

  private:
    ByteView input_;
};

/// The secret has a character that no service can bring into a message.
template <class T>
void judge(const Result<T>& result) {
    if (result.ok()) return;
    const std::string& message = result.error().message;
    require(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; }));
    require(message.find("hid/den") == std::string::npos);
}

/// What is given as an object is that object.
void try_get(archive::Target& target) {
    static const Hash wanted = sha256(bytes_of("content"));
    std::string given;
    const auto got = target.get({wanted, 7, ""}, [&](ByteView bytes) -> Result<void> {
        given += text_of(bytes);
        return {};
    });
    require(given.size() <= 7);
    require(!got.ok() || given == "content");
    judge(got);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    FuzzedClient client(ByteView(data, size).subspan(1));
    const auto target = archive::make_s3_target({"http://h", "b", "p/", {"access", "hid/den", "", "r"}}, client).value();
    archive::MemorySource content(bytes_of("content"));
    const archive::ObjectName name{sha256(bytes_of("content")), 7, ""};
    switch (data[0] % 8) {
        case 0:
            judge(target->list());
            break;
        case 1:
            judge(target->list_documents());
            break;
        case 2:
            judge(target->clean_up());
            break;
        case 3:
            try_get(*target);
            break;
        case 4:
            judge(target->put(name, content));
            break;
        case 5:
            judge(target->get_document("keyring"));
            break;
        case 6:
            judge(target->has(name));
            break;
        default:
            judge(target->remove(name));
    }
    return 0;
}
